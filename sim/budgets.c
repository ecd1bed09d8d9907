/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/budgets.h"

#include <string.h>

#include "sim/world.h"

#define SECOND             1000000u
#define STRANGERS_AGAIN_US (60 * SECOND) /* a few packets more, with a new round */

static const char *name_of(uint32_t host)
{
    return host == WORLD_CALLER ? "caller" : "callee";
}

static bool same_pair(const struct punch_pair *a, const struct punch_pair *b)
{
    return a->socket == b->socket && stun_addr_equal(&a->remote, &b->remote);
}

struct rules_target *budgets_find(struct rules_side *side, const struct stun_addr *addr)
{
    for (uint32_t i = 0; i < side->targets; i++) {
        if (stun_addr_equal(&side->target[i].addr, addr))
            return &side->target[i];
    }
    return NULL;
}

struct rules_target *budgets_target(struct rules_side *side, const struct stun_addr *addr)
{
    struct rules_target *t = budgets_find(side, addr);

    if (t != NULL || side->targets == RULES_TARGETS)
        return t;
    t = &side->target[side->targets++];
    memset(t, 0, sizeof(*t));
    t->addr = *addr;
    return t;
}

bool budgets_attested(const struct rules_side *side, const struct stun_addr *addr)
{
    for (uint32_t i = 0; i < side->targets; i++) {
        if ((side->target[i].attested || side->target[i].answered) &&
            stun_addr_same_ip(&side->target[i].addr, addr))
            return true;
    }
    return false;
}

void budgets_unattested(struct world *w, uint32_t host, const struct stun_addr *to)
{
    struct rules_side *side = &w->rules.side[host];
    struct rules_target *t = budgets_find(side, to);
    char text[STUN_ADDR_TEXT_BYTES];
    uint32_t sum = 0;

    if (t == NULL && budgets_attested(side, to))
        return; /* a guess: there are many */
    if (t == NULL)
        t = budgets_target(side, to);
    if (t != NULL && t->tricked && ++t->unheard > w->rules.most_tricked)
        w->rules.most_tricked = t->unheard;
    if (t != NULL && t->tricked && t->unheard > 2 * PUNCH_BUDGET_UNATTESTED)
        world_fault(w, "%s: %u packets to %s, from where a copy came", name_of(host),
                    (unsigned)t->unheard, stun_addr_text(to, text));
    if (t == NULL || t->heard || budgets_attested(side, to))
        return;
    t->unheard++;
    for (uint32_t i = 0; i < side->targets; i++) {
        if (stun_addr_same_ip(&side->target[i].addr, to))
            sum += side->target[i].unheard;
    }
    if (sum > PUNCH_BUDGET_UNATTESTED *
                  (1 + (peer_now(w, host) - side->introduced_us) / STRANGERS_AGAIN_US))
        world_fault(w, "%s: %u packets to %s, which nobody vouches for", name_of(host),
                    (unsigned)sum, stun_addr_text(to, text));
}

/* The first packets to where the peer is, or may be. */
static void begin_plain(struct world *w, uint32_t host)
{
    struct rules_side *side = &w->rules.side[host];

    if (side->plain_from_us == UINT64_MAX)
        side->plain_from_us = peer_now(w, host);
}

void budgets_plain(struct world *w, uint32_t host)
{
    struct rules_side *side = &w->rules.side[host];
    uint64_t now_us = peer_now(w, host);

    begin_plain(w, host);
    if (side->plain >= RULES_STORM && !side->stormed &&
        now_us < side->plain_us[side->plain % RULES_STORM] + SECOND) {
        side->stormed = true;
        world_fault(w, "%s: a storm of more than %d checks in a second", name_of(host),
                    RULES_STORM);
    }
    side->plain_us[side->plain++ % RULES_STORM] = now_us;
    if (now_us < side->plain_from_us + SECOND / 10 &&
        ++side->plain_100_ms > PUNCH_BUDGET_FIRST_100_MS)
        world_fault(w, "%s: more than %d packets in the first 100 ms", name_of(host),
                    PUNCH_BUDGET_FIRST_100_MS);
    if (now_us < side->plain_from_us + SECOND && ++side->plain_second > PUNCH_BUDGET_FIRST_SECOND)
        world_fault(w, "%s: more than %d packets in the first second", name_of(host),
                    PUNCH_BUDGET_FIRST_SECOND);
}

static void count_guess(struct world *w, uint32_t host, const struct stun_addr *to)
{
    struct rules_side *side = &w->rules.side[host];
    uint64_t now_us = peer_now(w, host);
    uint64_t *slot = &side->guessed_us[side->guesses % RULES_SEARCH_A_SECOND];

    if (side->guesses >= RULES_SEARCH_A_SECOND && now_us < *slot + SECOND)
        world_fault(w, "%s: searches with more than %d packets a second", name_of(host),
                    RULES_SEARCH_A_SECOND);
    *slot = now_us;
    if (side->guesses < RULES_GUESSES)
        side->guessed[side->guesses] = *to;
    side->guesses++;
    if (side->guesses > RULES_SEARCH + RULES_PREDICTED)
        world_fault(w, "%s: searches with more than %d packets", name_of(host),
                    RULES_SEARCH + RULES_PREDICTED);
}

static bool was_guessed(const struct rules_side *side, const struct stun_addr *addr)
{
    uint32_t count = side->guesses < RULES_GUESSES ? side->guesses : RULES_GUESSES;

    for (uint32_t i = 0; i < count; i++) {
        if (stun_addr_equal(&side->guessed[i], addr))
            return true;
    }
    return false;
}

bool budgets_proven(const struct rules_side *side, const struct punch_pair *pair)
{
    for (uint32_t i = 0; i < side->provens; i++) {
        if (same_pair(&side->proven[i], pair))
            return true;
    }
    return false;
}

static bool was_path(const struct rules_side *side, const struct punch_pair *pair)
{
    for (uint32_t i = 0; i < side->formers && i < RULES_FORMER; i++) {
        if (same_pair(&side->former[i], pair))
            return true;
    }
    return false;
}

void budgets_request(struct world *w, uint32_t host, const struct punch_pair *pair)
{
    struct rules_side *side = &w->rules.side[host];
    const struct rules_target *t = budgets_find(side, &pair->remote);

    budgets_unattested(w, host, &pair->remote);
    if (budgets_proven(side, pair))
        return;
    if (t != NULL && t->heard)
        begin_plain(w, host);
    if (t != NULL && t->heard && (t->planned || was_guessed(side, &pair->remote)))
        return;
    if (pair->socket == PUNCH_DATA_SOCKET && t != NULL && (t->signalled || t->heard))
        budgets_plain(w, host);
    else if (was_path(side, pair))
        return;
    else if (pair->socket >= PUNCH_SEARCH_SOCKET || t == NULL || (!t->signalled && !t->heard))
        count_guess(w, host, &pair->remote);
}
