/* SPDX-License-Identifier: BSD-2-Clause */
/* Prediction in the course of a dial: the fresh socket, its samples, the plan and its execution. */
#include <string.h>

#include "punch/engine.h"

#define MAX_TRIES       4
#define MAX_GUESSES     (2 * NAT_MAX_PREDICTED) /* packets to guessed ports of one plan */
#define SAMPLES_US      (600 * MS)   /* a search waits no longer for samples that narrow it */
#define AGE_US          (100 * MS)   /* assumed for two notes */
#define CALLER_SENDS_US (8 * MS)     /* its window, after it has read the plan */
#define NEW_ROUND_US    SECOND       /* the plan has missed, and fresh samples are taken */
#define LATEST_US       (4 * SECOND) /* that a plan may begin */
#define MAX_ROUNDS      2

static void send_to(struct punch *p, unsigned socket, const struct stun_addr *to, bool opens,
                    uint64_t at_us, size_t tries)
{
    const struct remote *known = remote_find(p, to);
    uint16_t i = pair_find(p, socket, to);

    if (!p->sockets[socket].open || !stun_addr_is_usable(to))
        return;
    if (i == NO_PAIR)
        i = pair_add(p, socket, known != NULL ? known->kind : PUNCH_PREDICTED, to, true);
    else if (p->pairs[i].heard || p->pairs[i].next_us != NEVER)
        return;
    if (i == NO_PAIR)
        return;
    p->pairs[i].opens = opens;
    if (p->pairs[i].kind == PUNCH_PREDICTED)
        p->pairs[i].tries_left = (uint8_t)(tries < MAX_TRIES ? tries : MAX_TRIES);
    pair_begin(p, &p->pairs[i], at_us);
}

/* The hole of a caller or callee whose ports are predicted while the other's address is constant:
 * right after the samples were asked for, so that it gets the very next port. */
static void open_hole(struct punch *p)
{
    struct forecast *f = &p->forecast;
    const struct remote *target;
    enum plan_need theirs = plan_need(&p->their_profile);

    if (f->opened || !p->started || !p->sockets[PUNCH_FRESH_SOCKET].open ||
        !samples_asked(&f->survey))
        return;
    if (theirs != PLAN_NEED_NOTHING && theirs != PLAN_NEED_UNKNOWN)
        return;
    target = remote_public(p, p->sockets[PUNCH_FRESH_SOCKET].local.family);
    if (target == NULL)
        return;
    f->opened = true;
    send_to(p, PUNCH_FRESH_SOCKET, &target->addr, true, p->now_us, 1);
}

static void execute(struct punch *p, const struct plan_part *part, enum punch_technique technique,
                    uint64_t at_us)
{
    unsigned socket = part->fresh_socket ? PUNCH_FRESH_SOCKET : PUNCH_DATA_SOCKET;
    struct stun_addr to = part->target;

    if (part->sockets + part->probes > 0) {
        search_begin(p, part, technique, at_us);
        return;
    }
    /* Whatever a peer says: guessed ports only where the mediator has seen that very peer. */
    if (!remote_ip_attested(p, &part->target))
        return;
    for (size_t i = 0; i < part->port_count && i < NAT_MAX_PREDICTED; i++) {
        to.port = part->ports[i];
        send_to(p, socket, &to, part->opens_first, at_us + i * BURST_GAP_US,
                MAX_GUESSES / part->port_count);
    }
}

static void announce(struct punch *p, const struct plan_part *part, enum punch_technique technique)
{
    struct punch_event *event = engine_event(p, PUNCH_EVENT_NOTE);

    if (event == NULL)
        return;
    event->note.kind = PUNCH_NOTE_PLAN;
    event->note.plan.technique = technique;
    event->note.plan.target = part->target;
    memcpy(event->note.plan.ports, part->ports, part->port_count * sizeof(part->ports[0]));
    event->note.plan.port_count = part->port_count;
    event->note.plan.fresh_socket = part->fresh_socket;
    event->note.plan.start_after_us = part->start_after_us;
    event->note.plan.loud = part->sockets > 0 && !part->opens_first;
    event->note.plan.sockets = part->sockets;
    event->note.plan.probes = part->probes;
    event->note.plan.range_first = part->range_first;
    event->note.plan.range_ports = part->range_ports;
}

static enum punch_technique technique_of(enum plan_kind kind)
{
    return kind == PLAN_BIRTHDAY ? PUNCH_TECHNIQUE_BIRTHDAY
           : kind == PLAN_BLOCK  ? PUNCH_TECHNIQUE_BLOCK
                                 : PUNCH_TECHNIQUE_PREDICTED;
}

