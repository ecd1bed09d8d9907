/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/dials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CALLER   7u
#define CALLEE   8u
#define STRANGER 9u

static const uint8_t dial_a[WIRE_DIAL_ID_BYTES] = "aaaaaaaaaaaaaaaa";

static const struct limit_rate three_notes = {.per_second = 1, .burst = 3};

struct world {
    struct dials *dials;
    struct dials_list caller, callee;
    struct dials_entry *dial;
};

static int set_up(void **state)
{
    static struct world world;

    world = (struct world){.dials = dials_new(4, 2, three_notes)};
    world.dial = dials_add(world.dials, dial_a, CALLER, 0);
    dials_join(world.dial, DIALS_CALLER, CALLER, &world.caller);
    dials_join(world.dial, DIALS_CALLEE, CALLEE, &world.callee);
    dials_move(world.dials, world.dial, DIALS_LIVE, 0);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    dials_free(world->dials);
    return 0;
}

static void test_notes_go_to_the_other_member_only(void **state)
{
    struct world *world = *state;

    assert_int_equal(dials_other(world->dial, CALLER), CALLEE);
    assert_int_equal(dials_other(world->dial, CALLEE), CALLER);
    assert_int_equal(dials_other(world->dial, STRANGER), 0);
    assert_int_equal(dials_other(world->dial, 0), 0);
    assert_false(dials_note(world->dials, world->dial, STRANGER, 0));
}

static void test_notes_have_a_rate_each_way(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 3; i++)
        assert_true(dials_note(world->dials, world->dial, CALLER, 5));
    assert_false(dials_note(world->dials, world->dial, CALLER, 5));
    assert_true(dials_note(world->dials, world->dial, CALLEE, 6));
    assert_int_equal(world->dial->used_us, 6);
    for (uint64_t second = 1; second < 1000; second++)
        assert_true(dials_note(world->dials, world->dial, CALLER, 5 + second * 1000000));
}

static void test_no_notes_before_acceptance(void **state)
{
    struct world *world = *state;

    dials_move(world->dials, world->dial, DIALS_ASKED, 0);
    assert_int_equal(dials_other(world->dial, CALLER), 0);
    assert_int_equal(dials_other(world->dial, CALLEE), 0);
    assert_false(dials_accept(world->dials, world->dial, CALLER, 0));
    assert_false(dials_accept(world->dials, world->dial, STRANGER, 0));
    assert_true(dials_accept(world->dials, world->dial, CALLEE, 0));
    assert_false(dials_accept(world->dials, world->dial, CALLEE, 0));
    assert_int_equal(dials_other(world->dial, CALLEE), CALLER);
}

static void test_a_refused_dial_cannot_be_accepted(void **state)
{
    struct world *world = *state;

    dials_move(world->dials, world->dial, DIALS_REFUSED, 0);
    assert_false(dials_accept(world->dials, world->dial, CALLEE, 0));
    assert_int_equal(dials_other(world->dial, CALLER), 0);
}

static void test_the_living_stay_and_the_others_have_a_minute(void **state)
{
    struct world *world = *state;

    dials_expire(world->dials, UINT64_MAX / 2);
    assert_ptr_equal(dials_find(world->dials, dial_a), world->dial);
    assert_int_equal(world->caller.count, 1);
    dials_move(world->dials, world->dial, DIALS_OVER, 1000);
    assert_int_equal(world->caller.count, 0);
    assert_null(world->callee.first);
    dials_expire(world->dials, 1000 + DIALS_LIFETIME_US - 1);
    assert_non_null(dials_find(world->dials, dial_a));
    dials_expire(world->dials, 1000 + DIALS_LIFETIME_US);
    assert_null(dials_find(world->dials, dial_a));
    assert_int_equal(dials_count(world->dials), 0);
}

/* However late the answer or the refusal comes, as after a stop of the whole process: the relay
 * pair of the dial must not outlive it, nor the sessions that it leads to. */
static void test_what_is_asked_for_stays_until_it_is_answered(void **state)
{
    struct world *world = *state;

    dials_move(world->dials, world->dial, DIALS_ASKED, 1000);
    dials_expire(world->dials, 1000 + 10 * (uint64_t)DIALS_LIFETIME_US);
    assert_ptr_equal(dials_find(world->dials, dial_a), world->dial);
    assert_int_equal(world->callee.count, 1);
    dials_move(world->dials, world->dial, DIALS_REFUSED, 2000);
    dials_expire(world->dials, 2000 + DIALS_LIFETIME_US);
    assert_null(dials_find(world->dials, dial_a));
}

