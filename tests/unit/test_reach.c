/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/reach.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct stun_addr v4(uint8_t last)
{
    return stun_addr_v4(192, 0, 2, last, 1);
}

static struct stun_addr v6(uint8_t last)
{
    uint8_t ip[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = last};
    return stun_addr_from_ip(ip, sizeof ip, 1);
}

static void expect(const struct reach *r, size_t i, struct stun_addr to, uint16_t port)
{
    to.port = port;
    assert_true(i < r->count);
    assert_true(stun_addr_equal(&r->tries[i].to, &to));
    assert_null(r->tries[i].channel);
}

static void test_families_take_turns(void **state)
{
    (void)state;
    const struct stun_addr addresses[] = {v6(1), v6(2), v6(3), v4(1), v4(2)};
    struct reach r;
    reach_plan(&r, addresses, 5, 9856, 0);
    assert_int_equal(r.count, 5);
    expect(&r, 0, v6(1), 9856);
    expect(&r, 1, v4(1), 9856);
    expect(&r, 2, v6(2), 9856);
    expect(&r, 3, v4(2), 9856);
    expect(&r, 4, v6(3), 9856);
}

static void test_other_port_comes_last(void **state)
{
    (void)state;
    const struct stun_addr addresses[] = {v4(1), v6(1)};
    struct reach r;
    reach_plan(&r, addresses, 2, 9856, 443);
    assert_int_equal(r.count, 4);
    assert_int_equal(r.first_port_count, 2);
    expect(&r, 0, v4(1), 9856);
    expect(&r, 1, v6(1), 9856);
    expect(&r, 2, v4(1), 443);
    expect(&r, 3, v6(1), 443);
}

static void test_no_more_than_there_is_room_for(void **state)
{
    (void)state;
    struct stun_addr addresses[RESOLVE_MAX_ADDRESSES + 3];
    struct reach r;
    for (uint8_t i = 0; i < RESOLVE_MAX_ADDRESSES + 3; i++) {
        addresses[i] = v4(i);
    }
    reach_plan(&r, addresses, RESOLVE_MAX_ADDRESSES + 3, 1, 2);
    assert_int_equal(r.count, REACH_MAX_TRIES);
    reach_plan(&r, addresses, 0, 1, 2);
    assert_int_equal(r.count, 0);
    assert_int_equal(reach_next_timeout(&r), 0); /* to be told at once */
}

/* What is begun, and what of it still runs, decides when the next one is due. */
static void test_when_the_next_is_due(void **state)
{
    (void)state;
    const struct stun_addr addresses[] = {v4(1), v6(1)};
    struct reach r;
    reach_plan(&r, addresses, 2, 9856, 443);
    assert_int_equal(reach_next_timeout(&r), 0);
    r.begun = r.running = 1;
    r.begun_us = 1000;
    assert_int_equal(reach_next_timeout(&r), 1000 + REACH_NEXT_US);
    r.running = 0; /* it was refused */
    r.hurry = true;
    assert_int_equal(reach_next_timeout(&r), 0);
    r.begun = 2;
    r.running = 1; /* the second one is silent: the other port waits longer */
    assert_int_equal(reach_next_timeout(&r), 1000 + REACH_PATIENCE_US);
    r.running = 0;
    assert_int_equal(reach_next_timeout(&r), 0);
    r.begun = 3;
    r.running = 2;
    r.hurry = false;
    assert_int_equal(reach_next_timeout(&r), 1000 + REACH_NEXT_US);
    r.begun = 4;
    assert_int_equal(reach_next_timeout(&r), 1000 + REACH_PATIENCE_US);
    r.running = 0;
    assert_int_equal(reach_next_timeout(&r), 0);
}

static void test_retries(void **state)
{
    (void)state;
    static const uint32_t chances[] = {0, 1, 12345678, UINT32_MAX};
    for (size_t i = 0; i < sizeof chances / sizeof *chances; i++) {
        uint64_t last = 0, at = 0;
        for (unsigned failures = 0; failures < 40; failures++) {
            uint64_t eager = reach_retry_us(failures, at, true, chances[i]);
            uint64_t calm = reach_retry_us(failures, at, false, chances[i]);
            assert_in_range(eager, 75000, at < 60000000 ? 2000000 : 10000000);
            assert_in_range(calm, 75000, 10000000);
            assert_true(eager >= last || at >= 60000000);
            last = eager;
            at += eager;
        }
        /* The first three come within the first second. */
        assert_in_range(reach_retry_us(0, 0, true, chances[i]) +
                            reach_retry_us(1, 100000, true, chances[i]) +
                            reach_retry_us(2, 300000, true, chances[i]),
                        500000, 700000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families_take_turns),
        cmocka_unit_test(test_other_port_comes_last),
        cmocka_unit_test(test_no_more_than_there_is_room_for),
        cmocka_unit_test(test_when_the_next_is_due),
        cmocka_unit_test(test_retries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
