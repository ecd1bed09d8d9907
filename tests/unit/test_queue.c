/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lab/queue.h"

static void orders_by_time_then_arrival(void **state)
{
    (void)state;
    struct queue q = {0};
    uint32_t seed = 7;
    for (uint32_t i = 0; i < 5000; i++) {
        seed = seed * 1664525u + 1013904223u;
        assert_true(queue_put(&q, seed >> 22, 3, (const uint8_t *)&i, sizeof(i)));
    }
    struct queue_packet packet;
    uint64_t due = 0;
    uint32_t last = 0, taken = 0;
    while (queue_take(&q, UINT64_MAX, &packet)) {
        uint32_t mark;
        assert_int_equal(packet.size, sizeof(mark));
        memcpy(&mark, packet.bytes, sizeof(mark));
        assert_true(packet.due_ns >= due);
        if (packet.due_ns == due && taken)
            assert_true(mark > last);
        due = packet.due_ns;
        last = mark;
        taken++;
        free(packet.bytes);
    }
    assert_int_equal(taken, 5000);
    queue_clear(&q);
}

static void gives_nothing_early(void **state)
{
    (void)state;
    struct queue q = {0};
    struct queue_packet packet;
    assert_int_equal(queue_next_due(&q), UINT64_MAX);
    assert_false(queue_take(&q, UINT64_MAX, &packet));
    queue_put(&q, 100, 1, NULL, 0);
    assert_false(queue_take(&q, 99, &packet));
    assert_int_equal(queue_next_due(&q), 100);
    assert_true(queue_take(&q, 100, &packet));
    free(packet.bytes);
    queue_clear(&q);
}

static void is_bounded(void **state)
{
    (void)state;
    struct queue q = {0};
    for (unsigned i = 0; i < QUEUE_MAX_PACKETS; i++)
        assert_true(queue_put(&q, i, 0, NULL, 0));
    assert_false(queue_put(&q, 0, 0, NULL, 0));
    queue_clear(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_by_time_then_arrival),
        cmocka_unit_test(gives_nothing_early),
        cmocka_unit_test(is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
