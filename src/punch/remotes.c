/* SPDX-License-Identifier: BSD-2-Clause */
/* The peer's addresses. */
#include <string.h>

#include "punch/engine.h"

/* Where the peer has answered, it lives, for so long. */
#define LIVES_THERE_US (600 * (uint64_t)SECOND)

static bool is_ours(const struct punch *p, const struct stun_addr *addr)
{
    for (size_t i = 0; i < PUNCH_SEARCH_SOCKET; i++) {
        if (p->sockets[i].open && stun_addr_equal(&p->sockets[i].local, addr))
            return true;
    }
    return false;
}

struct remote *remote_find(struct punch *p, const struct stun_addr *addr)
{
    for (size_t i = 0; i < p->remote_count; i++) {
        if (stun_addr_equal(&p->remotes[i].addr, addr))
            return &p->remotes[i];
    }
    return NULL;
}

/* A place for another one: new, or that of a dropped one. */
static struct remote *place(struct punch *p)
{
    if (p->remote_count < PUNCH_MAX_CANDIDATES)
        return &p->remotes[p->remote_count++];
    for (size_t i = 0; i < p->remote_count; i++) {
        if (p->remotes[i].gone)
            return &p->remotes[i];
    }
    return NULL;
}

struct remote *remote_add(struct punch *p, enum punch_kind kind, const struct stun_addr *addr,
                          bool attested)
{
    struct remote *r = remote_find(p, addr);

    if (r == NULL) {
        if (!stun_addr_is_usable(addr) || is_ours(p, addr) || (r = place(p)) == NULL)
            return NULL;
        memset(r, 0, sizeof(*r));
        r->addr = *addr;
        r->kind = (uint8_t)kind;
    } else if (r->kind == PUNCH_PEER_REFLEXIVE || r->gone) {
        r->kind = (uint8_t)kind;
    }
    if (kind != PUNCH_PEER_REFLEXIVE && (r->stale || r->gone))
        r->attested = false; /* that was then */
    if (kind != PUNCH_PEER_REFLEXIVE || r->gone)
        r->stale = r->gone = false;
    r->attested = r->attested || attested;
    return r;
}

bool remote_ip_attested(const struct punch *p, const struct stun_addr *addr)
{
    for (size_t i = 0; i < p->remote_count; i++) {
        if (p->remotes[i].attested && stun_addr_same_ip(&p->remotes[i].addr, addr))
            return true;
    }
    return false;
}

bool remote_ip_answered(const struct punch *p, const struct stun_addr *addr)
{
    for (size_t i = 0; i < p->remote_count; i++) {
        const struct remote *r = &p->remotes[i];

        if (r->answered_us != 0 && p->now_us < r->answered_us + LIVES_THERE_US &&
            stun_addr_same_ip(&r->addr, addr))
            return true;
    }
    return false;
}

const struct remote *remote_public(const struct punch *p, uint8_t family)
{
    for (size_t i = 0; i < p->remote_count; i++) {
        const struct remote *r = &p->remotes[i];

        if (r->attested && r->addr.family == family && !stun_addr_is_private(&r->addr))
            return r;
    }
    /* In a test network, and behind a carrier's NAT, the address that was attested is a private
     * one. */
    for (size_t i = 0; i < p->remote_count; i++) {
        const struct remote *r = &p->remotes[i];

        if (r->attested && r->addr.family == family)
            return r;
    }
    return NULL;
}

/* True if the peer is there now; else its pairs are given up. */
static bool is_in_use(struct punch *p, const struct remote *r)
{
    bool used = false;

    for (uint16_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        struct pair *pair = &p->pairs[i];

        if (!pair->used || !stun_addr_equal(&pair->remote, &r->addr))
            continue;
        if (pair->heard || pair->proven || i == p->selected)
            used = true;
        else
            memset(pair, 0, sizeof(*pair));
    }
    return used;
}

/* What is in use stays until it is no longer. */
void remotes_sweep(struct punch *p)
{
    if (!p->stale)
        return;
    p->stale = false;
    for (size_t i = 0; i < p->remote_count; i++) {
        struct remote *r = &p->remotes[i];

        if (!r->stale || is_in_use(p, r))
            continue;
        r->stale = r->attested = false;
        r->gone = true;
    }
}

void remotes_drop(struct punch *p)
{
    p->stale = true;
    remotes_sweep(p);
}

void punch_new_candidates(struct punch *p, uint64_t now_us)
{
    engine_advance(p, now_us);
    for (size_t i = 0; i < p->remote_count; i++)
        p->remotes[i].stale = !p->remotes[i].gone;
    p->stale = true;
}

void punch_add_remote(struct punch *p, uint64_t now_us, enum punch_kind kind,
                      const struct stun_addr *addr, bool attested)
{
    const struct remote *r;

    engine_advance(p, now_us);
    if (kind != PUNCH_HOST && kind != PUNCH_SERVER_REFLEXIVE && kind != PUNCH_PORT_MAPPED &&
        kind != PUNCH_GATEWAY)
        return;
    r = remote_add(p, kind, addr, attested);
    for (unsigned socket = 0; r != NULL && socket < PUNCH_SEARCH_SOCKET; socket++)
        pair_form(p, socket, r);
    forecast_advance(p);
}
