/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/dials.h"

#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Entries are taken in their order and reused, so that memory is touched only as far as needed. */
struct dials {
    uint8_t hash_key[crypto_shorthash_KEYBYTES];
    struct deadlines waiting;
    struct dials_entry *entries;
    uint32_t *buckets; /* these and all other indices: + 1, so that 0 is none */
    size_t mask;
    size_t capacity;
    size_t touched;
    size_t count;
    uint32_t free; /* chained by `next` */
    struct occupancy *prefixes;
    uint32_t per_prefix;
    struct limit_rate notes;
};

static uint32_t *dials_bucket(const struct dials *dials,
                              const uint8_t id[static WIRE_DIAL_ID_BYTES])
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t value;

    crypto_shorthash(hash, id, WIRE_DIAL_ID_BYTES, dials->hash_key);
    memcpy(&value, hash, sizeof value);
    return &dials->buckets[(size_t)value & dials->mask];
}

static struct dials_link *dials_link_on(struct dials_entry *entry, const struct dials_list *list)
{
    return &entry->link[entry->link[DIALS_CALLER].list == list ? DIALS_CALLER : DIALS_CALLEE];
}

static void dials_leave(struct dials_entry *entry, enum dials_side side)
{
    struct dials_link *link = &entry->link[side];

    if (link->list == NULL)
        return;
    if (link->previous != NULL)
        dials_link_on(link->previous, link->list)->next = link->next;
    else
        link->list->first = link->next;
    if (link->next != NULL)
        dials_link_on(link->next, link->list)->previous = link->previous;
    link->list->count--;
    *link = (struct dials_link){0};
}

/* It counts for nobody. */
static void dials_release(struct dials *dials, struct dials_entry *entry)
{
    if (entry->holder.family != STUN_NO_FAMILY)
        occupancy_leave(dials->prefixes, &entry->holder);
    entry->holder = (struct stun_addr){0};
}

void dials_forget(struct dials *dials, struct dials_entry *entry)
{
    uint32_t index = (uint32_t)(entry - dials->entries) + 1;
    uint32_t *at = dials_bucket(dials, entry->id);

    while (*at != index)
        at = &dials->entries[*at - 1].next;
    *at = entry->next;
    dials_leave(entry, DIALS_CALLER);
    dials_leave(entry, DIALS_CALLEE);
    dials_release(dials, entry);
    deadline_disarm(&entry->deadline);
    entry->next = dials->free;
    dials->free = index;
    dials->count--;
}

struct dials *dials_new(size_t capacity, uint32_t per_prefix, struct limit_rate notes)
{
    struct dials *dials = calloc(1, sizeof *dials);
    size_t buckets = 1;

    if (dials == NULL)
        return NULL;
    while (buckets < capacity)
        buckets *= 2;
    dials->mask = buckets - 1;
    dials->capacity = capacity;
    dials->per_prefix = per_prefix;
    dials->notes = notes;
    dials->prefixes = occupancy_new();
    dials->entries = calloc(capacity, sizeof *dials->entries);
    dials->buckets = calloc(buckets, sizeof *dials->buckets);
    if (dials->entries == NULL || dials->buckets == NULL || dials->prefixes == NULL) {
        dials_free(dials);
        return NULL;
    }
    deadlines_init(&dials->waiting, DIALS_LIFETIME_US);
    randombytes_buf(dials->hash_key, sizeof dials->hash_key);
    return dials;
}

void dials_free(struct dials *dials)
{
    if (dials == NULL)
        return;
    free(dials->entries);
    free(dials->buckets);
    occupancy_free(dials->prefixes);
    free(dials);
}

struct dials_entry *dials_add(struct dials *dials, const uint8_t id[static WIRE_DIAL_ID_BYTES],
                              uint64_t caller, uint64_t now_us)
{
    if (dials_full(dials))
        return NULL;
    uint32_t index = dials->free != 0 ? dials->free : (uint32_t)++dials->touched;
    struct dials_entry *entry = &dials->entries[index - 1];
    if (index == dials->free)
        dials->free = entry->next;
    uint32_t *bucket = dials_bucket(dials, id);

    *entry = (struct dials_entry){
        .member = {[DIALS_CALLER] = caller},
        .created_us = now_us,
        .used_us = now_us,
        .next = *bucket,
        .state = DIALS_REFUSED,
    };
    memcpy(entry->id, id, sizeof entry->id);
    *bucket = index;
    dials->count++;
    deadline_arm(&dials->waiting, &entry->deadline, now_us);
    return entry;
}

