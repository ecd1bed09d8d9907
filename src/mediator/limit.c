/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/limit.h"

#include <sodium.h>
#include <stdlib.h>

#define LIMITS_WAYS    8
#define LIMIT_NS_PER_S 1000000000u

struct limits_slot {
    uint64_t key;
    struct limit_bucket bucket;
};

struct limits {
    struct limit_rate rate;
    uint8_t hash_key[PREFIX_HASH_KEY_BYTES];
    size_t set_mask;
    struct limits_slot slots[];
};

static bool limit_take_ns(struct limit_bucket *bucket, uint64_t interval_ns, uint32_t burst,
                          uint64_t now_us)
{
    uint64_t now_ns = now_us * 1000;
    uint64_t full_at_ns = bucket->full_at_ns > now_ns ? bucket->full_at_ns : now_ns;

    if (full_at_ns - now_ns + interval_ns > interval_ns * burst)
        return false;
    bucket->full_at_ns = full_at_ns + interval_ns;
    return true;
}

bool limit_take_every(struct limit_bucket *bucket, uint64_t interval_us, uint32_t burst,
                      uint64_t now_us)
{
    return limit_take_ns(bucket, interval_us * 1000, burst, now_us);
}

bool limit_take(struct limit_bucket *bucket, struct limit_rate rate, uint64_t now_us)
{
    return rate.per_second > 0 &&
           limit_take_ns(bucket, LIMIT_NS_PER_S / rate.per_second, rate.burst, now_us);
}

uint64_t limit_left(const struct limit_bucket *bucket, struct limit_rate rate, uint64_t now_us)
{
    uint64_t now_ns = now_us * 1000;
    uint64_t ahead_ns = bucket->full_at_ns > now_ns ? bucket->full_at_ns - now_ns : 0;

    if (rate.per_second == 0)
        return 0;
    uint64_t burst_ns = (uint64_t)rate.burst * LIMIT_NS_PER_S / rate.per_second;
    return ahead_ns < burst_ns ? (burst_ns - ahead_ns) * rate.per_second / LIMIT_NS_PER_S : 0;
}

void limit_charge(struct limit_bucket *bucket, struct limit_rate rate, uint64_t tokens,
                  uint64_t now_us)
{
    uint64_t now_ns = now_us * 1000;

    if (rate.per_second == 0)
        return;
    bucket->full_at_ns = (bucket->full_at_ns > now_ns ? bucket->full_at_ns : now_ns) +
                         tokens * LIMIT_NS_PER_S / rate.per_second;
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
    return limit_take(limits_bucket(limits, prefix_of(from)), limits->rate, now_us);
}

bool limits_take_from(struct limits *limits, uint64_t session_id, const struct stun_addr *from,
                      uint64_t now_us)
{
    /* Session IDs are random: two keys are the same as seldom as two of them. */
    return limit_take(limits_bucket(limits, session_id ^ prefix_of(from)), limits->rate, now_us);
}

struct limit_bucket *limits_bucket(struct limits *limits, uint64_t key)
{
    size_t set = (size_t)prefix_hash(key, limits->hash_key) & limits->set_mask;
    struct limits_slot *slots = &limits->slots[set * LIMITS_WAYS];
    struct limits_slot *chosen = &slots[0];

    for (size_t i = 0; i < LIMITS_WAYS; i++) {
        if (slots[i].key == key)
            return &slots[i].bucket;
        if (slots[i].bucket.full_at_ns < chosen->bucket.full_at_ns)
            chosen = &slots[i];
    }
    chosen->key = key;
    return &chosen->bucket;
}
