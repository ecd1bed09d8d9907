/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/mediator.h"

#include <string.h>

#include "sim/network.h"
#include "sim/trace.h"
#include "sim/world.h"

#define LIMIT_SLOTS 16
/* As in src/mediator/introduce.c. */
#define OPENER_MARGIN_US 3000
#define FLIGHT_SHARE     16

uint64_t mediator_session(uint32_t host)
{
    return host + 1;
}

static struct attested *find(void *context, uint64_t session_id)
{
    struct mediator *m = context;

    return session_id >= 1 && session_id <= SCENE_HOSTS ? &m->attested[session_id - 1] : NULL;
}

bool mediator_new(struct mediator *m)
{
    /* Never refuses: virtual time begins anew with each run. */
    static const struct limit_rate rate = {1000000, UINT32_MAX};

    m->bounce.plain = limits_new(LIMIT_SLOTS, rate);
    m->bounce.keepalive = limits_new(LIMIT_SLOTS, rate);
    m->bounce.behaviour = limits_new(LIMIT_SLOTS, rate);
    m->bounce.find = find;
    m->bounce.context = m;
    return m->bounce.plain != NULL && m->bounce.keepalive != NULL && m->bounce.behaviour != NULL;
}

void mediator_free(struct mediator *m)
{
    limits_free(m->bounce.plain);
    limits_free(m->bounce.keepalive);
    limits_free(m->bounce.behaviour);
}

void mediator_begin(struct world *w)
{
    struct mediator *m = &w->mediator;

    memset(m->attested, 0, sizeof(m->attested));
    memset(m->published, 0, sizeof(m->published));
    memset(m->in_order_us, 0, sizeof(m->in_order_us));
    m->notes = 0;
    m->bounce.socket_count = SCENE_BOUNCE;
    for (uint32_t i = 0; i < SCENE_BOUNCE; i++)
        m->bounce.sockets[i].bound = m->bounce.sockets[i].outside = w->scene.bounce[i];
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        memset(m->attested[h].key, (int)(h + 7), sizeof(m->attested[h].key));
}

void mediator_bounce(struct world *w, const struct world_packet *p)
{
    struct bounce_question question = {
        .bytes = p->bytes, .size = p->size, .from = p->head.src, .asked = p->head.dst};
    struct bounce_answer answer;
    struct network_datagram d = {.who = WORLD_SERVER};

    while (question.socket < SCENE_BOUNCE &&
           !stun_addr_equal(&w->scene.bounce[question.socket], &p->head.dst))
        question.socket++;
    if (question.socket == SCENE_BOUNCE || w->scene.bounce_down >> question.socket & 1) {
        trace_lost(w, p, "no server answers there");
        return;
    }
    if (!bounce_answer(&w->mediator.bounce, &question, w->now_us, &answer))
        return;
    d.src = w->scene.bounce[answer.socket];
    d.dst = answer.to;
    d.bytes = answer.bytes;
    d.size = (uint16_t)answer.size;
    network_inject(w, &d);
}

void mediator_publish(struct world *w, uint32_t host, const wire_Coordinates *coordinates)
{
    coordinates_take(coordinates, &w->mediator.published[host]);
}

static void deliver(struct world *w, uint32_t to, uint64_t after_us, enum agenda_kind kind,
                    uint32_t what)
{
    uint64_t at = w->now_us + after_us;

    /* What TCP carries comes later; that the other end was cut off costs some time. */
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        if (trouble_cuts_off(w, h))
            at = w->trouble.began_us + w->scene.trouble_long_us + 500000 + after_us;
    }
    if (at < w->mediator.in_order_us[to])
        at = w->mediator.in_order_us[to];
    w->mediator.in_order_us[to] = at;
    agenda_add(&w->agenda, at, kind, to, what);
}

