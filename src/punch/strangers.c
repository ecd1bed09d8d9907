/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses that nobody vouches for: a peer may name anybody's. */
#include <string.h>

#include "punch/engine.h"

/* That the peer was heard says little: who copies its packet can send it from any address, and a
 * copy whose original is lost is as good as the original. An answer can't be had so. */
static bool is_vouched_for(const struct punch *p, const struct pair *pair)
{
    return pair->attested || pair->proven || remote_ip_answered(p, &pair->remote) ||
           (pair->heard && remote_ip_attested(p, &pair->remote));
}

/* Where this address is, or may be; STRANGERS: there are too many of them. By address and not by
 * candidate: many ports must not add up to more, nor one that is named again and again. */
static size_t place_of(const struct punch *p, const struct stun_addr *addr)
{
    size_t i = 0;

    while (i < STRANGERS && p->strangers[i].sent > 0 &&
           !stun_addr_same_ip(&p->strangers[i].ip, addr))
        i++;
    return i;
}

/* An address that the peer has named, and was then heard from, may have used up the first half
 * before the peer was there. */
bool strangers_allow(const struct punch *p, const struct pair *pair, unsigned reserve)
{
    size_t i = place_of(p, &pair->remote);
    unsigned limit = PUNCH_BUDGET_UNATTESTED;

    if (is_vouched_for(p, pair))
        return true;
    if (pair->heard && pair->kind != PUNCH_PEER_REFLEXIVE)
        limit *= 2;
    if (i == STRANGERS || p->strangers[i].sent + reserve >= limit)
        return false;
    return p->budget == NULL || remote_ip_attested(p, &pair->remote) ||
           punch_budget_strange(p->budget, p->now_us, &pair->remote);
}

void strangers_count(struct punch *p, const struct pair *pair)
{
    size_t i = place_of(p, &pair->remote);

    if (is_vouched_for(p, pair) || i == STRANGERS)
        return;
    p->strangers[i].ip = pair->remote;
    p->strangers[i].sent++;
    if (p->budget != NULL && !remote_ip_attested(p, &pair->remote))
        punch_budget_count_strange(p->budget, p->now_us, &pair->remote);
}

void strangers_forget(struct punch *p)
{
    memset(p->strangers, 0, sizeof(p->strangers));
}
