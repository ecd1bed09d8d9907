/* SPDX-License-Identifier: BSD-2-Clause */
/* How a NAT gives out its ports: observations that can be compared with each other, in the order of
 * sending -> allocation, step, foreign rate and block of a profile. Pure; the rules stand in
 * profile.h. */
#ifndef NAT_ALLOCATION_H
#define NAT_ALLOCATION_H

#include "nat/profile.h"

/* At most NAT_MAX_OBSERVATIONS; out->mapping must be known already. */
void nat_allocation_find(const struct nat_observation *const *obs, size_t count,
                         struct nat_profile *out);

/* Few mappings so far, but all close together: worth asking for more. */
bool nat_block_suspected(const struct nat_observation *obs, size_t count);

#endif
