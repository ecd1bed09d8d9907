/* SPDX-License-Identifier: BSD-2-Clause */
/* What is asked of a router, and what it gave. */
#ifndef PORTMAP_LEASE_H
#define PORTMAP_LEASE_H

#include "portmap/gateway.h"
#include "portmap/portmap.h"

#define LEASE_NONCE_BYTES   12
#define LEASE_SHORTEST_S    10    /* a router that gives less would have to be asked all the time */
#define LEASE_LONGEST_S     86400 /* longer ones are renewed as if they were so long */
#define LEASE_URL_BYTES     128
#define LEASE_IP_TEXT_BYTES 16

enum lease_result {
    LEASE_MADE,
    LEASE_REFUSED, /* it answered, but not with a mapping that is of use; `why` says so */
    LEASE_SILENT,  /* nothing that speaks the protocol is there */
    LEASE_STOPPED, /* told to give up */
};

/* Where the commands of UPnP go: always to the gateway's own address. */
struct lease_control {
    uint16_t port;
    char path[LEASE_URL_BYTES];
    char service[LEASE_URL_BYTES]; /* urn:schemas-upnp-org:service:WANIPConnection:1 and the like */
};

struct lease {
    /* Asked for. */
    struct gateway gateway;
    uint16_t internal_port;
    uint16_t wanted_port;
    uint32_t wanted_s;
    uint8_t nonce[LEASE_NONCE_BYTES]; /* of PCP: the same one renews and removes it */
    /* Given. */
    enum portmap_protocol protocol; /* PORTMAP_NO_PROTOCOL: no mapping */
    enum portmap_protocol spoken;   /* that the router answered to at all */
    /* A request went out whose answer has not come: the mapping may exist. */
    enum portmap_protocol unanswered;
    struct stun_addr external; /* address and port */
    struct stun_addr router;   /* the outer address alone; may be known without a mapping */
    uint32_t lifetime_s;       /* 0: until it is removed */
    uint32_t epoch_s;          /* the router's clock (PCP, NAT-PMP), and when it said so */
    uint64_t epoch_us;
    bool forgot; /* the last answer showed that the router had lost its mappings */
    struct lease_control control;
    /* Not given: sentences, one after the other. */
    char why[PORTMAP_REASON_BYTES];
};

/* Whether a router can have this address on its outer side. */
bool lease_is_outer_address(const struct lease *l, const struct stun_addr *addr);

/* An IPv4 address without port; returns text. */
const char *lease_ip_text(const struct stun_addr *addr, char text[static LEASE_IP_TEXT_BYTES]);

/* The router's clock as it says; sets l->forgot if it does not go on from what it said before
 * (RFC 6887, 8.5; RFC 6886, 3.6). */
void lease_epoch(struct lease *l, uint32_t epoch_s, uint64_t now_us);

/* Adds to l->why. */
void lease_blame(struct lease *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
