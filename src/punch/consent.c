/* SPDX-License-Identifier: BSD-2-Clause */
/* Consent (RFC 7675): the peer goes on wanting our packets as long as it answers checks. */
#include <string.h>

#include "punch/engine.h"

#define INTERVAL_US    (5 * SECOND)
#define EXPIRY_US      (30 * SECOND)
#define FRESH_AFTER_US (3 * SECOND)

static void schedule(struct punch *p)
{
    /* While a check goes unanswered the next one comes sooner: six lost in a row must not be an
     * accident of a lossy path. */
    uint64_t interval_us = p->consent_open ? INTERVAL_US / 4 : INTERVAL_US;
    uint8_t dice[2];

    /* +- 20 %, so that a host's many paths do not fall into step. */
    p->random(p->random_context, dice, sizeof(dice));
    p->consent_due_us = p->now_us + interval_us * 8 / 10 +
                        (uint64_t)(dice[0] * 256u + dice[1]) * (interval_us * 4 / 10) / 65535u;
}

void consent_lose(struct punch *p)
{
    struct pair *selected = &p->pairs[p->selected];
    struct punch_event *event = engine_event(p, PUNCH_EVENT_PATH_LOST);

    if (event != NULL) {
        event->pair.socket = selected->socket;
        event->pair.remote = selected->remote;
    }
    p->selected = NO_PAIR;
    p->state = PUNCHING;
    p->start_us = p->now_us;
    p->deadline_us = p->now_us + p->give_up_after_us;
    p->silence_due_us = p->now_us + PUNCH_SILENCE_US;
    p->heard_any = false;
    p->hope_until_us = 0;
    p->hopes = 0;
    p->restarts = 0;
    p->asked_first = false;
    p->first_sent_us = NEVER;
    p->late_us = 0;
    p->plain_sent = p->link_sent = 0;
    p->nominate_due_us = NEVER;
    /* Samples of half a minute ago predict nothing. But a new fresh socket takes the place of the
     * old one, whose hole may still be there: it comes after the old pairs have been tried. */
    memset(&p->forecast, 0, sizeof(p->forecast));
    p->forecast.not_before_us = p->now_us + FRESH_AFTER_US;
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        struct pair *pair = &p->pairs[i];
        bool guess;

        if (!pair->used)
            continue;
        /* Where the peer has been before, it may be looked for again; where it never was, a guess
         * of then is worth nothing now. */
        guess = pair->kind == PUNCH_PREDICTED && !pair->heard;
        pair->attested = pair->attested || pair->proven;
        pair->heard = pair->proven = pair->nominate = false;
        pair->nominated = 0;
        pair->link_copies = 0;
        pair->last_full_us = NEVER;
        pair->tries_left = UINT8_MAX;
        pair->next_us = NEVER;
        if (!guess)
            pair_begin(p, pair, p->now_us);
    }
}

void consent_begin(struct punch *p)
{
    p->consent_until_us = p->now_us + EXPIRY_US;
    p->consent_open = false;
    schedule(p);
}

void consent_answered(struct punch *p)
{
    p->consent_until_us = p->now_us + EXPIRY_US;
    p->consent_open = false;
}

void consent_advance(struct punch *p)
{
    if (p->state != CONNECTED)
        return;
    if (p->now_us >= p->consent_until_us) {
        consent_lose(p);
        return;
    }
    if (p->now_us >= p->consent_due_us) {
        p->pairs[p->selected].triggered = true;
        p->pairs[p->selected].next_us = p->now_us;
        schedule(p);
        p->consent_open = true;
    }
}

uint64_t consent_next(const struct punch *p)
{
    if (p->state != CONNECTED)
        return NEVER;
    return p->consent_due_us < p->consent_until_us ? p->consent_due_us : p->consent_until_us;
}
