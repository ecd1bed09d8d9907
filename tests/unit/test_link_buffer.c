/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "link/buffer.h"

#define BLOCK_BYTES 100000

static uint8_t *block_of(uint8_t value)
{
    uint8_t *block = malloc(BLOCK_BYTES);
    assert_non_null(block);
    memset(block, value, BLOCK_BYTES);
    return block;
}

static void test_send_moves_on(void **state)
{
    (void)state;
    struct send_buffer buffer = {0};
    struct chunk_pool pool = {0};
    struct buffer_span spans[2];
    uint8_t *block = block_of(7);
    assert_int_equal(send_buffer_peek(&buffer, spans), 0);
    assert_int_equal(send_buffer_append(&buffer, &pool, block, BLOCK_BYTES), BLOCK_BYTES);
    assert_int_equal(send_buffer_peek(&buffer, spans), 2);
    assert_int_equal(spans[0].bytes + spans[1].bytes, BLOCK_BYTES);
    const uint8_t *first = spans[0].base;
    send_buffer_sent(&buffer, 10);
    assert_int_equal(send_buffer_peek(&buffer, spans), 2);
    assert_ptr_equal(spans[0].base, first + 10);
    /* appending moves nothing that is held */
    assert_int_equal(send_buffer_append(&buffer, &pool, block, BLOCK_BYTES), BLOCK_BYTES);
    assert_int_equal(send_buffer_peek(&buffer, spans), 2);
    assert_ptr_equal(spans[0].base, first + 10);
    send_buffer_sent(&buffer, 2 * BLOCK_BYTES - 10);
    assert_int_equal(buffer.unsent, 0);
    assert_int_equal(buffer.held, 2 * BLOCK_BYTES);
    assert_int_equal(send_buffer_peek(&buffer, spans), 0);
    /* and what comes after all is sent is the next unsent */
    assert_int_equal(send_buffer_append(&buffer, &pool, (const uint8_t *)"abc", 3), 3);
    assert_int_equal(send_buffer_peek(&buffer, spans), 1);
    assert_int_equal(spans[0].bytes, 3);
    assert_memory_equal(spans[0].base, "abc", 3);
    send_buffer_acked(&buffer, &pool, 2 * BLOCK_BYTES);
    assert_int_equal(send_buffer_peek(&buffer, spans), 1);
    send_buffer_sent(&buffer, 3);
    send_buffer_acked(&buffer, &pool, 3);
    assert_int_equal(buffer.held, 0);
    send_buffer_clear(&buffer, &pool);
    chunk_pool_clear(&pool);
    free(block);
}

static void test_send_is_bounded(void **state)
{
    (void)state;
    struct send_buffer buffer = {0};
    struct chunk_pool pool = {0};
    uint8_t *block = block_of(1);
    size_t all = 0;
    for (;;) {
        size_t took = send_buffer_append(&buffer, &pool, block, BLOCK_BYTES);
        all += took;
        if (took < BLOCK_BYTES) {
            assert_true(buffer.unsent == SEND_BUFFER_MAX_UNSENT ||
                        buffer.held == SEND_BUFFER_MAX_HELD);
            if (buffer.held == SEND_BUFFER_MAX_HELD) {
                break;
            }
        }
        send_buffer_sent(&buffer, buffer.unsent);
    }
    assert_int_equal(all, SEND_BUFFER_MAX_HELD);
    assert_int_equal(send_buffer_room(&buffer), 0);
    send_buffer_clear(&buffer, &pool);
    chunk_pool_clear(&pool);
    free(block);
}

static void test_any_sizes(void **state)
{
    (void)state;
    struct send_buffer out = {0};
    struct receive_buffer in = {0};
    struct chunk_pool pool = {0};
    uint32_t random = 1;
    uint64_t wrote = 0;
    uint64_t read = 0;
    uint8_t bytes[3000];
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525 + 1013904223;
        size_t size = random >> 8 & 2047;
        for (size_t j = 0; j < size; j++) {
            bytes[j] = (uint8_t)((wrote + j) * 31);
        }
        wrote += send_buffer_append(&out, &pool, bytes, size);
        struct buffer_span spans[2];
        size_t count = send_buffer_peek(&out, spans);
        for (size_t k = 0; k < count && i % 3 == 0; k++) {
            assert_true(receive_buffer_append(&in, &pool, spans[k].base, spans[k].bytes));
            send_buffer_sent(&out, spans[k].bytes);
        }
        send_buffer_acked(&out, &pool, (out.held - out.unsent) / 2);
        const uint8_t *data;
        size_t there = receive_buffer_peek(&in, &data);
        size_t take = there < size ? there : size;
        for (size_t j = 0; j < take; j++) {
            assert_int_equal(data[j], (uint8_t)((read + j) * 31));
        }
        read += receive_buffer_consume(&in, &pool, take);
    }
    assert_int_equal(read + in.held + out.unsent, wrote);
    send_buffer_clear(&out, &pool);
    receive_buffer_clear(&in, &pool);
    chunk_pool_clear(&pool);
}

static void test_consume_across_chunks(void **state)
{
    (void)state;
    struct receive_buffer buffer = {0};
    struct chunk_pool pool = {0};
    uint8_t *block = block_of(3);
    const uint8_t *data;
    assert_int_equal(receive_buffer_peek(&buffer, &data), 0);
    assert_null(data);
    assert_true(receive_buffer_append(&buffer, &pool, block, BLOCK_BYTES));
    assert_int_equal(receive_buffer_peek(&buffer, &data), CHUNK_BYTES);
    assert_int_equal(receive_buffer_consume(&buffer, &pool, CHUNK_BYTES + 5), CHUNK_BYTES + 5);
    assert_int_equal(receive_buffer_peek(&buffer, &data), BLOCK_BYTES - CHUNK_BYTES - 5);
    assert_int_equal(receive_buffer_consume(&buffer, &pool, BLOCK_BYTES),
                     BLOCK_BYTES - CHUNK_BYTES - 5);
    assert_int_equal(buffer.held, 0);
    receive_buffer_clear(&buffer, &pool);
    chunk_pool_clear(&pool);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_send_moves_on),
        cmocka_unit_test(test_send_is_bounded),
        cmocka_unit_test(test_any_sizes),
        cmocka_unit_test(test_consume_across_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
