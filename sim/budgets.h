/* SPDX-License-Identifier: BSD-2-Clause */
/* How much each side has sent to whom, as the rules see it: what the engine was told about an
 * address, what was heard from there, and whether the packets keep the budgets. */
#ifndef SIM_BUDGETS_H
#define SIM_BUDGETS_H

#include "sim/rules.h"

/* NULL: nothing is known of this address. */
struct rules_target *budgets_find(struct rules_side *side, const struct stun_addr *addr);
/* The same, from now on known. NULL: there are too many. */
struct rules_target *budgets_target(struct rules_side *side, const struct stun_addr *addr);
/* Whether the peer lives at this IP address: the mediator says so, or a check was answered. */
bool budgets_attested(const struct rules_side *side, const struct stun_addr *addr);
bool budgets_proven(const struct rules_side *side, const struct punch_pair *pair);

/* A packet leaves: of any kind; of the plain punch; a check. */
void budgets_unattested(struct world *w, uint32_t host, const struct stun_addr *to);
void budgets_plain(struct world *w, uint32_t host);
void budgets_request(struct world *w, uint32_t host, const struct punch_pair *pair);

#endif
