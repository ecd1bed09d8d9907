/* SPDX-License-Identifier: BSD-2-Clause */
/* What a peer has published, kept small, and what of it another peer gets to see. Pure. */
#ifndef MEDIATOR_COORDINATES_H
#define MEDIATOR_COORDINATES_H

#include "rendezvous/wire.h"

struct coordinates_candidate {
    uint8_t kind; /* wire_CandidateKind */
    struct stun_addr address;
};

struct coordinates {
    wire_Profile profile;
    bool hidden; /* on purpose without candidates, attested ones included */
    uint8_t count;
    struct coordinates_candidate candidate[WIRE_MAX_CANDIDATES];
};

/* Where a peer is, as far as the mediator itself has seen. */
struct coordinates_whereabouts {
    struct stun_addr attested[2];
    size_t attested_count;
    struct stun_addr control; /* where its TLS session comes from */
};

/* Takes over what a client sent, without attested flags (those are the mediator's to give) and
 * without addresses that no other peer could use: loopback, link-local, not usable. */
void coordinates_take(const wire_Coordinates *in, struct coordinates *out);

/* Whether both come from one public address, or over IPv6 one /64. What is attested counts; where
 * nothing of a family is, the source of the TLS session stands in for it. */
bool coordinates_same_public(const struct coordinates_whereabouts *a,
                             const struct coordinates_whereabouts *b);

/* What another peer sees: attested addresses first, then the claimed ones in their order. Claimed
 * private addresses, of whatever kind, only with same_public: they say much about a network and are
 * of no use outside of it, except for having others send packets into *their* network. */
void coordinates_show(const struct coordinates *from, const struct coordinates_whereabouts *where,
                      bool same_public, wire_Coordinates *out);

#endif
