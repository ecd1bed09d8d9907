/* SPDX-License-Identifier: BSD-2-Clause */
/* A port that the router keeps open for the data socket. It counts, and is told to peers, only
 * after an answer of a bounce server has come in through it. */
#ifndef PEER_MAPPING_H
#define PEER_MAPPING_H

#include "portmap/portmap.h"
#include "stun/stun.h"

struct eyelet_endpoint;

struct mapping {
    struct portmap *portmap; /* owned; NULL: not asked for */
    struct portmap_state state;
    uint8_t transaction[STUN_TRANSACTION_BYTES]; /* of the question whose answer is the proof */
    bool tried;                                  /* asked for, whether that was possible or not */
    unsigned tries;
    uint64_t next_us; /* UINT64_MAX: nothing is to be proven */
    bool proven;
};

void mapping_init(struct mapping *m);
/* After registration: asks the router, once, if there is one and it is wanted. */
void mapping_start(struct eyelet_endpoint *ep);
/* Takes the mapping back; at most 2 s. */
void mapping_stop(struct eyelet_endpoint *ep);
void mapping_moved(struct eyelet_endpoint *ep, uint64_t now_us);
/* Its descriptor is ready. */
void mapping_ready(struct eyelet_endpoint *ep, uint64_t now_us);
/* True if the STUN message is the proof. */
bool mapping_stun(struct eyelet_endpoint *ep, const uint8_t *bytes, size_t size);
void mapping_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us);
/* As eyelet_nat shows it. */
const char *mapping_text(const struct eyelet_endpoint *ep);

#endif
