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
/* Over all dials: packets to one IP at which nobody has seen the peer, in a minute. */
#define PUNCH_BUDGET_STRANGER_MINUTE 20
#define PUNCH_BUDGET_MINUTE_US       60000000u

/* The same for a search, which is allowed only where the peer itself was seen. */
#define PUNCH_BUDGET_SEARCH_PER_IP_10_S 560
#define PUNCH_BUDGET_SEARCH_PAUSE_US    20000000u   /* between two searches of a host */
#define PUNCH_BUDGET_SEARCH_LONGEST_US  10000000u   /* of one */
#define PUNCH_BUDGET_SEARCH_MEMORY_US   3600000000u /* of a failed one, between two networks */
#define PUNCH_BUDGET_SEARCHES           16          /* failed ones that are remembered */

/* Any 10 seconds touch at most three slots of 5. */
#define PUNCH_BUDGET_SLOTS   3
#define PUNCH_BUDGET_SLOT_US 5000000u

/* Shared by all dials of a host. Zero-initialised is ready. */
struct punch_budget {
    struct {
        struct stun_addr ip;               /* address part counts */
        uint64_t slot;                     /* number of the newest slot */
        uint32_t sent[PUNCH_BUDGET_SLOTS]; /* sent[0] is the newest */
        uint32_t searched[PUNCH_BUDGET_SLOTS];
    } to[PUNCH_BUDGET_ADDRESSES];
    struct {
        struct stun_addr ip; /* address part */
        uint64_t from_us;    /* when the minute began */
        uint32_t sent;
    } strange[PUNCH_BUDGET_ADDRESSES];
    uint64_t search_from_us; /* no new search before */
    struct {
        struct stun_addr mine, theirs; /* address parts */
        uint64_t until_us;
    } failed[PUNCH_BUDGET_SEARCHES];
    size_t next_failed;
};

/* True, and counted, if one more packet may go to this address now. */
bool punch_budget_take(struct punch_budget *b, uint64_t now_us, const struct stun_addr *to);
/* True if one more packet may go to an address at which nobody has seen the peer; such packets
 * count here, too. */
bool punch_budget_strange(const struct punch_budget *b, uint64_t now_us,
                          const struct stun_addr *to);
void punch_budget_count_strange(struct punch_budget *b, uint64_t now_us,
                                const struct stun_addr *to);
/* The address has proven that it wants packets: its counts start anew. */
void punch_budget_answered(struct punch_budget *b, const struct stun_addr *to);

/* ---- searches: one at a time, with pauses ---- */

/* When a search between these networks may begin: 0: now; UINT64_MAX: not for long, one has just
 * failed. */
uint64_t punch_budget_search_from(const struct punch_budget *b, uint64_t now_us,
                                  const struct stun_addr *mine, const struct stun_addr *theirs);
/* Until punch_budget_search_end, or for at most PUNCH_BUDGET_SEARCH_LONGEST_US, no other begins. */
void punch_budget_search_begin(struct punch_budget *b, uint64_t now_us);
void punch_budget_search_end(struct punch_budget *b, uint64_t now_us, bool found,
                             const struct stun_addr *mine, const struct stun_addr *theirs);
/* Like punch_budget_take, for a packet of a search. */
bool punch_budget_take_search(struct punch_budget *b, uint64_t now_us, const struct stun_addr *to);

#endif
