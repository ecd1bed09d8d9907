/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/deadlines.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_due_in_order_of_arming(void **state)
{
    struct deadlines list;
    struct deadline one = {0}, two = {0};

    (void)state;
    deadlines_init(&list, 10);
    assert_null(deadlines_due(&list, 1000));
    deadline_arm(&list, &one, 0);
    deadline_arm(&list, &two, 5);
    assert_null(deadlines_due(&list, 9));
    assert_ptr_equal(deadlines_due(&list, 10), &one);
    deadline_arm(&list, &one, 8);
    assert_null(deadlines_due(&list, 14));
    assert_ptr_equal(deadlines_due(&list, 15), &two);
    deadline_disarm(&two);
    deadline_disarm(&two);
    assert_null(deadlines_due(&list, 17));
    assert_ptr_equal(deadlines_due(&list, 18), &one);
}

static void test_moves_between_lists(void **state)
{
    struct deadlines here, there;
    struct deadline one = {0};

    (void)state;
    deadlines_init(&here, 10);
    deadlines_init(&there, 100);
    deadline_arm(&here, &one, 0);
    deadline_arm(&there, &one, 0);
    assert_null(deadlines_due(&here, 1000));
    assert_ptr_equal(deadlines_due(&there, 100), &one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due_in_order_of_arming),
        cmocka_unit_test(test_moves_between_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
