/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lab/dice.h"
#include "sim/agenda.h"

static struct agenda agenda;

static int begin(void **state)
{
    (void)state;
    agenda.count = 0;
    agenda.order = 0;
    return 0;
}

static void an_empty_one_has_no_next(void **state)
{
    (void)state;
    assert_true(agenda_next(&agenda) == UINT64_MAX);
}

static void the_earliest_comes_first(void **state)
{
    struct dice dice = {7};
    uint64_t last = 0;

    (void)state;
    for (uint32_t i = 0; i < AGENDA_ROOM; i++)
        assert_true(agenda_add(&agenda, dice_next(&dice) % 1000, AGENDA_PACKET, 0, i));
    assert_false(agenda_add(&agenda, 1, AGENDA_PACKET, 0, 0));
    for (uint32_t i = 0; i < AGENDA_ROOM; i++) {
        uint64_t next = agenda_next(&agenda);
        struct agenda_item item = agenda_take(&agenda);

        assert_true(item.at_us == next && item.at_us >= last);
        last = item.at_us;
    }
    assert_true(agenda_next(&agenda) == UINT64_MAX);
}

static void equal_moments_keep_their_order(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++)
        agenda_add(&agenda, i % 2, AGENDA_NOTE, 1, i);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(agenda_take(&agenda).what, i < 500 ? 2 * i : 2 * (i - 500) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_one_has_no_next, begin),
        cmocka_unit_test_setup(the_earliest_comes_first, begin),
        cmocka_unit_test_setup(equal_moments_keep_their_order, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
