/* SPDX-License-Identifier: BSD-2-Clause */
/* One UDP port on the router, kept open: PCP (RFC 6887), NAT-PMP (RFC 6886) and UPnP IGD.
 *
 *   portmap_start --> ASKING --> MAPPED    the router has a public address
 *                        |   |-> INNER     mapped, but above the router is another NAT
 *                        |   `-> NONE      portmap_state.reason says why
 *                        `<- again: at half of the lifetime, when the router forgot, after
 *                            portmap_moved, and from NONE with growing gaps (a minute to an hour)
 *
 * A thread of its own talks to the router; no call here blocks but portmap_stop. What a router says
 * is not believed: the mapping counts only after an answer of a bounce server has come in through
 * it, which the caller arranges (portmap_proof). */
#ifndef PORTMAP_PORTMAP_H
#define PORTMAP_PORTMAP_H

#include "stun/addr.h"

#define PORTMAP_REASON_BYTES 160

enum portmap_protocol { PORTMAP_NO_PROTOCOL = 0, PORTMAP_PCP, PORTMAP_NAT_PMP, PORTMAP_UPNP };

enum portmap_status {
    PORTMAP_ASKING = 0, /* nothing is known yet; takes less than 5 s */
    PORTMAP_NONE,       /* no mapping; will be tried again */
    PORTMAP_INNER,      /* `mapped` is of use only to neighbours behind the same provider's NAT */
    PORTMAP_MAPPED,
};

struct portmap_config {
    uint16_t internal_port; /* the local port of the caller's IPv4 UDP socket */
    /* Wanted on the router; 0: a random one above 20000 that is not internal_port, so that it can
     * be proven (portmap_proof). The router may give another one. */
    uint16_t external_port;
    uint32_t lifetime_s; /* to ask for; 0: 7200. Renewed at half of what the router gives */
    uint32_t check_s;    /* how often a router is asked whether it forgot; 0: 60, and by UPnP 600 */
    uint8_t protocols;   /* bits 1 << enum portmap_protocol; 0: all */
    const char *interface; /* use the default route of this device; NULL: of any. Copied */
};

struct portmap_state {
    enum portmap_status status;
    enum portmap_protocol protocol; /* of the mapping; without one: that the router answered to */
    struct stun_addr mapped;        /* MAPPED, INNER: the port of the router; otherwise none */
    /* The router's own outer address, port 0; also without a mapping. None: it did not say, or said
     * nonsense (loopback, multicast, 0.0.0.0, ...). */
    struct stun_addr router;
    bool behind_nat;           /* `router` is private or shared: a NAT (CGN) above it */
    struct stun_addr gateway;  /* the router's address in the LAN, port 0; none: no default route */
    struct stun_addr internal; /* where the mapping leads to, MAPPED and INNER */
    uint32_t lifetime_s;       /* of the mapping, as given; 0: until it is removed */
    /* Grows whenever the mapping was made anew or lost, or came to lead elsewhere: what had been
     * proven must be proven again. A renewal leaves it as it is. */
    uint32_t generation;
    char reason[PORTMAP_REASON_BYTES]; /* NONE and INNER: a sentence for a person; otherwise "" */
};

/* How an answer of a bounce server shows that the mapping lets strangers in. */
enum portmap_proof {
    PORTMAP_NOT_PROVABLE, /* not MAPPED, or the world sees another address than the router's */
    /* Ask from the mapped socket (or another one of the host) with RESPONSE-PORT = mapped.port: no
     * packet of ours has opened that port, so an answer means that the mapping works. */
    PORTMAP_BY_RESPONSE_PORT,
    /* The router gave the very port that the NAT uses anyway: only an answer from a bounce endpoint
     * that this socket has never sent to (CHANGE-REQUEST) shows the difference. */
    PORTMAP_BY_CHANGE_REQUEST,
};

struct portmap;

/* NULL: out of memory, descriptors or threads, or internal_port is 0. */
struct portmap *portmap_start(const struct portmap_config *config);

/* Readable when there is something to poll. Belongs to pm. */
int portmap_fd(const struct portmap *pm);

/* *state as it is now. True if it differs from what the last call gave; makes the fd unreadable. */
bool portmap_poll(struct portmap *pm, struct portmap_state *state);

/* The network changed, or there is a doubt (the public address changed, a proof failed): looks for
 * the router again and asks anew, at once; several calls within 2 s count as one. internal_port:
 * the socket's port if it changed, otherwise 0. */
void portmap_moved(struct portmap *pm, uint16_t internal_port);

/* Removes the mapping, ends the thread and frees pm, within 2 s whatever the router does. NULL is
 * allowed. */
void portmap_stop(struct portmap *pm);

/* `seen` is the socket's address as the mediator or a bounce server sees it. */
enum portmap_proof portmap_proof(const struct portmap_state *state, const struct stun_addr *seen);

/* "PCP", "NAT-PMP", "UPnP", "none": as eyelet_nat.port_mapping shows it. */
const char *portmap_protocol_name(enum portmap_protocol protocol);

#endif
