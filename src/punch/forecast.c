/* SPDX-License-Identifier: BSD-2-Clause */
/* Prediction in the course of a dial: the fresh socket, its samples, the plan and its execution. */
#include <string.h>

#include "punch/engine.h"

#define SURVEY_US    (2 * SECOND)
#define ENOUGH_US    (100 * MS) /* after two answers, nobody waits longer for the others */
#define AGAIN_US     SECOND     /* until another try, if nobody answered at all */
#define BURST_OUT_US (20 * MS)
#define MAX_TRIES    4
#define MAX_GUESSES  (2 * NAT_MAX_PREDICTED) /* packets to guessed ports a dial */

static bool asked_all(const struct survey *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->asked[i].sent == 0)
            return false;
    }
    return s->count > 0;
}

static size_t answers(const struct survey *s)
{
    size_t count = 0;

    for (size_t i = 0; i < s->count; i++)
        count += s->asked[i].mapped.family != STUN_NO_FAMILY;
    return count;
}

/* Where both NATs depend on the endpoint, plain checks can't succeed, and the mapping that each
 * makes would come between the samples and the port that was predicted from them. */
uint64_t forecast_hold(const struct punch *p)
{
    if (plan_need(&p->profile) != PLAN_NEED_SAMPLES ||
        plan_need(&p->their_profile) != PLAN_NEED_SAMPLES || p->bounce_count == 0)
        return 0;
    return p->forecast.decided ? p->forecast.decided_us + BURST_OUT_US : p->start_us + ALONE_US;
}

/* The first checks of the data socket make mappings too: they must not fall between the samples. */
static uint64_t survey_gate(const struct punch *p)
{
    bool waiting = false;

    if (!p->started || asked_all(&p->forecast.survey) || forecast_hold(p) > p->now_us)
        return 0;
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        if (p->pairs[i].used && p->pairs[i].sent == 0 && p->pairs[i].next_us != NEVER &&
            !pair_planned(&p->pairs[i]))
            waiting = true;
    }
    return waiting && p->now_us >= p->start_us ? p->start_us + BURST_OUT_US : 0;
}

static uint64_t samples_due(const struct punch *p)
{
    const struct forecast *f = &p->forecast;

    return answers(&f->survey) >= 2 ? f->last_answer_us + ENOUGH_US : NEVER;
}

/* Silence may mean that the callee's packets came before our opener and poisoned our NAT: then the
 * data socket is lost for this dial, but a fresh one, announced after its opener has left, is not.
 */
static bool poisoned(const struct punch *p)
{
    return p->caller && p->asked_first && !p->heard_any && p->state == PUNCHING &&
           plan_need(&p->profile) == PLAN_NEED_NOTHING;
}

static void want_socket(struct punch *p)
{
    bool varies = plan_need(&p->profile) == PLAN_NEED_SAMPLES && (p->caller || p->started);
    struct punch_event *event;

    if (p->forecast.wanted || p->now_us < p->forecast.not_before_us || p->bounce_count == 0 ||
        !p->sockets[PUNCH_DATA_SOCKET].open || (!varies && !poisoned(p)))
        return;
    p->forecast.wanted = true;
    event = engine_event(p, PUNCH_EVENT_WANT_SOCKET);
    if (event != NULL)
        event->socket = PUNCH_FRESH_SOCKET;
}

/* Whether question i made a mapping that question k did not share. */
static bool separate(const struct punch *p, size_t i, size_t k)
{
    return p->profile.mapping != NAT_MAPPING_ADDRESS_DEPENDENT ||
           !stun_addr_same_ip(&p->forecast.survey.asked[i].q.server,
                              &p->forecast.survey.asked[k].q.server);
}

/* A server that did not answer was asked all the same, and took a port: the newest sample must be
 * the newest mapping. */
