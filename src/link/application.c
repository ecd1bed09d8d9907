/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams, messages and events, as the application has them. */
#include <stdlib.h>

#include "link/connection.h"

/* header, packet number, authentication tag, frame type and length (RFC 9000, 17.3; RFC 9221, 4) */
#define MESSAGE_OVERHEAD (1 + 4 + 16 + 1 + 2)

/* Connection-level credit comes back with the bytes, whatever became of their stream. */
static void give_credit(struct link *link, const struct stream *stream, size_t bytes)
{
    if (link->is_closed || bytes == 0) {
        return;
    }
    if (!stream->is_closed && !stream->fin_received && !stream->is_reset) {
        (void)ngtcp2_conn_extend_max_stream_offset(link->conn, stream->id, bytes);
    }
    ngtcp2_conn_extend_max_offset(link->conn, bytes);
}

static bool take_stream_news(struct link *link, struct link_event *event)
{
    static const struct {
        enum stream_news news;
        enum link_event_kind kind;
    } order[] = {
        {STREAM_NEWS_OPENED, LINK_EVENT_STREAM_OPENED},
        {STREAM_NEWS_READABLE, LINK_EVENT_READABLE},
        {STREAM_NEWS_WRITABLE, LINK_EVENT_WRITABLE},
        {STREAM_NEWS_RESET, LINK_EVENT_STREAM_RESET},
        {STREAM_NEWS_CLOSED, LINK_EVENT_STREAM_CLOSED},
    };
    struct stream *stream = TAILQ_FIRST(&link->streams.news);
    if (stream == NULL) {
        return false;
    }
    size_t i = 0;
    while ((stream->news & order[i].news) == 0) {
        i++;
    }
    stream->news &= ~(unsigned)order[i].news;
    if (stream->news == 0) {
        TAILQ_REMOVE(&link->streams.news, stream, news_entry);
    }
    event->kind = order[i].kind;
    event->stream = stream->id;
    event->code = stream->reset_code;
    if (order[i].news == STREAM_NEWS_CLOSED) {
        link_forget_stream(link, stream);
    }
    return true;
}

static bool take_message(struct link *link, struct link_event *event)
{
    link->told_message = message_queue_pop(&link->messages_in);
    if (link->told_message == NULL) {
        return false;
    }
    event->kind = LINK_EVENT_MESSAGE;
    event->data = link->told_message->bytes;
    event->bytes = link->told_message->size;
    return true;
}

static bool take_link_news(struct link *link, enum link_news news, enum link_event_kind kind,
                           struct link_event *event)
{
    if ((link->news & news) == 0) {
        return false;
    }
    link->news &= ~(unsigned)news;
    event->kind = kind;
    return true;
}

void link_drop_received(struct link *link, struct stream *stream)
{
    give_credit(link, stream, stream->receive.held);
    receive_buffer_clear(&stream->receive, &link->streams.pool);
}

void link_forget_stream(struct link *link, struct stream *stream)
{
    if (stream->is_remote && !link->is_closed) {
        ngtcp2_conn_extend_max_streams_bidi(link->conn, 1);
    }
    stream_table_remove(&link->streams, stream);
}

int64_t link_stream_open(struct link *link)
{
    if (link->is_closed) {
        return LINK_ERR_CLOSED;
    }
    int64_t id;
    if (!link->can_send_1rtt || ngtcp2_conn_open_bidi_stream(link->conn, &id, NULL) != 0) {
        link->wants_room = true;
        return LINK_ERR_BLOCKED;
    }
    struct stream *stream = stream_table_add(&link->streams, id);
    if (stream == NULL) {
        (void)shim_shutdown_stream(link->conn, id, 0);
        return LINK_ERR_MEMORY;
    }
    (void)ngtcp2_conn_set_stream_user_data(link->conn, id, stream);
    stream_set_ready(&link->streams, stream, true); /* so that the peer hears of it at once */
    return id;
}

ssize_t link_stream_write(struct link *link, int64_t id, const uint8_t *data, size_t bytes,
                          bool fin)
{
    if (link->is_closed) {
        return LINK_ERR_CLOSED;
    }
    struct stream *stream = stream_table_find(&link->streams, id);
    if (stream == NULL || stream->is_reset || stream->is_closed || stream->fin_queued) {
        return LINK_ERR_NO_STREAM;
    }
    size_t taken = send_buffer_append(&stream->send, &link->streams.pool, data, bytes);
    if (taken < bytes) {
        stream->wants_room = true;
    } else if (fin) {
        stream->fin_queued = true;
    }
    if (taken > 0 || stream->fin_queued) {
        stream_set_ready(&link->streams, stream, true);
    }
    return (ssize_t)taken;
}

