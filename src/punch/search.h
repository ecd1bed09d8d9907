/* SPDX-License-Identifier: BSD-2-Clause */
/* Many sockets against many ports, without a pair for each: one side opens holes that lead to its
 * NAT's unknown ports, the other tries ports until it meets a hole.
 *
 *    holes:  socket i sends once, at low TTL, to the peer's unchanging address
 *    probes: the data socket sends once to each of many ports of the peer's address
 *
 * What is sent follows from a key and an index: transaction i is HMAC(key, i), probe i goes to port
 * first + (start + i x stride) mod ports. So an answer names its index, and nothing is stored but a
 * bit and a time for each. A hit becomes an ordinary pair. */
#ifndef PUNCH_SEARCH_H
#define PUNCH_SEARCH_H

#include "punch/punch.h"

#define SEARCH_KEY_BYTES 16

enum search_role { SEARCH_NONE = 0, SEARCH_HOLES, SEARCH_PROBES };

struct search {
    enum search_role role; /* kept when it is over, to tell how a pair came about */
    uint8_t technique;     /* enum punch_technique */
    bool running;          /* has packets left, or waits for their effect */
    bool gated;            /* counts as a search of this host */
    bool low_ttl;
    uint8_t rounds_left; /* after this one */
    struct stun_addr target;
    uint16_t count;       /* sockets or probes */
    uint16_t asked;       /* holes: sockets that the driver was asked for */
    uint16_t next;        /* index that is sent next */
    uint16_t dropped;     /* sockets below it are closed, or belong to pairs; over only */
    uint16_t range_first; /* probes */
    uint32_t range_ports, range_start, range_stride;
    uint64_t start_us, due_us, again_us, end_us;
    uint8_t key[SEARCH_KEY_BYTES];
    uint8_t known[(PUNCH_SEARCH_SOCKETS + 7) / 8]; /* the driver has answered */
    uint8_t open[(PUNCH_SEARCH_SOCKETS + 7) / 8];
    uint16_t sent_ms[PUNCH_SEARCH_SOCKETS]; /* after start */
};

#endif
