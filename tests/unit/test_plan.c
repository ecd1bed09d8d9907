/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "punch/plan.h"

enum { CONE, STEP, RANDOM, UNKNOWN, BLOCK, EASY };

static struct plan_side side(int nat, uint8_t host, unsigned samples, uint16_t step)
{
    struct plan_side s = {0};

    s.public_addr = stun_addr_v4(198, 51, 100, host, 40000);
    s.profile.mapping = nat == UNKNOWN               ? NAT_MAPPING_UNKNOWN
                        : nat == CONE || nat == EASY ? NAT_MAPPING_ENDPOINT_INDEPENDENT
                                                     : NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
    s.profile.allocation = nat == STEP    ? NAT_ALLOCATION_SEQUENTIAL
                           : nat == BLOCK ? NAT_ALLOCATION_BLOCK
                                          : NAT_ALLOCATION_OTHER;
    s.profile.filtering =
        nat == EASY ? NAT_FILTERING_ADDRESS_DEPENDENT : NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT;
    s.profile.early = nat == CONE ? NAT_EARLY_HARMLESS : NAT_EARLY_UNKNOWN;
    if (nat == BLOCK) {
        s.profile.block_ports = 2048;
        s.profile.block_first = 1024;
    }
    s.samples.public_addr = stun_addr_v4(198, 51, 100, host, 0);
    for (unsigned i = 0; i < samples; i++)
        s.samples.ports[s.samples.count++] = nat == RANDOM
                                                 ? (uint16_t)(20000 + (i * 7919 + 3000) % 40000)
                                             : nat == BLOCK ? (uint16_t)(50500 + (i * 1237) % 1500)
                                                            : (uint16_t)(50000 + i * step);
    return s;
}

