/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/trouble.h"

#include <string.h>

#include "sim/trace.h"
#include "sim/world.h"

#define SECOND     1000000u
#define AFTER_US   (45 * SECOND)
#define CONSENT_US (30 * SECOND)
#define STALL_US   (2 * SECOND)
#define MOST_PATHS 12 /* of one host in a run */

static const char *name_of(uint32_t host)
{
    return host == WORLD_CALLER ? "caller" : "callee";
}

void trouble_begin(struct world *w)
{
    struct trouble *t = &w->trouble;

    memset(t, 0, sizeof(*t));
    t->began_us = t->ended_us = UINT64_MAX;
}

void trouble_plan(struct world *w)
{
    if (w->scene.trouble == SCENE_NO_TROUBLE || w->trouble.planned)
        return;
    w->trouble.planned = true;
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        w->peer[h].talk.next_us = peer_now(w, h); /* from now on without pauses */
    agenda_add(&w->agenda, w->now_us + w->scene.trouble_after_us, AGENDA_TROUBLE, 0, 0);
}

static void reboot(struct world *w, uint32_t host)
{
    uint32_t nat[SCENE_NATS], layers = scene_layers(&w->scene, host, nat);
    struct world_nat *outer = &w->nat[nat[layers - 1]];

    nat_model_reboot(&outer->model);
    outer->disturbed_us = w->now_us;
    trace_say(w, "NAT", "* number %u is rebooted", (unsigned)nat[layers - 1]);
}

void trouble_happens(struct world *w)
{
    struct trouble *t = &w->trouble;
    uint32_t host = w->scene.trouble_host;

    t->began_us = w->now_us;
    t->direct = w->peer[0].connected && w->peer[1].connected;
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        t->heard_us[h] = w->now_us;
    switch (w->scene.trouble) {
    case SCENE_REBOOT:
        reboot(w, host);
        break;
    case SCENE_MOVE:
        trace_say(w, name_of(host), "* has another address");
        peer_move(w, host);
        break;
    case SCENE_BLACKOUT:
        trace_say(w, name_of(host), "* nothing comes through");
        break;
    case SCENE_NO_TROUBLE:
    case SCENE_TROUBLES:
        break;
    }
    agenda_add(&w->agenda, w->now_us + w->scene.trouble_long_us, AGENDA_TROUBLE_ENDS, 0, 0);
}

void trouble_ends(struct world *w)
{
    w->trouble.ended_us = w->now_us;
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        w->trouble.heard_us[h] = w->now_us;
        w->trouble.stall_us[h] = 0;
    }
}

uint64_t trouble_until(const struct world *w)
{
    const struct trouble *t = &w->trouble;

    if (!t->planned)
        return 0;
    return t->ended_us == UINT64_MAX ? UINT64_MAX : t->ended_us + AFTER_US;
}

bool trouble_cuts_off(const struct world *w, uint32_t host)
{
    const struct trouble *t = &w->trouble;

    return w->scene.trouble == SCENE_BLACKOUT && host == w->scene.trouble_host &&
           t->began_us != UINT64_MAX && t->ended_us == UINT64_MAX;
}

void trouble_path(struct world *w, uint32_t host, bool changed)
{
    struct trouble *t = &w->trouble;

    t->consented_us[host] = peer_now(w, host);
    if (changed && ++t->paths[host] > MOST_PATHS)
        world_fault(w, "%s: its path has changed more than %d times", name_of(host), MOST_PATHS);
}

void trouble_answered(struct world *w, uint32_t host)
{
    w->trouble.consented_us[host] = peer_now(w, host);
}

void trouble_sent_link(struct world *w, uint32_t host)
{
    if (peer_now(w, host) > w->trouble.consented_us[host] + CONSENT_US)
        world_fault(w, "%s: sends to a path that has not answered for 30 s", name_of(host));
}

void trouble_heard_link(struct world *w, uint32_t host)
{
    struct trouble *t = &w->trouble;
    uint64_t gap = w->now_us - t->heard_us[host];

    if (t->began_us == UINT64_MAX)
        return;
    if (gap > t->stall_us[host])
        t->stall_us[host] = gap;
    t->heard_us[host] = w->now_us;
}

static bool is_cone(const struct world *w)
{
    const struct scene *s = &w->scene;

    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        if (s->host[h].kind > SCENE_CONE || s->host[h].no_sockets)
            return false;
    }
    return scene_is_ordinary(s) && scene_has_way(s) && s->bounce_down == 0;
}

/* How long packets fly at most, there and back, whichever way. */
static uint64_t flight_us(const struct world *w)
{
    const struct scene *s = &w->scene;
    uint64_t us = s->core_us + s->host[0].mediator_us + s->host[1].mediator_us;

    for (uint32_t i = 0; i < s->nats; i++)
        us += s->nat[i].delay_us;
    return 2 * (us + s->host[0].delay_us + s->host[1].delay_us);
}

static void check_stall(struct world *w, uint32_t host)
{
    const struct trouble *t = &w->trouble;
    uint64_t most = STALL_US + 4 * flight_us(w) + 4 * w->scene.talk_gap_us;
    uint64_t now = w->now_us - t->heard_us[host];

    if (!w->scene.relay || !w->scene.calm)
        return;
    if (t->stall_us[host] > most || now > most)
        world_fault(w, "%s: hears nothing for %.1f s, though there is a relay", name_of(host),
                    (double)(now > t->stall_us[host] ? now : t->stall_us[host]) / 1e6);
}

void trouble_check(struct world *w)
{
    if (w->trouble.ended_us == UINT64_MAX)
        return;
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        check_stall(w, h);
        if (w->trouble.direct && is_cone(w) && !w->peer[h].connected)
            world_fault(w, "%s: is not connected again", name_of(h));
    }
}
