/* SPDX-License-Identifier: BSD-2-Clause */
/* SSDP: who in the LAN is an Internet gateway device (UPnP Device Architecture 1.1, part 1). */
#ifndef PORTMAP_SSDP_H
#define PORTMAP_SSDP_H

#include "portmap/lease.h"

#define SSDP_PACKET_BYTES 1500

/* Where the description of a device is, always on the gateway itself. */
struct ssdp_place {
    uint16_t port;
    char path[LEASE_URL_BYTES];
};

/* A socket that has asked for gateways; -1: none. Close it. */
int ssdp_open(const struct gateway *gateway);
/* Asks (once more): the multicast group, and the gateway alone, which some answer at once. */
void ssdp_search(int fd, const struct gateway *gateway);

/* The next answer that came from the gateway and leads to it. False: nothing (of use) has come. */
bool ssdp_receive(int fd, const struct gateway *gateway, struct ssdp_place *out);

/* One answer. `router` is whose it must be. */
bool ssdp_parse(const char *bytes, size_t length, const struct stun_addr *router,
                struct ssdp_place *out);

#endif
