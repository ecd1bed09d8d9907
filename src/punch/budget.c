/* SPDX-License-Identifier: BSD-2-Clause */
#include "punch/budget.h"

#include <string.h>

static uint32_t total(const struct punch_budget *b, size_t i)
{
    uint32_t sum = 0;

    for (size_t k = 0; k < PUNCH_BUDGET_SLOTS; k++)
        sum += b->to[i].sent[k];
    return sum;
}

static uint32_t searched(const struct punch_budget *b, size_t i)
{
    uint32_t sum = 0;

    for (size_t k = 0; k < PUNCH_BUDGET_SLOTS; k++)
        sum += b->to[i].searched[k];
    return sum;
}

static void turn(struct punch_budget *b, size_t i, uint64_t slot)
{
    /* A clock that went back must neither free the budget nor block it for ever. */
    if (slot < b->to[i].slot) {
        b->to[i].slot = slot;
        return;
    }
    for (; b->to[i].slot < slot && total(b, i) + searched(b, i) > 0; b->to[i].slot++) {
        for (size_t k = PUNCH_BUDGET_SLOTS - 1; k > 0; k--) {
            b->to[i].sent[k] = b->to[i].sent[k - 1];
            b->to[i].searched[k] = b->to[i].searched[k - 1];
        }
        b->to[i].sent[0] = b->to[i].searched[0] = 0;
    }
    b->to[i].slot = slot;
}

static size_t entry(struct punch_budget *b, uint64_t slot, const struct stun_addr *to)
{
    size_t least = 0;
    uint32_t least_sent = UINT32_MAX;

    for (size_t i = 0; i < PUNCH_BUDGET_ADDRESSES; i++) {
        if (b->to[i].ip.family != STUN_NO_FAMILY && stun_addr_same_ip(&b->to[i].ip, to))
            return i;
    }
    /* The address that was sent least is forgotten: whoever spreads over many addresses gains
     * little at each, and one that is near its limit stays known. */
    for (size_t i = 0; i < PUNCH_BUDGET_ADDRESSES; i++) {
        turn(b, i, slot);
        if (b->to[i].ip.family == STUN_NO_FAMILY) {
            least = i;
            break;
        }
        if (total(b, i) + searched(b, i) < least_sent) {
            least = i;
            least_sent = total(b, i) + searched(b, i);
        }
    }
    memset(&b->to[least], 0, sizeof(b->to[least]));
    b->to[least].ip = *to;
    b->to[least].slot = slot;
    return least;
}

bool punch_budget_take(struct punch_budget *b, uint64_t now_us, const struct stun_addr *to)
{
    uint64_t slot = now_us / PUNCH_BUDGET_SLOT_US;
    size_t i = entry(b, slot, to);

    turn(b, i, slot);
    if (total(b, i) >= PUNCH_BUDGET_PER_IP_10_S)
        return false;
    b->to[i].sent[0]++;
    return true;
}

/* In this minute; also where the clock went back. */
static uint32_t strange(const struct punch_budget *b, size_t i, uint64_t now_us)
{
    bool over =
        now_us >= b->strange[i].from_us && now_us - b->strange[i].from_us >= PUNCH_BUDGET_MINUTE_US;

    return over ? 0 : b->strange[i].sent;
}

/* Its place, or that of the one that was sent least. */
static size_t strange_place(const struct punch_budget *b, uint64_t now_us,
                            const struct stun_addr *to)
{
    size_t least = 0;

    for (size_t i = 0; i < PUNCH_BUDGET_ADDRESSES; i++) {
        if (b->strange[i].sent > 0 && stun_addr_same_ip(&b->strange[i].ip, to))
            return i;
        if (strange(b, i, now_us) < strange(b, least, now_us))
            least = i;
    }
    return least;
}

bool punch_budget_strange(const struct punch_budget *b, uint64_t now_us, const struct stun_addr *to)
{
    size_t i = strange_place(b, now_us, to);

    return !stun_addr_same_ip(&b->strange[i].ip, to) ||
           strange(b, i, now_us) < PUNCH_BUDGET_STRANGER_MINUTE;
}

