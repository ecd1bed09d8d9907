/* SPDX-License-Identifier: BSD-2-Clause */
/* The relay as a client sees it: each dial has a tag, which the mediator has given, and which
 * stands in front of every datagram to and from the relay (docs/protocol.md, "The relay").
 *
 * Over UDP where a bounce server answers, over a second TLS connection otherwise. Until it is known
 * which, the first flights go over the control session, and what is more waits for the connection:
 *
 *    SESSION --a bounce server answers--> UDP --none does any more--.
 *       | ^_____________________________________________________  |
 *       '--time is up: TLS connection made--> TLS --it breaks--> NONE (and is tried again)
 */
#ifndef PEER_RELAY_H
#define PEER_RELAY_H

#include "rendezvous/backlog.h"
#include "rendezvous/channel.h"
#include "rendezvous/wire.h"

struct eyelet_endpoint;
struct eyelet_conn;

enum relay_way { RELAY_NONE = 0, RELAY_UDP, RELAY_TLS, RELAY_SESSION };

/* The endpoint's second TLS connection to the mediator. */
struct relay_client {
    struct channel *channel;  /* owned; NULL: none */
    struct backlog backlog;   /* what waits for it */
    unsigned by_session_left; /* so many datagrams may go over the control session */
    bool is_ours;             /* open, and to the mediator of the session */
    bool wanted;              /* UDP does not reach the mediator */
    uint64_t retry_us;        /* UINT64_MAX: no try is due */
    uint64_t retry_gap_us, deadline_us;
    enum relay_way way; /* as connections have been told */
};

void relay_init(struct relay_client *r);
void relay_free(struct eyelet_endpoint *ep);
/* Looks whether the session has come or gone, and whether UDP is attested: begins or ends the TLS
 * connection, and tells the endpoint's connections. Cheap where nothing has changed. */
void relay_follow(struct eyelet_endpoint *ep, uint64_t now_us);
/* Its descriptor is ready. */
void relay_ready(struct eyelet_endpoint *ep, uint64_t now_us);
void relay_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us);
uint64_t relay_next_timeout(const struct eyelet_endpoint *ep);

/* The TLS connection is there. */
bool relay_is_open(const struct eyelet_endpoint *ep);
/* How a connection's packets would be relayed now, and to where. */
enum relay_way relay_way(const struct eyelet_conn *conn);
struct stun_addr relay_address(const struct eyelet_conn *conn);
/* Sends datagrams of segment bytes (the last may be shorter) by the relay. 0 or an errno; EAGAIN:
 * the socket is full, nothing was sent. */
int relay_send(struct eyelet_conn *conn, const uint8_t *bytes, size_t size, size_t segment);
/* True if the datagram came from the relay by UDP: then *conn (NULL: none that lives) owns what is
 * behind the tag. A tag alone says that the mediator does not know the address that we send from: a
 * keepalive goes out. */
bool relay_receive(struct eyelet_endpoint *ep, uint64_t now_us, const struct stun_addr *from,
                   const uint8_t *bytes, size_t size, struct eyelet_conn **conn);

/* One came over the control session. */
void relay_take(struct eyelet_endpoint *ep, uint64_t now_us, const uint8_t *bytes, size_t size);

#endif
