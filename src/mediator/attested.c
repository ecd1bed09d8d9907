/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/attested.h"

static size_t attested_family(const struct stun_addr *addr)
{
    return addr->family == STUN_IPV6;
}

static bool attested_slot_is_fresh(const struct attested_address *slot, uint64_t now_us)
{
    return slot->addr.family != STUN_NO_FAMILY && now_us - slot->seen_us < ATTESTED_LIFETIME_US;
}

enum attested_verdict attested_keepalive(struct attested *attested,
                                         const struct attested_address *from, uint64_t sequence,
                                         bool echoes, uint64_t now_us)
{
    size_t family = attested_family(&from->addr);
    struct attested_address *slot = &attested->address[family];

    if (sequence <= attested->sequence[family])
        return stun_addr_equal(&slot->addr, &from->addr) ? ATTESTED_ANSWER : ATTESTED_SILENCE;
    attested->sequence[family] = sequence;
    if (!echoes)
        return ATTESTED_CHALLENGE;
    *slot = *from;
    slot->seen_us = slot->heard_us = now_us;
    return ATTESTED_ANSWER;
}

size_t attested_fresh(const struct attested *attested, uint64_t now_us,
                      struct stun_addr out[static ATTESTED_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < ATTESTED_MAX; i++)
        if (attested_slot_is_fresh(&attested->address[i], now_us))
            out[count++] = attested->address[i].addr;
    return count;
}

bool attested_heard(struct attested *attested, const struct stun_addr *from, uint64_t now_us)
{
    struct attested_address *slot = &attested->address[attested_family(from)];

    if (!attested_slot_is_fresh(slot, now_us) || !stun_addr_equal(&slot->addr, from))
        return false;
    slot->heard_us = now_us;
    return true;
}

const struct attested_address *attested_latest(const struct attested *attested, uint64_t now_us)
{
    const struct attested_address *latest = NULL;

    for (size_t i = 0; i < ATTESTED_MAX; i++) {
        const struct attested_address *slot = &attested->address[i];
        if (attested_slot_is_fresh(slot, now_us) &&
            (latest == NULL || slot->heard_us > latest->heard_us))
            latest = slot;
    }
    return latest;
}
