/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses that belong to one user for the purpose of limits: an IPv4 address, or the /56 that a
 * provider gives to an IPv6 customer. */
#ifndef MEDIATOR_PREFIX_H
#define MEDIATOR_PREFIX_H

#include "stun/addr.h"

#define PREFIX_HASH_KEY_BYTES 16

/* Never 0 for an address; 0 for none. */
uint64_t prefix_of(const struct stun_addr *addr);

/* Keyed, so that nobody can choose addresses that collide. */
uint64_t prefix_hash(uint64_t prefix, const uint8_t key[static PREFIX_HASH_KEY_BYTES]);

#endif
