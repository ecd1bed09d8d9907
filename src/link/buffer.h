/* SPDX-License-Identifier: BSD-2-Clause */
/* The bytes of a stream in both directions, in chunks that never move: ngtcp2 points into what was
 * sent until it is acknowledged. */
#ifndef LINK_BUFFER_H
#define LINK_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK_BYTES 65000 /* with its header and malloc's below 64 KiB */

/* What a stream may hold that was not sent yet: enough for the sender to stay busy, little enough
 * to stay in the processor's cache and to wait behind. */
#define SEND_BUFFER_MAX_UNSENT ((size_t)1 << 20)
/* And in all, until it is acknowledged: the product of rate and round trip. */
#define SEND_BUFFER_MAX_HELD ((size_t)16 << 20)

struct chunk {
    struct chunk *next;
    size_t start; /* first byte still wanted */
    size_t end;
    uint8_t bytes[CHUNK_BYTES];
};

/* Keeps some chunks for the next use, last in, first out. Zero is empty. */
struct chunk_pool {
    struct chunk *idle;
    size_t idle_count;
};

struct buffer_span {
    const uint8_t *base;
    size_t bytes;
};

/* first..last are held for the peer's acknowledgement; what is unsent begins in unsent_chunk at
 * unsent_at. Zero is empty. */
struct send_buffer {
    struct chunk *first;
    struct chunk *last;
    struct chunk *unsent_chunk;
    size_t unsent_at;
    size_t unsent;
    size_t held;
};

struct receive_buffer {
    struct chunk *first;
    struct chunk *last;
    size_t held;
};

void chunk_pool_clear(struct chunk_pool *pool);

/* Returns how much was taken: less if the limits are reached or memory is short. */
size_t send_buffer_append(struct send_buffer *buffer, struct chunk_pool *pool, const uint8_t *data,
                          size_t bytes);
size_t send_buffer_room(const struct send_buffer *buffer);
/* The beginning of what is unsent. Returns the number of spans. */
size_t send_buffer_peek(const struct send_buffer *buffer, struct buffer_span spans[static 2]);
void send_buffer_sent(struct send_buffer *buffer, size_t bytes);
void send_buffer_acked(struct send_buffer *buffer, struct chunk_pool *pool, size_t bytes);
void send_buffer_clear(struct send_buffer *buffer, struct chunk_pool *pool);

/* False: no memory. The bound is the flow control's. */
bool receive_buffer_append(struct receive_buffer *buffer, struct chunk_pool *pool,
                           const uint8_t *data, size_t bytes);
size_t receive_buffer_peek(const struct receive_buffer *buffer, const uint8_t **data);
/* Returns what was there to be consumed, at most bytes. */
size_t receive_buffer_consume(struct receive_buffer *buffer, struct chunk_pool *pool, size_t bytes);
void receive_buffer_clear(struct receive_buffer *buffer, struct chunk_pool *pool);

#endif
