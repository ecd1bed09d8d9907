/* SPDX-License-Identifier: BSD-2-Clause */
#include "link/buffer.h"

#include <stdlib.h>
#include <string.h>

#define POOL_MAX_IDLE 32

static struct chunk *chunk_take(struct chunk_pool *pool)
{
    struct chunk *chunk = pool->idle;
    if (chunk != NULL) {
        pool->idle = chunk->next;
        pool->idle_count--;
    } else {
        chunk = malloc(sizeof(*chunk));
        if (chunk == NULL) {
            return NULL;
        }
    }
    chunk->next = NULL;
    chunk->start = 0;
    chunk->end = 0;
    return chunk;
}

static void chunk_give(struct chunk_pool *pool, struct chunk *chunk)
{
    if (pool->idle_count >= POOL_MAX_IDLE) {
        free(chunk);
        return;
    }
    chunk->next = pool->idle;
    pool->idle = chunk;
    pool->idle_count++;
}

static void chunks_give(struct chunk_pool *pool, struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        chunk_give(pool, chunk);
        chunk = next;
    }
}

/* The chunk that the next bytes go to. NULL: no memory. */
static struct chunk *tail_with_room(struct chunk **first, struct chunk **last,
                                    struct chunk_pool *pool)
{
    if (*last != NULL && (*last)->end < CHUNK_BYTES) {
        return *last;
    }
    struct chunk *chunk = chunk_take(pool);
    if (chunk == NULL) {
        return NULL;
    }
    if (*last == NULL) {
        *first = chunk;
    } else {
        (*last)->next = chunk;
    }
    *last = chunk;
    return chunk;
}

static size_t chunk_fill(struct chunk *chunk, const uint8_t *data, size_t bytes)
{
    size_t take = CHUNK_BYTES - chunk->end;
    if (take > bytes) {
        take = bytes;
    }
    memcpy(chunk->bytes + chunk->end, data, take);
    chunk->end += take;
    return take;
}

void chunk_pool_clear(struct chunk_pool *pool)
{
    while (pool->idle != NULL) {
        struct chunk *next = pool->idle->next;
        free(pool->idle);
        pool->idle = next;
    }
    pool->idle_count = 0;
}

size_t send_buffer_room(const struct send_buffer *buffer)
{
    size_t unsent = SEND_BUFFER_MAX_UNSENT - buffer->unsent;
    size_t held = SEND_BUFFER_MAX_HELD - buffer->held;
    return unsent < held ? unsent : held;
}

size_t send_buffer_append(struct send_buffer *buffer, struct chunk_pool *pool, const uint8_t *data,
                          size_t bytes)
{
    size_t room = send_buffer_room(buffer);
    if (bytes > room) {
        bytes = room;
    }
    size_t done = 0;
    while (done < bytes) {
        struct chunk *tail = tail_with_room(&buffer->first, &buffer->last, pool);
        if (tail == NULL) {
            break;
        }
        if (buffer->unsent_chunk == NULL) {
            buffer->unsent_chunk = tail;
            buffer->unsent_at = tail->end;
        }
        done += chunk_fill(tail, data + done, bytes - done);
    }
    buffer->unsent += done;
    buffer->held += done;
    return done;
}

size_t send_buffer_peek(const struct send_buffer *buffer, struct buffer_span spans[static 2])
{
    size_t count = 0;
    size_t at = buffer->unsent_at;
    for (struct chunk *c = buffer->unsent_chunk; c != NULL && count < 2; c = c->next) {
        if (c->end > at) {
            spans[count].base = c->bytes + at;
            spans[count].bytes = c->end - at;
            count++;
        }
        at = 0;
    }
    return count;
}

void send_buffer_sent(struct send_buffer *buffer, size_t bytes)
{
    buffer->unsent -= bytes;
    buffer->unsent_at += bytes;
    /* A drained last chunk is let go, so that its acknowledgement may free it; append finds its
     * end again. */
    while (buffer->unsent_chunk != NULL && buffer->unsent_at >= buffer->unsent_chunk->end) {
        buffer->unsent_at -= buffer->unsent_chunk->end;
        buffer->unsent_chunk = buffer->unsent_chunk->next;
    }
}

void send_buffer_acked(struct send_buffer *buffer, struct chunk_pool *pool, size_t bytes)
{
    buffer->held -= bytes;
    while (bytes > 0) {
        struct chunk *chunk = buffer->first;
        size_t part = chunk->end - chunk->start;
        if (part > bytes) {
            chunk->start += bytes;
            return;
        }
        bytes -= part;
        buffer->first = chunk->next;
        if (buffer->first == NULL) {
            buffer->last = NULL;
        }
        chunk_give(pool, chunk);
    }
}

void send_buffer_clear(struct send_buffer *buffer, struct chunk_pool *pool)
{
    chunks_give(pool, buffer->first);
    memset(buffer, 0, sizeof(*buffer));
}

bool receive_buffer_append(struct receive_buffer *buffer, struct chunk_pool *pool,
                           const uint8_t *data, size_t bytes)
{
    while (bytes > 0) {
        struct chunk *tail = tail_with_room(&buffer->first, &buffer->last, pool);
        if (tail == NULL) {
            return false;
        }
        size_t took = chunk_fill(tail, data, bytes);
        data += took;
        bytes -= took;
        buffer->held += took;
    }
    return true;
}

size_t receive_buffer_peek(const struct receive_buffer *buffer, const uint8_t **data)
{
    if (buffer->held == 0) {
        *data = NULL;
        return 0;
    }
    *data = buffer->first->bytes + buffer->first->start;
    return buffer->first->end - buffer->first->start;
}

size_t receive_buffer_consume(struct receive_buffer *buffer, struct chunk_pool *pool, size_t bytes)
{
    if (bytes > buffer->held) {
        bytes = buffer->held;
    }
    size_t left = bytes;
    while (left > 0) {
        struct chunk *chunk = buffer->first;
        size_t part = chunk->end - chunk->start;
        if (part > left) {
            chunk->start += left;
            break;
        }
        left -= part;
        buffer->first = chunk->next;
        if (buffer->first == NULL) {
            buffer->last = NULL;
        }
        chunk_give(pool, chunk);
    }
    buffer->held -= bytes;
    return bytes;
}

void receive_buffer_clear(struct receive_buffer *buffer, struct chunk_pool *pool)
{
    chunks_give(pool, buffer->first);
    memset(buffer, 0, sizeof(*buffer));
}
