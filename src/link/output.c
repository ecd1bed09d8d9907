/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes into the next datagrams. */
#include <stdlib.h>

#include "link/connection.h"

#define MAX_SEGMENTS 64 /* of one UDP_SEGMENT send in older kernels */

/* Pacing spreads a window over its round trip. Below this the timers of a computer are too coarse
 * for it, and what they miss would never be made up. */
#define PACING_BURST ((ngtcp2_duration)1 * NGTCP2_MILLISECONDS)

/* A message is as large as fits beside a packet number of four bytes, and ngtcp2 1.x takes fewer.
 */
#define NUMBER_SLACK 3

/* Before the first packet, because ngtcp2 allows no other call while one is being filled. */
static void shut_abandoned(struct link *link)
{
    struct stream *stream = TAILQ_FIRST(&link->streams.ready);
    while (stream != NULL) {
        struct stream *next = TAILQ_NEXT(stream, ready_entry);
        if (stream->must_shut) {
            stream->must_shut = false;
            stream_set_ready(&link->streams, stream, false);
            (void)shim_shutdown_stream(link->conn, stream->id, stream->reset_code);
        }
        stream = next;
    }
}

static struct stream *next_stream(struct link *link)
{
    if (!link->can_send_1rtt || link->is_starved) {
        return NULL;
    }
    return TAILQ_FIRST(&link->streams.ready);
}

static ngtcp2_ssize write_message(struct link *link, uint8_t *packet, size_t size,
                                  ngtcp2_tstamp now)
{
    struct message *message = link->messages_out.first;
    ngtcp2_vec data = {.base = message->bytes, .len = message->size};
    int accepted = 0;
    ngtcp2_ssize rv = 0;
    bool fits = message->size <= link_max_message(link);
    if (fits) {
        rv = ngtcp2_conn_writev_datagram(link->conn, NULL, NULL, packet, size, &accepted,
                                         NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, &data, 1, now);
    }
    bool refused = rv == NGTCP2_ERR_INVALID_STATE || rv == NGTCP2_ERR_INVALID_ARGUMENT;
    if (accepted != 0 || refused || !fits) {
        free(message_queue_pop(&link->messages_out));
        if (link->wants_room && link->messages_out.held <= MESSAGE_QUEUE_MAX_BYTES / 2) {
            link->wants_room = false;
            link->news |= LINK_NEWS_ROOM;
        }
    }
    return refused || !fits ? NGTCP2_ERR_WRITE_MORE : rv;
}

static void sent(struct link *link, struct stream *stream, size_t bytes, bool fin)
{
    send_buffer_sent(&stream->send, bytes);
    if (fin && !stream->fin_sent) {
        stream->fin_sent = true;
        stream->fin_alone = bytes == 0;
    }
    if (stream->send.unsent == 0 && stream->fin_queued == stream->fin_sent) {
        stream_set_ready(&link->streams, stream, false);
    } else {
        stream_yield(&link->streams, stream);
    }
    stream_tell_writable(&link->streams, stream);
}

static ngtcp2_ssize write_stream(struct link *link, struct stream *stream, uint8_t *packet,
                                 size_t size, ngtcp2_tstamp now)
{
    struct buffer_span spans[2];
    ngtcp2_vec data[2];
    size_t count = send_buffer_peek(&stream->send, spans);
    size_t offered = 0;
    for (size_t i = 0; i < count; i++) {
        data[i] = (ngtcp2_vec){.base = (uint8_t *)(uintptr_t)spans[i].base, .len = spans[i].bytes};
        offered += spans[i].bytes;
    }
    bool fin = stream->fin_queued && offered == stream->send.unsent;
    uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);
    ngtcp2_ssize taken = -1;
    ngtcp2_ssize rv = ngtcp2_conn_writev_stream(link->conn, NULL, NULL, packet, size, &taken, flags,
                                                stream->id, data, count, now);
    if (taken >= 0) {
        sent(link, stream, (size_t)taken, fin && (size_t)taken == offered);
    }
    if (rv == NGTCP2_ERR_STREAM_DATA_BLOCKED && ngtcp2_conn_get_max_data_left(link->conn) == 0) {
        /* The window of the whole connection: no callback says when it opens. */
        link->is_starved = true;
        return NGTCP2_ERR_WRITE_MORE;
    }
    if (rv == NGTCP2_ERR_STREAM_DATA_BLOCKED || rv == NGTCP2_ERR_STREAM_SHUT_WR ||
        rv == NGTCP2_ERR_STREAM_NOT_FOUND) {
        stream_set_ready(&link->streams, stream, false);
        return NGTCP2_ERR_WRITE_MORE;
    }
    return rv;
}