static void fill_up(struct punch *p)
{
    const struct survey *s = &p->forecast.survey;
    struct nat_samples *mine = &p->forecast.mine;
    int32_t step = nat_samples_step(mine);
    size_t newest = 0;

    for (size_t i = 0; i < s->count; i++) {
        if (s->asked[i].mapped.family != STUN_NO_FAMILY)
            newest = i;
    }
    for (size_t i = newest + 1; step != 0 && i < s->count; i++) {
        if (!separate(p, i, newest))
            continue;
        newest = i;
        if (mine->count == NAT_MAX_SAMPLES) {
            memmove(mine->ports, mine->ports + 1, sizeof(mine->ports) - sizeof(mine->ports[0]));
            mine->count--;
        }
        mine->ports[mine->count] = (uint16_t)(mine->ports[mine->count - 1] + step);
        mine->public_addr.port = mine->ports[mine->count++];
    }
}

static void take_samples(struct punch *p)
{
    struct forecast *f = &p->forecast;
    struct punch_event *event;

    if (!f->surveying || (!survey_done(&f->survey, p->now_us) && p->now_us < samples_due(p)))
        return;
    f->surveying = false;
    survey_samples(&f->survey, PUNCH_FRESH_SOCKET, &f->mine);
    fill_up(p);
    if (f->mine.count == 0) {
        f->wanted = f->opened = false;
        f->not_before_us = p->now_us + AGAIN_US;
    }
    if (f->mine.count == 0 || !p->caller)
        return;
    event = engine_event(p, PUNCH_EVENT_NOTE);
    if (event != NULL) {
        event->note.kind = PUNCH_NOTE_SAMPLES;
        event->note.samples = f->mine;
        event->note.profile = p->profile;
    }
}

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

    if (f->opened || !p->started || !p->sockets[PUNCH_FRESH_SOCKET].open || !asked_all(&f->survey))
        return;
    if (theirs != PLAN_NEED_NOTHING && theirs != PLAN_NEED_UNKNOWN)
        return;
    target = remote_public(p, p->sockets[PUNCH_FRESH_SOCKET].local.family);
    if (target == NULL)
        return;
    f->opened = true;
    send_to(p, PUNCH_FRESH_SOCKET, &target->addr, true, p->now_us, 1);
}

static void execute(struct punch *p, const struct plan_part *part, uint64_t at_us)
{
    unsigned socket = part->fresh_socket ? PUNCH_FRESH_SOCKET : PUNCH_DATA_SOCKET;
    struct stun_addr to = part->target;

    /* Whatever a peer says: guessed ports only where the mediator has seen that very peer. */
    if (!remote_ip_attested(p, &part->target))
        return;
    for (size_t i = 0; i < part->port_count && i < NAT_MAX_PREDICTED; i++) {
        to.port = part->ports[i];
        send_to(p, socket, &to, part->opens_first, at_us + i * BURST_GAP_US,
                MAX_GUESSES / part->port_count);
    }
}

static void announce(struct punch *p, const struct plan_part *part)
{
    struct punch_event *event = engine_event(p, PUNCH_EVENT_NOTE);

    if (event == NULL)
        return;
    event->note.kind = PUNCH_NOTE_PLAN;
    event->note.plan.technique = PUNCH_TECHNIQUE_PREDICTED;
    event->note.plan.target = part->target;
    memcpy(event->note.plan.ports, part->ports, part->port_count * sizeof(part->ports[0]));
    event->note.plan.port_count = part->port_count;
    event->note.plan.fresh_socket = part->fresh_socket;
}

static void decide(struct punch *p)
{
    struct forecast *f = &p->forecast;
    struct plan_side mine = {.profile = p->profile, .public_addr = p->profile.public_addr};
    struct plan_side theirs = {.profile = p->their_profile};
    const struct remote *r;
    struct plan plan;

    if (p->caller || f->decided || !p->started || p->state != PUNCHING || p->heard_any)
        return;
    mine.samples = f->mine;
    theirs.samples = f->theirs;
    r = remote_public(p, STUN_IPV4);
    if (r != NULL)
        theirs.public_addr = r->addr;
    plan_make(&mine, &theirs, &plan);
    if (plan.kind != PLAN_PREDICT)
        return;
    f->decided = true;
    f->decided_us = p->now_us;
    announce(p, &plan.theirs);
    execute(p, &plan.mine, p->now_us);
}