static void every_pair_of_nats_has_its_plan(void **state)
{
    const struct {
        int mine, theirs;
        unsigned my_samples, their_samples;
        enum plan_kind kind;
    } table[] = {
        {CONE, CONE, 0, 0, PLAN_PLAIN},         {CONE, UNKNOWN, 0, 0, PLAN_PLAIN},
        {CONE, STEP, 0, 0, PLAN_WAIT},          {CONE, STEP, 0, 4, PLAN_PREDICT},
        {STEP, CONE, 0, 0, PLAN_WAIT},          {STEP, CONE, 4, 0, PLAN_PREDICT},
        {STEP, STEP, 4, 0, PLAN_WAIT},          {STEP, STEP, 0, 4, PLAN_WAIT},
        {STEP, STEP, 4, 4, PLAN_PREDICT},       {CONE, RANDOM, 0, 0, PLAN_WAIT},
        {RANDOM, CONE, 0, 0, PLAN_WAIT},        {RANDOM, STEP, 0, 4, PLAN_IMPOSSIBLE},
        {CONE, RANDOM, 0, 4, PLAN_BIRTHDAY},    {RANDOM, CONE, 4, 0, PLAN_BIRTHDAY},
        {UNKNOWN, RANDOM, 0, 4, PLAN_BIRTHDAY}, {EASY, RANDOM, 0, 4, PLAN_PLAIN},
        {CONE, BLOCK, 0, 0, PLAN_WAIT},         {CONE, BLOCK, 0, 4, PLAN_BLOCK},
        {BLOCK, CONE, 4, 0, PLAN_BLOCK},        {BLOCK, BLOCK, 4, 4, PLAN_IMPOSSIBLE},
        {BLOCK, STEP, 4, 4, PLAN_IMPOSSIBLE},   {EASY, BLOCK, 0, 4, PLAN_PLAIN},
        {STEP, RANDOM, 4, 0, PLAN_IMPOSSIBLE},  {RANDOM, RANDOM, 0, 0, PLAN_IMPOSSIBLE},
        {UNKNOWN, UNKNOWN, 0, 0, PLAN_PLAIN},   {STEP, CONE, 1, 0, PLAN_PLAIN},
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

/* 20 a second for 100 ms: two are expected between the newest sample and the hole. */
static void the_port_that_is_expected_comes_first(void **state)
{
    struct plan_side mine = side(CONE, 1, 0, 1), theirs = side(STEP, 2, 4, 1);
    const uint16_t expected[] = {50006, 50005, 50007, 50004, 50008, 50009, 50010, 50011};
    struct plan plan;

    (void)state;
    theirs.profile.foreign_per_1000_s = 20000;
    theirs.age_us = 100000;
    plan_make(&mine, &theirs, &plan);
    assert_true(plan.mine.port_count >= 8);
    assert_memory_equal(plan.mine.ports, expected, sizeof(expected));
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

/* Either side's data socket may be lost. */
static void two_fresh_sockets_are_aimed_at_each_other(void **state)
{
    struct plan_side mine = side(CONE, 1, 1, 1), theirs = side(CONE, 2, 1, 1);
    struct plan plan;

    (void)state;
    mine.samples.public_addr.port = mine.samples.ports[0] = 50100;
    theirs.samples.public_addr.port = theirs.samples.ports[0];
    plan_make(&mine, &theirs, &plan);
    assert_int_equal(plan.kind, PLAN_PREDICT);
    assert_true(plan.theirs.fresh_socket && plan.mine.fresh_socket && plan.mine.opens_first);
    assert_int_equal(plan.theirs.ports[0], 50100);
    assert_int_equal(plan.mine.ports[0], 50000);
    assert_int_equal(plan.mine.port_count, 1);
}

static void a_block_is_searched_with_little(void **state)
{
    struct plan_side mine = side(CONE, 1, 0, 1), theirs = side(BLOCK, 2, 4, 1);
    struct plan plan;

    (void)state;
    plan_make(&mine, &theirs, &plan);
    assert_int_equal(plan.kind, PLAN_BLOCK);
    assert_int_equal(plan.theirs.sockets, 64);
    assert_int_equal(plan.theirs.ports[0], 40000);
    assert_true(plan.theirs.opens_first);
    assert_int_equal(plan.mine.probes, 256);
    assert_int_equal(plan.mine.range_ports, 2048);
    assert_int_equal(plan.mine.range_first, 1024 + 24 * 2048);
    assert_true(plan.mine.start_after_us >= 64 * PLAN_SEARCH_GAP_US);
    assert_int_equal(plan.theirs.start_after_us, 0);
    /* Nobody knows which TTL leaves their NAT, and ours takes harm: our packets go first. */
    mine.profile.early = NAT_EARLY_POISONOUS;
    plan_make(&mine, &theirs, &plan);
    assert_false(plan.theirs.opens_first);
    assert_int_equal(plan.mine.start_after_us, 0);
    assert_true(plan.theirs.start_after_us > plan.mine.probes * PLAN_SEARCH_GAP_US);
    mine.profile.early = NAT_EARLY_HARMLESS;
    theirs.profile.block_ports = 0; /* the samples alone */
    theirs.profile.allocation = NAT_ALLOCATION_OTHER;
    plan_make(&mine, &theirs, &plan);
    assert_int_equal(plan.kind, PLAN_BLOCK);
    assert_in_range(50500, plan.mine.range_first, plan.mine.range_first + plan.mine.range_ports);
    assert_in_range(plan.mine.range_ports, 1500, 4096);
    theirs = side(BLOCK, 2, 0, 1);
    theirs.no_samples = true; /* the profile alone */
    plan_make(&mine, &theirs, &plan);
    assert_int_equal(plan.kind, PLAN_BLOCK);
    assert_int_equal(plan.mine.range_first, 1024);
    for (uint32_t size = 64; size <= 16384; size *= 2) {
        double hits;

        theirs.profile.block_ports = size;
        plan_make(&mine, &theirs, &plan);
        assert_true(plan.theirs.sockets <= PLAN_BLOCK_SOCKETS);
        assert_true(plan.mine.probes <= PLAN_BLOCK_PROBES && plan.mine.probes <= size);
        hits = (double)plan.theirs.sockets * plan.mine.probes / size;
        assert_true(hits >= (size <= 4096 ? 4 : 1));
    }
}

static void a_search_waits_where_a_plain_punch_may_be_enough(void **state)
{
    struct plan_side mine = side(CONE, 1, 0, 1), theirs = side(RANDOM, 2, 4, 1);
    struct plan plan;

    (void)state;
    plan_make(&mine, &theirs, &plan);
    assert_int_equal(plan.theirs.start_after_us, 0);
    assert_int_equal(plan.theirs.sockets, PLAN_SEARCH_ALL);
    assert_int_equal(plan.mine.probes, PLAN_SEARCH_ALL);
    assert_int_equal(plan.mine.range_first, 1024);
    assert_int_equal(plan.mine.range_ports, 64512);
    mine.profile.filtering = NAT_FILTERING_UNKNOWN;
    plan_make(&mine, &theirs, &plan);
    assert_int_equal(plan.theirs.start_after_us, PLAN_PATIENCE_US);
}

static void the_first_probes_go_where_the_samples_were(void **state)
{
    struct plan_side mine = side(CONE, 1, 0, 1), theirs = side(RANDOM, 2, 4, 1);
    struct plan plan;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        theirs.samples.ports[i] = (uint16_t)(50000 + i * i * 1000);
    plan_make(&mine, &theirs, &plan);
    assert_int_equal(plan.mine.range_first, 49152);
    assert_int_equal(plan.mine.range_ports, 16384);
}

/* Mean and three standard deviations, with a quarter of the age for what is not known of it. */
static void a_span_grows_with_rate_and_age(void **state)
{
    struct plan_side s = side(STEP, 1, 4, 2);
    struct plan_span span = plan_span(&s, 2);

    (void)state;
    assert_int_equal(span.first, 1);
    assert_int_equal(span.last, 3);
    s.profile.foreign_per_1000_s = 20000;
    s.age_us = 100000; /* two of others */
    span = plan_span(&s, 2);
    assert_int_equal(span.first, 1);
    assert_in_range(span.last, 1 + 2 + 4, 1 + 2 + 8);
    s.profile.foreign_per_1000_s = 200000;
    s.age_us = 500000; /* a hundred */
    span = plan_span(&s, 2);
    assert_true(span.first <= 70 && span.last >= 100);
    assert_int_equal(span.last - span.first + 1, NAT_MAX_PREDICTED);
    s.profile.foreign_per_1000_s = UINT32_MAX;
    s.age_us = UINT64_MAX;
    span = plan_span(&s, 2);
    assert_int_equal(span.last - span.first + 1, NAT_MAX_PREDICTED);
    s.profile.foreign_per_1000_s = 0;
    s.age_us = 100000;
    s.misses = 1;
    span = plan_span(&s, 2);
    assert_in_range(span.last, 6, 20);
}

/* Where both ports move on, each side aims many sockets at one port of the other. */
static void two_moving_ports_are_crossed(void **state)
{
    struct plan_side mine = side(STEP, 1, 4, 1), theirs = side(STEP, 2, 4, 2);
    struct plan_span my_span, their_span;
    struct plan plan;

    (void)state;
    mine.profile.foreign_per_1000_s = theirs.profile.foreign_per_1000_s = 20000;
    mine.age_us = 50000;
    theirs.age_us = 100000;
    my_span = plan_span(&mine, 1);
    their_span = plan_span(&theirs, 2);
    plan_make(&mine, &theirs, &plan);
    assert_int_equal(plan.kind, PLAN_PREDICT);
    assert_int_equal(plan.mine.sockets, my_span.last);
    assert_int_equal(plan.theirs.sockets, their_span.last);
    assert_int_equal(plan.mine.port_count, 1);
    assert_int_equal(plan.mine.ports[0], 50006 + 2 * their_span.last);
    assert_int_equal(plan.theirs.ports[0], 50003 + my_span.last);
}

static void the_text_names_both_nats(void **state)
{
    static const int nats[] = {CONE, STEP, RANDOM, UNKNOWN, BLOCK, EASY};
    char text[PLAN_TEXT_BYTES];

    (void)state;
    for (size_t a = 0; a < 6; a++) {
        for (size_t b = 0; b < 6; b++) {
            struct plan_side mine = side(nats[a], 1, 4, 1), theirs = side(nats[b], 2, 4, 1);
            struct plan plan;

            plan_make(&mine, &theirs, &plan);
            assert_non_null(strstr(plan_text(&plan, text), "our NAT"));
            assert_non_null(strstr(text, "theirs"));
            assert_true(strlen(text) < PLAN_TEXT_BYTES - 20);
        }
    }
    {
        struct plan_side mine = side(CONE, 1, 0, 1), theirs = side(BLOCK, 2, 4, 1);
        struct plan plan;

        plan_make(&mine, &theirs, &plan);
        assert_string_equal(
            plan_text(&plan, text),
            "search of a port block: our NAT keeps one port for all destinations, theirs gives "
            "each destination another port of one block; we try 256 of the 2048 ports from "
            "198.51.100.2:50176 on, they open 64 new sockets towards 198.51.100.1:40000");
    }
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
        cmocka_unit_test(the_port_that_is_expected_comes_first),
        cmocka_unit_test(a_fresh_socket_of_a_constant_nat_is_aimed_at),
        cmocka_unit_test(two_fresh_sockets_are_aimed_at_each_other),
        cmocka_unit_test(a_block_is_searched_with_little),
        cmocka_unit_test(a_search_waits_where_a_plain_punch_may_be_enough),
        cmocka_unit_test(the_first_probes_go_where_the_samples_were),
        cmocka_unit_test(a_span_grows_with_rate_and_age),
        cmocka_unit_test(two_moving_ports_are_crossed),
        cmocka_unit_test(the_text_names_both_nats),
        cmocka_unit_test(foreign_allocations_widen_the_window),
        cmocka_unit_test(private_comes_first_then_who_was_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