/* A search is nothing that IPv6 could not make needless. */
static uint64_t ipv6_patience_ends(const struct punch *p)
{
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        const struct pair *pair = &p->pairs[i];

        if (pair->used && pair->attested && pair->remote.family == STUN_IPV6)
            return p->start_us + PLAN_PATIENCE_US;
    }
    return 0;
}

/* Whether this host may search now; else when to ask again. */
static bool search_may_begin(struct punch *p, const struct plan *plan)
{
    if (p->no_search)
        return false;
    p->forecast.gate_us = ipv6_patience_ends(p);
    if (p->now_us < p->forecast.gate_us)
        return false;
    p->forecast.gate_us =
        p->budget == NULL ? 0
                          : punch_budget_search_from(p->budget, p->now_us, &p->profile.public_addr,
                                                     &plan->mine.target);
    return p->forecast.gate_us == 0;
}

/* The caller's packets leave when the plan has reached it: then our hole may speak, and need not
 * wait until it hears them. */
static void speak_from(struct punch *p, uint64_t at_us)
{
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        struct pair *pair = &p->pairs[i];

        if (!pair->used || pair->socket != PUNCH_FRESH_SOCKET || !pair->opens || pair->heard)
            continue;
        pair->loud_us = at_us;
        if (pair->next_us > at_us && pair->tries_left > 0)
            pair->next_us = at_us;
    }
}

static void decide(struct punch *p)
{
    struct forecast *f = &p->forecast;
    struct plan_side mine = {.profile = p->profile, .public_addr = p->profile.public_addr};
    struct plan_side theirs = {.profile = p->their_profile};
    const struct remote *r;
    struct plan plan;
    uint64_t at_us;

    if (p->caller || f->decided || !p->started || p->state != PUNCHING || engine_hopes(p))
        return;
    if (f->surveying && plan_need(&p->profile) == PLAN_NEED_NOTHING)
        return; /* of a fresh socket on both sides */
    mine.samples = f->mine;
    theirs.samples = f->theirs;
    mine.no_samples = p->bounce_count == 0 || p->now_us >= p->start_us + SAMPLES_US;
    theirs.no_samples = p->now_us >= p->start_us + SAMPLES_US;
    mine.misses = theirs.misses = f->rounds;
    if (plan_varies(&p->profile) && plan_varies(&p->their_profile)) {
        mine.age_us = p->now_us - f->asked_us;
        theirs.age_us = f->their_age_us + (p->now_us - f->theirs_us) +
                        (p->note_rtt_us != 0 ? p->note_rtt_us : AGE_US);
    } else if (plan_varies(&p->their_profile)) {
        theirs.age_us = f->their_age_us; /* the hole was there when the samples were sent */
    }
    r = remote_public(p, STUN_IPV4);
    if (r != NULL)
        theirs.public_addr = r->addr;
    plan_make(&mine, &theirs, &plan);
    if (plan.kind == PLAN_PLAIN || plan.kind == PLAN_WAIT || plan.kind == PLAN_IMPOSSIBLE)
        return;
    if (plan.kind != PLAN_PREDICT && !search_may_begin(p, &plan))
        return;
    f->decided = true;
    f->decided_us = p->now_us;
    f->plan = plan.mine;
    announce(p, &plan.theirs, technique_of(plan.kind));
    /* The caller begins when the note has reached it. */
    at_us = p->now_us + plan.mine.start_after_us;
    if (plan.mine.start_after_us > plan.theirs.start_after_us)
        at_us += (p->note_rtt_us != 0 ? p->note_rtt_us : AGE_US) / 2;
    execute(p, &plan.mine, technique_of(plan.kind), at_us);
    if (p->note_rtt_us != 0 && (f->rounds == 0 || plan_harmless(&p->their_profile)))
        speak_from(p, p->now_us + p->note_rtt_us / 2 + CALLER_SENDS_US);
}

/* The callee's plan, which may have come before the callee's addresses. */
static void follow(struct punch *p)
{
    struct forecast *f = &p->forecast;
    struct stun_addr first = f->plan.target;

    if (!f->planned || f->decided || !p->started || p->state != PUNCHING || engine_hopes(p))
        return;
    f->decided = true;
    f->decided_us = p->now_us;
    if (f->plan.sockets + f->plan.probes > 0) {
        execute(p, &f->plan, f->technique, f->plan_due_us);
        return;
    }
    first.port = f->plan.ports[0];
    /* A known address waits for our hole; guessed ones have opened theirs already. */
    f->plan.opens_first = f->plan.fresh_socket && remote_find(p, &first) != NULL;
    execute(p, &f->plan, PUNCH_TECHNIQUE_PREDICTED, f->plan_due_us);
}

/* The plan has missed: others have taken more ports than was to be expected, or the samples were
 * already old. Once more, from the beginning. */
