/* SPDX-License-Identifier: BSD-2-Clause */
/* Rounds after the first: when a path is lost, when one of the peers has a new chance, and from
 * time to time while the relay carries what could not be direct.
 *
 *   path lost      round after round for recover_us, then FAILED
 *   punch_again    one round; a path is kept while it answers
 *   FAILED, relay  after 30 s, 60 s, 2 min, ... 15 min
 *
 * A round begins on both sides: the note AGAIN tells the other, who begins one, too. The caller's
 * openers leave at once, the callee waits until the note is there. */
#include <string.h>

#include "punch/engine.h"

#define DEFAULT_RECOVER_US (120 * SECOND)
#define ROUND_US           (10 * SECOND) /* while recovering */
#define APART_US           (500 * MS)    /* rounds that are closer than this are one */
#define OPENER_MARGIN_US   (3 * MS)
#define FRESH_AFTER_US     SECOND
#define RETRY_US           (30 * SECOND)
#define RETRY_LONGEST_US   (900 * SECOND)
#define REFILL_US          (60 * SECOND)

/* Strangers get no more by rounds: a few packets a minute, all of them together. */
static void refill(struct punch *p)
{
    struct again *a = &p->again;

    if (p->now_us < a->refill_us)
        return;
    a->refill_us = p->now_us + REFILL_US;
    strangers_forget(p);
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++)
        p->pairs[i].link_copies = 0;
}

static void begin_plain(struct punch *p)
{
    p->again.began_us = p->now_us;
    p->first_sent_us = NEVER;
    p->late_us = 0;
    p->plain_sent = p->link_sent = 0;
    refill(p);
}

/* Samples of then predict nothing. But a new fresh socket takes the place of the old one, whose
 * hole may still be there: it comes after the old pairs have been tried. */
static void begin_forecast(struct punch *p)
{
    bool fresh = p->sockets[PUNCH_FRESH_SOCKET].open;
    struct forecast was = p->forecast;

    memset(&p->forecast, 0, sizeof(p->forecast));
    /* The peer's round may have begun before ours did. */
    if (was.theirs.count > 0 && p->now_us < was.theirs_us + APART_US) {
        p->forecast.theirs = was.theirs;
        p->forecast.theirs_us = was.theirs_us;
        p->forecast.their_age_us = was.their_age_us;
    }
    if (fresh && p->connected_before)
        p->forecast.not_before_us = p->now_us + FRESH_AFTER_US;
    search_cancel(p);
}

static void begin_pair(struct pair *pair)
{
    /* Where the peer has been before, it may be looked for again; where it never was, a guess of
     * then is worth nothing now. */
    if (pair->kind == PUNCH_PREDICTED && !pair->heard && !pair->attested_by_proof) {
        memset(pair, 0, sizeof(*pair));
        return;
    }
    /* No guess any more: it counts like any address of the peer. */
    if (pair->kind == PUNCH_PREDICTED)
        pair->kind = PUNCH_PEER_REFLEXIVE;
    pair->attested_by_proof = pair->attested_by_proof || pair->proven;
    pair->attested = pair->attested || pair->proven;
    pair->heard = pair->proven = pair->nominate = pair->triggered = false;
    pair->nominated = 0;
    pair->triggers = 0;
    pair->sent = 0;
    pair->last_full_us = NEVER;
    pair->tries = 0;
    pair->tries_left = UINT8_MAX;
    pair->next_us = NEVER;
}

static void begin(struct punch *p, bool we_ask)
{
    /* No note of the peer keeps a first dial from its end. */
    uint64_t end_us = p->state == PUNCHING && !p->connected_before ? p->deadline_us : NEVER;
    uint64_t start_us = p->now_us;

    /* The caller's openers leave when the note has come. */
    if (!p->caller && we_ask && p->note_rtt_us != 0 && !plan_harmless(&p->their_profile))
        start_us += p->note_rtt_us / 2 + OPENER_MARGIN_US;
    p->selected = NO_PAIR;
    p->state = PUNCHING;
    p->heard_any = p->asked_first = false;
    p->loud = engine_may_shout(p);
    p->hope_until_us = 0;
    p->hopes = p->restarts = 0;
    p->nominate_due_us = NEVER;
    p->again.retry_us = NEVER;
    begin_plain(p);
    begin_forecast(p);
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        if (p->pairs[i].used)
            begin_pair(&p->pairs[i]);
    }
    remotes_drop(p);
    engine_begin(p, start_us);
    if (p->again.recover_until_us != 0 && p->deadline_us > start_us + ROUND_US)
        p->deadline_us = start_us + ROUND_US;
    p->deadline_us = engine_earlier(p->deadline_us, end_us);
    if (we_ask)
        engine_note(p, PUNCH_NOTE_AGAIN);
}