/* The callee's plan, which may have come before the callee's addresses. */
static void follow(struct punch *p)
{
    struct forecast *f = &p->forecast;
    struct stun_addr first = f->plan.target;

    if (!f->planned || f->decided || !p->started || p->state != PUNCHING || p->heard_any)
        return;
    f->decided = true;
    f->decided_us = p->now_us;
    first.port = f->plan.ports[0];
    /* A known address waits for our hole; guessed ones have opened theirs already. */
    f->plan.opens_first = f->plan.fresh_socket && remote_find(p, &first) != NULL;
    execute(p, &f->plan, f->plan_due_us);
}

static bool over(const struct punch *p)
{
    return p->state == CONNECTED || p->state == FAILED;
}

void forecast_advance(struct punch *p)
{
    if (over(p))
        return;
    want_socket(p);
    take_samples(p);
    open_hole(p);
    decide(p);
    follow(p);
}

void forecast_socket(struct punch *p)
{
    struct forecast *f = &p->forecast;
    const struct stun_addr *local = &p->sockets[PUNCH_FRESH_SOCKET].local;

    if (!f->wanted || f->surveying || f->mine.count > 0)
        return;
    survey_init(&f->survey, p->now_us + SURVEY_US);
    for (size_t i = 0; i < p->bounce_count; i++) {
        struct survey_question q = {
            .socket = PUNCH_FRESH_SOCKET, .local = *local, .server = p->bounce[i]};

        if (local->family == STUN_NO_FAMILY || local->family == p->bounce[i].family)
            survey_ask(&f->survey, p->now_us, &q, p->random, p->random_context);
    }
    f->surveying = f->survey.count > 0;
}

void forecast_socket_gone(struct punch *p)
{
    p->forecast.surveying = false;
}

bool forecast_input(struct punch *p, const struct punch_pair *from, const struct stun_message *msg)
{
    size_t before = answers(&p->forecast.survey);

    if (!survey_input(&p->forecast.survey, p->now_us, from->socket, &from->remote, msg))
        return false;
    if (answers(&p->forecast.survey) > before)
        p->forecast.last_answer_us = p->now_us;
    forecast_advance(p);
    return true;
}

bool forecast_output(struct punch *p, struct punch_out *out, uint8_t *buffer, size_t capacity)
{
    if (!p->forecast.surveying || over(p) || p->now_us < survey_gate(p))
        return false;
    if (!survey_output(&p->forecast.survey, p->now_us, &out->pair.socket, &out->pair.remote, buffer,
                       capacity, &out->size)) {
        forecast_advance(p);
        return false;
    }
    out->ttl = 0;
    return true;
}

void forecast_samples(struct punch *p, const struct punch_note *note)
{
    if (p->caller || note->samples.count > NAT_MAX_SAMPLES)
        return;
    p->forecast.theirs = note->samples;
    p->their_profile = note->profile;
    forecast_advance(p);
}

void forecast_plan(struct punch *p, const struct punch_note *note)
{
    struct forecast *f = &p->forecast;

    /* One plan a dial: a second one could only be a way to make us send more. */
    if (!p->caller || f->planned || note->plan.port_count == 0 ||
        note->plan.port_count > NAT_MAX_PREDICTED)
        return;
    f->planned = true;
    memset(&f->plan, 0, sizeof(f->plan));
    f->plan.fresh_socket = note->plan.fresh_socket;
    f->plan.target = note->plan.target;
    f->plan.port_count = note->plan.port_count;
    memcpy(f->plan.ports, note->plan.ports, note->plan.port_count * sizeof(f->plan.ports[0]));
    f->plan_due_us =
        p->now_us + (note->plan.start_after_us < SECOND ? note->plan.start_after_us : SECOND);
    forecast_advance(p);
}

uint64_t forecast_next(const struct punch *p)
{
    uint64_t next, gate, samples;

    if (!over(p) && p->now_us < p->forecast.not_before_us)
        return p->forecast.not_before_us;
    if (!p->forecast.surveying || over(p))
        return NEVER;
    next = survey_next_timeout(&p->forecast.survey);
    gate = survey_gate(p);
    if (next < gate)
        next = gate;
    samples = samples_due(p);
    return next < samples ? next : samples;
}
