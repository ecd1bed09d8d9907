/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of the tests, and the boundary. */
#include "punch/explore_tests.h"

#include <string.h>

#define MAX_INTERRUPTIONS 5
#define FIRST_NUMBER      16 /* of our sockets in observations; the survey's are smaller */

bool explore_is_dependent(const struct explore *e)
{
    return e->survey.mapping == NAT_MAPPING_ADDRESS_DEPENDENT ||
           e->survey.mapping == NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
}

bool explore_is_consistent(const struct explore *e)
{
    return nat_profile_is_consistent(&e->survey);
}

static void find_endpoints(struct explore *e)
{
    if (e->seen_count == 0)
        return;
    e->home = e->seen[0].server;
    for (size_t i = 1; i < e->seen_count; i++) {
        const struct stun_addr *server = &e->seen[i].server;
        bool same_port = server->port == e->home.port;

        if (server->family != e->home.family || stun_addr_equal(server, &e->home))
            continue;
        if (stun_addr_same_ip(server, &e->home))
            e->near = *server;
        else if (same_port)
            e->side = *server;
        else
            e->far = *server;
    }
}

static void close_socket(struct explore *e, unsigned i)
{
    e->sockets[i].replace = e->sockets[i].replace || e->sockets[i].wanted;
    e->sockets[i].wanted = e->sockets[i].open = false;
    memset(&e->sockets[i].mapped, 0, sizeof(e->sockets[i].mapped));
}

void explore_enter(struct explore *e, enum explore_phase phase, unsigned keep, unsigned fresh)
{
    e->phase = phase;
    e->ready = false;
    round_clear(&e->round);
    for (unsigned i = 0; i < EXPLORE_SOCKETS; i++) {
        if ((fresh >> i & 1) != 0) {
            close_socket(e, i);
            e->sockets[i].wanted = e->sockets[i].replace = true;
        } else if ((keep >> i & 1) == 0) {
            close_socket(e, i);
        }
    }
}

static bool sockets_ready(const struct explore *e)
{
    for (unsigned i = 0; i < EXPLORE_SOCKETS; i++) {
        if (e->sockets[i].wanted && !e->sockets[i].open)
            return false;
    }
    return true;
}

static void plan(struct explore *e)
{
    bool fast = e->interruptions < MAX_INTERRUPTIONS;
    unsigned opened = 0;

    for (unsigned i = FIRST_FRESH; i < FIRST_FRESH + FRESH_SOCKETS; i++)
        opened += exists(&e->sockets[i].mapped);
    if (!exists(&e->home))
        explore_enter(e, EXPLORE_DONE, 0, 0);
    else if (fast && !e->sampled && explore_wants_samples(e))
        explore_enter(e, EXPLORE_SAMPLE, 0, FRESH_BITS);
    else if (fast && !e->filtered && (exists(&e->far) || exists(&e->near)))
        explore_enter(e, EXPLORE_BASE, 0, FILTER_BIT | (explore_is_consistent(e) ? FRESH_BITS : 0));
    else if (fast && explore_wants_reach(e) && opened == FRESH_SOCKETS)
        explore_enter(e, EXPLORE_REACH, FRESH_BITS, 0);
    else if (fast && explore_wants_reach(e))
        explore_enter(e, EXPLORE_BASE, 0, FRESH_BITS);
    else if (fast && explore_wants_block(e) && e->wait_us < e->began_us + EXPLORE_POLITE_US)
        explore_rest(e);
    else if (fast && explore_wants_block(e))
        explore_enter(e, EXPLORE_BLOCK, 0, FRESH_BITS);
    else if (!explore_wants_life(e))
        explore_enter(e, EXPLORE_DONE, 0, 0);
    else if (e->sockets[LIFE_SOCKET].open)
        explore_enter(e, EXPLORE_PRIME, LIFE_BIT, 0);
    else
        explore_enter(e, EXPLORE_PRIME, 0, LIFE_BIT);
}

static void begin(struct explore *e)
{
    switch (e->phase) {
    case EXPLORE_SAMPLE:
        explore_begin_sample(e);
        break;
    case EXPLORE_BASE:
    case EXPLORE_BLOCK:
        explore_begin_base(e);
        break;
    case EXPLORE_FILTER:
        explore_begin_filter(e);
        break;
    case EXPLORE_EARLY:
        explore_begin_early(e);
        break;
    case EXPLORE_REACH:
        explore_begin_reach(e);
        break;
    case EXPLORE_PRIME:
        explore_begin_prime(e);
        break;
    case EXPLORE_LIFE:
        explore_begin_life(e);
        break;
    default:
        break;
    }
}

static void end(struct explore *e, uint64_t now_us)
{
    switch (e->phase) {
    case EXPLORE_SAMPLE:
        explore_end_sample(e, now_us);
        break;
    case EXPLORE_BASE:
        explore_end_base(e);
        break;
    case EXPLORE_FILTER:
        explore_end_filter(e);
        break;
    case EXPLORE_EARLY:
        explore_end_early(e);
        break;
    case EXPLORE_REACH:
        explore_end_reach(e);
        break;
    case EXPLORE_BLOCK:
        explore_end_block(e);
        break;
    case EXPLORE_PRIME:
        explore_end_prime(e, now_us);
        break;
    case EXPLORE_LIFE:
        explore_end_life(e);
        break;
    default:
        break;
    }
}

