/* SPDX-License-Identifier: BSD-2-Clause */
/* A client's TLS connection for relayed datagrams, where UDP does not reach us: a session with
 * another protocol, which belongs to a registered session of the same ID and ends with it. The
 * first frame is that one's session ID; each further one is a tag and a datagram. */
#ifndef MEDIATOR_STREAM_H
#define MEDIATOR_STREAM_H

#include "mediator/relay.h"
#include "rendezvous/backlog.h"

struct session;

struct relay_stream {
    struct session *connection;
    struct session *owner; /* whose datagrams these are */
    struct backlog backlog;
    struct relay_stream *next_filled; /* in struct streams */
    bool filled;
};

/* Of one server; zero-initialise, but for the prefixes. */
struct streams {
    struct relay_stream *filled; /* have got datagrams since the last flush */
    uint64_t dropped;            /* datagrams that were too old */
    uint32_t count;              /* connections now: each may hold more than a megabyte */
    struct occupancy *prefixes;
};

/* The handshake is over, and the connection has no stream yet: it gets one when the first frame is
 * there. False: that names no session of this ID, there are as many as may be, or memory is short;
 * the connection is to be dropped. An older connection of the same session is dropped. */
bool stream_begin(struct session *connection);
/* The connection ends: nothing is routed to it any more. */
void stream_end(struct relay_stream *stream);
/* The connection is readable or writable. False: it has ended and is to be dropped. *unread: there
 * is more than fits a turn. */
bool stream_ready(struct relay_stream *stream, bool *unread);

/* Datagrams with the right tags, of datagram_bytes each, the last may be shorter. */
void streams_put(struct streams *streams, struct relay_stream *stream, const uint8_t *bytes,
                 size_t size, size_t datagram_bytes);
/* Sends what has been put since the last flush, as far as the connections take it. */
void streams_flush(struct streams *streams);

#endif
