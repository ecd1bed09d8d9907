/* SPDX-License-Identifier: BSD-2-Clause */
/* Which public address and port a new mapping of a NAT gets. */
#ifndef LAB_NAT_PORTS_H
#define LAB_NAT_PORTS_H

#include "lab/nat_model.h"

/* A session that does not exist yet: protocol, inside and remote are filled in; outside becomes
 * what it shall have. False: no port is left, or too many hosts. */
bool nat_ports_allocate(struct nat_model *n, uint64_t now_us, struct nat_session *session);

/* A number below limit, which must not be 0. */
uint32_t nat_ports_below(struct nat_model *n, uint32_t limit);

/* Sequences begin anywhere again. */
void nat_ports_reset(struct nat_model *n);

#endif
