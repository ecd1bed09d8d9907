/* SPDX-License-Identifier: BSD-2-Clause */
/* The sessions of a NAT: who inside talks to which remote, seen outside as what. Fixed memory,
 * found by hash; entries whose time is over are as good as gone. */
#ifndef LAB_NAT_TABLE_H
#define LAB_NAT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stun/addr.h"

#define NAT_TABLE_NONE UINT32_MAX

enum nat_table_chain {
    NAT_TABLE_FLOW,    /* inside and remote */
    NAT_TABLE_INSIDE,  /* inside */
    NAT_TABLE_RETURN,  /* outside and remote */
    NAT_TABLE_OUTSIDE, /* outside */
    NAT_TABLE_CHAINS
};

struct nat_session {
    struct stun_addr inside; /* none: a connection of the router itself */
    struct stun_addr remote, outside;
    uint8_t protocol;
    bool answered, blacklisted, used;
    uint32_t unasked;   /* packets in the window */
    uint64_t window_us; /* when it began */
    uint64_t expires_us;
    uint32_t next[NAT_TABLE_CHAINS], before[NAT_TABLE_CHAINS];
};

struct nat_table {
    struct nat_session *session;
    uint32_t *bucket;       /* chains x buckets */
    uint32_t room, buckets; /* buckets: a power of two */
    uint32_t used, fresh;   /* fresh: slots never used begin here */
    uint32_t free;          /* chain of slots given back, by next[0] */
    uint64_t earliest_us;   /* nothing expires before */
};

size_t nat_table_bytes(uint32_t room);
/* Takes as many sessions as fit, at most limit (0: no limit). False: not one. */
bool nat_table_init(struct nat_table *t, void *memory, size_t memory_bytes, uint32_t limit);
void nat_table_clear(struct nat_table *t);

/* The first of a chain; then the next with session->next[chain]. Newest first. Sessions of other
 * keys share chains: compare. */
uint32_t nat_table_flow(const struct nat_table *t, const struct stun_addr *inside,
                        const struct stun_addr *remote);
uint32_t nat_table_inside(const struct nat_table *t, const struct stun_addr *inside);
uint32_t nat_table_return(const struct nat_table *t, const struct stun_addr *outside,
                          const struct stun_addr *remote);
uint32_t nat_table_outside(const struct nat_table *t, const struct stun_addr *outside);

/* Copies the session, whose chains it fills in. NULL: full of live ones. Reuses what is over. */
struct nat_session *nat_table_add(struct nat_table *t, uint64_t now_us,
                                  const struct nat_session *session);
void nat_table_remove(struct nat_table *t, struct nat_session *session);
/* Gives back all that are over. */
void nat_table_sweep(struct nat_table *t, uint64_t now_us);

#endif
