/* SPDX-License-Identifier: BSD-2-Clause */
/* The pairs of a socket and a remote address that are tried. */
#include <string.h>

#include "punch/engine.h"

uint16_t pair_find(const struct punch *p, unsigned socket, const struct stun_addr *remote)
{
    for (uint16_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        const struct pair *pair = &p->pairs[i];

        if (pair->used && pair->socket == socket && stun_addr_equal(&pair->remote, remote))
            return i;
    }
    return NO_PAIR;
}

unsigned pair_order(const struct pair *pair)
{
    return plan_order(pair->kind, &pair->remote, pair->attested || pair->heard);
}

/* The slot of the pair that promises least, if the new one promises more: one where the peer was
 * heard is worth more than any guess. */
static uint16_t evict(const struct punch *p)
{
    uint16_t worst = NO_PAIR;

    for (uint16_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        const struct pair *pair = &p->pairs[i];

        if (pair->heard || pair->proven || i == p->selected)
            continue;
        if (worst == NO_PAIR || pair_order(pair) > pair_order(&p->pairs[worst]))
            worst = i;
    }
    return worst;
}

uint16_t pair_add(struct punch *p, unsigned socket, enum punch_kind kind,
                  const struct stun_addr *remote, bool attested)
{
    uint16_t i = 0;

    while (i < PUNCH_MAX_PAIRS && p->pairs[i].used)
        i++;
    if (i == PUNCH_MAX_PAIRS)
        i = kind == PUNCH_PREDICTED ? NO_PAIR : evict(p);
    if (i == NO_PAIR)
        return NO_PAIR;
    memset(&p->pairs[i], 0, sizeof(p->pairs[i]));
    p->pairs[i].used = true;
    p->pairs[i].socket = (uint16_t)socket;
    p->pairs[i].kind = (uint8_t)kind;
    p->pairs[i].remote = *remote;
    p->pairs[i].attested = attested;
    p->pairs[i].tries_left = UINT8_MAX;
    p->pairs[i].next_us = NEVER;
    p->pairs[i].last_full_us = NEVER;
    p->pairs[i].loud_us = NEVER;
    return i;
}

/* Loopback and link-local addresses mean something only to a host on the same loopback or link. */
static bool reachable(const struct stun_addr *local, const struct stun_addr *remote)
{
    if (local->family != STUN_NO_FAMILY && local->family != remote->family)
        return false;
    if (stun_addr_is_loopback(remote) && !stun_addr_is_loopback(local))
        return false;
    /* Of IPv6 it would also need a scope. */
    return !stun_addr_is_link_local(remote) ||
           (stun_addr_is_link_local(local) && remote->family == STUN_IPV4);
}

void pair_form(struct punch *p, unsigned socket, const struct remote *r)
{
    uint16_t i = pair_find(p, socket, &r->addr);

    if (i != NO_PAIR) {
        if (p->pairs[i].kind == PUNCH_PEER_REFLEXIVE)
            p->pairs[i].kind = r->kind;
        if (r->attested && !p->pairs[i].attested && p->started && !p->pairs[i].proven)
            pair_begin(p, &p->pairs[i], p->now_us);
        p->pairs[i].attested = p->pairs[i].attested || r->attested;
        return;
    }
    if (socket >= PUNCH_SEARCH_SOCKET || !p->sockets[socket].open || socket == PUNCH_FRESH_SOCKET ||
        !reachable(&p->sockets[socket].local, &r->addr))
        return;
    i = pair_add(p, socket, r->kind, &r->addr, r->attested);
    if (i != NO_PAIR && p->started)
        pair_begin(p, &p->pairs[i], p->start_us);
}

bool pair_crosses_nat(const struct pair *pair)
{
    return pair->remote.family == STUN_IPV4 && !stun_addr_is_private(&pair->remote);
}

static unsigned rank(const struct pair *pair)
{
    if (stun_addr_is_private(&pair->remote) || stun_addr_is_loopback(&pair->remote))
        return 0;
    return pair->remote.family == STUN_IPV6 ? 1 : 2;
}

bool pair_better(const struct pair *a, const struct pair *b)
{
    if (rank(a) != rank(b))
        return rank(a) < rank(b);
    /* A change of path must pay: jitter alone must not move the link to and fro. */
    return a->proven && b->proven && a->rtt_us + 5 * MS + b->rtt_us / 8 < b->rtt_us;
}

void pair_begin(struct punch *p, struct pair *pair, uint64_t at_us)
{
    /* With a path, what is as good as it may yet prove to be faster. */
    if (p->state == CONNECTED && (pair->proven || rank(pair) > rank(&p->pairs[p->selected])))
        return;
    pair->tries = 0;
    if (p->state == CONNECTED)
        pair->tries_left = RETRY_GAPS;
    pair->next_us = at_us > p->now_us ? at_us : p->now_us;
}

