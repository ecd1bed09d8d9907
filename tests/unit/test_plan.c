/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "punch/plan.h"

enum { CONE, STEP, RANDOM, UNKNOWN };

static struct plan_side side(int nat, uint8_t host, unsigned samples, uint16_t step)
{
    struct plan_side s = {0};

    s.public_addr = stun_addr_v4(198, 51, 100, host, 40000);
    s.profile.mapping = nat == UNKNOWN ? NAT_MAPPING_UNKNOWN
                        : nat == CONE  ? NAT_MAPPING_ENDPOINT_INDEPENDENT
                                       : NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
    s.profile.allocation = nat == STEP ? NAT_ALLOCATION_SEQUENTIAL : NAT_ALLOCATION_OTHER;
    s.samples.public_addr = stun_addr_v4(198, 51, 100, host, 0);
    for (unsigned i = 0; i < samples; i++)
        s.samples.ports[s.samples.count++] = (uint16_t)(50000 + i * step);
    return s;
}

static void every_pair_of_nats_has_its_plan(void **state)
{
    const struct {
        int mine, theirs;
        unsigned my_samples, their_samples;
        enum plan_kind kind;
    } table[] = {
        {CONE, CONE, 0, 0, PLAN_PLAIN},        {CONE, UNKNOWN, 0, 0, PLAN_PLAIN},
        {CONE, STEP, 0, 0, PLAN_WAIT},         {CONE, STEP, 0, 4, PLAN_PREDICT},
        {STEP, CONE, 0, 0, PLAN_WAIT},         {STEP, CONE, 4, 0, PLAN_PREDICT},
        {STEP, STEP, 4, 0, PLAN_WAIT},         {STEP, STEP, 0, 4, PLAN_WAIT},
        {STEP, STEP, 4, 4, PLAN_PREDICT},      {CONE, RANDOM, 0, 0, PLAN_PLAIN},
        {RANDOM, CONE, 0, 0, PLAN_PLAIN},      {RANDOM, STEP, 0, 4, PLAN_IMPOSSIBLE},
        {STEP, RANDOM, 4, 0, PLAN_IMPOSSIBLE}, {RANDOM, RANDOM, 0, 0, PLAN_IMPOSSIBLE},
        {UNKNOWN, UNKNOWN, 0, 0, PLAN_PLAIN},  {STEP, CONE, 1, 0, PLAN_PLAIN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct plan_side mine = side(table[i].mine, 1, table[i].my_samples, 1);
        struct plan_side theirs = side(table[i].theirs, 2, table[i].their_samples, 1);
        char text[PLAN_TEXT_BYTES];
        struct plan plan;

        plan_make(&mine, &theirs, &plan);
        assert_int_equal(plan.kind, table[i].kind);
        assert_true(strlen(plan_text(&plan, text)) > 5);
    }
}

static void the_varying_side_opens_and_the_other_seeks(void **state)
{
    struct plan_side mine = side(CONE, 1, 0, 1), theirs = side(STEP, 2, 4, 2);
    struct plan plan;

    (void)state;
    plan_make(&mine, &theirs, &plan);
    assert_true(plan.theirs.fresh_socket);
    assert_true(plan.theirs.opens_first);
    assert_int_equal(plan.theirs.port_count, 1);
    assert_int_equal(plan.theirs.ports[0], 40000);
    assert_false(plan.mine.fresh_socket);
    assert_int_equal(plan.mine.port_count, PLAN_CLEAN_WINDOW);
    assert_int_equal(plan.mine.ports[0], 50008);
    assert_int_equal(plan.mine.ports[1], 50010);
    assert_true(stun_addr_same_ip(&plan.mine.target, &theirs.samples.public_addr));
}

static void a_fresh_socket_of_a_constant_nat_is_aimed_at(void **state)
{
    struct plan_side mine = side(CONE, 1, 0, 1), theirs = side(CONE, 2, 1, 1);
    struct plan plan;

    (void)state;
    theirs.samples.public_addr.port = theirs.samples.ports[0];
    plan_make(&mine, &theirs, &plan);
    assert_int_equal(plan.kind, PLAN_PREDICT);
    assert_true(plan.theirs.fresh_socket && !plan.mine.fresh_socket);
    assert_int_equal(plan.theirs.ports[0], 40000);
    assert_int_equal(plan.mine.port_count, 1);
    assert_int_equal(plan.mine.ports[0], 50000);
    theirs.samples.public_addr = theirs.public_addr; /* the socket that is tried anyway */
    plan_make(&mine, &theirs, &plan);
    assert_int_equal(plan.kind, PLAN_PLAIN);
}

static void two_varying_sides_aim_at_each_other(void **state)
{
    struct plan_side mine = side(STEP, 1, 4, 1), theirs = side(STEP, 2, 4, 2);
    struct plan plan;

    (void)state;
    plan_make(&mine, &theirs, &plan);
    assert_true(plan.mine.fresh_socket && plan.theirs.fresh_socket);
    assert_true(plan.mine.opens_first && !plan.theirs.opens_first);
    assert_int_equal(plan.mine.ports[0], 50008);
    assert_int_equal(plan.theirs.ports[0], 50004);
}

static void foreign_allocations_widen_the_window(void **state)
{
    struct nat_samples clean = {.ports = {100, 101, 102, 103}, .count = 4};
    struct nat_samples noisy = {.ports = {100, 103, 104, 108}, .count = 4};
    struct nat_samples wild = {.ports = {100, 200, 201, 400}, .count = 4};

    (void)state;
    assert_int_equal(plan_window(&clean, 1), PLAN_CLEAN_WINDOW);
    assert_int_equal(plan_window(&noisy, 1), PLAN_CLEAN_WINDOW + 20);
    assert_int_equal(plan_window(&wild, 1), NAT_MAX_PREDICTED);
}

static void private_comes_first_then_who_was_seen(void **state)
{
    struct stun_addr lan = stun_addr_v4(192, 168, 1, 2, 1), public4 = stun_addr_v4(8, 8, 8, 8, 1);
    struct stun_addr public6;

    (void)state;
    assert_true(stun_addr_parse("[2001:db8::1]:5", &public6));
    assert_true(plan_order(PUNCH_HOST, &lan, false) <
                plan_order(PUNCH_SERVER_REFLEXIVE, &public6, true));
    assert_true(plan_order(PUNCH_SERVER_REFLEXIVE, &public6, true) <
                plan_order(PUNCH_SERVER_REFLEXIVE, &public4, true));
    assert_true(plan_order(PUNCH_SERVER_REFLEXIVE, &public4, true) <
                plan_order(PUNCH_PORT_MAPPED, &public6, false));
    assert_true(plan_order(PUNCH_PORT_MAPPED, &public4, false) <
                plan_order(PUNCH_SERVER_REFLEXIVE, &public4, false));
    assert_true(plan_order(PUNCH_SERVER_REFLEXIVE, &public4, false) <
                plan_order(PUNCH_PREDICTED, &public4, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_nats_has_its_plan),
        cmocka_unit_test(the_varying_side_opens_and_the_other_seeks),
        cmocka_unit_test(a_fresh_socket_of_a_constant_nat_is_aimed_at),
        cmocka_unit_test(two_varying_sides_aim_at_each_other),
        cmocka_unit_test(foreign_allocations_widen_the_window),
        cmocka_unit_test(private_comes_first_then_who_was_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