void punch_budget_count_strange(struct punch_budget *b, uint64_t now_us, const struct stun_addr *to)
{
    size_t i = strange_place(b, now_us, to);

    if (!stun_addr_same_ip(&b->strange[i].ip, to) || strange(b, i, now_us) == 0) {
        b->strange[i].ip = *to;
        b->strange[i].from_us = now_us;
        b->strange[i].sent = 0;
    } else if (now_us < b->strange[i].from_us) {
        b->strange[i].from_us = now_us;
    }
    b->strange[i].sent++;
}

void punch_budget_answered(struct punch_budget *b, const struct stun_addr *to)
{
    for (size_t i = 0; i < PUNCH_BUDGET_ADDRESSES; i++) {
        if (b->to[i].ip.family != STUN_NO_FAMILY && stun_addr_same_ip(&b->to[i].ip, to))
            memset(&b->to[i], 0, sizeof(b->to[i]));
        if (b->strange[i].sent > 0 && stun_addr_same_ip(&b->strange[i].ip, to))
            memset(&b->strange[i], 0, sizeof(b->strange[i]));
    }
}

static bool is_known(const struct punch_budget *b, size_t i, const struct stun_addr *mine,
                     const struct stun_addr *theirs)
{
    return b->failed[i].until_us != 0 && stun_addr_same_ip(&b->failed[i].mine, mine) &&
           stun_addr_same_ip(&b->failed[i].theirs, theirs);
}

/* A time that lies further ahead than any of ours was set before the clock went back. */
static bool still(uint64_t until_us, uint64_t now_us, uint64_t longest_us)
{
    return now_us < until_us && until_us - now_us <= longest_us;
}

uint64_t punch_budget_search_from(const struct punch_budget *b, uint64_t now_us,
                                  const struct stun_addr *mine, const struct stun_addr *theirs)
{
    for (size_t i = 0; i < PUNCH_BUDGET_SEARCHES; i++) {
        if (is_known(b, i, mine, theirs) &&
            still(b->failed[i].until_us, now_us, PUNCH_BUDGET_SEARCH_MEMORY_US))
            return UINT64_MAX;
    }
    if (still(b->search_from_us, now_us,
              PUNCH_BUDGET_SEARCH_LONGEST_US + PUNCH_BUDGET_SEARCH_PAUSE_US))
        return b->search_from_us;
    return 0;
}

void punch_budget_search_begin(struct punch_budget *b, uint64_t now_us)
{
    b->search_from_us = now_us + PUNCH_BUDGET_SEARCH_LONGEST_US + PUNCH_BUDGET_SEARCH_PAUSE_US;
}

void punch_budget_search_end(struct punch_budget *b, uint64_t now_us, bool found,
                             const struct stun_addr *mine, const struct stun_addr *theirs)
{
    size_t i = 0;

    b->search_from_us = now_us + PUNCH_BUDGET_SEARCH_PAUSE_US;
    while (i < PUNCH_BUDGET_SEARCHES && !is_known(b, i, mine, theirs))
        i++;
    if (found) {
        if (i < PUNCH_BUDGET_SEARCHES)
            b->failed[i].until_us = 0;
        return;
    }
    if (i == PUNCH_BUDGET_SEARCHES) {
        i = b->next_failed;
        b->next_failed = (i + 1) % PUNCH_BUDGET_SEARCHES;
    }
    b->failed[i].mine = *mine;
    b->failed[i].theirs = *theirs;
    b->failed[i].until_us = now_us + PUNCH_BUDGET_SEARCH_MEMORY_US;
}

bool punch_budget_take_search(struct punch_budget *b, uint64_t now_us, const struct stun_addr *to)
{
    uint64_t slot = now_us / PUNCH_BUDGET_SLOT_US;
    size_t i = entry(b, slot, to);

    turn(b, i, slot);
    if (searched(b, i) >= PUNCH_BUDGET_SEARCH_PER_IP_10_S)
        return false;
    b->to[i].searched[0]++;
    return true;
}
