/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/relay.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/occupancy.h"

#define RELAY_FIRST_SLOTS   64
#define RELAY_BURST_SHARE   4 /* of what passes in a second, but at least: */
#define RELAY_BURST_BYTES   (256u << 10)
#define RELAY_HINT_EVERY_US 20000
#define RELAY_HINT_BURST    5
#define RELAY_SPENDERS      4096

_Static_assert(WIRE_RELAY_TAG_BYTES == sizeof(uint64_t), "tags are compared as numbers");

struct relay_pair {
    uint64_t tag[2]; /* their bytes as they are on the wire */
    struct relay_member *member[2];
    struct limit_bucket hints[2];
    struct limit_bucket spent;
    uint64_t used_us;
};

struct relay_slot {
    uint64_t tag; /* 0: empty */
    struct relay_pair *pair;
};

/* Open addressing with linear probing, at most half full. Tags are random and ours, so they are
 * their own hash. */
struct relay {
    struct relay_limits limits;
    struct limit_rate rate[RELAY_QUOTAS];
    struct limits *spent_by_peer, *spent_by_prefix;
    struct limit_bucket spent_by_all;
    struct occupancy *pairs_of_prefix; /* that it has asked for */
    struct relay_counters counters;
    struct relay_slot *slots;
    size_t mask;
    size_t pairs;
};

static size_t relay_home(const struct relay *relay, uint64_t tag)
{
    return (size_t)(tag >> 8) & relay->mask;
}

/* The slot of this tag, or the empty one where it would go. */
static struct relay_slot *relay_slot(const struct relay *relay, uint64_t tag)
{
    size_t at = relay_home(relay, tag);

    while (relay->slots[at].tag != 0 && relay->slots[at].tag != tag)
        at = (at + 1) & relay->mask;
    return &relay->slots[at];
}

static bool relay_grow(struct relay *relay)
{
    struct relay_slot *old = relay->slots;
    size_t old_slots = relay->mask + 1;
    struct relay_slot *grown = calloc(old_slots * 2, sizeof *grown);

    if (grown == NULL)
        return false;
    relay->slots = grown;
    relay->mask = old_slots * 2 - 1;
    for (size_t i = 0; i < old_slots; i++)
        if (old[i].tag != 0)
            *relay_slot(relay, old[i].tag) = old[i];
    free(old);
    return true;
}

/* Empties a slot and moves up those behind it that had been pushed past it. */
static void relay_vacate(struct relay *relay, struct relay_slot *slot)
{
    size_t hole = (size_t)(slot - relay->slots);
    size_t at = hole;

    for (;;) {
        at = (at + 1) & relay->mask;
        if (relay->slots[at].tag == 0)
            break;
        size_t home = relay_home(relay, relay->slots[at].tag);
        if (((at - home) & relay->mask) >= ((at - hole) & relay->mask)) {
            relay->slots[hole] = relay->slots[at];
            hole = at;
        }
    }
    relay->slots[hole] = (struct relay_slot){0};
}

static uint64_t relay_new_tag(const struct relay *relay)
{
    uint8_t bytes[WIRE_RELAY_TAG_BYTES];
    uint64_t tag;

    do {
        randombytes_buf(bytes, sizeof bytes);
        bytes[0] = WIRE_RELAY_TAG_FIRST;
        memcpy(&tag, bytes, sizeof tag);
    } while (relay_slot(relay, tag)->tag != 0);
    return tag;
}

static size_t relay_datagrams(const struct relay_run *run)
{
    return (run->size + run->datagram_bytes - 1) / run->datagram_bytes;
}

