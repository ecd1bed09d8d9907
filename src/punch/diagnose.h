/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a connection is not direct, and what would make it so, in sentences for people. Pure; the
 * only place where such sentences are. */
#ifndef PUNCH_DIAGNOSE_H
#define PUNCH_DIAGNOSE_H

#include "punch/punch.h"

#define DIAGNOSE_REASON_BYTES 320
#define DIAGNOSE_REMEDY_BYTES 240

struct diagnose_side {
    struct nat_profile profile; /* mapping unknown: not measured */
    bool no_udp;                /* no server has ever answered it over UDP, or seen it there */
    bool ipv6;                  /* it has a global IPv6 address */
    bool port_mapped;           /* its router has opened a port for it */
    bool behind_provider;       /* there are signs of a provider's NAT above its home router */
    bool hidden;                /* on purpose it shows no address */
};

struct diagnose_case {
    struct diagnose_side mine, theirs;
    enum punch_failure failure; /* NONE: nothing has failed (yet) */
    int error;                  /* errno, of PUNCH_FAILURE_SEND */
    bool searched;              /* a search by chance was made */
    bool no_search;             /* and is switched off here */
    bool same_public_address;   /* both are behind one NAT */
};

struct diagnosis {
    char reason[DIAGNOSE_REASON_BYTES]; /* what stands in the way; "" if nothing failed */
    char remedy[DIAGNOSE_REMEDY_BYTES]; /* what would help; "" if nothing is known to */
};

void diagnose(const struct diagnose_case *c, struct diagnosis *out);

#endif
