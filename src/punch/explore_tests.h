/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of explore: each test fills a round when it begins, and judges it at its end. */
#ifndef PUNCH_EXPLORE_TESTS_H
#define PUNCH_EXPLORE_TESTS_H

#include "punch/explore.h"

enum { FILTER_SOCKET = 0, FIRST_FRESH = 1, FRESH_SOCKETS = 4, LIFE_SOCKET = 5 };

#define FILTER_BIT (1u << FILTER_SOCKET)
#define FRESH_BITS (((1u << FRESH_SOCKETS) - 1) << FIRST_FRESH)
#define LIFE_BIT   (1u << LIFE_SOCKET)

#define EXPLORE_FIRST_IDLE_S 28
#define EXPLORE_POLITE_US    2000000u

static inline bool exists(const struct stun_addr *addr)
{
    return addr->family != STUN_NO_FAMILY;
}

/* The survey's mapping depends on the endpoint; does not. Neither: it is unknown. */
bool explore_is_dependent(const struct explore *e);
bool explore_is_consistent(const struct explore *e);

/* To another phase. The sockets to keep, and those that it wants fresh; the rest is closed. */
void explore_enter(struct explore *e, enum explore_phase phase, unsigned keep, unsigned fresh);

/* ---- explore_tests.c ---- */
void explore_rest(struct explore *e);
bool explore_wants_samples(const struct explore *e);
void explore_begin_sample(struct explore *e);
void explore_end_sample(struct explore *e, uint64_t now_us);
void explore_begin_base(struct explore *e);
void explore_end_base(struct explore *e);
void explore_begin_filter(struct explore *e);
void explore_end_filter(struct explore *e);
void explore_begin_early(struct explore *e);
void explore_end_early(struct explore *e);
bool explore_wants_reach(const struct explore *e);
void explore_begin_reach(struct explore *e);
void explore_end_reach(struct explore *e);
bool explore_wants_block(const struct explore *e);
void explore_end_block(struct explore *e);

/* ---- explore_life.c ---- */
bool explore_wants_life(const struct explore *e);
void explore_begin_prime(struct explore *e);
void explore_end_prime(struct explore *e, uint64_t now_us);
void explore_begin_life(struct explore *e);
void explore_end_life(struct explore *e);

#endif