/* With a path, only what may be as good as it is tried. */
static void try_better(struct punch *p)
{
    begin_plain(p);
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        struct pair *pair = &p->pairs[i];

        if (!pair->used || i == p->selected || pair_planned(pair))
            continue;
        pair->proven = false;
        pair_begin(p, pair, p->now_us);
    }
    liveness_ask_again(p);
}

void again_init(struct punch *p, uint64_t recover_us)
{
    p->again.recover_us = recover_us == 0 ? DEFAULT_RECOVER_US : recover_us;
    p->again.retry_us = NEVER;
    p->again.retry_gap_us = RETRY_US;
    p->again.refill_us = p->now_us + REFILL_US;
}

static bool just_begun(const struct punch *p)
{
    return p->again.began_us != 0 && p->now_us < p->again.began_us + APART_US;
}

void again_lose(struct punch *p)
{
    pair_event(p, PUNCH_EVENT_PATH_LOST, &p->pairs[p->selected]);
    p->again.recover_until_us = p->now_us + p->again.recover_us;
    begin(p, true);
}

void again_connected(struct punch *p)
{
    p->again.recover_until_us = 0;
    p->again.retry_us = NEVER;
    p->again.retry_gap_us = RETRY_US;
    p->again.told = false;
}

void again_note(struct punch *p)
{
    if (p->state == WAITING || just_begun(p))
        return;
    /* No note of the peer ends a search, which would then not count as made. */
    if (p->search.running && p->search.gated)
        return;
    if (p->state == CONNECTED)
        try_better(p);
    else
        begin(p, false);
}

bool again_recovers(struct punch *p)
{
    if (p->again.recover_until_us == 0 || p->now_us >= p->again.recover_until_us)
        return false;
    begin(p, true);
    return true;
}

static void schedule_retry(struct punch *p)
{
    struct again *a = &p->again;

    if (p->state != FAILED || !p->relay)
        return;
    a->retry_us = p->now_us + a->retry_gap_us;
    a->retry_gap_us = engine_earlier(2 * a->retry_gap_us, RETRY_LONGEST_US);
}

void again_failed(struct punch *p)
{
    p->again.recover_until_us = 0;
    schedule_retry(p);
}

bool again_is_news(struct punch *p, enum punch_failure failure)
{
    struct again *a = &p->again;
    bool news = !a->told || a->failure != failure;

    a->told = true;
    a->failure = failure;
    return news;
}

void again_advance(struct punch *p)
{
    if (p->state == FAILED && p->now_us >= p->again.retry_us)
        begin(p, true);
}

uint64_t again_next(const struct punch *p)
{
    return p->state == FAILED ? p->again.retry_us : NEVER;
}

void punch_again(struct punch *p, uint64_t now_us)
{
    engine_advance(p, now_us);
    if (p->state == WAITING)
        return;
    p->again.retry_gap_us = RETRY_US;
    if (p->state != CONNECTED) {
        if (!just_begun(p))
            begin(p, true);
        return;
    }
    try_better(p);
    engine_note(p, PUNCH_NOTE_AGAIN);
}

uint64_t punch_round_us(const struct punch *p)
{
    return p->again.began_us;
}

void punch_set_relay(struct punch *p, uint64_t now_us, bool up)
{
    engine_advance(p, now_us);
    if (up == p->relay)
        return;
    p->relay = up;
    p->again.retry_us = NEVER;
    if (up)
        schedule_retry(p);
}