/* How many datagrams of a run all quotas let through; they are thereby spent. */
static size_t relay_spend(struct relay *relay, struct relay_pair *pair,
                          const struct relay_member *sender, const struct relay_run *run,
                          size_t datagrams, uint64_t now_us)
{
    struct limit_bucket *spent[RELAY_QUOTAS] = {
        [RELAY_OF_PAIR] = &pair->spent,
        [RELAY_OF_PEER] = limits_bucket(relay->spent_by_peer, sender->peer),
        [RELAY_OF_PREFIX] = limits_bucket(relay->spent_by_prefix, prefix_of(&sender->home)),
        [RELAY_OF_ALL] = &relay->spent_by_all,
    };
    size_t cost = run->datagram_bytes > relay->limits.datagram_bytes ? run->datagram_bytes
                                                                     : relay->limits.datagram_bytes;
    size_t passed = datagrams;

    for (int quota = 0; quota < RELAY_QUOTAS; quota++) {
        if (relay->rate[quota].per_second == 0)
            continue;
        uint64_t left = limit_left(spent[quota], relay->rate[quota], now_us) / cost;
        if (left >= passed)
            continue;
        relay->counters.over_rate[quota] += passed - left;
        passed = (size_t)left;
    }
    for (int quota = 0; quota < RELAY_QUOTAS; quota++)
        limit_charge(spent[quota], relay->rate[quota], passed * cost, now_us);
    return passed;
}

static enum relay_verdict relay_way(struct relay_member *to, uint64_t now_us,
                                    struct relay_route *out)
{
    out->member = to;
    out->stream = to->stream;
    out->to = to->stream == NULL ? attested_latest(to->attested, now_us) : NULL;
    if (out->stream != NULL)
        return RELAY_TO_STREAM;
    return out->to != NULL ? RELAY_TO_ADDRESS : RELAY_TO_SESSION;
}

struct relay *relay_new(const struct relay_limits *limits)
{
    struct relay *relay = calloc(1, sizeof *relay);

    if (relay == NULL)
        return NULL;
    relay->limits = *limits;
    relay->mask = RELAY_FIRST_SLOTS - 1;
    for (int quota = 0; quota < RELAY_QUOTAS; quota++) {
        uint32_t rate = limits->rate[quota], burst = rate / RELAY_BURST_SHARE;
        relay->rate[quota].per_second = rate;
        relay->rate[quota].burst = burst > RELAY_BURST_BYTES ? burst : RELAY_BURST_BYTES;
    }
    relay->slots = calloc(RELAY_FIRST_SLOTS, sizeof *relay->slots);
    relay->spent_by_peer = limits_new(RELAY_SPENDERS, relay->rate[RELAY_OF_PEER]);
    relay->spent_by_prefix = limits_new(RELAY_SPENDERS, relay->rate[RELAY_OF_PREFIX]);
    relay->pairs_of_prefix = occupancy_new();
    if (relay->slots == NULL || relay->spent_by_peer == NULL || relay->spent_by_prefix == NULL ||
        relay->pairs_of_prefix == NULL) {
        relay_free(relay);
        return NULL;
    }
    return relay;
}

void relay_free(struct relay *relay)
{
    if (relay == NULL)
        return;
    free(relay->slots);
    limits_free(relay->spent_by_peer);
    limits_free(relay->spent_by_prefix);
    occupancy_free(relay->pairs_of_prefix);
    free(relay);
}

struct relay_pair *relay_open(struct relay *relay, struct relay_member *asker,
                              struct relay_member *other, uint64_t now_us, const char **refusal)
{
    struct relay_pair *pair = NULL;

    if (asker->asked_pairs >= relay->limits.peer_pairs)
        *refusal = "this mediator relays no more calls of one peer at one time";
    else if (occupancy_of(relay->pairs_of_prefix, &asker->home) >= relay->limits.prefix_pairs)
        *refusal = "this mediator relays no more calls from one network at one time";
    else if (((relay->pairs + 1) * 4 > relay->mask + 1 && !relay_grow(relay)) ||
             (pair = calloc(1, sizeof *pair)) == NULL ||
             !occupancy_enter(relay->pairs_of_prefix, &asker->home, UINT32_MAX))
        *refusal = "this mediator is out of memory";
    else
        *refusal = NULL;
    if (*refusal != NULL) {
        free(pair);
        relay->counters.refused++;
        return NULL;
    }
    pair->member[0] = asker;
    pair->member[1] = other;
    pair->used_us = now_us;
    for (int side = 0; side < 2; side++) {
        pair->tag[side] = relay_new_tag(relay);
        *relay_slot(relay, pair->tag[side]) = (struct relay_slot){pair->tag[side], pair};
    }
    asker->asked_pairs++;
    relay->pairs++;
    relay->counters.pairs++;
    return pair;
}

