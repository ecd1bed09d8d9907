/* SPDX-License-Identifier: BSD-2-Clause */
/* The first datagrams of a link, until it is established: where they have gone, and where they must
 * go once more. The handshake must not wait for the relay where a pair is faster, nor for the
 * link's timer where the peer turns up elsewhere, and the link has nothing more to say until it is
 * answered.
 *
 *    NONE --sent--> DUE --by pairs, when they may be tried--> OUT --by a guess--> GUESSED
 *                    ^                                         |                    |
 *                    '----- the peer is heard elsewhere, ------'--------------------'
 *                           or the link has sent more by the relay alone
 *
 * What leaves by pairs at once is OUT (or GUESSED) at once. Every state ends with the handshake. */
#ifndef PEER_FLIGHT_H
#define PEER_FLIGHT_H

#include "link/link.h"
#include "punch/punch.h"

#define FLIGHT_DATAGRAMS 3
#define FLIGHT_PAIRS     8

enum flight_state {
    FLIGHT_NONE,    /* nothing was sent, or the link is established */
    FLIGHT_DUE,     /* it has to go by the pairs that may be tried */
    FLIGHT_OUT,     /* it has gone by those whose ports are known */
    FLIGHT_GUESSED, /* and by some whose ports were only predicted */
};

struct flight_datagram {
    size_t size;
    uint8_t bytes[LINK_MIN_DATAGRAM_BYTES];
};

struct flight {
    enum flight_state state;
    struct punch_pair gone_by[FLIGHT_PAIRS]; /* no guesses: to where it has surely gone */
    size_t gone_by_count;
    struct flight_datagram *datagrams; /* owned; NULL in NONE, or out of memory */
    size_t count;
};

struct eyelet_conn;

/* A datagram has gone by these routes (at least one), before the link is established. */
void flight_keep(struct eyelet_conn *conn, const struct punch_pair *routes, size_t route_count,
                 const uint8_t *bytes, size_t size);
/* Sends it once more, where that is due. */
void flight_repeat(struct eyelet_conn *conn, uint64_t now_us);
/* The peer is heard from this pair. */
void flight_heard(struct eyelet_conn *conn, const struct punch_pair *pair);
/* Back to NONE. */
void flight_forget(struct flight *f);

#endif
