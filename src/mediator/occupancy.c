/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/occupancy.h"

#include <sodium.h>
#include <stdlib.h>

#define OCCUPANCY_FIRST_SLOTS 64

struct occupancy_slot {
    uint64_t prefix; /* 0: empty */
    uint32_t count;
};

/* Open addressing with linear probing, at most half full. */
struct occupancy {
    uint8_t hash_key[PREFIX_HASH_KEY_BYTES];
    struct occupancy_slot *slots;
    size_t mask;
    size_t used;
};

static size_t occupancy_home(const struct occupancy *occupancy, uint64_t prefix)
{
    return (size_t)prefix_hash(prefix, occupancy->hash_key) & occupancy->mask;
}

/* The slot of this prefix, or the empty one where it would go. */
static struct occupancy_slot *occupancy_slot(const struct occupancy *occupancy, uint64_t prefix)
{
    size_t at = occupancy_home(occupancy, prefix);

    while (occupancy->slots[at].prefix != 0 && occupancy->slots[at].prefix != prefix)
        at = (at + 1) & occupancy->mask;
    return &occupancy->slots[at];
}

static bool occupancy_grow(struct occupancy *occupancy)
{
    struct occupancy_slot *old = occupancy->slots;
    size_t old_slots = occupancy->mask + 1;
    struct occupancy_slot *grown = calloc(old_slots * 2, sizeof *grown);

    if (grown == NULL)
        return false;
    occupancy->slots = grown;
    occupancy->mask = old_slots * 2 - 1;
    for (size_t i = 0; i < old_slots; i++)
        if (old[i].prefix != 0)
            *occupancy_slot(occupancy, old[i].prefix) = old[i];
    free(old);
    return true;
}

/* Empties a slot and moves up those behind it that had been pushed past it. */
static void occupancy_vacate(struct occupancy *occupancy, struct occupancy_slot *slot)
{
    size_t hole = (size_t)(slot - occupancy->slots);
    size_t at = hole;

    for (;;) {
        at = (at + 1) & occupancy->mask;
        if (occupancy->slots[at].prefix == 0)
            break;
        size_t home = occupancy_home(occupancy, occupancy->slots[at].prefix);
        if (((at - home) & occupancy->mask) >= ((at - hole) & occupancy->mask)) {
            occupancy->slots[hole] = occupancy->slots[at];
            hole = at;
        }
    }
    occupancy->slots[hole] = (struct occupancy_slot){0};
    occupancy->used--;
}

struct occupancy *occupancy_new(void)
{
    struct occupancy *occupancy = calloc(1, sizeof *occupancy);

    if (occupancy == NULL)
        return NULL;
    occupancy->slots = calloc(OCCUPANCY_FIRST_SLOTS, sizeof *occupancy->slots);
    if (occupancy->slots == NULL) {
        free(occupancy);
        return NULL;
    }
    occupancy->mask = OCCUPANCY_FIRST_SLOTS - 1;
    randombytes_buf(occupancy->hash_key, sizeof occupancy->hash_key);
    return occupancy;
}

void occupancy_free(struct occupancy *occupancy)
{
    if (occupancy == NULL)
        return;
    free(occupancy->slots);
    free(occupancy);
}

bool occupancy_enter(struct occupancy *occupancy, const struct stun_addr *addr, uint32_t most)
{
    uint64_t prefix = prefix_of(addr);

    if (occupancy->used * 2 > occupancy->mask && !occupancy_grow(occupancy))
        return false;
    struct occupancy_slot *slot = occupancy_slot(occupancy, prefix);
    if (slot->count >= most)
        return false;
    if (slot->prefix == 0)
        occupancy->used++;
    slot->prefix = prefix;
    slot->count++;
    return true;
}

void occupancy_leave(struct occupancy *occupancy, const struct stun_addr *addr)
{
    struct occupancy_slot *slot = occupancy_slot(occupancy, prefix_of(addr));

    if (slot->count > 0 && --slot->count == 0)
        occupancy_vacate(occupancy, slot);
}

uint32_t occupancy_of(const struct occupancy *occupancy, const struct stun_addr *addr)
{
    return occupancy_slot(occupancy, prefix_of(addr))->count;
}
