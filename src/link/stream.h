/* SPDX-License-Identifier: BSD-2-Clause */
/* One stream as the application sees it. It outlives ngtcp2's own, until the application has read
 * everything and was told LINK_EVENT_STREAM_CLOSED. */
#ifndef LINK_STREAM_H
#define LINK_STREAM_H

#include <sys/queue.h>

#include "link/buffer.h"

/* Events that wait to be told, in this order. */
enum stream_news {
    STREAM_NEWS_OPENED = 1 << 0,
    STREAM_NEWS_READABLE = 1 << 1,
    STREAM_NEWS_WRITABLE = 1 << 2,
    STREAM_NEWS_RESET = 1 << 3,
    STREAM_NEWS_CLOSED = 1 << 4,
};

struct stream {
    int64_t id;
    struct stream *next_in_bucket;
    TAILQ_ENTRY(stream) ready_entry; /* has something to send, and may */
    TAILQ_ENTRY(stream) news_entry;
    struct send_buffer send;
    struct receive_buffer receive;
    uint64_t reset_code;
    unsigned news;
    bool is_remote;  /* opened by the peer */
    bool is_ready;   /* in the list of streams to send from */
    bool wants_room; /* a write came up short */
    bool fin_queued; /* our direction ends after what is in send */
    bool fin_sent;
    bool fin_alone; /* in a frame without data, which is acknowledged by itself */
    bool fin_acked;
    bool fin_received;
    bool fin_seen;      /* the application peeked the end */
    bool said_readable; /* and the application has not yet found it empty */
    bool is_reset;      /* by either side */
    bool must_shut;     /* the peer reset it: our direction has to be given up, too */
    bool is_closed;     /* ngtcp2 has forgotten it */
};

TAILQ_HEAD(stream_list, stream);

#define STREAM_TABLE_BUCKETS 64

/* Owns the streams. Zero, then stream_table_init. */
struct stream_table {
    struct stream *buckets[STREAM_TABLE_BUCKETS];
    struct stream_list ready;
    struct stream_list news;
    struct chunk_pool pool;
};

void stream_table_init(struct stream_table *table);
void stream_table_clear(struct stream_table *table);
/* NULL: no memory. */
struct stream *stream_table_add(struct stream_table *table, int64_t id);
struct stream *stream_table_find(const struct stream_table *table, int64_t id);
void stream_table_remove(struct stream_table *table, struct stream *stream);

void stream_set_ready(struct stream_table *table, struct stream *stream, bool ready);
/* To the end of the list, so that the streams take turns. */
void stream_yield(struct stream_table *table, struct stream *stream);
void stream_tell(struct stream_table *table, struct stream *stream, enum stream_news news);
/* After bytes or the end came in. */
void stream_tell_readable(struct stream_table *table, struct stream *stream);
/* After room was made in the send buffer. */
void stream_tell_writable(struct stream_table *table, struct stream *stream);
/* Tells CLOSED once both sides, and the application, are done. */
void stream_tell_if_closed(struct stream_table *table, struct stream *stream);

#endif
