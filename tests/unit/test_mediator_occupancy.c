/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/occupancy.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct stun_addr addr_of(uint32_t number)
{
    return stun_addr_v4(10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number, 1);
}

static void test_counts_up_to_the_most(void **state)
{
    struct occupancy *occupancy = occupancy_new();
    struct stun_addr one = addr_of(1), other = addr_of(2);

    (void)state;
    assert_true(occupancy_enter(occupancy, &one, 2));
    assert_true(occupancy_enter(occupancy, &one, 2));
    assert_false(occupancy_enter(occupancy, &one, 2));
    assert_true(occupancy_enter(occupancy, &other, 2));
    occupancy_leave(occupancy, &one);
    assert_int_equal(occupancy_of(occupancy, &one), 1);
    assert_true(occupancy_enter(occupancy, &one, 2));
    occupancy_free(occupancy);
}

static void test_forgets_nothing_while_growing_and_shrinking(void **state)
{
    enum { MANY = 3000 };
    struct occupancy *occupancy = occupancy_new();

    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        struct stun_addr addr = addr_of(i);
        for (uint32_t j = 0; j <= i % 3; j++)
            assert_true(occupancy_enter(occupancy, &addr, 3));
    }
    for (uint32_t i = 0; i < MANY; i += 2) {
        struct stun_addr addr = addr_of(i);
        for (uint32_t j = 0; j <= i % 3; j++)
            occupancy_leave(occupancy, &addr);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        struct stun_addr addr = addr_of(i);
        assert_int_equal(occupancy_of(occupancy, &addr), i % 2 == 0 ? 0 : i % 3 + 1);
    }
    occupancy_free(occupancy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_up_to_the_most),
        cmocka_unit_test(test_forgets_nothing_while_growing_and_shrinking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
