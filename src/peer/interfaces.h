/* SPDX-License-Identifier: BSD-2-Clause */
/* The addresses of this machine's own interfaces that are worth telling a peer. */
#ifndef PEER_INTERFACES_H
#define PEER_INTERFACES_H

#include "stun/addr.h"

#define INTERFACES_MAX_A_FAMILY 4
#define INTERFACES_MAX          (2 * INTERFACES_MAX_A_FAMILY)
#define INTERFACES_FAMILIES     (STUN_IPV6 + 1) /* arrays by enum stun_family */

struct interfaces {
    /* IPv4 first; in each family the source first. Port 0. */
    struct stun_addr addresses[INTERFACES_MAX];
    size_t count;
    /* What the kernel would send from to the Internet; none: there is no way to it. */
    struct stun_addr source[INTERFACES_FAMILIES];
};

/* One address as the kernel lists it. */
struct interface_address {
    struct stun_addr addr;
    const char *name; /* of the interface */
    bool running, loopback;
    bool temporary, unfit; /* IPv6: made for privacy; deprecated, or not known to be unique yet */
};

/* Left out are loopback, link-local and unfit addresses, and the bridges of containers and virtual
 * machines, which no peer can reach. Of the IPv6 addresses in one /64 one is enough: the source,
 * else one that stays. Pure. */
void interfaces_choose(const struct interface_address *listed, size_t count,
                       const struct stun_addr source[static INTERFACES_FAMILIES],
                       struct interfaces *out);

/* As the machine is now. */
void interfaces_look(struct interfaces *out);
/* The same addresses, in any order, and the same sources. */
bool interfaces_equal(const struct interfaces *a, const struct interfaces *b);
/* The first of a family; none. */
struct stun_addr interfaces_first(const struct interfaces *i, enum stun_family family);

/* What the kernel would send from to this address; none if it has no way. Nothing is sent. */
struct stun_addr interfaces_source_to(const struct stun_addr *to);
/* Whether this machine has the address, on whichever interface. */
bool interfaces_has(const struct stun_addr *own);

#endif