struct dials_entry *dials_find(const struct dials *dials,
                               const uint8_t id[static WIRE_DIAL_ID_BYTES])
{
    uint32_t at = *dials_bucket(dials, id);

    while (at != 0 && memcmp(dials->entries[at - 1].id, id, WIRE_DIAL_ID_BYTES) != 0)
        at = dials->entries[at - 1].next;
    return at == 0 ? NULL : &dials->entries[at - 1];
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
    struct deadline *due;

    while ((due = deadlines_due(&dials->waiting, now_us)) != NULL)
        dials_forget(dials, (struct dials_entry *)(void *)((char *)due -
                                                           offsetof(struct dials_entry, deadline)));
}

bool dials_hold(struct dials *dials, struct dials_entry *entry, const struct stun_addr *from)
{
    dials_release(dials, entry); /* of who asked for it before */
    if (!occupancy_enter(dials->prefixes, from, dials->per_prefix))
        return false;
    entry->holder = *from;
    return true;
}

void dials_join(struct dials_entry *entry, enum dials_side side, uint64_t session_id,
                struct dials_list *list)
{
    struct dials_link *link = &entry->link[side];

    entry->member[side] = session_id;
    *link = (struct dials_link){.list = list, .next = list->first};
    if (link->next != NULL)
        dials_link_on(link->next, list)->previous = entry;
    list->first = entry;
    list->count++;
}

void dials_move(struct dials *dials, struct dials_entry *entry, enum dials_state state,
                uint64_t now_us)
{
    bool was_resumed = entry->resumed || entry->state == DIALS_RESUMING;

    entry->state = state;
    entry->accepted |= state == DIALS_LIVE;
    if (state == DIALS_LIVE || state == DIALS_ASKED)
        deadline_disarm(&entry->deadline);
    else
        deadline_arm(&dials->waiting, &entry->deadline, now_us);
    if (state != DIALS_REFUSED && state != DIALS_OVER)
        return;
    dials_leave(entry, DIALS_CALLER);
    dials_leave(entry, DIALS_CALLEE);
    if (!was_resumed)
        dials_release(dials, entry);
}

bool dials_side_of(const struct dials_entry *entry, uint64_t session_id, enum dials_side *side)
{
    if (session_id == 0)
        return false;
    *side = entry->member[DIALS_CALLER] == session_id ? DIALS_CALLER : DIALS_CALLEE;
    return entry->member[*side] == session_id;
}

struct dials_entry *dials_next(const struct dials_entry *entry, const struct dials_list *list)
{
    return entry->link[entry->link[DIALS_CALLER].list == list ? DIALS_CALLER : DIALS_CALLEE].next;
}

bool dials_accept(struct dials *dials, struct dials_entry *entry, uint64_t session_id,
                  uint64_t now_us)
{
    enum dials_side side;

    if (entry->state != DIALS_ASKED || !dials_side_of(entry, session_id, &side) ||
        side != DIALS_CALLEE)
        return false;
    dials_move(dials, entry, DIALS_LIVE, now_us);
    return true;
}

uint64_t dials_other(const struct dials_entry *entry, uint64_t session_id)
{
    enum dials_side side;

    if (entry->state != DIALS_LIVE || !dials_side_of(entry, session_id, &side))
        return 0;
    return entry->member[side == DIALS_CALLER ? DIALS_CALLEE : DIALS_CALLER];
}

bool dials_note(const struct dials *dials, struct dials_entry *entry, uint64_t session_id,
                uint64_t now_us)
{
    enum dials_side side;

    if (!dials_side_of(entry, session_id, &side) ||
        !limit_take(&entry->notes[side], dials->notes, now_us))
        return false;
    entry->used_us = now_us;
    return true;
}
