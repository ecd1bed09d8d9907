/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/limit.h"

#include <sodium.h>
#include <stdlib.h>

#define LIMITS_WAYS 8

struct limits_slot {
    uint64_t prefix;
    struct limit_bucket bucket;
};

struct limits {
    struct limit_rate rate;
    uint8_t hash_key[PREFIX_HASH_KEY_BYTES];
    size_t set_mask;
    struct limits_slot slots[];
};

bool limit_take_every(struct limit_bucket *bucket, uint64_t interval_us, uint32_t burst,
                      uint64_t now_us)
{
    uint64_t full_at_us = bucket->full_at_us > now_us ? bucket->full_at_us : now_us;

    if (full_at_us - now_us + interval_us > interval_us * burst)
        return false;
    bucket->full_at_us = full_at_us + interval_us;
    return true;
}

bool limit_take(struct limit_bucket *bucket, struct limit_rate rate, uint64_t now_us)
{
    if (rate.per_second == 0)
        return false;
    uint64_t interval_us = 1000000u / rate.per_second;
    return limit_take_every(bucket, interval_us > 0 ? interval_us : 1, rate.burst, now_us);
}

struct limits *limits_new(size_t slots, struct limit_rate rate)
{
    size_t sets = 1;

    while (sets * LIMITS_WAYS < slots)
        sets *= 2;
    struct limits *limits =
        calloc(1, sizeof *limits + sets * LIMITS_WAYS * sizeof limits->slots[0]);
    if (limits == NULL)
        return NULL;
    limits->rate = rate;
    limits->set_mask = sets - 1;
    randombytes_buf(limits->hash_key, sizeof limits->hash_key);
    return limits;
}

void limits_free(struct limits *limits)
{
    free(limits);
}

bool limits_take(struct limits *limits, const struct stun_addr *from, uint64_t now_us)
{
    uint64_t prefix = prefix_of(from);
    size_t set = (size_t)prefix_hash(prefix, limits->hash_key) & limits->set_mask;
    struct limits_slot *slots = &limits->slots[set * LIMITS_WAYS];
    struct limits_slot *chosen = &slots[0];

    for (size_t i = 0; i < LIMITS_WAYS; i++) {
        if (slots[i].prefix == prefix) {
            chosen = &slots[i];
            break;
        }
        if (slots[i].bucket.full_at_us < chosen->bucket.full_at_us)
            chosen = &slots[i];
    }
    chosen->prefix = prefix;
    return limit_take(&chosen->bucket, limits->rate, now_us);
}
