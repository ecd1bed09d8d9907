/* SPDX-License-Identifier: BSD-2-Clause */
/* A way through a relay: a socket from which datagrams are sent, a socket at which they arrive, and
 * what stands in front of the payload there and here. One file for each kind of relay. */
#ifndef BENCH_RELAY_WAY_H
#define BENCH_RELAY_WAY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_WAY_PAYLOAD_BYTES 1200
#define RELAY_WAY_HEADER_BYTES  8

struct relay_way_addresses {
    struct in_addr server; /* the host of the relay */
    struct in_addr own;    /* of the client, and of the one behind the relay */
    struct in_addr peer;
};

struct client; /* mediator_client.h */

struct relay_way {
    int send_fd; /* connected to the relay */
    int receive_fd;
    uint8_t sent[RELAY_WAY_HEADER_BYTES]; /* in front of each payload */
    size_t sent_bytes;
    uint8_t arrived[RELAY_WAY_HEADER_BYTES];
    size_t arrived_bytes;
    struct client *peers; /* with sessions at eyeletd: two, or NULL */
};

/* A UDP socket bound to this address, connected if to_port is not 0. -1: errno. */
int relay_way_socket(struct in_addr own, uint16_t port, struct in_addr to, uint16_t to_port);

/* These return NULL, or what went wrong; sockets stay open. */

/* TURN (RFC 8656) without authentication on port 3500: an allocation and a channel to the peer.
 * down: from the peer to the client. */
const char *relay_way_turn(struct relay_way *way, const struct relay_way_addresses *at, bool down);
/* eyeletd on its usual ports: two registered sessions, a dial, two attested addresses. */
const char *relay_way_eyelet(struct relay_way *way, const struct relay_way_addresses *at);
void relay_way_eyelet_end(struct relay_way *way); /* any kind of way is fine */
/* eyelet-relay-plain: no header, fixed ports. */
const char *relay_way_plain(struct relay_way *way, const struct relay_way_addresses *at);

#define RELAY_PLAIN_PORT      9000
#define RELAY_PLAIN_OWN_PORT  9001
#define RELAY_PLAIN_PEER_PORT 9002

#endif
