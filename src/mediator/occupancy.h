/* SPDX-License-Identifier: BSD-2-Clause */
/* How many sessions each address prefix holds at this moment. Pure. */
#ifndef MEDIATOR_OCCUPANCY_H
#define MEDIATOR_OCCUPANCY_H

#include "mediator/prefix.h"

struct occupancy;

struct occupancy *occupancy_new(void); /* NULL: out of memory */
void occupancy_free(struct occupancy *occupancy);

/* Counts one more, unless its prefix holds `most` already or memory is short. */
bool occupancy_enter(struct occupancy *occupancy, const struct stun_addr *addr, uint32_t most);
/* Once for each successful enter. */
void occupancy_leave(struct occupancy *occupancy, const struct stun_addr *addr);
uint32_t occupancy_of(const struct occupancy *occupancy, const struct stun_addr *addr);

#endif
