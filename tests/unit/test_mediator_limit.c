/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/limit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECOND_US 1000000u

static void test_allows_the_burst_then_the_rate(void **state)
{
    struct limit_bucket bucket = {0};
    struct limit_rate rate = {.per_second = 10, .burst = 5};
    uint64_t now_us = 3600 * (uint64_t)SECOND_US;
    size_t taken = 0;

    (void)state;
    for (int i = 0; i < 20; i++)
        taken += limit_take(&bucket, rate, now_us);
    assert_int_equal(taken, 5);
    assert_false(limit_take(&bucket, rate, now_us + SECOND_US / 10 - 1));
    assert_true(limit_take(&bucket, rate, now_us + SECOND_US / 10));
    assert_false(limit_take(&bucket, rate, now_us + SECOND_US / 10));
    for (taken = 0; limit_take(&bucket, rate, now_us + 60 * (uint64_t)SECOND_US); taken++)
        ;
    assert_int_equal(taken, 5);
}

static void test_rate_zero_is_never(void **state)
{
    struct limit_bucket bucket = {0};

    (void)state;
    assert_false(limit_take(&bucket, (struct limit_rate){0, 100}, 1));
    assert_false(limit_take(&bucket, (struct limit_rate){100, 0}, 1));
}

static void test_works_near_time_zero(void **state)
{
    struct limit_bucket bucket = {0};

    (void)state;
    assert_true(limit_take_every(&bucket, SECOND_US, 1, 0));
    assert_false(limit_take_every(&bucket, SECOND_US, 1, SECOND_US - 1));
    assert_true(limit_take_every(&bucket, SECOND_US, 1, SECOND_US));
}

static void test_prefixes_are_apart(void **state)
{
    struct limits *limits = limits_new(64, (struct limit_rate){.per_second = 1, .burst = 2});
    struct stun_addr one = stun_addr_v4(192, 0, 2, 1, 1), other = stun_addr_v4(192, 0, 2, 2, 1);
    struct stun_addr same = stun_addr_v4(192, 0, 2, 1, 2);

    (void)state;
    assert_true(limits_take(limits, &one, 0));
    assert_true(limits_take(limits, &same, 0));
    assert_false(limits_take(limits, &one, 0));
    assert_true(limits_take(limits, &other, 0));
    limits_free(limits);
}

static void test_many_tokens_at_once(void **state)
{
    struct limit_bucket bucket = {0};
    struct limit_rate rate = {.per_second = 3000000, .burst = 1000000};
    uint64_t now_us = 5;

    (void)state;
    assert_in_range(limit_left(&bucket, rate, now_us), 999999, 1000000);
    limit_charge(&bucket, rate, 999998, now_us);
    assert_in_range(limit_left(&bucket, rate, now_us), 0, 2);
    now_us += SECOND_US / 10;
    assert_in_range(limit_left(&bucket, rate, now_us), 299998, 300002);
    now_us += SECOND_US;
    assert_in_range(limit_left(&bucket, rate, now_us), 999999, 1000000);
    assert_int_equal(limit_left(&bucket, (struct limit_rate){0}, now_us), 0);
}

static void test_what_a_network_does_to_one_session(void **state)
{
    struct limits *limits = limits_new(64, (struct limit_rate){.per_second = 1, .burst = 1});
    struct stun_addr one = stun_addr_v4(192, 0, 2, 1, 1), other = stun_addr_v4(192, 0, 2, 2, 1);

    (void)state;
    assert_true(limits_take_from(limits, 7, &one, 0));
    assert_false(limits_take_from(limits, 7, &one, 0));
    assert_true(limits_take_from(limits, 7, &other, 0));
    assert_true(limits_take_from(limits, 8, &one, 0));
    limits_free(limits);
}

static void test_ipv6_counts_per_56_bits(void **state)
{
    struct limits *limits = limits_new(64, (struct limit_rate){.per_second = 1, .burst = 1});
    struct stun_addr one, same, other;

    (void)state;
    stun_addr_parse("[2001:db8:0:100::1]:1", &one);
    stun_addr_parse("[2001:db8:0:1ff:ffff::2]:1", &same);
    stun_addr_parse("[2001:db8:0:200::1]:1", &other);
    assert_true(limits_take(limits, &one, 0));
    assert_false(limits_take(limits, &same, 0));
    assert_true(limits_take(limits, &other, 0));
    limits_free(limits);
}

/* Whoever forges source addresses must not get a fresh bucket with each of them. */
static void test_a_flood_of_prefixes_is_bounded(void **state)
{
    enum { SLOTS = 64, BURST = 4 };
    struct limits *limits = limits_new(SLOTS, (struct limit_rate){.per_second = 1, .burst = BURST});
    size_t taken = 0;

    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        struct stun_addr from =
            stun_addr_v4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 1);
        taken += limits_take(limits, &from, 0);
    }
    assert_true(taken <= SLOTS * BURST);
    limits_free(limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allows_the_burst_then_the_rate),
        cmocka_unit_test(test_rate_zero_is_never),
        cmocka_unit_test(test_works_near_time_zero),
        cmocka_unit_test(test_prefixes_are_apart),
        cmocka_unit_test(test_many_tokens_at_once),
        cmocka_unit_test(test_what_a_network_does_to_one_session),
        cmocka_unit_test(test_ipv6_counts_per_56_bits),
        cmocka_unit_test(test_a_flood_of_prefixes_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
