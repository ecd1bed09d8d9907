/* SPDX-License-Identifier: BSD-2-Clause */
/* Which packet leaves next, and whether it may. */
#include <string.h>

#include "punch/engine.h"

/* Kept back from ordinary checks of the first 100 ms: answers to what is heard, and, for the
 * callee, three copies of its answer to the link's first flight. */
#define RESERVE_TRIGGERED 2
#define RESERVE_LINK      3
#define EARLY_TRIES       3
#define NEAR_OPENER_TTL   2

static const uint64_t retry_us[RETRY_GAPS] = {FIRST_RETRY_US, 60 * MS, 140 * MS, 300 * MS};

static bool credentials_known(const struct punch *p)
{
    return p->remote_ufrag_bytes > 0 && p->remote_password_bytes > 0;
}

/* When the plain punch may go on; 0: now. */
static uint64_t blocked_until(const struct punch *p, unsigned reserve)
{
    if (p->first_sent_us == NEVER)
        return 0;
    if (p->now_us < p->first_sent_us + 100 * MS &&
        p->plain_sent + reserve >= PUNCH_BUDGET_FIRST_100_MS)
        return p->first_sent_us + 100 * MS;
    if (p->now_us < p->first_sent_us + SECOND &&
        p->plain_sent + reserve >= PUNCH_BUDGET_FIRST_SECOND)
        return p->first_sent_us + SECOND;
    /* Two NATs that give each destination another port and let everybody in make a new address of
     * each answer: without an end, if nothing held it back. */
    if (p->now_us >= p->first_sent_us + SECOND &&
        p->late_us > p->now_us + LATE_AT_ONCE * LATE_GAP_US)
        return p->late_us - LATE_AT_ONCE * LATE_GAP_US;
    return 0;
}

bool outbox_blocked(const struct punch *p, unsigned reserve)
{
    return blocked_until(p, reserve) != 0;
}

bool outbox_allows(struct punch *p, const struct stun_addr *to, unsigned reserve)
{
    if (blocked_until(p, reserve) != 0)
        return false;
    return p->budget == NULL || punch_budget_take(p->budget, p->now_us, to);
}

void outbox_count(struct punch *p)
{
    if (p->first_sent_us == NEVER)
        p->first_sent_us = p->now_us;
    p->plain_sent++;
    if (p->now_us < p->first_sent_us + SECOND)
        return;
    p->late_us = (p->late_us > p->now_us ? p->late_us : p->now_us) + LATE_GAP_US;
}

/* Before the time to start: a few times, closer and closer to it. */
static void schedule_early(struct punch *p, struct pair *pair)
{
    uint64_t left = p->start_us - p->now_us;

    pair->tries++;
    pair->next_us = p->now_us + (left > 4 * MS ? left / 2 : left);
    if (pair->tries < EARLY_TRIES)
        return;
    pair->tries = 0;
    pair->next_us = p->start_us;
}

static void schedule_retry(struct punch *p, struct pair *pair)
{
    uint64_t next;

    if (p->now_us < p->start_us && !pair->heard) {
        schedule_early(p, pair);
        return;
    }
    if (pair->tries == 0)
        pair->round_us = p->now_us;
    if (pair->tries < UINT8_MAX)
        pair->tries++;
    if (pair->tries_left != UINT8_MAX && pair->tries_left > 0)
        pair->tries_left--;
    if (pair->proven)
        next = pair->nominate ? p->now_us + 20 * MS + 2 * pair->rtt_us : NEVER;
    else if (pair->tries_left == 0 || (p->state == FAILED && pair->tries > RETRY_GAPS))
        next = NEVER;
    else if (pair->kind == PUNCH_PREDICTED && !pair->heard)
        next = p->now_us + (pair->tries < 5 ? 100 * MS * pair->tries : RETRY_SLOW_US);
    else if (pair->tries <= RETRY_GAPS)
        next = pair->round_us + retry_us[pair->tries - 1];
    else
        next = p->now_us + RETRY_SLOW_US;
    if (next < p->now_us + 10 * MS)
        next = p->now_us + 10 * MS;
    if (pair->opens && p->now_us < pair->loud_us && pair->loud_us < next)
        next = pair->loud_us;
    pair->next_us = next;
}

