/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/stream.h"

#include <stdlib.h>
#include <string.h>

#include "mediator/server.h"
#include "mediator/session.h"
#include "mediator/sockets.h"

#define STREAM_RECORD_BYTES 12288 /* given to TLS at once; what is beyond can still be dropped */
#define STREAM_BATCH        32    /* datagrams that leave together */
#define STREAM_BATCHES      8     /* a turn */
#define STREAM_FRAME_BYTES  (WIRE_RELAY_TAG_BYTES + RELAY_MAX_DATAGRAM_BYTES)

/* Sends what the connection takes, oldest first. */
static bool stream_pump(struct relay_stream *stream)
{
    struct channel *channel = stream->connection->channel;
    uint8_t bytes[STREAM_FRAME_BYTES];

    for (;;) {
        if (channel_process(channel) != CHANNEL_OK)
            return false;
        if (channel_queued_bytes(channel) > 0 || backlog_is_empty(&stream->backlog))
            return true;
        while (channel_queued_bytes(channel) < STREAM_RECORD_BYTES) {
            size_t size = backlog_take(&stream->backlog, bytes, sizeof bytes);
            if (size == 0)
                break;
            if (channel_queue(channel, bytes, size) != CHANNEL_OK)
                return false;
        }
    }
}

/* False: it has to wait. */
static bool stream_send_now(struct relay_stream *stream, const uint8_t *bytes, size_t size)
{
    struct channel *channel = stream->connection->channel;

    if (!backlog_is_empty(&stream->backlog))
        return false;
    if (channel_queued_bytes(channel) >= STREAM_RECORD_BYTES) {
        channel_process(channel);
        if (channel_queued_bytes(channel) >= STREAM_RECORD_BYTES)
            return false;
    }
    return channel_queue(channel, bytes, size) == CHANNEL_OK;
}

static void stream_unfill(struct streams *streams, struct relay_stream *stream)
{
    struct relay_stream **at = &streams->filled;

    while (*at != NULL && *at != stream)
        at = &(*at)->next_filled;
    if (*at != NULL)
        *at = stream->next_filled;
    stream->filled = false;
}

/* As channel_receive; 1: there may be more. */
static int stream_read_batch(struct relay_stream *stream)
{
    struct bounce_io *io = stream->connection->server->bounce;
    uint8_t bytes[STREAM_BATCH][STREAM_FRAME_BYTES];
    const uint8_t *frame;
    size_t size;
    int got = 1;

    for (int i = 0; i < STREAM_BATCH && got == 1; i++) {
        got = channel_receive(stream->connection->channel, &frame, &size);
        if (got != 1 || size > sizeof bytes[i])
            continue;
        memcpy(bytes[i], frame, size);
        bounce_io_relay(io, &stream->owner->relay, bytes[i], size);
    }
    bounce_io_flush(io);
    return got;
}

/* NULL: no session has this number, or it is another peer's. */
static struct session *stream_owner(const struct session *connection, const uint8_t *session_id)
{
    uint64_t number = 0;

    for (size_t i = 0; i < WIRE_SESSION_ID_BYTES; i++)
        number = number << 8 | session_id[i];
    struct session *owner =
        session_of_entry(registry_by_session(connection->server->registry, number));
    return owner != NULL && identity_equal(&owner->entry.id, channel_peer(connection->channel))
               ? owner
               : NULL;
}

/* Counts one more, where the limits let it. */
static bool stream_enter(const struct session *owner)
{
    struct server *server = owner->server;
    const struct config_limits *limits = &server->config->limits;
    char name[SESSION_SHORT_ID_BYTES];

    if (server->streams.count >= limits->relay_streams ||
        !occupancy_enter(server->streams.prefixes, &owner->from,
                         limits->relay_streams_per_prefix)) {
        log_info(&server->log, "%s: no relaying by TLS: too many such connections",
                 session_short_id(owner, name));
        server->counters.turned_away++;
        return false;
    }
    server->streams.count++;
    return true;
}

bool stream_begin(struct session *connection)
{
    struct server *server = connection->server;
    char name[SESSION_SHORT_ID_BYTES];
    const uint8_t *frame;
    size_t size;

    if (channel_process(connection->channel) != CHANNEL_OK)
        return false;
    int got = channel_receive(connection->channel, &frame, &size);
    if (got == 0)
        return true;
    struct session *owner =
        got > 0 && size == WIRE_SESSION_ID_BYTES ? stream_owner(connection, frame) : NULL;
    if (owner == NULL || server->relay == NULL)
        return false;
    if (owner->relay.stream != NULL)
        session_drop(owner->relay.stream->connection);
    struct relay_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL || !stream_enter(owner)) {
        free(stream);
        return false;
    }
    stream->connection = connection;
    stream->owner = owner;
    owner->relay.stream = stream;
    connection->stream = stream;
    sockets_tune_stream(channel_fd(connection->channel));
    log_debug(&server->log, "%s: relayed datagrams by TLS", session_short_id(owner, name));
    return true;
}

void stream_end(struct relay_stream *stream)
{
    struct streams *streams = &stream->connection->server->streams;

    if (stream->filled)
        stream_unfill(streams, stream);
    stream->owner->relay.stream = NULL;
    stream->connection->stream = NULL;
    backlog_clear(&stream->backlog);
    occupancy_leave(streams->prefixes, &stream->owner->from);
    streams->count--;
    free(stream);
}

bool stream_ready(struct relay_stream *stream, bool *unread)
{
    int got = 1;

    *unread = false;
    if (!stream_pump(stream))
        return false;
    for (int i = 0; i < STREAM_BATCHES && got == 1; i++)
        got = stream_read_batch(stream);
    streams_flush(&stream->connection->server->streams);
    *unread = got == 1;
    return got >= 0;
}

void streams_put(struct streams *streams, struct relay_stream *stream, const uint8_t *bytes,
                 size_t size, size_t datagram_bytes)
{
    for (size_t at = 0; at < size; at += datagram_bytes) {
        size_t left = size - at;
        size_t one = left < datagram_bytes ? left : datagram_bytes;
        if (!stream_send_now(stream, bytes + at, one))
            streams->dropped += backlog_put(&stream->backlog, bytes + at, one);
    }
    if (stream->filled)
        return;
    stream->filled = true;
    stream->next_filled = streams->filled;
    streams->filled = stream;
}

void streams_flush(struct streams *streams)
{
    while (streams->filled != NULL) {
        struct relay_stream *stream = streams->filled;
        struct session *connection = stream->connection;
        stream_unfill(streams, stream);
        if (stream_pump(stream))
            session_update_poll(connection);
        else
            session_drop(connection);
    }
}