static void begin_anew(struct punch *p)
{
    struct forecast *f = &p->forecast;

    f->rounds++;
    f->decided = f->planned = f->opened = false;
    if (plan_varies(&p->profile)) {
        f->wanted = f->surveying = false;
        f->mine.count = 0;
    }
    if (plan_varies(&p->their_profile))
        f->theirs.count = 0;
}

/* A hole that the peer got in by is worth more than new samples, which would close it. */
static bool hole_met(const struct punch *p)
{
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        if (p->pairs[i].used && p->pairs[i].heard && pair_planned(&p->pairs[i]))
            return true;
    }
    return false;
}

static uint64_t new_round_due(const struct punch *p)
{
    const struct forecast *f = &p->forecast;
    bool predicted = plan_need(&p->profile) == PLAN_NEED_SAMPLES ||
                     plan_need(&p->their_profile) == PLAN_NEED_SAMPLES;

    if (!f->decided || f->rounds >= MAX_ROUNDS || !predicted || engine_hopes(p) || hole_met(p) ||
        p->search.gated)
        return NEVER;
    if (!p->caller && plan_varies(&p->their_profile))
        return NEVER; /* the caller's new samples begin it */
    return f->decided_us + NEW_ROUND_US;
}

static bool over(const struct punch *p)
{
    return p->state == CONNECTED || p->state == FAILED;
}

void forecast_advance(struct punch *p)
{
    if (over(p))
        return;
    if (p->now_us >= new_round_due(p))
        begin_anew(p);
    samples_want(p);
    samples_take(p);
    open_hole(p);
    decide(p);
    follow(p);
}

/* Its clock for the second round runs ahead of ours. A search is the last that is tried: guesses
 * would come on top of it. */
static bool other_has_begun_anew(const struct punch *p)
{
    return p->forecast.decided && p->forecast.rounds < MAX_ROUNDS && !p->search.gated &&
           p->now_us >= p->forecast.decided_us + NEW_ROUND_US / 2;
}

void forecast_samples(struct punch *p, const struct punch_note *note)
{
    if (p->caller || note->samples.count > NAT_MAX_SAMPLES)
        return;
    if (p->forecast.theirs.count > 0 && other_has_begun_anew(p))
        begin_anew(p); /* the caller did */
    p->forecast.theirs = note->samples;
    p->forecast.theirs_us = p->now_us;
    p->forecast.their_age_us = note->age_us < SECOND ? note->age_us : SECOND;
    p->their_profile = note->profile;
    forecast_advance(p);
}

void forecast_plan(struct punch *p, const struct punch_note *note)
{
    struct forecast *f = &p->forecast;

    /* One plan a round: a second one could only be a way to make us send more. */
    if (p->caller && f->planned && other_has_begun_anew(p) && !plan_varies(&p->profile) &&
        plan_varies(&p->their_profile))
        begin_anew(p);
    if (!p->caller || (f->planned && f->decided) || note->plan.port_count > NAT_MAX_PREDICTED ||
        (note->plan.port_count == 0 && note->plan.probes == 0))
        return;
    f->planned = true;
    memset(&f->plan, 0, sizeof(f->plan));
    f->plan.fresh_socket = note->plan.fresh_socket;
    f->technique = note->plan.technique == PUNCH_TECHNIQUE_PREDICTED ||
                           note->plan.technique == PUNCH_TECHNIQUE_BLOCK
                       ? note->plan.technique
                       : PUNCH_TECHNIQUE_BIRTHDAY;
    f->plan.sockets = note->plan.sockets;
    f->plan.probes = note->plan.probes;
    f->plan.opens_first = !note->plan.loud;
    f->plan.range_first = note->plan.range_first;
    f->plan.range_ports = note->plan.range_ports;
    f->plan.target = note->plan.target;
    f->plan.port_count = note->plan.port_count;
    memcpy(f->plan.ports, note->plan.ports, note->plan.port_count * sizeof(f->plan.ports[0]));
    f->plan_due_us = p->now_us + engine_earlier(note->plan.start_after_us, LATEST_US);
    forecast_advance(p);
}

/* The callee will decide without samples. */
static uint64_t patience_ends(const struct punch *p)
{
    uint64_t at = p->start_us + SAMPLES_US;

    return p->caller || !p->started || p->forecast.decided || at <= p->now_us ? NEVER : at;
}

static uint64_t coming(const struct punch *p, uint64_t at)
{
    return at > p->now_us ? at : NEVER;
}

uint64_t forecast_next(const struct punch *p)
{
    const struct forecast *f = &p->forecast;
    uint64_t next;

    if (over(p))
        return NEVER;
    next = engine_earlier(coming(p, f->not_before_us), coming(p, f->gate_us));
    next = engine_earlier(next, engine_earlier(new_round_due(p), patience_ends(p)));
    return engine_earlier(next, samples_next(p));
}
