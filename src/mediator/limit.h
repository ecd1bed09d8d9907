/* SPDX-License-Identifier: BSD-2-Clause */
/* How often something may happen, or how much of it: token buckets, single ones and one per address
 * prefix. Pure: time is an argument (microseconds, monotonic). */
#ifndef MEDIATOR_LIMIT_H
#define MEDIATOR_LIMIT_H

#include "mediator/prefix.h"

/* So many a second on average, `burst` at once. A rate of 0 means never. */
struct limit_rate {
    uint32_t per_second;
    uint32_t burst;
};

/* A token bucket as one number (the "virtual scheduling" form of GCRA, ITU-T I.371): when it will
 * be full again. Zero-initialised = full. */
struct limit_bucket {
    uint64_t full_at_ns;
};

/* Takes a token; false if there is none. */
bool limit_take(struct limit_bucket *bucket, struct limit_rate rate, uint64_t now_us);
/* For what happens less than once a second. */
bool limit_take_every(struct limit_bucket *bucket, uint64_t interval_us, uint32_t burst,
                      uint64_t now_us);

/* Of what costs many tokens: how many there are, and taking some of them. */
uint64_t limit_left(const struct limit_bucket *bucket, struct limit_rate rate, uint64_t now_us);
void limit_charge(struct limit_bucket *bucket, struct limit_rate rate, uint64_t tokens,
                  uint64_t now_us);

/* A bucket per address prefix, in a table of fixed size. A prefix that finds no room takes over the
 * bucket that is nearest to full, with what it holds: so a flood from ever new (forged) addresses
 * shares the buckets of the table, and the sum of what is let through stays bounded. */
struct limits;

struct limits *limits_new(size_t slots, struct limit_rate rate); /* NULL: out of memory */
void limits_free(struct limits *limits);
bool limits_take(struct limits *limits, const struct stun_addr *from, uint64_t now_us);
/* What a prefix does to one session: a bucket for each pair of both. */
bool limits_take_from(struct limits *limits, uint64_t session_id, const struct stun_addr *from,
                      uint64_t now_us);
/* For who counts tokens, and by other keys than prefixes; valid until the next call. */
struct limit_bucket *limits_bucket(struct limits *limits, uint64_t key);

#endif
