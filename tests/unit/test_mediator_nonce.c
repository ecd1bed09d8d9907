/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/nonce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t key[NONCE_KEY_BYTES] = "key";

static void test_is_right_for_one_session_and_address(void **state)
{
    struct stun_addr addr = stun_addr_v4(192, 0, 2, 1, 1), port = addr, ip = addr;
    uint8_t other_key[NONCE_KEY_BYTES] = "yek";
    uint8_t nonce[NONCE_BYTES];

    (void)state;
    port.port++;
    ip.ip[3]++;
    nonce_make(key, 7, &addr, 5, nonce);
    assert_true(nonce_is_right(key, 7, &addr, 5, nonce, sizeof nonce));
    assert_false(nonce_is_right(key, 8, &addr, 5, nonce, sizeof nonce));
    assert_true(nonce_is_right(key, 7, &port, 5, nonce, sizeof nonce));
    assert_false(nonce_is_right(key, 7, &ip, 5, nonce, sizeof nonce));
    assert_false(nonce_is_right(other_key, 7, &addr, 5, nonce, sizeof nonce));
    assert_false(nonce_is_right(key, 7, &addr, 5, nonce, sizeof nonce - 1));
    nonce[NONCE_BYTES - 1] ^= 1;
    assert_false(nonce_is_right(key, 7, &addr, 5, nonce, sizeof nonce));
}

static void test_is_text(void **state)
{
    struct stun_addr addr = stun_addr_v4(192, 0, 2, 1, 1);
    uint8_t nonce[NONCE_BYTES];

    (void)state;
    for (uint64_t session_id = 0; session_id < 100; session_id++) {
        nonce_make(key, session_id, &addr, 0, nonce);
        for (size_t i = 0; i < sizeof nonce; i++)
            assert_true(nonce[i] > ' ' && nonce[i] < 0x7f && nonce[i] != '"');
    }
}

static void test_lasts_one_to_two_windows(void **state)
{
    struct stun_addr addr = stun_addr_v4(192, 0, 2, 1, 1);
    uint64_t begin_us = 3 * (uint64_t)NONCE_WINDOW_US, end_us = begin_us + NONCE_WINDOW_US - 1;
    uint8_t nonce[NONCE_BYTES];

    (void)state;
    nonce_make(key, 7, &addr, begin_us, nonce);
    assert_true(nonce_is_right(key, 7, &addr, end_us, nonce, sizeof nonce));
    assert_true(nonce_is_right(key, 7, &addr, end_us + NONCE_WINDOW_US, nonce, sizeof nonce));
    assert_false(nonce_is_right(key, 7, &addr, end_us + NONCE_WINDOW_US + 1, nonce, sizeof nonce));
    assert_false(nonce_is_right(key, 7, &addr, begin_us - 1, nonce, sizeof nonce));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_right_for_one_session_and_address),
        cmocka_unit_test(test_is_text),
        cmocka_unit_test(test_lasts_one_to_two_windows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
