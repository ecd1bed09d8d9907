/* SPDX-License-Identifier: BSD-2-Clause */
/* Politeness, enforced where packets are made: how much may still be sent, and to whom. Pure. */
#ifndef PUNCH_BUDGET_H
#define PUNCH_BUDGET_H

#include "stun/addr.h"

#define PUNCH_BUDGET_FIRST_100_MS 12 /* packets a side of one dial, plain punch */
#define PUNCH_BUDGET_FIRST_SECOND 40
#define PUNCH_BUDGET_UNATTESTED   5  /* packets a dial to an address that nobody has attested */
#define PUNCH_BUDGET_ADDRESSES    64 /* remembered at once, over all dials */
/* Over all dials: packets to one IP that has not answered, in any 10 seconds. */
#define PUNCH_BUDGET_PER_IP_10_S 200

/* Any 10 seconds touch at most three slots of 5. */
#define PUNCH_BUDGET_SLOTS   3
#define PUNCH_BUDGET_SLOT_US 5000000u

/* Shared by all dials of a host. Zero-initialised is ready. */
struct punch_budget {
    struct {
        struct stun_addr ip;               /* address part counts */
        uint64_t slot;                     /* number of the newest slot */
        uint32_t sent[PUNCH_BUDGET_SLOTS]; /* sent[0] is the newest */
    } to[PUNCH_BUDGET_ADDRESSES];
};

/* True, and counted, if one more packet may go to this address now. */
bool punch_budget_take(struct punch_budget *b, uint64_t now_us, const struct stun_addr *to);
/* The address has proven that it wants packets: its count starts anew. */
void punch_budget_answered(struct punch_budget *b, const struct stun_addr *to);

#endif