/* Our own port is another one than the peer was told, so nothing of ours gets in before prediction
 * or a search has found the way; but it could poison the very port that these will try. */
bool outbox_futile(const struct punch *p)
{
    return plan_varies(&p->profile) && p->state == PUNCHING &&
           p->their_profile.filtering == NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT &&
           !plan_harmless(&p->their_profile);
}

static bool is_opener(const struct punch *p, const struct pair *pair)
{
    if (pair->heard || pair->kind == PUNCH_PORT_MAPPED) /* an open port takes no harm */
        return false;
    if (pair_planned(pair))
        return pair->opens && p->now_us < pair->loud_us &&
               (p->now_us < p->start_us + ALONE_US || outbox_futile(p));
    if (outbox_futile(p) && pair_crosses_nat(pair))
        return true;
    return p->caller && !p->loud;
}

/* Behind one carrier's NAT with the peer, what leaves our own home is in the network of the peer's:
 * a TTL that leaves the carrier's NAT would reach the peer's router. */
static uint8_t opener_ttl(const struct punch *p, const struct stun_addr *to)
{
    return stun_addr_is_private(to) && p->opener_ttl > NEAR_OPENER_TTL ? NEAR_OPENER_TTL
                                                                       : p->opener_ttl;
}

/* False: not now; its next_us has moved. */
static bool may_send(struct punch *p, struct pair *pair)
{
    unsigned reserve = 0;
    uint64_t until;

    if (!strangers_allow(p, pair, 0)) {
        pair->next_us = NEVER;
        pair->triggered = false;
        return false;
    }
    if (!pair->proven && pair->heard && pair_planned(pair) && outbox_blocked(p, 0)) {
        pair->next_us = blocked_until(p, 0);
        return false;
    }
    if (pair->proven || pair_planned(pair)) {
        if (pair->heard || p->budget == NULL ||
            punch_budget_take(p->budget, p->now_us, &pair->remote))
            return true;
        pair->next_us = p->now_us + RETRY_SLOW_US;
        return false;
    }
    if (!pair->triggered)
        reserve = RESERVE_TRIGGERED +
                  (p->caller || p->link_sent >= RESERVE_LINK ? 0 : RESERVE_LINK - p->link_sent);
    until = blocked_until(p, reserve);
    if (until == 0 && p->budget != NULL && !pair->heard &&
        !punch_budget_take(p->budget, p->now_us, &pair->remote))
        until = p->now_us + RETRY_SLOW_US;
    if (until == 0)
        return true;
    pair->next_us = until;
    return false;
}

static bool send_check(struct punch *p, struct pair *pair, struct punch_out *out, uint8_t *buffer)
{
    bool opener = is_opener(p, pair);

    if (!may_send(p, pair))
        return false;
    out->size = check_request(p, pair, buffer, PUNCH_MAX_PACKET_BYTES);
    if (out->size == 0) {
        pair->next_us = NEVER;
        return false;
    }
    out->pair.socket = pair->socket;
    out->pair.remote = pair->remote;
    out->ttl = opener ? opener_ttl(p, &pair->remote) : 0;
    if (!opener)
        pair->last_full_us = p->now_us;
    strangers_count(p, pair);
    if (!pair->proven && (pair->heard || !pair_planned(pair)))
        outbox_count(p);
    if (!pair->proven && !pair->heard && pair->kind == PUNCH_PREDICTED)
        search_guessed(p);
    pair->sent++;
    pair->triggered = false;
    schedule_retry(p, pair);
    return true;
}

enum turn { TRIGGERED, PLANNED, ORDINARY };

static bool is_turn(const struct pair *pair, enum turn turn)
{
    switch (turn) {
    case TRIGGERED:
        return pair->triggered;
    case PLANNED:
        return !pair->triggered && (pair_planned(pair) || pair->proven);
    case ORDINARY:
        return !pair->triggered && !pair_planned(pair) && !pair->proven;
    }
    return false;
}

static unsigned first_sent(const struct punch *p)
{
    unsigned count = 0;

    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++)
        count += p->pairs[i].used && p->pairs[i].sent > 0 && !pair_planned(&p->pairs[i]);
    return count;
}

