/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/nat_table.h"

#include <string.h>

#define NONE NAT_TABLE_NONE

static uint64_t mix(uint64_t hash, const struct stun_addr *addr)
{
    uint64_t word[3] = {0};
    memcpy(word, addr, sizeof(*addr));
    for (int i = 0; i < 3; i++) {
        hash ^= word[i];
        hash *= 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return hash;
}

static uint32_t *bucket_at(const struct nat_table *t, enum nat_table_chain chain, uint64_t hash)
{
    return &t->bucket[(uint32_t)chain * t->buckets + ((uint32_t)(hash >> 20) & (t->buckets - 1))];
}

static uint32_t *bucket_of(const struct nat_table *t, enum nat_table_chain chain,
                           const struct stun_addr *one, const struct stun_addr *other)
{
    uint64_t hash = mix((uint64_t)chain + 1, one);
    return bucket_at(t, chain, other ? mix(hash, other) : hash);
}

static uint32_t *bucket_of_session(const struct nat_table *t, enum nat_table_chain chain,
                                   const struct nat_session *s)
{
    switch (chain) {
    case NAT_TABLE_FLOW:
        return bucket_of(t, chain, &s->inside, &s->remote);
    case NAT_TABLE_INSIDE:
        return bucket_of(t, chain, &s->inside, NULL);
    case NAT_TABLE_RETURN:
        return bucket_of(t, chain, &s->outside, &s->remote);
    default:
        return bucket_of(t, NAT_TABLE_OUTSIDE, &s->outside, NULL);
    }
}

static uint32_t buckets_for(uint32_t room)
{
    uint32_t buckets = 16;
    while (buckets < room && buckets < 1u << 20)
        buckets *= 2;
    return buckets;
}

size_t nat_table_bytes(uint32_t room)
{
    return room * sizeof(struct nat_session) +
           (size_t)buckets_for(room) * NAT_TABLE_CHAINS * sizeof(uint32_t);
}

bool nat_table_init(struct nat_table *t, void *memory, size_t memory_bytes, uint32_t limit)
{
    size_t room = memory_bytes / sizeof(struct nat_session);
    if (room > 1u << 24)
        room = 1u << 24;
    if (limit && room > limit)
        room = limit;
    while (room && nat_table_bytes((uint32_t)room) > memory_bytes)
        room -= (room + 15) / 16;
    memset(t, 0, sizeof(*t));
    if (room == 0)
        return false;
    t->session = memory;
    t->bucket = (uint32_t *)(void *)(t->session + room);
    t->room = (uint32_t)room;
    t->buckets = buckets_for(t->room);
    nat_table_clear(t);
    return true;
}

void nat_table_clear(struct nat_table *t)
{
    memset(t->bucket, 0xff, (size_t)t->buckets * NAT_TABLE_CHAINS * sizeof(uint32_t));
    t->used = t->fresh = 0;
    t->free = NONE;
    t->earliest_us = UINT64_MAX;
}

uint32_t nat_table_flow(const struct nat_table *t, const struct stun_addr *inside,
                        const struct stun_addr *remote)
{
    return *bucket_of(t, NAT_TABLE_FLOW, inside, remote);
}

uint32_t nat_table_inside(const struct nat_table *t, const struct stun_addr *inside)
{
    return *bucket_of(t, NAT_TABLE_INSIDE, inside, NULL);
}

uint32_t nat_table_return(const struct nat_table *t, const struct stun_addr *outside,
                          const struct stun_addr *remote)
{
    return *bucket_of(t, NAT_TABLE_RETURN, outside, remote);
}

uint32_t nat_table_outside(const struct nat_table *t, const struct stun_addr *outside)
{
    return *bucket_of(t, NAT_TABLE_OUTSIDE, outside, NULL);
}

static uint32_t take_slot(struct nat_table *t, uint64_t now_us)
{
    if (t->free == NONE && t->fresh == t->room && t->earliest_us <= now_us)
        nat_table_sweep(t, now_us);
    if (t->free != NONE) {
        uint32_t slot = t->free;
        t->free = t->session[slot].next[0];
        return slot;
    }
    return t->fresh < t->room ? t->fresh++ : NONE;
}

struct nat_session *nat_table_add(struct nat_table *t, uint64_t now_us,
                                  const struct nat_session *session)
{
    uint32_t slot = take_slot(t, now_us);
    if (slot == NONE)
        return NULL;
    struct nat_session *s = &t->session[slot];
    *s = *session;
    s->used = true;
    t->used++;
    if (s->expires_us < t->earliest_us)
        t->earliest_us = s->expires_us;
    for (unsigned chain = 0; chain < NAT_TABLE_CHAINS; chain++) {
        uint32_t *bucket = bucket_of_session(t, (enum nat_table_chain)chain, s);
        s->before[chain] = NONE;
        s->next[chain] = *bucket;
        if (*bucket != NONE)
            t->session[*bucket].before[chain] = slot;
        *bucket = slot;
    }
    return s;
}

void nat_table_remove(struct nat_table *t, struct nat_session *s)
{
    for (unsigned chain = 0; chain < NAT_TABLE_CHAINS; chain++) {
        uint32_t next = s->next[chain], before = s->before[chain];
        if (next != NONE)
            t->session[next].before[chain] = before;
        if (before != NONE)
            t->session[before].next[chain] = next;
        else
            *bucket_of_session(t, (enum nat_table_chain)chain, s) = next;
    }
    s->used = false;
    s->next[0] = t->free;
    t->free = (uint32_t)(s - t->session);
    t->used--;
}

void nat_table_sweep(struct nat_table *t, uint64_t now_us)
{
    if (t->earliest_us > now_us)
        return;
    uint64_t earliest = UINT64_MAX;
    for (uint32_t i = 0; i < t->fresh; i++) {
        struct nat_session *s = &t->session[i];
        if (!s->used)
            continue;
        if (s->expires_us <= now_us)
            nat_table_remove(t, s);
        else if (s->expires_us < earliest)
            earliest = s->expires_us;
    }
    t->earliest_us = earliest;
}