void relay_close(struct relay *relay, struct relay_pair *pair)
{
    if (pair == NULL)
        return;
    for (int side = 0; side < 2; side++)
        relay_vacate(relay, relay_slot(relay, pair->tag[side]));
    pair->member[0]->asked_pairs--;
    occupancy_leave(relay->pairs_of_prefix, &pair->member[0]->home);
    relay->pairs--;
    free(pair);
}

void relay_tag(const struct relay_pair *pair, unsigned side,
               uint8_t tag[static WIRE_RELAY_TAG_BYTES])
{
    memcpy(tag, &pair->tag[side], WIRE_RELAY_TAG_BYTES);
}

uint64_t relay_used_us(const struct relay_pair *pair)
{
    return pair->used_us;
}

const struct relay_counters *relay_counters(const struct relay *relay)
{
    return &relay->counters;
}

size_t relay_count(const struct relay *relay)
{
    return relay->pairs;
}

void relay_cut(const uint8_t *bytes, size_t size, size_t datagram_bytes, struct relay_run *out)
{
    size_t end = datagram_bytes < size ? datagram_bytes : size;

    *out = (struct relay_run){.bytes = bytes, .datagram_bytes = end};
    while (size - end >= WIRE_RELAY_TAG_BYTES &&
           memcmp(bytes + end, bytes, WIRE_RELAY_TAG_BYTES) == 0)
        end += size - end < datagram_bytes ? size - end : datagram_bytes;
    out->size = end;
}

enum relay_verdict relay_route(struct relay *relay, const struct relay_run *run, uint64_t now_us,
                               struct relay_route *out)
{
    struct relay_counters *counters = &relay->counters;
    size_t datagrams = relay_datagrams(run);
    uint64_t tag;

    memcpy(&tag, run->bytes, sizeof tag);
    struct relay_pair *pair = relay_slot(relay, tag)->pair;
    if (pair == NULL || run->datagram_bytes <= WIRE_RELAY_TAG_BYTES ||
        run->datagram_bytes > WIRE_RELAY_TAG_BYTES + RELAY_MAX_DATAGRAM_BYTES) {
        counters->unknown += datagrams;
        return RELAY_DROP;
    }
    int side = tag == pair->tag[1];
    const struct relay_member *sender = pair->member[side];
    if (run->from == NULL ? run->by != sender
                          : !attested_heard(sender->attested, run->from, now_us)) {
        counters->unattested += datagrams;
        return run->from != NULL && limit_take_every(&pair->hints[side], RELAY_HINT_EVERY_US,
                                                     RELAY_HINT_BURST, now_us)
                   ? RELAY_HINT
                   : RELAY_DROP;
    }
    pair->used_us = now_us;
    size_t last = run->size % run->datagram_bytes;
    if (last > 0 && last <= WIRE_RELAY_TAG_BYTES)
        datagrams--; /* a bare tag is ours to send */
    size_t passed = relay_spend(relay, pair, sender, run, datagrams, now_us);
    if (passed == 0)
        return RELAY_DROP;
    out->size = passed * run->datagram_bytes;
    out->size = out->size < run->size ? out->size : run->size;
    counters->packets += passed;
    counters->bytes += out->size - passed * WIRE_RELAY_TAG_BYTES;
    memcpy(out->tag, &pair->tag[!side], sizeof out->tag);
    return relay_way(pair->member[!side], now_us, out);
}