static uint64_t due(const struct punch *p, const struct pair *pair, bool burst_over)
{
    uint64_t at = pair->next_us;

    if (!is_turn(pair, ORDINARY) || at == NEVER)
        return at;
    if (at < p->pace_us)
        at = p->pace_us;
    if (at < samples_hold(p) && pair_crosses_nat(pair) && !pair->attested_by_proof)
        at = samples_hold(p);
    if (pair->sent == 0 && burst_over && at < p->pace_new_us)
        at = p->pace_new_us;
    return at;
}

/* Among equals who was tried less: retries of some must not leave others untried. */
static bool goes_before(const struct pair *a, const struct pair *b)
{
    return pair_order(a) != pair_order(b) ? pair_order(a) < pair_order(b) : a->tries < b->tries;
}

static struct pair *next_due(struct punch *p, enum turn turn)
{
    bool burst_over = first_sent(p) >= PLAN_FIRST_BURST;
    struct pair *found = NULL;

    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        struct pair *pair = &p->pairs[i];

        if (!pair->used || !is_turn(pair, turn) || due(p, pair, burst_over) > p->now_us)
            continue;
        if (found == NULL || goes_before(pair, found))
            found = pair;
    }
    return found;
}

static bool output_check(struct punch *p, enum turn turn, struct punch_out *out, uint8_t *buffer)
{
    struct pair *pair;

    while ((pair = next_due(p, turn)) != NULL) {
        bool first = pair->sent == 0;

        if (!send_check(p, pair, out, buffer))
            continue;
        if (turn == ORDINARY) {
            p->pace_us = p->now_us + BURST_GAP_US;
            if (first)
                p->pace_new_us = p->now_us + PACE_US;
        }
        return true;
    }
    return false;
}

static bool output_answer(struct punch *p, struct punch_out *out, uint8_t *buffer)
{
    while (p->answer_count > 0) {
        const struct answer *a = &p->answers[p->answer_first];

        p->answer_first = (p->answer_first + 1) % ANSWERS;
        p->answer_count--;
        if (!engine_has_socket(p, a->pair.socket))
            continue;
        out->size = check_answer(p, a, buffer, PUNCH_MAX_PACKET_BYTES);
        out->pair = a->pair;
        out->ttl = 0;
        if (out->size > 0)
            return true;
    }
    return false;
}

bool punch_output(struct punch *p, uint64_t now_us, struct punch_out *out,
                  uint8_t buffer[static PUNCH_MAX_PACKET_BYTES])
{
    remotes_sweep(p);
    engine_advance(p, now_us);
    memset(out, 0, sizeof(*out));
    if (output_answer(p, out, buffer))
        return true;
    if (!credentials_known(p))
        return samples_output(p, out, buffer, PUNCH_MAX_PACKET_BYTES);
    return output_check(p, TRIGGERED, out, buffer) ||
           samples_output(p, out, buffer, PUNCH_MAX_PACKET_BYTES) ||
           output_check(p, PLANNED, out, buffer) ||
           search_output(p, out, buffer, PUNCH_MAX_PACKET_BYTES) ||
           output_check(p, ORDINARY, out, buffer) ||
           /* What it waited for may just have been given up. */
           samples_output(p, out, buffer, PUNCH_MAX_PACKET_BYTES);
}

void punch_sent(struct punch *p, uint64_t now_us, const struct punch_out *out, int error)
{
    uint16_t i;

    engine_advance(p, now_us);
    if (error == 0) {
        p->sends_ok++;
        return;
    }
    p->sends_failed++;
    p->last_error = error;
    i = pair_find(p, out->pair.socket, &out->pair.remote);
    /* A full socket buffer or a soft error passes: try again soon, once; the schedule goes on. */
    if (i != NO_PAIR && p->pairs[i].next_us != NEVER && p->pairs[i].tries <= RETRY_GAPS &&
        p->pairs[i].next_us > p->now_us + 20 * MS)
        p->pairs[i].next_us = p->now_us + 20 * MS;
}

uint64_t outbox_next(const struct punch *p)
{
    bool burst_over = first_sent(p) >= PLAN_FIRST_BURST;
    uint64_t next = NEVER;

    if (p->answer_count > 0)
        return p->now_us;
    if (!credentials_known(p))
        return NEVER;
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        uint64_t at = p->pairs[i].used ? due(p, &p->pairs[i], burst_over) : NEVER;

        if (at < next)
            next = at;
    }
    return next;
}
