/* SPDX-License-Identifier: BSD-2-Clause */
/* A mapping by PCP or, where the router does not know that, NAT-PMP: both are asked at once. */
#ifndef PORTMAP_ASK_H
#define PORTMAP_ASK_H

#include "portmap/lease.h"
#include "portmap/patience.h"

/* Makes the mapping that l asks for, or renews the one it has. protocols: bits 1 << enum
 * portmap_protocol. Takes at most 1.5 s. */
enum lease_result ask_map(const struct patience *p, struct lease *l, unsigned int protocols);

/* Removes what l has, or may have, by l->protocol (PCP or NAT-PMP). Takes at most 1 s. */
void ask_unmap(const struct patience *p, const struct lease *l, enum portmap_protocol protocol);

#endif
