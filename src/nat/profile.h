/* SPDX-License-Identifier: BSD-2-Clause */
/* Observations of bounce servers -> how this NAT behaves. Pure.
 *
 * The seed's consistency check, generalised: two sockets ask up to four bounce endpoints (two
 * addresses x two ports). Same public port everywhere = endpoint-independent mapping; otherwise
 * the differences between consecutive public ports tell how ports are allocated. What could not
 * be learned is *_UNKNOWN, never guessed. Terms: RFC 4787, 4.1 and 4.2. */
#ifndef NAT_PROFILE_H
#define NAT_PROFILE_H

#include "stun/addr.h"

enum nat_mapping {
    NAT_MAPPING_UNKNOWN = 0,
    NAT_MAPPING_NONE = 1, /* public address == own address: no NAT */
    NAT_MAPPING_ENDPOINT_INDEPENDENT = 2,
    /* Depends on the address. That it does not depend on the port as well is certain only if one
     * address answered from two ports: this is what was seen, not more. */
    NAT_MAPPING_ADDRESS_DEPENDENT = 3,
    NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT = 4,
};

enum nat_allocation {
    NAT_ALLOCATION_UNKNOWN = 0,
    NAT_ALLOCATION_PRESERVING = 1, /* public port == private port */
    NAT_ALLOCATION_SEQUENTIAL = 2, /* consecutive mappings differ by step */
    NAT_ALLOCATION_OTHER = 3,      /* neither: random, as far as could be seen */
    NAT_ALLOCATION_BLOCK = 4, /* without order, but within one block of ports: see block_ports */
};

enum nat_pooling {
    NAT_POOLING_UNKNOWN = 0,
    NAT_POOLING_ONE = 1,  /* one public address seen everywhere */
    NAT_POOLING_MANY = 2, /* several public addresses: a pool */
};

/* RFC 4787, 5. */
enum nat_filtering {
    NAT_FILTERING_UNKNOWN = 0,
    NAT_FILTERING_ENDPOINT_INDEPENDENT = 1,
    NAT_FILTERING_ADDRESS_DEPENDENT = 2,
    NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT = 3,
};

/* What an unsolicited packet does that comes before our own: on Linux routers that accept packets
 * to themselves it takes the public port away from the local flow (the INPUT ACCEPT trap). */
enum nat_early {
    NAT_EARLY_UNKNOWN = 0,
    NAT_EARLY_HARMLESS = 1,
    NAT_EARLY_POISONOUS = 2,
};

enum nat_hairpin { /* RFC 4787, 6 */
                   NAT_HAIRPIN_UNKNOWN = 0,
                   NAT_HAIRPIN_NO = 1,
                   NAT_HAIRPIN_YES = 2,
};

/* One answer of a bounce server, in the order in which the requests were *sent*. */
struct nat_observation {
    uint16_t socket;         /* which of our sockets asked; small numbers */
    struct stun_addr local;  /* its own address and port on the interface */
    struct stun_addr server; /* whom it asked */
    struct stun_addr mapped; /* what the server saw */
    uint64_t sent_us;        /* when it was asked; 0: not known */
};

#define NAT_MAX_OBSERVATIONS 40

struct nat_profile {
    enum nat_mapping mapping;
    enum nat_allocation allocation;
    enum nat_pooling pooling;
    enum nat_filtering filtering;
    enum nat_early early;
    enum nat_hairpin hairpin;
    int32_t step;                /* ports between consecutive mappings; only for SEQUENTIAL */
    uint32_t foreign_per_1000_s; /* mappings that others take, only for SEQUENTIAL; from samples */
    uint32_t block_ports;        /* size of the block, only for BLOCK; 0 otherwise */
    uint16_t block_first;        /* its first port */
    uint16_t lifetime_s;         /* of an idle mapping, at least; 0: unknown */
    uint8_t opener_ttl; /* just enough to leave our outermost NAT; 0: unknown. Own use only */
    struct stun_addr public_addr; /* of the data socket (socket 0) as seen last; none if unknown */
    uint8_t endpoints_seen;       /* distinct bounce endpoints that answered */
};

#define NAT_BURST_US 200000u
#define NAT_RATE_US  400000u

/* At most NAT_MAX_OBSERVATIONS are looked at. With none, everything is unknown.
 *
 * Left out: answers without an address; another address family than that of the first answer;
 * everything before an answer that contradicts an earlier one (the same socket at another local
 * address, or seen differently by the same endpoint: the NAT has restarted or the host has moved);
 * and servers on our side of the NAT, which see a private address unchanged while others do not.
 *
 * mapping: only answers to the same socket are compared. Different towards two ports of one
 * address: address and port. Different towards two addresses: address. Equal towards two
 * addresses: endpoint-independent. Equal towards two ports of one address only, or one endpoint
 * only: unknown. If the data socket (socket 0) alone shows endpoint-independence, that counts, even
 * if another socket was remapped towards some endpoint.
 *
 * allocation: over all mappings in the order of sending (one per socket for an
 * endpoint-independent NAT). All ports kept: preserving. All distances in one direction, at most
 * 64, on the ring 1024..65535: sequential, the step being their common divisor, so that mappings
 * of others in between do no harm; one jump back is a range that started over, if three distances
 * stand against it. If not over all mappings, then over those of each public address, or of each
 * socket. Where the times of sending are known, mappings more than NAT_BURST_US apart are not
 * consecutive. NAT_BLOCK_MAPPINGS or more mappings within one block of ports (block.h): block. Two
 * mappings and none of these: other. One mapping that did not keep its port: unknown.
 *
 * foreign_per_1000_s: what a sequence advanced by beyond our own mappings, over the time from the
 * first to the last of them; 0 also if that was less than NAT_RATE_US, or a thousand a second.
 *
 * pooling: unknown until at least two endpoints, or an endpoint and two sockets, have been heard.
 */
void nat_profile_from(const struct nat_observation *obs, size_t count, struct nat_profile *out);

/* True when the public address learned towards a bounce server is also what a peer will see. */
bool nat_profile_is_consistent(const struct nat_profile *p);

const char *nat_mapping_text(enum nat_mapping m);       /* "endpoint-independent", ... */
const char *nat_allocation_text(enum nat_allocation a); /* "preserving", ... */
const char *nat_filtering_text(enum nat_filtering f);   /* "endpoint-independent", ... */
const char *nat_pooling_text(enum nat_pooling p);       /* "one address", "several addresses" */
const char *nat_early_text(enum nat_early e);           /* "harmless", "poisonous" */
const char *nat_hairpin_text(enum nat_hairpin h);       /* "no", "yes" */

#endif