static void test_lists_hold_the_newest_first(void **state)
{
    struct world *world = *state;
    struct dials_entry *dial[4] = {world->dial};
    uint8_t id[WIRE_DIAL_ID_BYTES] = {0};

    for (uint8_t i = 1; i < 4; i++) {
        id[0] = i;
        dial[i] = dials_add(world->dials, id, 0, 0);
        /* Each session is now the caller, now the callee. */
        dials_join(dial[i], i % 2 ? DIALS_CALLEE : DIALS_CALLER, CALLER, &world->caller);
        dials_join(dial[i], i % 2 ? DIALS_CALLER : DIALS_CALLEE, CALLEE, &world->callee);
        dials_move(world->dials, dial[i], DIALS_LIVE, 0);
    }
    dials_move(world->dials, dial[2], DIALS_OVER, 0);
    assert_int_equal(world->caller.count, 3);
    assert_ptr_equal(world->caller.first, dial[3]);
    assert_ptr_equal(dials_next(dial[3], &world->caller), dial[1]);
    assert_ptr_equal(dials_next(dial[1], &world->caller), dial[0]);
    assert_null(dials_next(dial[0], &world->caller));
    dials_move(world->dials, dial[0], DIALS_OVER, 0);
    dials_move(world->dials, dial[3], DIALS_OVER, 0);
    assert_ptr_equal(world->callee.first, dial[1]);
    assert_null(dials_next(dial[1], &world->callee));
}

static void test_a_prefix_holds_so_many(void **state)
{
    struct world *world = *state;
    struct stun_addr near = stun_addr_v4(192, 0, 2, 1, 1), far = stun_addr_v4(192, 0, 2, 2, 1);
    uint8_t id[WIRE_DIAL_ID_BYTES] = {0};

    assert_true(dials_hold(world->dials, world->dial, &near));
    assert_true(dials_hold(world->dials, dials_add(world->dials, id, CALLER, 0), &near));
    id[0] = 1;
    struct dials_entry *third = dials_add(world->dials, id, CALLER, 0);
    assert_false(dials_hold(world->dials, third, &near));
    assert_true(dials_hold(world->dials, third, &far));
    dials_move(world->dials, third, DIALS_OVER, 0);
    dials_move(world->dials, world->dial, DIALS_OVER, 0);
    assert_true(dials_hold(world->dials, third, &near));
}

static void test_expires_in_order_and_reuses_room(void **state)
{
    struct dials *dials = dials_new(3, 3, three_notes);
    uint8_t id[WIRE_DIAL_ID_BYTES] = {0};

    (void)state;
    for (uint8_t round = 0; round < 100; round++) {
        uint64_t now_us = round * (uint64_t)DIALS_LIFETIME_US / 3;
        dials_expire(dials, now_us);
        id[0] = round;
        assert_null(dials_find(dials, id));
        assert_non_null(dials_add(dials, id, CALLER, now_us));
        for (uint8_t back = 0; back < 6 && back <= round; back++) {
            id[0] = (uint8_t)(round - back);
            assert_int_equal(dials_find(dials, id) != NULL, back < 3);
        }
    }
    assert_true(dials_full(dials));
    id[0] = 200;
    assert_null(dials_add(dials, id, CALLER, 100 * (uint64_t)DIALS_LIFETIME_US / 3));
    dials_expire(dials, UINT64_MAX);
    assert_int_equal(dials_count(dials), 0);
    dials_free(dials);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_notes_go_to_the_other_member_only),
        TEST(test_notes_have_a_rate_each_way),
        TEST(test_no_notes_before_acceptance),
        TEST(test_a_refused_dial_cannot_be_accepted),
        TEST(test_the_living_stay_and_the_others_have_a_minute),
        TEST(test_what_is_asked_for_stays_until_it_is_answered),
        TEST(test_lists_hold_the_newest_first),
        TEST(test_a_prefix_holds_so_many),
        cmocka_unit_test(test_expires_in_order_and_reuses_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