ssize_t link_stream_peek(struct link *link, int64_t id, const uint8_t **data, bool *fin)
{
    struct stream *stream = stream_table_find(&link->streams, id);
    *data = NULL;
    *fin = false;
    if (stream == NULL || stream->is_reset) {
        return LINK_ERR_NO_STREAM;
    }
    size_t bytes = receive_buffer_peek(&stream->receive, data);
    if (bytes > 0) {
        return (ssize_t)bytes;
    }
    stream->said_readable = false;
    if (stream->fin_received) {
        *fin = true;
        stream->said_readable = true; /* there is nothing left to say */
        if (!stream->fin_seen) {
            stream->fin_seen = true;
            stream_tell_if_closed(&link->streams, stream);
        }
        return 0;
    }
    return link->is_closed ? LINK_ERR_CLOSED : 0;
}

void link_stream_consume(struct link *link, int64_t id, size_t bytes)
{
    struct stream *stream = stream_table_find(&link->streams, id);
    if (stream != NULL) {
        give_credit(link, stream,
                    receive_buffer_consume(&stream->receive, &link->streams.pool, bytes));
    }
}

void link_stream_reset(struct link *link, int64_t id, uint64_t code)
{
    struct stream *stream = stream_table_find(&link->streams, id);
    if (stream == NULL || stream->is_reset || link->is_closed) {
        return;
    }
    link_drop_received(link, stream);
    stream->is_reset = true;
    stream->reset_code = code;
    stream_set_ready(&link->streams, stream, false);
    if (stream->is_closed) {
        stream_tell_if_closed(&link->streams, stream);
    } else {
        (void)shim_shutdown_stream(link->conn, id, code);
    }
}

size_t link_stream_unacked(const struct link *link, int64_t id)
{
    const struct stream *stream = stream_table_find(&link->streams, id);
    return stream != NULL ? stream->send.held : 0;
}

size_t link_unacked(const struct link *link)
{
    size_t bytes = 0;
    /* A lost end may be sent again together with lost data, and then nothing tells of its
     * acknowledgement but that nothing is under way any more. */
    bool in_flight = shim_get_stat(link->conn).bytes_in_flight > 0;
    for (size_t i = 0; i < STREAM_TABLE_BUCKETS; i++) {
        const struct stream *stream = link->streams.buckets[i];
        for (; stream != NULL; stream = stream->next_in_bucket) {
            bool has_end = stream->fin_queued && !stream->fin_acked;
            if (!stream->is_reset) {
                bytes += stream->send.held;
                bytes += has_end && (in_flight || !stream->fin_sent) ? 1 : 0;
            }
        }
    }
    return bytes;
}

int link_send_message(struct link *link, const uint8_t *data, size_t bytes)
{
    if (link->is_closed) {
        return LINK_ERR_CLOSED;
    }
    if (bytes > link_max_message(link)) {
        return LINK_ERR_TOO_LARGE;
    }
    if (!message_queue_append(&link->messages_out, data, bytes)) {
        link->wants_room = true;
        return LINK_ERR_BLOCKED;
    }
    return LINK_OK;
}

size_t link_max_message(const struct link *link)
{
    return link->max_datagram - MESSAGE_OVERHEAD - ngtcp2_conn_get_dcid(link->conn)->datalen;
}

bool link_poll_event(struct link *link, struct link_event *event)
{
    *event = (struct link_event){.stream = -1};
    free(link->told_message);
    link->told_message = NULL;
    return take_link_news(link, LINK_NEWS_ESTABLISHED, LINK_EVENT_ESTABLISHED, event) ||
           take_link_news(link, LINK_NEWS_CONFIRMED, LINK_EVENT_CONFIRMED, event) ||
           take_link_news(link, LINK_NEWS_ROOM, LINK_EVENT_WRITABLE, event) ||
           take_stream_news(link, event) || take_message(link, event) ||
           take_link_news(link, LINK_NEWS_CLOSED, LINK_EVENT_CLOSED, event);
}
