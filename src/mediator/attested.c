/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/attested.h"

static struct attested_address *attested_slot(struct attested *attested,
                                              const struct stun_addr *from)
{
    return &attested->address[from->family == STUN_IPV6];
}

bool attested_keepalive(struct attested *attested, const struct stun_addr *from, uint64_t sequence,
                        uint64_t now_us)
{
    struct attested_address *slot = attested_slot(attested, from);

    if (sequence <= attested->sequence)
        return stun_addr_equal(&slot->addr, from);
    attested->sequence = sequence;
    *slot = (struct attested_address){.addr = *from, .seen_us = now_us};
    return true;
}

size_t attested_fresh(const struct attested *attested, uint64_t now_us,
                      struct stun_addr out[static ATTESTED_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < ATTESTED_MAX; i++) {
        const struct attested_address *slot = &attested->address[i];
        if (slot->addr.family != STUN_NO_FAMILY && now_us - slot->seen_us < ATTESTED_LIFETIME_US)
            out[count++] = slot->addr;
    }
    return count;
}
