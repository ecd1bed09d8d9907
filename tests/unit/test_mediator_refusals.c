/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/refusals.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t dial_id[WIRE_DIAL_ID_BYTES] = {1};

static void test_leaves_exactly_one_second_later(void **state)
{
    struct refusals *refusals = refusals_new(4);
    struct refusal out;

    (void)state;
    assert_true(refusals_next_due_us(refusals) == REFUSALS_NEVER);
    assert_true(refusals_add(refusals, 5, dial_id, 100));
    assert_int_equal(refusals_next_due_us(refusals), 1000100);
    assert_false(refusals_take(refusals, 1000099, &out));
    assert_true(refusals_take(refusals, 1000100, &out));
    assert_int_equal(out.session_id, 5);
    assert_memory_equal(out.dial_id, dial_id, sizeof dial_id);
    assert_false(refusals_take(refusals, UINT64_MAX - 1, &out));
    refusals_free(refusals);
}

static void test_is_bounded_and_keeps_order(void **state)
{
    struct refusals *refusals = refusals_new(3);
    struct refusal out;

    (void)state;
    for (uint64_t round = 0; round < 10; round++) {
        for (uint64_t i = 0; i < 3; i++)
            assert_true(refusals_add(refusals, i + 1, dial_id, round * 10 + i));
        assert_true(refusals_full(refusals));
        assert_false(refusals_add(refusals, 9, dial_id, round * 10 + 3));
        for (uint64_t i = 0; i < 3; i++) {
            assert_true(refusals_take(refusals, round * 10 + 3 + REFUSALS_WAIT_US, &out));
            assert_int_equal(out.session_id, i + 1);
        }
    }
    refusals_free(refusals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaves_exactly_one_second_later),
        cmocka_unit_test(test_is_bounded_and_keeps_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
