/* SPDX-License-Identifier: BSD-2-Clause */
/* Where keepalives of one session have been seen to come from: the only addresses that the mediator
 * vouches for. Pure.
 *
 * One sequence for both families: were there two, a keepalive captured on one of them could be
 * replayed from an address of the other. */
#ifndef MEDIATOR_ATTESTED_H
#define MEDIATOR_ATTESTED_H

#include "rendezvous/wire.h"
#include "stun/stun.h"

#define ATTESTED_LIFETIME_US (180u * 1000000u)
#define ATTESTED_MAX         2

struct attested_address {
    struct stun_addr addr;
    uint64_t seen_us;
};

struct attested {
    uint8_t key[WIRE_SESSION_KEY_BYTES];
    uint64_t sequence; /* the largest accepted; 0 = none yet, and no keepalive may use 0 */
    struct attested_address address[ATTESTED_MAX]; /* IPv4, IPv6 */
};

/* A keepalive whose integrity is right. True: answer it. An old sequence attests nothing and is
 * answered only to the address that is attested already (its answer may have been lost). */
bool attested_keepalive(struct attested *attested, const struct stun_addr *from, uint64_t sequence,
                        uint64_t now_us);

/* Those that are fresh: 0 to 2. */
size_t attested_fresh(const struct attested *attested, uint64_t now_us,
                      struct stun_addr out[static ATTESTED_MAX]);

#endif
