/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/backlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_first_in_first_out(void **state)
{
    struct backlog backlog = {0};
    uint8_t out[8];

    (void)state;
    assert_int_equal(backlog_take(&backlog, out, sizeof out), 0);
    assert_int_equal(backlog_put(&backlog, (const uint8_t *)"one", 3), 0);
    assert_int_equal(backlog_put(&backlog, (const uint8_t *)"three", 5), 0);
    assert_int_equal(backlog_take(&backlog, out, sizeof out), 3);
    assert_memory_equal(out, "one", 3);
    assert_false(backlog_is_empty(&backlog));
    assert_int_equal(backlog_take(&backlog, out, 4), 4); /* cut off */
    assert_memory_equal(out, "thre", 4);
    assert_true(backlog_is_empty(&backlog));
    assert_null(backlog.ring); /* nothing waits: no memory */
}

static void test_the_oldest_go_first(void **state)
{
    struct backlog backlog = {0};
    uint8_t bytes[1000] = {0}, out[1000];
    uint32_t number, last = 0;
    size_t dropped = 0, taken = 0, size;

    (void)state;
    for (number = 1; number <= 1000; number++) {
        memcpy(bytes, &number, sizeof number);
        dropped += backlog_put(&backlog, bytes, 500 + number % 500);
        assert_true(backlog.used <= BACKLOG_BYTES);
    }
    while ((size = backlog_take(&backlog, out, sizeof out)) > 0) {
        memcpy(&number, out, sizeof number);
        assert_int_equal(size, 500 + number % 500);
        assert_true(last == 0 || number == last + 1);
        last = number;
        taken++;
    }
    assert_int_equal(last, 1000);
    assert_int_equal(taken + dropped, 1000);
    assert_true(dropped > 0 && taken >= BACKLOG_BYTES / 1002);
}

static void test_what_can_never_fit_is_dropped(void **state)
{
    struct backlog backlog = {0};
    static uint8_t bytes[UINT16_MAX + 1];

    (void)state;
    assert_int_equal(backlog_put(&backlog, bytes, 0), 1);
    assert_int_equal(backlog_put(&backlog, bytes, UINT16_MAX + 1), 1);
    assert_int_equal(backlog_put(&backlog, bytes, UINT16_MAX), 0);
    backlog_clear(&backlog);
    assert_true(backlog_is_empty(&backlog));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_first_out),
        cmocka_unit_test(test_the_oldest_go_first),
        cmocka_unit_test(test_what_can_never_fit_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
