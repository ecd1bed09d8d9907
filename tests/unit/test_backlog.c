/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rendezvous/backlog.h"

#define DATAGRAM_BYTES 1208

static void test_order_and_sizes(void **state)
{
    (void)state;
    struct backlog b = {0};
    uint8_t out[16];
    assert_true(backlog_is_empty(&b));
    assert_int_equal(backlog_take(&b, out, sizeof out), 0);
    assert_int_equal(backlog_put(&b, (const uint8_t *)"one", 3), 0);
    assert_int_equal(backlog_put(&b, (const uint8_t *)"three", 5), 0);
    assert_false(backlog_is_empty(&b));
    assert_int_equal(backlog_take(&b, out, sizeof out), 3);
    assert_memory_equal(out, "one", 3);
    assert_int_equal(backlog_take(&b, out, 2), 2);
    assert_memory_equal(out, "th", 2);
    assert_true(backlog_is_empty(&b));
    backlog_clear(&b);
}

/* Many times around the ring: the newest are there, in order, and nothing else. */
static void test_the_oldest_go_first(void **state)
{
    (void)state;
    struct backlog b = {0};
    uint8_t bytes[DATAGRAM_BYTES], out[DATAGRAM_BYTES];
    uint32_t count = 5 * BACKLOG_BYTES / DATAGRAM_BYTES, dropped = 0, first = 0, taken = 0;
    for (uint32_t i = 0; i < count; i++) {
        memset(bytes, (int)(i & 0xff), sizeof bytes);
        memcpy(bytes, &i, sizeof i);
        dropped += (uint32_t)backlog_put(&b, bytes, sizeof bytes);
    }
    assert_true(dropped > 0);
    while (backlog_take(&b, out, sizeof out) == sizeof out) {
        uint32_t number;
        memcpy(&number, out, sizeof number);
        first = taken == 0 ? number : first;
        assert_int_equal(number, first + taken);
        assert_int_equal(out[sizeof out - 1], number & 0xff);
        taken++;
    }
    assert_int_equal(first, dropped);
    assert_int_equal(first + taken, count);
    assert_in_range(taken, (BACKLOG_BYTES - DATAGRAM_BYTES) / (DATAGRAM_BYTES + 2) - 1,
                    BACKLOG_BYTES / DATAGRAM_BYTES);
    backlog_clear(&b);
}

static void test_nothing_and_too_much(void **state)
{
    (void)state;
    static uint8_t bytes[UINT16_MAX + 1];
    struct backlog b = {0};
    assert_int_equal(backlog_put(&b, bytes, 0), 1);
    assert_int_equal(backlog_put(&b, bytes, sizeof bytes), 1);
    assert_true(backlog_is_empty(&b));
    backlog_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_sizes),
        cmocka_unit_test(test_the_oldest_go_first),
        cmocka_unit_test(test_nothing_and_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
