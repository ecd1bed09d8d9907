/* SPDX-License-Identifier: BSD-2-Clause */
/* Relayed datagrams over a control session, for a client that has no other way yet. First flights,
 * not traffic: messages must not wait behind them. */
#include <string.h>

#include "mediator/server.h"
#include "mediator/session.h"

#define SESSION_RELAY_EVERY_US (10u * 1000u)

void session_relay_take(struct session *session, const wire_Relayed *msg)
{
    struct server *server = session->server;
    uint8_t bytes[sizeof msg->datagram.bytes];

    if (server->relay == NULL)
        return;
    memcpy(bytes, msg->datagram.bytes, msg->datagram.size);
    bounce_io_relay(server->bounce, &session->relay, bytes, msg->datagram.size);
    bounce_io_flush(server->bounce);
    streams_flush(&server->streams);
}

void session_relay_put(struct relay_member *member, const uint8_t *bytes, size_t size,
                       size_t datagram_bytes)
{
    struct session *session =
        (struct session *)(void *)((char *)member - offsetof(struct session, relay));
    wire_FromMediator msg = {.which_body = wire_FromMediator_relayed_tag};
    wire_Relayed *relayed = &msg.body.relayed;
    uint64_t now_us = server_now_us();

    for (size_t at = 0; at < size && session->state == SESSION_REGISTERED; at += datagram_bytes) {
        size_t left = size - at;
        relayed->datagram.size = (pb_size_t)(left < datagram_bytes ? left : datagram_bytes);
        memcpy(relayed->datagram.bytes, bytes + at, relayed->datagram.size);
        if (!limit_take_every(&session->relayed, SESSION_RELAY_EVERY_US, WIRE_RELAYED_AT_ONCE,
                              now_us) ||
            channel_queued_bytes(session->channel) > 0 || !session_send(session, &msg))
            session->server->streams.dropped++;
    }
}