static bool is_waiting(enum explore_phase phase)
{
    return phase == EXPLORE_QUIET || phase == EXPLORE_SETTLE || phase == EXPLORE_IDLE;
}

static void waited(struct explore *e)
{
    if (e->phase == EXPLORE_QUIET && e->samples == 1)
        explore_enter(e, EXPLORE_SAMPLE, FRESH_BITS, 0);
    else if (e->phase == EXPLORE_QUIET)
        explore_enter(e, EXPLORE_PLAN, 0, 0);
    else if (e->phase == EXPLORE_SETTLE)
        explore_enter(e, EXPLORE_PRIME, LIFE_BIT, 0);
    else
        explore_enter(e, EXPLORE_LIFE, LIFE_BIT, FILTER_BIT);
}

static void advance(struct explore *e, uint64_t now_us)
{
    while (!e->held && e->phase != EXPLORE_DONE) {
        if (e->phase == EXPLORE_PLAN) {
            plan(e);
            continue;
        }
        if (is_waiting(e->phase)) {
            if (now_us < e->wait_us)
                return;
            waited(e);
            continue;
        }
        if (!sockets_ready(e))
            return;
        if (!e->ready) {
            begin(e);
            e->ready = true;
        }
        if (!round_advance(&e->round, now_us))
            return;
        end(e, now_us);
    }
}

void explore_init(struct explore *e, uint64_t now_us, const struct explore_config *config)
{
    memset(e, 0, sizeof(*e));
    e->seen_count =
        config->seen_count < NAT_MAX_OBSERVATIONS ? config->seen_count : NAT_MAX_OBSERVATIONS;
    memcpy(e->seen, config->seen, e->seen_count * sizeof(e->seen[0]));
    nat_profile_from(e->seen, e->seen_count, &e->survey);
    find_endpoints(e);
    e->round.random = config->random;
    e->round.random_context = config->random_context;
    e->round.rtt_us = config->rtt_us;
    e->next_number = FIRST_NUMBER;
    e->idle_s = EXPLORE_FIRST_IDLE_S;
    e->began_us = now_us;
    advance(e, now_us);
}

bool explore_poll_socket(struct explore *e, unsigned *socket, bool *open)
{
    for (unsigned i = 0; i < EXPLORE_SOCKETS; i++) {
        if (!e->sockets[i].replace)
            continue;
        e->sockets[i].replace = false;
        *socket = i;
        *open = e->sockets[i].wanted;
        return true;
    }
    return false;
}

void explore_opened(struct explore *e, uint64_t now_us, unsigned socket,
                    const struct stun_addr *local)
{
    if (socket >= EXPLORE_SOCKETS || !e->sockets[socket].wanted)
        return;
    if (!exists(local)) {
        explore_enter(e, EXPLORE_DONE, 0, 0);
        return;
    }
    e->sockets[socket].open = true;
    e->sockets[socket].local = *local;
    e->sockets[socket].number = e->next_number++;
    advance(e, now_us);
}

bool explore_input(struct explore *e, uint64_t now_us, unsigned socket,
                   const struct stun_addr *from, const struct stun_message *msg)
{
    bool ours = !e->held && e->ready && round_input(&e->round, now_us, socket, from, msg);

    if (ours)
        advance(e, now_us);
    return ours;
}

bool explore_output(struct explore *e, uint64_t now_us, unsigned *socket, struct stun_addr *to,
                    unsigned *ttl, uint8_t *buffer, size_t capacity, size_t *size)
{
    advance(e, now_us);
    return !e->held && e->ready &&
           round_output(&e->round, now_us, socket, to, ttl, buffer, capacity, size);
}

uint64_t explore_next_timeout(const struct explore *e)
{
    if (e->held || e->phase == EXPLORE_DONE)
        return UINT64_MAX;
    if (is_waiting(e->phase))
        return e->wait_us;
    return e->ready ? round_next_timeout(&e->round) : UINT64_MAX;
}

void explore_hold(struct explore *e, uint64_t now_us, bool hold)
{
    bool idle = e->phase == EXPLORE_IDLE || e->phase == EXPLORE_DONE;

    if (hold == e->held)
        return;
    e->held = hold;
    /* An idle mapping may be asked for a little late, not much. */
    if (!hold && e->phase == EXPLORE_IDLE && now_us > e->wait_us + (uint64_t)e->idle_s * 125000)
        idle = false;
    if (!idle) {
        e->interruptions += hold && e->phase != EXPLORE_PLAN;
        e->primes = 0;
        e->samples = 0;
        explore_enter(e, EXPLORE_PLAN, 0, 0);
    }
    advance(e, now_us);
}

bool explore_poll_news(struct explore *e)
{
    bool news = e->news;

    e->news = false;
    return news;
}

void explore_profile(const struct explore *e, struct nat_profile *out)
{
    *out = e->survey;
    out->filtering = e->learned.filtering;
    out->early = e->learned.early;
    out->hairpin = e->learned.hairpin;
    out->lifetime_s = e->learned.lifetime_s;
    out->opener_ttl = e->learned.opener_ttl;
}

bool explore_is_settled(const struct explore *e)
{
    switch (e->phase) {
    case EXPLORE_PRIME:
    case EXPLORE_SETTLE:
    case EXPLORE_IDLE:
    case EXPLORE_LIFE:
    case EXPLORE_DONE:
        return !e->held;
    default:
        return false;
    }
}
