/* SPDX-License-Identifier: BSD-2-Clause */
/* Carries packets from one place to another, through NATs and routers. */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include "stun/addr.h"

struct world;
struct world_packet;

struct network_datagram {
    uint8_t who;  /* enum world_who */
    uint8_t kind; /* enum attacker_kind */
    struct stun_addr src, dst;
    uint8_t ttl;      /* 0: the system's default */
    uint64_t sent_us; /* of a copy: when the original was; 0: now */
    const uint8_t *bytes;
    uint16_t size;
};

/* From a host's interface. */
void network_send(struct world *w, uint32_t host, const struct network_datagram *d);
/* From anywhere in the middle of the Internet, whatever the source address says. */
void network_inject(struct world *w, const struct network_datagram *d);
/* A packet arrives at the next gate of its way. Its number is given back. */
void network_arrive(struct world *w, uint32_t number);

/* Where a datagram would come out at this moment if nothing were lost: true, and the host with the
 * addresses as that host sees them; false, and why in a few words. It leaves its traces in the NATs
 * like any other. */
bool network_reach(struct world *w, uint32_t host, const struct stun_addr *src,
                   const struct stun_addr *dst, uint32_t *to, struct stun_addr *seen_src,
                   struct stun_addr *seen_dst, const char **why);

#endif
