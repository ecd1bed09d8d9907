/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/world.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim/trace.h"

#define SECOND        1000000u
#define DIAL_LIMIT_US (60 * SECOND) /* a dial must have ended by then, whatever happened */
#define AFTERMATH_US  (2 * SECOND)  /* after a failure: late packets may revive it */
#define MAX_STEPS     200000

struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof(*w));
    bool good = w != NULL && sodium_init() >= 0;

    if (w == NULL)
        return NULL;
    w->nat_memory_bytes = nat_model_memory_bytes(WORLD_NAT_SESSIONS);
    for (uint32_t i = 0; i < SCENE_NATS; i++) {
        w->nat_memory[i] = calloc(1, w->nat_memory_bytes);
        good = good && w->nat_memory[i] != NULL;
    }
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        good = peer_new(&w->peer[h]) && good;
    good = mediator_new(&w->mediator) && good;
    good = rules_new(&w->rules) && good;
    if (good)
        return w;
    world_free(w);
    return NULL;
}

void world_free(struct world *w)
{
    for (uint32_t i = 0; i < SCENE_NATS; i++)
        free(w->nat_memory[i]);
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        peer_free(&w->peer[h]);
    mediator_free(&w->mediator);
    rules_free(&w->rules);
    free(w);
}

uint64_t world_below(struct world *w, uint64_t limit)
{
    return (dice_next(&w->dice) >> 32) * limit >> 32;
}

bool world_chance_ppm(struct world *w, uint32_t ppm)
{
    return ppm > 0 && world_below(w, 1000000) < ppm;
}

void world_fault(struct world *w, const char *format, ...)
{
    va_list args;

    if (w->fault[0] != 0)
        return;
    va_start(args, format);
    vsnprintf(w->fault, sizeof(w->fault), format, args);
    va_end(args);
    w->fault_us = w->now_us;
    trace_say(w, "RULE", "%s", w->fault);
}

static void begin_nats(struct world *w)
{
    for (uint32_t i = 0; i < w->scene.nats; i++) {
        struct nat_model_random random = {dice_draw, &w->nat_dice[i]};

        w->nat_dice[i].state = w->scene.seed * 0xaf251af3b0f025b5u + i;
        w->nat[i].disturbed_us = 0;
        if (!nat_model_init(&w->nat[i].model, &w->scene.nat[i].config, &w->scene.nat[i].public_ip,
                            w->nat_memory[i], w->nat_memory_bytes, random))
            world_fault(w, "NAT %u cannot be made", (unsigned)i);
    }
}

static void plan_accidents(struct world *w)
{
    const struct scene *s = &w->scene;

    agenda_add(&w->agenda, s->dial_us, AGENDA_DIAL, 0, 0);
    if (s->reboot_nat != SCENE_NO_NAT)
        agenda_add(&w->agenda, s->reboot_us, AGENDA_REBOOT, 0, 0);
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        if (s->host[h].jump_us > 0)
            agenda_add(&w->agenda, s->host[h].jump_at_us, AGENDA_JUMP, h, 0);
    }
    attacker_begin(w);
}

void world_begin(struct world *w, uint64_t seed)
{
    scene_make(&w->scene, seed);
    w->now_us = 1;
    w->dice.state = seed * 0x2545f4914f6cdd1du;
    w->agenda.count = 0;
    w->agenda.order = 0;
    w->steps = 0;
    w->fault[0] = 0;
    for (uint32_t i = 0; i < WORLD_PACKETS; i++)
        w->free_packet[i] = WORLD_PACKETS - 1 - i;
    w->free_packets = WORLD_PACKETS;
    trace_begin(w);
    begin_nats(w);
    mediator_begin(w);
    rules_begin(w);
    trouble_begin(w);
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        peer_begin(w, h);
    plan_accidents(w);
}

static void reboot(struct world *w)
{
    struct world_nat *nat = &w->nat[w->scene.reboot_nat];

    nat_model_reboot(&nat->model);
    nat->disturbed_us = w->now_us;
    trace_say(w, "NAT", "* number %u is rebooted", (unsigned)w->scene.reboot_nat);
}

static void perform(struct world *w, const struct agenda_item *item)
{
    switch (item->kind) {
    case AGENDA_PACKET:
        network_arrive(w, item->what);
        break;
    case AGENDA_DIAL:
        mediator_dial(w);
        break;
    case AGENDA_INTRODUCE:
        mediator_introduce(w);
        break;
    case AGENDA_COORD:
        dial_introduced(w, item->who);
        break;
    case AGENDA_NOTE:
        dial_note(w, item->who, &w->mediator.note[item->what]);
        break;
    case AGENDA_ATTACK:
        attacker_act(w);
        break;
    case AGENDA_REBOOT:
        reboot(w);
        break;
    case AGENDA_RELAYED:
        dial_relayed(w, item->who);
        break;
    case AGENDA_CANDIDATES:
        dial_candidates(w, item->who);
        break;
    case AGENDA_TROUBLE:
        trouble_happens(w);
        break;
    case AGENDA_TROUBLE_ENDS:
        trouble_ends(w);
        break;
    case AGENDA_JUMP:
        peer_leap(w, item->who);
        break;
    }
}

/* When the run may end, as far as is known now. */
static uint64_t end_of(const struct world *w)
{
    const struct peer *a = &w->peer[0], *b = &w->peer[1];
    uint64_t settled = 0, trouble = trouble_until(w);

    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        const struct peer *p = &w->peer[h];
        uint64_t at = p->ever ? p->path_us : p->failed_us;

        if (at == UINT64_MAX)
            return UINT64_MAX;
        settled = at > settled ? at : settled;
    }
    settled += a->ever && b->ever ? w->scene.talk_us : AFTERMATH_US;
    return settled > trouble ? settled : trouble;
}

static bool step(struct world *w)
{
    uint64_t next = agenda_next(&w->agenda), wake = UINT64_MAX;
    uint32_t who = 0;

    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        if (w->peer[h].wake_us < wake) {
            wake = w->peer[h].wake_us;
            who = h;
        }
    }
    if ((next < wake ? next : wake) > end_of(w))
        return false;
    if (w->now_us > w->scene.dial_us + DIAL_LIMIT_US && end_of(w) == UINT64_MAX &&
        !w->trouble.planned) {
        world_fault(w, "%s: neither a path nor a failure after %u s",
                    w->peer[0].ever || w->peer[0].failed ? "callee" : "caller",
                    (unsigned)(DIAL_LIMIT_US / SECOND));
        return false;
    }
    if (next == UINT64_MAX && wake == UINT64_MAX) {
        world_fault(w, "nothing will ever happen again");
        return false;
    }
    if (++w->steps > MAX_STEPS) {
        world_fault(w, "no end after %d steps", MAX_STEPS);
        return false;
    }
    if (next <= wake) {
        struct agenda_item item = agenda_take(&w->agenda);

        w->now_us = item.at_us;
        perform(w, &item);
    } else {
        w->now_us = wake;
        peer_wake(w, who);
    }
    return w->fault[0] == 0;
}

void world_run(struct world *w)
{
    while (w->fault[0] == 0 && step(w))
        ;
    if (w->fault[0] == 0)
        rules_end(w);
    if (w->fault[0] == 0)
        trouble_check(w);
}
