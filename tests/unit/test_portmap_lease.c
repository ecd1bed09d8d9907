/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "portmap/lease.h"

#define SECONDS(s) ((uint64_t)(s)*1000000)

static void test_outer_addresses(void **state)
{
    static const uint8_t good[][4] = {
        {203, 0, 113, 10}, {1, 1, 1, 1}, {10, 0, 0, 1}, {100, 64, 0, 1}};
    static const uint8_t bad[][4] = {{0, 0, 0, 0},         {0, 1, 2, 3},         {127, 0, 0, 1},
                                     {224, 0, 0, 1},       {239, 255, 255, 250}, {240, 0, 0, 1},
                                     {255, 255, 255, 255}, {169, 254, 1, 1},     {192, 168, 1, 1},
                                     {192, 168, 1, 5}};
    struct lease l = {.gateway = {.router = stun_addr_v4(192, 168, 1, 1, 0),
                                  .local = stun_addr_v4(192, 168, 1, 5, 0)}};
    struct stun_addr none = {0};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct stun_addr addr = stun_addr_from_ip(good[i], 4, 0);
        assert_true(lease_is_outer_address(&l, &addr));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct stun_addr addr = stun_addr_from_ip(bad[i], 4, 0);
        assert_false(lease_is_outer_address(&l, &addr));
    }
    assert_false(lease_is_outer_address(&l, &none));
}

static bool forgot(uint32_t epoch_before_s, uint32_t later_s, uint32_t epoch_s)
{
    struct lease l = {0};
    lease_epoch(&l, epoch_before_s, SECONDS(1000));
    assert_false(l.forgot);
    lease_epoch(&l, epoch_s, SECONDS(1000 + later_s));
    return l.forgot;
}

static void test_the_clock_of_the_router(void **state)
{
    (void)state;
    assert_false(forgot(500, 60, 560));
    assert_false(forgot(500, 60, 559));
    assert_false(forgot(500, 0, 499));  /* answers that overtook each other */
    assert_false(forgot(500, 80, 570)); /* a clock that is slow by an eighth */
    assert_true(forgot(500, 60, 3));
    assert_true(forgot(500, 60, 500));
    assert_true(forgot(500, 3600, 600)); /* rebooted, and runs longer again than before */
    assert_false(forgot(500, 3600, 4100));
    assert_false(forgot(0xfffffff0, 10, 0xfffffffa));
    assert_true(forgot(0xfffffff0, 60, 0)); /* a wrap counts as a reboot: once in 136 years */
}

static void test_blame(void **state)
{
    struct lease l = {0};
    (void)state;
    lease_blame(&l, "PCP: %s", "no");
    assert_string_equal(l.why, "PCP: no");
    lease_blame(&l, "UPnP: error %d", 606);
    assert_string_equal(l.why, "PCP: no; UPnP: error 606");
    for (int i = 0; i < 40; i++) {
        lease_blame(&l, "and so on");
        assert_true(strlen(l.why) < sizeof l.why);
    }
}

static void test_text_of_an_address(void **state)
{
    char text[LEASE_IP_TEXT_BYTES];
    struct stun_addr addr = stun_addr_v4(255, 254, 253, 252, 65535);
    (void)state;
    assert_string_equal(lease_ip_text(&addr, text), "255.254.253.252");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outer_addresses),
        cmocka_unit_test(test_the_clock_of_the_router),
        cmocka_unit_test(test_blame),
        cmocka_unit_test(test_text_of_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
