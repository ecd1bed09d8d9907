/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a session has shown to be: addresses from which its keepalives came and at which it has
 * received what they echo. The only ones that the mediator vouches for, and the only ones that the
 * relay sends to. Pure. */
#ifndef MEDIATOR_ATTESTED_H
#define MEDIATOR_ATTESTED_H

#include "rendezvous/wire.h"
#include "stun/stun.h"

#define ATTESTED_LIFETIME_US (180u * 1000000u)
#define ATTESTED_MAX         2

/* The way back matters too: a NAT may give every destination another mapping, so what goes to this
 * address must come from where its keepalive went. */
struct attested_address {
    struct stun_addr addr;
    struct stun_addr asked; /* our own end; none where the socket has an address of its own */
    uint64_t seen_us;       /* the keepalive */
    uint64_t heard_us;      /* anything that this session has sent */
    uint8_t socket;         /* the bounce socket to which it came */
};

struct attested {
    uint8_t key[WIRE_SESSION_KEY_BYTES];
    /* By family, IPv4 first. */
    uint64_t sequence[ATTESTED_MAX]; /* the largest accepted; 0 = none yet, and none may use 0 */
    struct attested_address address[ATTESTED_MAX];
};

enum attested_verdict {
    ATTESTED_SILENCE,
    ATTESTED_CHALLENGE, /* answer it with what the next one is to echo */
    ATTESTED_ANSWER,
};

/* A keepalive whose integrity is right; from: with the socket and our address that it came to;
 * echoes: it has what we have sent to that address. An old sequence attests nothing, so that a
 * captured keepalive is worth nothing once a newer one has come; it is answered only to the address
 * that is attested already (its answer may have been lost). */
enum attested_verdict attested_keepalive(struct attested *attested,
                                         const struct attested_address *from, uint64_t sequence,
                                         bool echoes, uint64_t now_us);

/* Those that are fresh: 0 to 2. */
size_t attested_fresh(const struct attested *attested, uint64_t now_us,
                      struct stun_addr out[static ATTESTED_MAX]);

/* Whether a datagram from here is this session's, which is then the last that was heard of it. */
bool attested_heard(struct attested *attested, const struct stun_addr *from, uint64_t now_us);

/* Of the fresh ones that from which something came last, or NULL. */
const struct attested_address *attested_latest(const struct attested *attested, uint64_t now_us);

#endif
