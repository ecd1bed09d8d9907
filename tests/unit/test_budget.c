/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "punch/budget.h"

#define SECOND 1000000u

static unsigned take_all(struct punch_budget *b, uint64_t now_us, const struct stun_addr *to)
{
    unsigned taken = 0;

    while (taken < 1000 && punch_budget_take(b, now_us, to))
        taken++;
    return taken;
}

static void one_address_has_a_limit_whatever_the_port(void **state)
{
    struct punch_budget b = {0};
    struct stun_addr to = stun_addr_v4(192, 0, 2, 1, 1);

    (void)state;
    for (unsigned i = 0; i < PUNCH_BUDGET_PER_IP_10_S; i++) {
        to.port = (uint16_t)(i + 1);
        assert_true(punch_budget_take(&b, 5, &to));
    }
    assert_false(punch_budget_take(&b, 5, &to));
    to = stun_addr_v4(192, 0, 2, 2, 1);
    assert_true(punch_budget_take(&b, 5, &to));
}

static void no_ten_seconds_see_more_than_the_limit(void **state)
{
    enum { STEPS = 400, STEP_US = 100000 };
    static unsigned sent[STEPS];
    struct punch_budget b = {0};
    struct stun_addr to = stun_addr_v4(192, 0, 2, 1, 1);

    (void)state;
    for (unsigned i = 0; i < STEPS; i++)
        sent[i] = i % 7 == 3 ? take_all(&b, (uint64_t)i * STEP_US, &to) : 0;
    for (unsigned i = 0; i + 100 < STEPS; i++) {
        unsigned sum = 0;

        for (unsigned k = i; k < i + 100; k++)
            sum += sent[k];
        assert_true(sum <= PUNCH_BUDGET_PER_IP_10_S);
    }
    assert_true(take_all(&b, 100 * SECOND, &to) == PUNCH_BUDGET_PER_IP_10_S);
}

static void an_answer_frees_the_address(void **state)
{
    struct punch_budget b = {0};
    struct stun_addr to = stun_addr_v4(192, 0, 2, 1, 1), same = stun_addr_v4(192, 0, 2, 1, 99);

    (void)state;
    take_all(&b, 0, &to);
    punch_budget_answered(&b, &same);
    assert_true(punch_budget_take(&b, 0, &to));
}

static unsigned take_strange(struct punch_budget *b, uint64_t now_us, const struct stun_addr *to)
{
    unsigned taken = 0;

    for (; taken < 1000 && punch_budget_strange(b, now_us, to); taken++)
        punch_budget_count_strange(b, now_us, to);
    return taken;
}

static void strangers_have_a_limit_of_their_own(void **state)
{
    struct punch_budget b = {0};
    struct stun_addr to = stun_addr_v4(192, 0, 2, 1, 1), same = stun_addr_v4(192, 0, 2, 1, 2);
    struct stun_addr other = stun_addr_v4(192, 0, 2, 2, 1);

    (void)state;
    assert_int_equal(take_strange(&b, 90 * SECOND, &to), PUNCH_BUDGET_STRANGER_MINUTE);
    assert_int_equal(take_strange(&b, 140 * SECOND, &same), 0);
    assert_int_equal(take_strange(&b, 140 * SECOND, &other), PUNCH_BUDGET_STRANGER_MINUTE);
    for (unsigned i = 0; i < 1000; i++) {
        struct stun_addr crowd = stun_addr_v4(10, 0, (uint8_t)(i / 256), (uint8_t)i, 1);

        assert_true(punch_budget_strange(&b, 141 * SECOND, &crowd));
        punch_budget_count_strange(&b, 141 * SECOND, &crowd);
    }
    assert_int_equal(take_strange(&b, 141 * SECOND, &to), 0);
    assert_int_equal(take_strange(&b, 10 * SECOND, &to), 0); /* the clock went back */
    assert_int_equal(take_strange(&b, 150 * SECOND, &to), PUNCH_BUDGET_STRANGER_MINUTE);
    punch_budget_answered(&b, &same);
    assert_int_equal(take_strange(&b, 150 * SECOND, &to), PUNCH_BUDGET_STRANGER_MINUTE);
}

static void a_crowd_of_addresses_does_not_free_the_busy_one(void **state)
{
    struct punch_budget b = {0};
    struct stun_addr busy = stun_addr_v4(192, 0, 2, 1, 1);

    (void)state;
    take_all(&b, 0, &busy);
    for (unsigned i = 0; i < 1000; i++) {
        struct stun_addr to = stun_addr_v4(10, 0, (uint8_t)(i / 256), (uint8_t)i, 1);

        assert_true(punch_budget_take(&b, 0, &to));
    }
    assert_false(punch_budget_take(&b, 0, &busy));
}

static void a_clock_that_goes_back_neither_frees_nor_blocks(void **state)
{
    struct punch_budget b = {0};
    struct stun_addr to = stun_addr_v4(192, 0, 2, 1, 1);

    (void)state;
    take_all(&b, 1000 * SECOND, &to);
    assert_false(punch_budget_take(&b, 0, &to));
    assert_true(punch_budget_take(&b, 20 * SECOND, &to));
    assert_true(take_all(&b, UINT64_MAX, &to) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_address_has_a_limit_whatever_the_port),
        cmocka_unit_test(no_ten_seconds_see_more_than_the_limit),
        cmocka_unit_test(an_answer_frees_the_address),
        cmocka_unit_test(strangers_have_a_limit_of_their_own),
        cmocka_unit_test(a_crowd_of_addresses_does_not_free_the_busy_one),
        cmocka_unit_test(a_clock_that_goes_back_neither_frees_nor_blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
