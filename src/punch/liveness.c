/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether the path still is one. Consent (RFC 7675): the peer goes on wanting our packets as long
 * as it answers checks. A check that is not answered is followed by others, quickly; then the path
 * is in doubt, then lost:
 *
 *   idle:  a consent check at 0, others at g, 2g, 4g, ...; doubt after 5g, loss after 15g
 *          (g: 200 ms, more if the round trip is long)
 *   busy:  link packets go out and nothing comes for 300 ms, or more: a check at 0 and every 150
 *          ms; doubt after 500 ms, loss after 2 s
 *   again: the peer has begun a new round, or we have been told to: it may know better. A few
 *          checks in 250 ms or more, then loss
 *
 * Times alone do not count: a host that slept, or is slow, has not asked. */
#include "punch/engine.h"

#define INTERVAL_US    (5 * SECOND)
#define LONGEST_US     (15 * SECOND)
#define CALM           6             /* answers in a row, until consent is asked for less often */
#define UNKNOWN_LIFE   (14 * SECOND) /* a mapping of unknown lifetime is used so often */
#define EXPIRY_US      (30 * SECOND)
#define SILENCE_US     (300 * MS)
#define DULL_US        SECOND /* silence of a peer that answers checks but sends nothing */
#define IDLE_GAP_US    (200 * MS)
#define BUSY_GAP_US    (150 * MS)
#define DOUBT_US       (500 * MS) /* busy */
#define LOST_US        (1500 * MS)
#define AGAIN_GAP_US   (50 * MS)
#define AGAIN_LOST_US  (250 * MS)
#define LONGEST_RTT_US (2 * SECOND)
#define ASKS           3 /* unanswered, before there is doubt; as many again before the loss */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* One that was measured across the sleep of a host is none. */
static uint64_t rtt_us(const struct punch *p)
{
    return engine_earlier(p->pairs[p->selected].rtt_us, LONGEST_RTT_US);
}

/* Our own NAT forgets a mapping that nothing leaves by. */
static uint64_t longest_us(const struct punch *p)
{
    uint64_t life = p->profile.lifetime_s * (uint64_t)SECOND / 2;

    if (life == 0)
        return UNKNOWN_LIFE;
    return life < SECOND ? SECOND : life < LONGEST_US ? life : LONGEST_US;
}

static void schedule(struct punch *p)
{
    unsigned calm = p->life.calm / CALM;
    uint64_t interval_us = INTERVAL_US * (1 + (calm < 2 ? calm : 2)), wait_us;
    uint8_t dice[2];

    /* +- 20 %, so that a host's many paths do not fall into step. */
    p->random(p->random_context, dice, sizeof(dice));
    wait_us = interval_us * 8 / 10 +
              (uint64_t)(dice[0] * 256u + dice[1]) * (interval_us * 4 / 10) / 65535u;
    p->life.consent_due_us = p->now_us + engine_earlier(wait_us, longest_us(p));
}

static uint64_t gap_us(const struct punch *p)
{
    const struct liveness *l = &p->life;

    switch (l->asking) {
    case LIVENESS_IDLE:
        return later(IDLE_GAP_US, rtt_us(p) + rtt_us(p) / 4 + 50 * MS);
    case LIVENESS_BUSY:
        return later(BUSY_GAP_US, rtt_us(p) / 3);
    case LIVENESS_AGAIN:
        return later(AGAIN_GAP_US, rtt_us(p) / 3);
    case LIVENESS_ASKS_NOT:
        break;
    }
    return NEVER;
}

static void check(struct punch *p)
{
    struct liveness *l = &p->life;
    uint64_t gap = gap_us(p);
    struct pair *pair = &p->pairs[p->selected];

    pair->triggered = true;
    pair->next_us = p->now_us;
    if (l->asking == LIVENESS_IDLE && l->asks > 0)
        gap *= l->asks < 2 ? 1 : 2;
    l->ask_due_us = p->now_us + gap;
    if (l->asks < UINT8_MAX)
        l->asks++;
}

static void ask(struct punch *p, enum liveness_pace pace)
{
    struct liveness *l = &p->life;
    uint64_t gap;

    if (pace <= l->asking)
        return;
    if (l->asking == LIVENESS_ASKS_NOT) {
        l->asks = 0;
        l->doubt_due_us = l->lost_due_us = NEVER;
    }
    l->asking = pace;
    l->consent_open = l->consent_open || pace == LIVENESS_IDLE;
    gap = gap_us(p);
    switch (pace) {
    case LIVENESS_IDLE:
        l->doubt_due_us = p->now_us + 5 * gap;
        l->lost_due_us = p->now_us + 15 * gap;
        break;
    case LIVENESS_BUSY:
        l->doubt_due_us = engine_earlier(
            l->doubt_due_us, p->now_us + later(DOUBT_US, rtt_us(p) + rtt_us(p) / 2 + 200 * MS));
        l->lost_due_us =
            engine_earlier(l->lost_due_us, l->doubt_due_us + later(LOST_US, 4 * rtt_us(p)));
        break;
    case LIVENESS_AGAIN:
        l->lost_due_us = engine_earlier(l->lost_due_us,
                                        p->now_us + later(AGAIN_LOST_US, 3 * rtt_us(p) + 50 * MS));
        break;
    case LIVENESS_ASKS_NOT:
        break;
    }
    check(p);
}