void mediator_dial(struct world *w)
{
    trace_say(w, "caller", "asks the mediator for the callee");
    agenda_add(&w->agenda, w->now_us + w->scene.host[WORLD_CALLER].mediator_us, AGENDA_INTRODUCE, 0,
               0);
}

static void whereabouts(struct world *w, uint32_t host, struct coordinates_whereabouts *out)
{
    uint32_t nat[SCENE_NATS], layers = scene_layers(&w->scene, host, nat);

    memset(out, 0, sizeof(*out));
    out->attested_count = attested_fresh(&w->mediator.attested[host], w->now_us, out->attested);
    out->control = w->scene.host[host].ip;
    for (uint32_t i = 0; i < layers; i++) {
        if (w->scene.nat[nat[i]].config.mapping != NAT_CONFIG_NONE)
            out->control = w->scene.nat[nat[i]].public_ip;
    }
    out->control.port = 30000;
}

void mediator_introduce(struct world *w)
{
    struct mediator *m = &w->mediator;
    const struct scene_host *host = w->scene.host;
    uint64_t rtt[SCENE_HOSTS], lag;
    struct coordinates_whereabouts where[SCENE_HOSTS];
    bool same;

    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        rtt[h] = 2 * host[h].mediator_us;
        whereabouts(w, h, &where[h]);
    }
    same = coordinates_same_public(&where[WORLD_CALLER], &where[WORLD_CALLEE]);
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        coordinates_show(&m->published[1 - h], &where[1 - h], same, &m->shown[h]);
    lag = rtt[WORLD_CALLER] > rtt[WORLD_CALLEE] ? rtt[WORLD_CALLER] - rtt[WORLD_CALLEE] : 0;
    m->opener_due_us = OPENER_MARGIN_US + lag / 2 - lag / FLIGHT_SHARE;
    trace_say(w, "mediator", "introduces; the caller's opener is due after %.1f ms%s",
              (double)m->opener_due_us / 1e3, same ? "; they share a public address" : "");
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        deliver(w, h, host[h].mediator_us + host[h].coord_us, AGENDA_COORD, 0);
}

void mediator_relay(struct world *w, uint32_t from)
{
    const struct scene *s = &w->scene;

    if (!s->relay)
        world_fault(w, "%s: sends by a relay that is not there",
                    from == WORLD_CALLER ? "caller" : "callee");
    else if (!trouble_cuts_off(w, 0) && !trouble_cuts_off(w, 1) &&
             (s->calm || !world_chance_ppm(w, s->loss_ppm)))
        agenda_add(&w->agenda, w->now_us + s->host[0].mediator_us + s->host[1].mediator_us,
                   AGENDA_RELAYED, 1 - from, 0);
}

void mediator_candidates(struct world *w, uint32_t from)
{
    struct mediator *m = &w->mediator;
    struct coordinates_whereabouts where[SCENE_HOSTS];

    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        whereabouts(w, h, &where[h]);
    coordinates_show(&m->published[from], &where[from],
                     coordinates_same_public(&where[0], &where[1]), &m->shown[1 - from]);
    deliver(w, 1 - from, w->scene.host[0].mediator_us + w->scene.host[1].mediator_us,
            AGENDA_CANDIDATES, 0);
}

void mediator_note(struct world *w, uint32_t from, const struct punch_note *note)
{
    struct mediator *m = &w->mediator;
    uint32_t number = m->notes;

    if (number == MEDIATOR_NOTES) {
        world_fault(w, "%s sends more than %d notes", from == WORLD_CALLER ? "caller" : "callee",
                    MEDIATOR_NOTES);
        return;
    }
    if (world_chance_ppm(w, w->scene.note_loss_ppm)) {
        trace_say(w, "mediator", "loses a note");
        return;
    }
    m->note[m->notes++] = *note;
    deliver(w, 1 - from,
            w->scene.host[0].mediator_us + w->scene.host[1].mediator_us +
                world_below(w, w->scene.note_delay_us + 1),
            AGENDA_NOTE, number);
}
