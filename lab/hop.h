/* SPDX-License-Identifier: BSD-2-Clause */
/* What a router does to one IP packet, as pure functions: find its destination, take one from its
 * time to live (RFC 791, RFC 8200), and answer a packet that dies here (RFC 792, RFC 4443). */
#ifndef LAB_HOP_H
#define LAB_HOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOP_REPLY_BYTES 576 /* room for the answer to a packet that died (RFC 1812, 4.3.2.3) */

struct hop_addr {
    uint8_t bytes; /* 4, 16, or 0: none */
    uint8_t ip[16];
};

/* A prefix of an address: what lies behind one link. */
struct hop_prefix {
    struct hop_addr addr;
    uint8_t bits;
};

/* "203.0.113.0/24", "2001:db8::/32", or an address alone. */
bool hop_prefix_parse(const char *text, struct hop_prefix *prefix);
bool hop_prefix_has(const struct hop_prefix *prefix, const struct hop_addr *addr);

/* False: not a whole IPv4 or IPv6 packet. */
bool hop_destination(const uint8_t *packet, size_t size, struct hop_addr *to);

/* Takes one from the time to live of a packet that hop_destination has accepted. False: it dies
 * here, unchanged. */
bool hop_age(uint8_t *packet);

/* ICMP time exceeded from router about a packet that died. Returns its size; 0: no answer is due
 * (it was itself an ICMP error or a later fragment, or router is of the other family). */
size_t hop_time_exceeded(uint8_t out[static HOP_REPLY_BYTES], const uint8_t *packet, size_t size,
                         const struct hop_addr *router);
/* The same, about a packet to a port where nobody is. */
size_t hop_port_unreachable(uint8_t out[static HOP_REPLY_BYTES], const uint8_t *packet, size_t size,
                            const struct hop_addr *router);

#endif
