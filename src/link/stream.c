/* SPDX-License-Identifier: BSD-2-Clause */
#include "link/stream.h"

#include <stdlib.h>
#include <string.h>

static size_t bucket_of(int64_t id)
{
    /* The two low bits say who opened it and how. */
    return (size_t)((uint64_t)id >> 2) % STREAM_TABLE_BUCKETS;
}

static void stream_free(struct stream_table *table, struct stream *stream)
{
    send_buffer_clear(&stream->send, &table->pool);
    receive_buffer_clear(&stream->receive, &table->pool);
    free(stream);
}

void stream_table_init(struct stream_table *table)
{
    TAILQ_INIT(&table->ready);
    TAILQ_INIT(&table->news);
}

void stream_table_clear(struct stream_table *table)
{
    for (size_t i = 0; i < STREAM_TABLE_BUCKETS; i++) {
        while (table->buckets[i] != NULL) {
            struct stream *stream = table->buckets[i];
            table->buckets[i] = stream->next_in_bucket;
            stream_free(table, stream);
        }
    }
    chunk_pool_clear(&table->pool);
    stream_table_init(table);
}

struct stream *stream_table_add(struct stream_table *table, int64_t id)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return NULL;
    }
    stream->id = id;
    stream->next_in_bucket = table->buckets[bucket_of(id)];
    table->buckets[bucket_of(id)] = stream;
    return stream;
}

struct stream *stream_table_find(const struct stream_table *table, int64_t id)
{
    if (id < 0) {
        return NULL;
    }
    struct stream *stream = table->buckets[bucket_of(id)];
    while (stream != NULL && stream->id != id) {
        stream = stream->next_in_bucket;
    }
    return stream;
}

void stream_table_remove(struct stream_table *table, struct stream *stream)
{
    struct stream **at = &table->buckets[bucket_of(stream->id)];
    while (*at != stream) {
        at = &(*at)->next_in_bucket;
    }
    *at = stream->next_in_bucket;
    stream_set_ready(table, stream, false);
    if (stream->news != 0) {
        TAILQ_REMOVE(&table->news, stream, news_entry);
    }
    stream_free(table, stream);
}

void stream_set_ready(struct stream_table *table, struct stream *stream, bool ready)
{
    if (ready == stream->is_ready) {
        return;
    }
    stream->is_ready = ready;
    if (ready) {
        TAILQ_INSERT_TAIL(&table->ready, stream, ready_entry);
    } else {
        TAILQ_REMOVE(&table->ready, stream, ready_entry);
    }
}

void stream_yield(struct stream_table *table, struct stream *stream)
{
    if (stream->is_ready && TAILQ_NEXT(stream, ready_entry) != NULL) {
        TAILQ_REMOVE(&table->ready, stream, ready_entry);
        TAILQ_INSERT_TAIL(&table->ready, stream, ready_entry);
    }
}

void stream_tell(struct stream_table *table, struct stream *stream, enum stream_news news)
{
    if (stream->news == 0) {
        TAILQ_INSERT_TAIL(&table->news, stream, news_entry);
    }
    stream->news |= news;
}

void stream_tell_readable(struct stream_table *table, struct stream *stream)
{
    if (!stream->said_readable && !stream->is_reset) {
        stream->said_readable = true;
        stream_tell(table, stream, STREAM_NEWS_READABLE);
    }
}

void stream_tell_writable(struct stream_table *table, struct stream *stream)
{
    /* Not at every byte: half of the buffer at a time keeps writes large. */
    if (stream->wants_room && !stream->is_reset &&
        send_buffer_room(&stream->send) >= SEND_BUFFER_MAX_UNSENT / 2) {
        stream->wants_room = false;
        stream_tell(table, stream, STREAM_NEWS_WRITABLE);
    }
}

void stream_tell_if_closed(struct stream_table *table, struct stream *stream)
{
    if (stream->is_closed && (stream->is_reset || stream->fin_seen)) {
        stream_tell(table, stream, STREAM_NEWS_CLOSED);
    }
}