/* One packet, filled from as many messages and streams as fit. Returns its size, 0 for nothing now,
 * or a negative error of ngtcp2. */
static ngtcp2_ssize write_packet(struct link *link, uint8_t *packet, size_t size, ngtcp2_tstamp now)
{
    ngtcp2_ssize rv = NGTCP2_ERR_WRITE_MORE;
    while (rv == NGTCP2_ERR_WRITE_MORE) {
        if (link->can_send_1rtt && link->messages_out.first != NULL) {
            rv = write_message(link, packet, size, now);
            continue;
        }
        struct stream *stream = next_stream(link);
        if (stream != NULL) {
            rv = write_stream(link, stream, packet, size, now);
        } else {
            rv = ngtcp2_conn_writev_stream(link->conn, NULL, NULL, packet, size, NULL,
                                           NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, now);
        }
    }
    return rv;
}

/* ngtcp2 delays the next packet by what these would take at the paced rate, counted from the time
 * that it is given: from where the pacer is, not from now, so that late timers are made up for. */
static void pace(struct link *link, size_t bytes, ngtcp2_tstamp now)
{
    if (!link->is_confirmed) {
        return; /* the initial window may leave in one burst (RFC 9002, section 7.7) */
    }
    struct shim_stat stat = shim_get_stat(link->conn);
    ngtcp2_tstamp start = link->paced_until;
    if (start + PACING_BURST < now) {
        start = now - PACING_BURST;
    } else if (start > now) {
        start = now; /* ngtcp2 has let us, so its estimate is the newer one */
    }
    uint64_t cwnd = stat.cwnd > 0 ? stat.cwnd : 1;
    link->paced_until = start + bytes * stat.smoothed_rtt / cwnd * 4 / 5;
    shim_pace(link->conn, start, now);
}

static size_t segment_size(const struct link *link, size_t capacity)
{
    /* The first flight must fit into a dial, whatever the path. */
    size_t size = link->can_send_1rtt ? link->max_datagram : LINK_MIN_DATAGRAM_BYTES;
    return size < capacity ? size : capacity;
}

size_t link_output(struct link *link, uint64_t now_us, uint8_t *buffer, size_t capacity,
                   size_t *segment_bytes)
{
    ngtcp2_tstamp now = clock_now(&link->clock, now_us);
    size_t total = 0;
    *segment_bytes = 0;
    if (!link->clock.runs) {
        return 0;
    }
    link->is_starved = ngtcp2_conn_get_max_data_left(link->conn) == 0;
    shut_abandoned(link);
    size_t segment = segment_size(link, capacity);
    size_t limit = capacity < LINK_MAX_BATCH_BYTES ? capacity : LINK_MAX_BATCH_BYTES;
    for (int i = 0; !link->is_closed && i < MAX_SEGMENTS && total + segment <= limit; i++) {
        ngtcp2_ssize size = write_packet(link, buffer + total, segment, now);
        if (size < 0) {
            link_fail(link, (int)size);
        }
        if (size <= 0) {
            break;
        }
        total += (size_t)size;
        if (i == 0) {
            *segment_bytes = (size_t)size;
            if ((size_t)size + NUMBER_SLACK >= segment) {
                segment = (size_t)size; /* for those that follow to be as long */
            }
        }
        if ((size_t)size < segment) {
            break;
        }
    }
    if (total > 0) {
        pace(link, total, now);
    } else if (link->is_closed) {
        total = link_write_close(link, now, buffer, capacity);
        *segment_bytes = total;
    }
    return total;
}
