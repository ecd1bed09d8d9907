/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/dials.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define DIALS_NONE UINT32_MAX

/* All live equally long, so the entries are a ring in the order of their creation. */
struct dials {
    uint8_t hash_key[crypto_shorthash_KEYBYTES];
    struct dials_entry *entries;
    uint32_t *buckets;
    size_t mask;
    size_t capacity;
    size_t oldest;
    size_t count;
    uint8_t notes;
};

static size_t dials_bucket(const struct dials *dials, const uint8_t id[static WIRE_DIAL_ID_BYTES])
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t value;

    crypto_shorthash(hash, id, WIRE_DIAL_ID_BYTES, dials->hash_key);
    memcpy(&value, hash, sizeof value);
    return (size_t)value & dials->mask;
}

/* Which side this session is; false for a stranger. */
static bool dials_side_of(const struct dials_entry *entry, uint64_t session_id,
                          enum dials_side *side)
{
    if (session_id == 0)
        return false;
    *side = entry->member[DIALS_CALLER] == session_id ? DIALS_CALLER : DIALS_CALLEE;
    return entry->member[*side] == session_id;
}

struct dials *dials_new(size_t capacity, uint8_t notes)
{
    struct dials *dials = calloc(1, sizeof *dials);
    size_t buckets = 1;

    if (dials == NULL)
        return NULL;
    while (buckets < capacity)
        buckets *= 2;
    dials->mask = buckets - 1;
    dials->capacity = capacity;
    dials->notes = notes;
    dials->entries = calloc(capacity, sizeof *dials->entries);
    dials->buckets = malloc(buckets * sizeof *dials->buckets);
    if (dials->entries == NULL || dials->buckets == NULL) {
        dials_free(dials);
        return NULL;
    }
    memset(dials->buckets, 0xff, buckets * sizeof *dials->buckets);
    randombytes_buf(dials->hash_key, sizeof dials->hash_key);
    return dials;
}

void dials_free(struct dials *dials)
{
    if (dials == NULL)
        return;
    free(dials->entries);
    free(dials->buckets);
    free(dials);
}

struct dials_entry *dials_add(struct dials *dials, const uint8_t id[static WIRE_DIAL_ID_BYTES],
                              uint64_t caller, uint64_t now_us)
{
    if (dials_full(dials))
        return NULL;
    size_t at = (dials->oldest + dials->count) % dials->capacity;
    size_t bucket = dials_bucket(dials, id);
    struct dials_entry *entry = &dials->entries[at];

    *entry = (struct dials_entry){
        .member = {[DIALS_CALLER] = caller},
        .created_us = now_us,
        .next = dials->buckets[bucket],
        .state = DIALS_REFUSED,
    };
    memcpy(entry->id, id, sizeof entry->id);
    dials->buckets[bucket] = (uint32_t)at;
    dials->count++;
    return entry;
}

struct dials_entry *dials_find(const struct dials *dials,
                               const uint8_t id[static WIRE_DIAL_ID_BYTES])
{
    uint32_t at = dials->buckets[dials_bucket(dials, id)];

    while (at != DIALS_NONE && memcmp(dials->entries[at].id, id, WIRE_DIAL_ID_BYTES) != 0)
        at = dials->entries[at].next;
    return at == DIALS_NONE ? NULL : &dials->entries[at];
}

bool dials_full(const struct dials *dials)
{
    return dials->count == dials->capacity;
}

size_t dials_count(const struct dials *dials)
{
    return dials->count;
}

void dials_expire(struct dials *dials, uint64_t now_us)
{
    while (dials->count > 0) {
        struct dials_entry *entry = &dials->entries[dials->oldest];
        if (now_us - entry->created_us < DIALS_LIFETIME_US)
            break;
        uint32_t *at = &dials->buckets[dials_bucket(dials, entry->id)];
        while (*at != dials->oldest)
            at = &dials->entries[*at].next;
        *at = entry->next;
        dials->oldest = (dials->oldest + 1) % dials->capacity;
        dials->count--;
    }
}

bool dials_accept(struct dials_entry *entry, uint64_t session_id)
{
    enum dials_side side;

    if (entry->state != DIALS_ASKED || !dials_side_of(entry, session_id, &side) ||
        side != DIALS_CALLEE)
        return false;
    entry->state = DIALS_LIVE;
    return true;
}

uint64_t dials_note(const struct dials *dials, struct dials_entry *entry, uint64_t session_id)
{
    enum dials_side side;

    if (entry->state != DIALS_LIVE || !dials_side_of(entry, session_id, &side) ||
        (entry->ended[DIALS_CALLER] && entry->ended[DIALS_CALLEE]) ||
        entry->notes[side] >= dials->notes)
        return 0;
    entry->notes[side]++;
    return entry->member[side == DIALS_CALLER ? DIALS_CALLEE : DIALS_CALLER];
}

bool dials_end(struct dials_entry *entry, uint64_t session_id, enum dials_side *side)
{
    if (!dials_side_of(entry, session_id, side) || entry->ended[*side])
        return false;
    entry->ended[*side] = true;
    return true;
}