static void doubt(struct punch *p)
{
    struct pair *selected = &p->pairs[p->selected];

    p->life.doubted = true;
    p->life.asks = 0;
    /* Whatever is proven now carries rather than this. */
    selected->nominated = 0;
    pair_event(p, PUNCH_EVENT_DOUBT, selected);
}

static uint64_t silence_us(const struct punch *p)
{
    return later(p->life.dull ? DULL_US : SILENCE_US, 2 * rtt_us(p) + 100 * MS);
}

void liveness_begin(struct punch *p)
{
    struct liveness *l = &p->life;

    l->consent_until_us = p->pairs[p->selected].answered_us + EXPIRY_US;
    l->asking = LIVENESS_ASKS_NOT;
    l->asks = l->calm = 0;
    l->doubted = l->dull = l->consent_open = false;
    l->unanswered_us = NEVER;
    schedule(p);
}

void liveness_answered(struct punch *p)
{
    struct liveness *l = &p->life;
    bool was_doubted = l->doubted;

    l->consent_until_us = p->now_us + EXPIRY_US;
    l->dull = l->asking == LIVENESS_BUSY;
    if (l->asks > 1)
        l->calm = 0;
    else if (l->asking == LIVENESS_IDLE && l->calm < UINT8_MAX)
        l->calm++;
    if (l->asking != LIVENESS_ASKS_NOT)
        schedule(p);
    l->asking = LIVENESS_ASKS_NOT;
    l->asks = 0;
    l->doubted = l->consent_open = false;
    l->unanswered_us = NEVER;
    if (was_doubted)
        pair_event(p, PUNCH_EVENT_PATH, &p->pairs[p->selected]);
}

void liveness_ask_again(struct punch *p)
{
    ask(p, LIVENESS_AGAIN);
}

bool liveness_fears(const struct punch *p)
{
    return p->life.asking != LIVENESS_ASKS_NOT && (p->life.asks > 1 || p->life.doubted);
}

void liveness_heard(struct punch *p)
{
    struct liveness *l = &p->life;

    l->unanswered_us = NEVER;
    l->dull = false;
    /* Consent is another matter: only an answer gives it. */
    if (l->asking == LIVENESS_BUSY && !l->doubted && !l->consent_open) {
        l->asking = LIVENESS_ASKS_NOT;
        l->asks = 0;
    }
}

void liveness_sent(struct punch *p)
{
    if (p->life.unanswered_us == NEVER)
        p->life.unanswered_us = p->now_us;
}

/* The last check has had no time yet. */
static bool has_asked(const struct liveness *l)
{
    return l->asks > ASKS;
}

static bool may_lose(const struct liveness *l)
{
    return l->doubted || l->asking == LIVENESS_AGAIN;
}

void liveness_advance(struct punch *p)
{
    struct liveness *l = &p->life;

    if (p->state != CONNECTED)
        return;
    if (p->now_us >= l->consent_until_us) {
        again_lose(p);
        return;
    }
    if (l->unanswered_us != NEVER && p->now_us >= l->unanswered_us + silence_us(p))
        ask(p, LIVENESS_BUSY);
    if (p->now_us >= l->consent_due_us && l->asking == LIVENESS_ASKS_NOT)
        ask(p, LIVENESS_IDLE);
    if (l->asking == LIVENESS_ASKS_NOT)
        return;
    if (p->now_us >= l->ask_due_us)
        check(p);
    if (!has_asked(l))
        return;
    if (may_lose(l) && p->now_us >= l->lost_due_us)
        again_lose(p);
    else if (!l->doubted && p->now_us >= l->doubt_due_us)
        doubt(p);
}

uint64_t liveness_next(const struct punch *p)
{
    const struct liveness *l = &p->life;
    uint64_t next;

    if (p->state != CONNECTED)
        return NEVER;
    next = l->consent_until_us;
    if (l->asking < LIVENESS_BUSY && l->unanswered_us != NEVER)
        next = engine_earlier(next, l->unanswered_us + silence_us(p));
    if (l->asking == LIVENESS_ASKS_NOT)
        return engine_earlier(next, l->consent_due_us);
    next = engine_earlier(next, l->ask_due_us);
    if (has_asked(l))
        next = engine_earlier(next, may_lose(l) ? l->lost_due_us : l->doubt_due_us);
    return next;
}
