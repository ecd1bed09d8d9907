/* SPDX-License-Identifier: BSD-2-Clause */
/* The addresses of this machine's own interfaces that are worth telling a peer. */
#ifndef PEER_INTERFACES_H
#define PEER_INTERFACES_H

#include "stun/addr.h"

#define INTERFACES_MAX 4

/* IPv4 addresses, the one of the default route first; port 0. Left out are loopback, link-local,
 * and the bridges of containers and virtual machines, which no peer can reach. Returns how many. */
size_t interfaces_addresses(struct stun_addr out[static INTERFACES_MAX]);

#endif
