/* SPDX-License-Identifier: BSD-2-Clause */
/* The relay as a client sees it: each dial has a tag, which the mediator has given, and which
 * stands in front of every datagram to and from the relay (docs/protocol.md, "The relay"). Over UDP
 * where a bounce server answers, over a second TLS connection otherwise. */
#ifndef PEER_RELAY_H
#define PEER_RELAY_H

#include "rendezvous/channel.h"
#include "rendezvous/wire.h"

#define RELAY_MAX_DATAGRAM_BYTES 1252         /* without its tag */
#define RELAY_QUEUE_BYTES        (256u << 10) /* waiting for the TLS connection; the oldest go first */

struct eyelet_endpoint;
struct eyelet_conn;
struct relay_queue;

/* The endpoint's second TLS connection to the mediator. Zero-initialise. */
struct relay_client {
    struct channel *channel;   /* owned; NULL: none */
    struct relay_queue *queue; /* owned; what waits for the channel */
    bool wanted;               /* UDP does not reach the mediator */
    uint64_t retry_us;         /* UINT64_MAX: no try is due */
    uint64_t retry_gap_us, deadline_us;
};

enum relay_way { RELAY_NONE = 0, RELAY_UDP, RELAY_TLS };

/* The session is up, or down: begins or ends the TLS connection as UDP is attested or not. To be
 * called whenever either changes. */
void relay_update(struct eyelet_endpoint *ep, uint64_t now_us);
void relay_free(struct eyelet_endpoint *ep);
/* Its descriptor is ready. */
void relay_ready(struct eyelet_endpoint *ep, uint64_t now_us);
void relay_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us);
uint64_t relay_next_timeout(const struct eyelet_endpoint *ep);

/* How a connection's packets would be relayed now. */
enum relay_way relay_way(const struct eyelet_conn *conn);
/* Sends datagrams of segment_bytes (the last may be shorter) by the relay. 0 or an errno; EAGAIN:
 * the socket is full, nothing was sent. */
int relay_send(struct eyelet_conn *conn, uint64_t now_us, const uint8_t *bytes, size_t size,
               size_t segment_bytes);
/* True if the datagram came from the relay: then *conn (NULL: of no connection that lives) and what
 * is behind its tag. A tag alone says that the mediator does not know the address that we send
 * from: a keepalive goes out. */
bool relay_receive(struct eyelet_endpoint *ep, uint64_t now_us, const struct stun_addr *from,
                   const uint8_t *bytes, size_t size, struct eyelet_conn **conn,
                   const uint8_t **inner, size_t *inner_bytes);

#endif
