/* SPDX-License-Identifier: BSD-2-Clause */
/* Fresh samples of our own NAT in the course of a dial: the fresh socket, and what it asks. */
#include <string.h>

#include "punch/engine.h"

#define SURVEY_US    (2 * SECOND)
#define ENOUGH_US    (100 * MS) /* after two answers, nobody waits longer for the others */
#define AGAIN_US     SECOND     /* until another try, if nobody answered at all */
#define BURST_OUT_US (20 * MS)

bool samples_asked(const struct survey *s)
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
uint64_t samples_hold(const struct punch *p)
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

    if (!p->started || samples_asked(&p->forecast.survey) || samples_hold(p) > p->now_us)
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
 * Where a NAT has lost its state in the middle of a link, it may be either side's, and the new
 * ports of the data socket are lost with the old: both take a fresh one. */
static bool poisoned(const struct punch *p)
{
    return (p->caller || p->again.began_us != 0) && p->asked_first && !p->heard_any &&
           p->state == PUNCHING && plan_need(&p->profile) == PLAN_NEED_NOTHING;
}

static bool samples_help(const struct punch *p)
{
    return plan_varies(&p->profile) && (p->caller || p->started) &&
           (plan_need(&p->profile) == PLAN_NEED_SAMPLES || !plan_lenient(&p->their_profile));
}

/* The peer got in there: another one in its place would close the way. */
static bool is_met(const struct punch *p)
{
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        if (p->pairs[i].used && p->pairs[i].heard && p->pairs[i].socket == PUNCH_FRESH_SOCKET)
            return true;
    }
    return false;
}

void samples_want(struct punch *p)
{
    bool varies = samples_help(p);
    struct punch_event *event;

    if (p->forecast.wanted || p->now_us < p->forecast.not_before_us || p->bounce_count == 0 ||
        !p->sockets[PUNCH_DATA_SOCKET].open || (!varies && !poisoned(p)) || is_met(p))
        return;
    p->forecast.wanted = true;
    event = engine_event(p, PUNCH_EVENT_WANT_SOCKET);
    if (event != NULL) {
        event->socket = PUNCH_FRESH_SOCKET;
        event->socket_count = 1;
    }
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

void samples_take(struct punch *p)
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
        event->note.age_us = p->now_us - f->asked_us;
    }
}

void samples_socket(struct punch *p)
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

void samples_socket_gone(struct punch *p)
{
    p->forecast.surveying = false;
}

bool samples_input(struct punch *p, const struct punch_pair *from, const struct stun_message *msg)
{
    size_t before = answers(&p->forecast.survey);

    if (!survey_input(&p->forecast.survey, p->now_us, from->socket, &from->remote, msg))
        return false;
    if (answers(&p->forecast.survey) > before)
        p->forecast.last_answer_us = p->now_us;
    forecast_advance(p);
    return true;
}

bool samples_output(struct punch *p, struct punch_out *out, uint8_t *buffer, size_t capacity)
{
    bool asked;

    if (!p->forecast.surveying || p->state == CONNECTED || p->state == FAILED ||
        p->now_us < survey_gate(p))
        return false;
    asked = samples_asked(&p->forecast.survey);
    if (!survey_output(&p->forecast.survey, p->now_us, &out->pair.socket, &out->pair.remote, buffer,
                       capacity, &out->size)) {
        forecast_advance(p);
        return false;
    }
    if (!asked)
        p->forecast.asked_us = p->now_us;
    out->ttl = 0;
    return true;
}

uint64_t samples_next(const struct punch *p)
{
    uint64_t next = survey_next_timeout(&p->forecast.survey), gate = survey_gate(p);

    if (!p->forecast.surveying)
        return NEVER;
    if (next < gate)
        next = gate;
    return engine_earlier(next, samples_due(p));
}