void pair_trigger(struct punch *p, struct pair *pair)
{
    uint64_t at = p->now_us;

    if (pair->last_full_us == NEVER)
        pair->tries = 0;
    else if (at < pair->last_full_us + FIRST_RETRY_US)
        at = pair->last_full_us + FIRST_RETRY_US;
    /* Where both hear each other, but the answers come from elsewhere, each check would cause the
     * next for ever. */
    if (pair->triggers < TRIGGERS)
        pair->triggers++;
    else if (pair->last_full_us != NEVER && at < pair->last_full_us + RETRY_SLOW_US)
        at = pair->last_full_us + RETRY_SLOW_US;
    pair->triggered = true;
    if (pair->next_us > at)
        pair->next_us = at;
    pair->tries_left = p->state == CONNECTED ? RETRY_GAPS : UINT8_MAX;
}

bool pair_planned(const struct pair *pair)
{
    return pair->kind == PUNCH_PREDICTED || pair->socket == PUNCH_FRESH_SOCKET ||
           pair->socket >= PUNCH_SEARCH_SOCKET;
}

enum punch_technique pair_technique(const struct punch *p, const struct pair *pair)
{
    bool varies = plan_need(&p->profile) == PLAN_NEED_SAMPLES ||
                  plan_need(&p->their_profile) == PLAN_NEED_SAMPLES;
    bool local = stun_addr_is_private(&pair->remote) || stun_addr_is_loopback(&pair->remote) ||
                 stun_addr_is_link_local(&pair->remote);

    if (search_found(p, pair))
        return (enum punch_technique)p->search.technique;
    if (varies && pair_planned(pair))
        return PUNCH_TECHNIQUE_PREDICTED;
    if (!local && stun_addr_same_ip(&pair->remote, &p->profile.public_addr) &&
        p->profile.mapping != NAT_MAPPING_NONE)
        return PUNCH_TECHNIQUE_HAIRPIN;
    switch ((enum punch_kind)pair->kind) {
    case PUNCH_HOST:
        return local ? PUNCH_TECHNIQUE_PRIVATE : PUNCH_TECHNIQUE_PUBLIC;
    case PUNCH_PEER_REFLEXIVE:
        return local ? PUNCH_TECHNIQUE_PRIVATE : PUNCH_TECHNIQUE_PEER_REFLEXIVE;
    case PUNCH_SERVER_REFLEXIVE:
    case PUNCH_PREDICTED: /* a fresh socket's address, learned in the dial */
        return PUNCH_TECHNIQUE_PUBLIC;
    case PUNCH_PORT_MAPPED:
        return PUNCH_TECHNIQUE_PORT_MAPPED;
    case PUNCH_GATEWAY:
        return PUNCH_TECHNIQUE_PRIVATE;
    }
    return PUNCH_TECHNIQUE_NONE;
}

/* What was answered long ago says nothing any more; while the path is in doubt, only what was
 * answered since then is better. */
static bool is_fresh(const struct punch *p, uint16_t i, bool doubted)
{
    if (i == p->selected)
        return !doubted;
    return p->pairs[i].answered_us + (doubted ? SECOND : OLD_US) > p->now_us;
}

/* The peer's nomination counts if it controls; else our own judgement. */
static uint16_t best(const struct punch *p)
{
    bool doubted = p->state == CONNECTED && p->selected != NO_PAIR && p->life.doubted;
    uint16_t found = NO_PAIR;

    for (uint16_t i = 0; i < PUNCH_MAX_PAIRS && !p->controlling; i++) {
        const struct pair *pair = &p->pairs[i];

        if (pair->used && pair->proven && pair->nominated > 0 &&
            (found == NO_PAIR || pair->nominated > p->pairs[found].nominated))
            found = i;
    }
    if (found != NO_PAIR)
        return found;
    if (p->selected != NO_PAIR && p->pairs[p->selected].proven && !doubted)
        found = p->selected;
    for (uint16_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        const struct pair *pair = &p->pairs[i];

        if (!pair->used || !pair->proven || !is_fresh(p, i, doubted))
            continue;
        if (found == NO_PAIR || pair_better(pair, &p->pairs[found]))
            found = i;
    }
    return found != NO_PAIR ? found : p->selected;
}

void pair_event(struct punch *p, enum punch_event_kind kind, const struct pair *pair)
{
    struct punch_event *event = engine_event(p, kind);

    if (event == NULL)
        return;
    event->pair.socket = pair->socket;
    event->pair.remote = pair->remote;
    event->technique = pair_technique(p, pair);
    event->remote_kind = pair->kind;
    event->rtt_us = pair->rtt_us;
}

void pair_select(struct punch *p)
{
    uint16_t chosen = best(p);
    bool pending = false;

    if (chosen == NO_PAIR || chosen == p->selected)
        return;
    if (p->selected != NO_PAIR) {
        p->pairs[p->selected].nominate = false;
        if (p->life.doubted) /* it must answer anew before it counts again */
            p->pairs[p->selected].proven = false;
    }
    p->selected = chosen;
    pair_event(p, PUNCH_EVENT_PATH, &p->pairs[chosen]);
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        struct pair *pair = &p->pairs[i];

        if (!pair->used || pair->proven)
            continue;
        if (pair_better(pair, &p->pairs[chosen])) {
            pending = pending || pair->next_us != NEVER;
            if (pair->tries_left > RETRY_GAPS)
                pair->tries_left = RETRY_GAPS;
        } else {
            pair->next_us = NEVER;
            pair->triggered = false;
        }
    }
    p->nominate_due_us = p->now_us + (pending ? NOMINATE_AFTER_US : 0);
    liveness_begin(p);
}
