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

static struct dials_entry *live_dial(struct dials *dials)
{
    struct dials_entry *dial = dials_add(dials, dial_a, CALLER, 0);

    dial->member[DIALS_CALLEE] = CALLEE;
    dial->state = DIALS_LIVE;
    return dial;
}

static void test_notes_go_to_the_other_member_only(void **state)
{
    struct dials *dials = dials_new(4, 64);
    struct dials_entry *dial = live_dial(dials);

    (void)state;
    assert_int_equal(dials_note(dials, dial, CALLER), CALLEE);
    assert_int_equal(dials_note(dials, dial, CALLEE), CALLER);
    assert_int_equal(dials_note(dials, dial, STRANGER), 0);
    assert_int_equal(dials_note(dials, dial, 0), 0);
    dials_free(dials);
}

static void test_notes_are_bounded_each_way(void **state)
{
    struct dials *dials = dials_new(4, 3);
    struct dials_entry *dial = live_dial(dials);

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(dials_note(dials, dial, CALLER), CALLEE);
    assert_int_equal(dials_note(dials, dial, CALLER), 0);
    assert_int_equal(dials_note(dials, dial, CALLEE), CALLER);
    dials_free(dials);
}

static void test_no_notes_before_acceptance(void **state)
{
    struct dials *dials = dials_new(4, 64);
    struct dials_entry *dial = live_dial(dials);

    (void)state;
    dial->state = DIALS_ASKED;
    assert_int_equal(dials_note(dials, dial, CALLER), 0);
    assert_int_equal(dials_note(dials, dial, CALLEE), 0);
    assert_false(dials_accept(dial, CALLER));
    assert_false(dials_accept(dial, STRANGER));
    assert_true(dials_accept(dial, CALLEE));
    assert_false(dials_accept(dial, CALLEE));
    assert_int_equal(dials_note(dials, dial, CALLEE), CALLER);
    dials_free(dials);
}

static void test_a_refused_dial_cannot_be_accepted(void **state)
{
    struct dials *dials = dials_new(4, 64);
    struct dials_entry *dial = live_dial(dials);

    (void)state;
    dial->state = DIALS_REFUSED;
    assert_false(dials_accept(dial, CALLEE));
    assert_int_equal(dials_note(dials, dial, CALLER), 0);
    dials_free(dials);
}

static void test_each_side_ends_once(void **state)
{
    struct dials *dials = dials_new(4, 64);
    struct dials_entry *dial = live_dial(dials);
    enum dials_side side;

    (void)state;
    assert_false(dials_end(dial, STRANGER, &side));
    assert_true(dials_end(dial, CALLEE, &side));
    assert_int_equal(side, DIALS_CALLEE);
    assert_false(dials_end(dial, CALLEE, &side));
    assert_int_equal(dials_note(dials, dial, CALLER), CALLEE);
    assert_true(dials_end(dial, CALLER, &side));
    assert_int_equal(side, DIALS_CALLER);
    assert_int_equal(dials_note(dials, dial, CALLER), 0);
    dials_free(dials);
}

static void test_expires_in_order_and_reuses_room(void **state)
{
    struct dials *dials = dials_new(3, 64);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notes_go_to_the_other_member_only),
        cmocka_unit_test(test_notes_are_bounded_each_way),
        cmocka_unit_test(test_no_notes_before_acceptance),
        cmocka_unit_test(test_a_refused_dial_cannot_be_accepted),
        cmocka_unit_test(test_each_side_ends_once),
        cmocka_unit_test(test_expires_in_order_and_reuses_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
