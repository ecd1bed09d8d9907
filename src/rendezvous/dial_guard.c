/* SPDX-License-Identifier: BSD-2-Clause */
/* Why nothing that was admitted is ever admitted again: for every admitted pair of caller and
 * timestamp, either the caller's entry holds that timestamp, or the entry's floor is at least as
 * large, or the caller has no entry and the guard's floor is at least as large. Forgetting keeps
 * this, because it lifts a floor to what is forgotten, and a new entry begins with the guard's.
 *
 * The last few timestamps of a caller are held one by one, because several programs may have one
 * key: what they seal at the same moment can arrive in another order.
 *
 * Forgotten is the entry with the *oldest timestamp*, not the one unheard of longest: that lifts
 * the floor least. And because IDs are free, strangers must not be able to lift it above the
 * present, where it would shut everybody out: entries ahead of the present are limited to half of
 * the table, so that there is always an entry of the past to forget, and to DIAL_GUARD_SLACK_US, so
 * that they are soon of the past themselves. */
#include <stdlib.h>
#include <string.h>

#include "rendezvous/dial.h"

#define MAX_AHEAD     (DIAL_GUARD_CALLERS / 2)
#define FIRST_ENTRIES 16u
#define HELD          8u /* timestamps of a caller */

struct entry {
    struct identity_id caller;
    uint64_t newest_us;
    uint64_t floor_us;   /* nothing as old as this is admitted */
    uint64_t held[HELD]; /* all that were admitted and are newer than the floor; 0: none */
};

struct dial_guard {
    struct entry *entries;
    size_t count, capacity;
    uint64_t floor_us; /* a caller without an entry must be newer than this */
    uint64_t now_us;   /* UINT64_MAX until told */
};

static struct entry *find(const struct dial_guard *guard, const struct identity_id *caller)
{
    for (size_t i = 0; i < guard->count; i++) {
        struct entry *entry = &guard->entries[i];
        if (memcmp(entry->caller.bytes, caller->bytes, IDENTITY_ID_BYTES) == 0) {
            return entry;
        }
    }
    return NULL;
}

static bool is_too_far_ahead(const struct dial_guard *guard, const struct entry *own,
                             uint64_t timestamp_us)
{
    if (timestamp_us <= guard->now_us) {
        return false;
    }
    if (timestamp_us - guard->now_us > DIAL_GUARD_SLACK_US) {
        return true;
    }
    size_t ahead = 0;
    for (size_t i = 0; i < guard->count; i++) {
        ahead += &guard->entries[i] != own && guard->entries[i].newest_us > guard->now_us;
    }
    return ahead >= MAX_AHEAD;
}

static bool is_replay(const struct entry *entry, uint64_t timestamp_us)
{
    if (timestamp_us <= entry->floor_us ||
        (entry->newest_us > timestamp_us &&
         entry->newest_us - timestamp_us > DIAL_GUARD_REORDER_US)) {
        return true;
    }
    for (size_t i = 0; i < HELD; i++) {
        if (entry->held[i] == timestamp_us) {
            return true;
        }
    }
    return false;
}

static void hold(struct entry *entry, uint64_t timestamp_us)
{
    size_t oldest = 0;
    for (size_t i = 1; i < HELD; i++) {
        oldest = entry->held[i] < entry->held[oldest] ? i : oldest;
    }
    if (timestamp_us > entry->newest_us) {
        entry->newest_us = timestamp_us;
    }
    uint64_t forgotten_us = timestamp_us;
    if (timestamp_us > entry->held[oldest]) {
        forgotten_us = entry->held[oldest];
        entry->held[oldest] = timestamp_us;
    }
    if (forgotten_us > entry->floor_us) {
        entry->floor_us = forgotten_us;
    }
}

static bool has_room(struct dial_guard *guard)
{
    if (guard->count < guard->capacity) {
        return true;
    }
    if (guard->capacity == DIAL_GUARD_CALLERS) {
        return false;
    }
    size_t capacity = guard->capacity == 0 ? FIRST_ENTRIES : 2 * guard->capacity;
    capacity = capacity < DIAL_GUARD_CALLERS ? capacity : DIAL_GUARD_CALLERS;
    struct entry *entries = realloc(guard->entries, capacity * sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    guard->entries = entries;
    guard->capacity = capacity;
    return true;
}

/* In a full table the newcomer itself may be the oldest: then it is forgotten at once. */
static void remember(struct dial_guard *guard, const struct entry *newcomer)
{
    if (has_room(guard)) {
        guard->entries[guard->count++] = *newcomer;
        return;
    }
    struct entry *oldest = NULL;
    uint64_t oldest_us = newcomer->newest_us;
    for (size_t i = 0; i < guard->count; i++) {
        if (guard->entries[i].newest_us < oldest_us) {
            oldest = &guard->entries[i];
            oldest_us = oldest->newest_us;
        }
    }
    guard->floor_us = oldest_us;
    if (oldest != NULL) {
        *oldest = *newcomer;
    }
}

struct dial_guard *dial_guard_new(uint64_t unix_now_us)
{
    struct dial_guard *guard = calloc(1, sizeof(*guard));
    if (guard != NULL) {
        guard->floor_us =
            unix_now_us > DIAL_GUARD_SLACK_US ? unix_now_us - DIAL_GUARD_SLACK_US - 1 : 0;
        guard->now_us = UINT64_MAX;
    }
    return guard;
}

void dial_guard_free(struct dial_guard *guard)
{
    if (guard != NULL) {
        free(guard->entries);
        free(guard);
    }
}

void dial_guard_set_now(struct dial_guard *guard, uint64_t unix_now_us)
{
    guard->now_us = unix_now_us;
}

int dial_guard_admit(struct dial_guard *guard, const struct identity_id *caller,
                     uint64_t timestamp_us)
{
    struct entry *own = find(guard, caller);
    if (own != NULL && is_replay(own, timestamp_us)) {
        return DIAL_ERR_REPLAY;
    }
    if (own == NULL && timestamp_us <= guard->floor_us) {
        return DIAL_ERR_CLOCK;
    }
    if (is_too_far_ahead(guard, own, timestamp_us)) {
        return DIAL_ERR_CLOCK;
    }
    if (own != NULL) {
        hold(own, timestamp_us);
    } else {
        struct entry newcomer = {.caller = *caller, .floor_us = guard->floor_us};
        hold(&newcomer, timestamp_us);
        remember(guard, &newcomer);
    }
    return DIAL_OK;
}
