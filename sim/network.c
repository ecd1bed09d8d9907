/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/network.h"

#include <string.h>

#include "sim/trace.h"
#include "sim/world.h"

#define MAX_GATES 12 /* that one packet may pass */

static uint32_t nat_of(uint32_t gate)
{
    _Static_assert(WORLD_GATE_NAT_OUTSIDE % SCENE_NATS == 0, "the rest is the number");
    _Static_assert(WORLD_GATE_NAT_INSIDE % SCENE_NATS == 0, "the rest is the number");
    return gate % SCENE_NATS;
}

static bool translates(const struct world *w, uint32_t nat)
{
    return w->scene.nat[nat].config.mapping != NAT_CONFIG_NONE;
}

/* Whether an address, as written outside of a NAT, leads to it. */
static bool leads_to(const struct world *w, uint32_t nat, const struct stun_addr *dst)
{
    const struct scene *s = &w->scene;

    if (translates(w, nat))
        return nat_model_owns(&w->nat[nat].model, dst);
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        if (s->host[h].network == nat + 1 && stun_addr_same_ip(&s->host[h].ip, dst))
            return true;
    }
    for (uint32_t n = 0; n < s->nats; n++) {
        if (s->nat[n].parent == nat + 1 && leads_to(w, n, dst))
            return true;
    }
    return false;
}

static bool is_server(const struct world *w, const struct stun_addr *dst)
{
    return stun_addr_same_ip(dst, &w->scene.bounce[0]) ||
           stun_addr_same_ip(dst, &w->scene.bounce[2]);
}

/* The gate through which a packet leaves this network. */
static uint32_t gate_of(const struct world *w, uint32_t network, const struct stun_addr *dst)
{
    const struct scene *s = &w->scene;

    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        if (s->host[h].network == network && stun_addr_same_ip(&s->host[h].ip, dst))
            return h;
    }
    for (uint32_t n = 0; n < s->nats; n++) {
        if (s->nat[n].parent == network && leads_to(w, n, dst))
            return WORLD_GATE_NAT_OUTSIDE + n;
    }
    if (network == SCENE_INTERNET)
        return is_server(w, dst) ? WORLD_GATE_SERVERS : WORLD_GATE_NOBODY;
    const struct scene_nat *nat = &s->nat[network - 1];

    if (nat->lan.family == STUN_IPV4 && memcmp(nat->lan.ip, dst->ip, 3) == 0)
        return WORLD_GATE_NOBODY;
    return WORLD_GATE_NAT_INSIDE + network - 1;
}

struct leg {
    uint64_t delay_us;
    uint32_t hops;
};

/* From a gate to the middle of its network. */
static struct leg leg_of(const struct world *w, uint32_t gate)
{
    const struct scene *s = &w->scene;

    if (gate < SCENE_HOSTS)
        return (struct leg){s->host[gate].delay_us, 0};
    if (gate >= WORLD_GATE_NAT_OUTSIDE && gate < WORLD_GATE_NAT_OUTSIDE + SCENE_NATS) {
        const struct scene_nat *nat = &s->nat[nat_of(gate)];

        return (struct leg){nat->delay_us, nat->hops};
    }
    if (gate == WORLD_GATE_SERVERS)
        return (struct leg){s->bounce_us, 0};
    return (struct leg){0, 0};
}

static bool is_wide(uint32_t network)
{
    return network == SCENE_INTERNET;
}

static void release(struct world *w, uint32_t number)
{
    w->free_packet[w->free_packets++] = number;
}

static uint32_t copy_of(struct world *w, uint32_t number)
{
    if (w->free_packets == 0)
        return UINT32_MAX;
    uint32_t copy = w->free_packet[--w->free_packets];
    const struct world_packet *p = &w->packet[number];

    memcpy(&w->packet[copy], p, offsetof(struct world_packet, bytes) + p->size);
    return copy;
}

static void schedule(struct world *w, uint32_t number, uint64_t delay_us)
{
    if (!agenda_add(&w->agenda, w->now_us + delay_us, AGENDA_PACKET, 0, number)) {
        trace_lost(w, &w->packet[number], "the world is full");
        release(w, number);
    }
}

/* Across a network, from the gate where it came in to the one where it goes out. */
static void cross(struct world *w, uint32_t number, uint32_t from)
{
    const struct scene *s = &w->scene;
    struct world_packet *p = &w->packet[number];

    p->gate = gate_of(w, p->network, &p->head.dst);
    struct leg in = leg_of(w, from), out = leg_of(w, p->gate);
    uint32_t hops = in.hops + out.hops;
    uint64_t delay = in.delay_us + out.delay_us;

    if (is_wide(p->network)) {
        attacker_watch(w, p);
        hops += s->core_hops;
        delay += s->core_us;
        if (stun_addr_is_private(&p->head.dst)) {
            trace_lost(w, p, "no route to a private address");
            release(w, number);
            return;
        }
    }
    if (p->head.ttl <= hops) {
        trace_lost(w, p, "its TTL ends at a router on the way");
        release(w, number);
        return;
    }
    p->head.ttl = (uint8_t)(p->head.ttl - hops);
    if (!is_wide(p->network) || s->calm) {
        schedule(w, number, delay);
        return;
    }
    if (world_chance_ppm(w, s->loss_ppm)) {
        trace_lost(w, p, "lost");
        release(w, number);
        return;
    }
    if (world_chance_ppm(w, s->duplicate_ppm)) {
        uint32_t copy = copy_of(w, number);

        if (copy != UINT32_MAX)
            schedule(w, copy, delay + world_below(w, s->jitter_us + 1));
    }
    if (world_chance_ppm(w, s->reorder_ppm))
        delay += world_below(w, 4 * s->jitter_us + 1);
    schedule(w, number, delay + world_below(w, s->jitter_us + 1));
}

static uint32_t put(struct world *w, uint32_t network, const struct network_datagram *d)
{
    if (w->free_packets == 0 || d->size > WORLD_PACKET_BYTES)
        return UINT32_MAX;
    uint32_t number = w->free_packet[--w->free_packets];
    struct world_packet *p = &w->packet[number];

    p->head.src = d->src;
    p->head.dst = d->dst;
    p->head.protocol = NAT_MODEL_UDP;
    p->head.ttl = d->ttl == 0 ? WORLD_DEFAULT_TTL : d->ttl;
    p->size = d->size;
    p->who = d->who;
    p->kind = d->kind;
    p->network = network;
    p->sent_us = d->sent_us == 0 ? w->now_us : d->sent_us;
    memcpy(p->bytes, d->bytes, d->size);
    return number;
}

void network_send(struct world *w, uint32_t host, const struct network_datagram *d)
{
    uint32_t number = put(w, w->scene.host[host].network, d);

    if (number == UINT32_MAX)
        return;
    trace_sent(w, &w->packet[number]);
    if (trouble_cuts_off(w, host)) {
        trace_lost(w, &w->packet[number], "nothing comes through");
        release(w, number);
        return;
    }
    cross(w, number, host);
}

void network_inject(struct world *w, const struct network_datagram *d)
{
    uint32_t number = put(w, SCENE_INTERNET, d);

    if (number == UINT32_MAX)
        return;
    trace_sent(w, &w->packet[number]);
    cross(w, number, d->who == WORLD_SERVER ? WORLD_GATE_SERVERS : WORLD_GATE_NOBODY);
}

/* Through a NAT. False: it ends there. */
static bool pass(struct world *w, struct world_packet *p, uint32_t nat, bool outwards,
                 struct nat_model_verdict *verdict)
{
    struct nat_model *model = &w->nat[nat].model;

    /* A router ages a packet before it makes a session for it, but gives what is meant for itself
     * to itself, however old. */
    if (outwards && p->head.ttl <= 1) {
        trace_lost(w, p, "its TTL ends at the NAT");
        return false;
    }
    *verdict = outwards ? nat_model_outbound(model, w->now_us, &p->head)
                        : nat_model_inbound(model, w->now_us, &p->head);
    trace_nat(w, p, nat, outwards, verdict);
    if (verdict->action != NAT_MODEL_FORWARD && verdict->action != NAT_MODEL_HAIRPIN)
        return false;
    if (p->head.ttl <= 1) {
        trace_lost(w, p, "its TTL ends at the NAT");
        return false;
    }
    p->head = verdict->packet;
    p->head.ttl--;
    return true;
}

void network_arrive(struct world *w, uint32_t number)
{
    struct world_packet *p = &w->packet[number];
    struct nat_model_verdict verdict;
    uint32_t gate = p->gate;

    if (gate < SCENE_HOSTS && trouble_cuts_off(w, gate)) {
        trace_lost(w, p, "nothing comes through");
    } else if (gate < SCENE_HOSTS) {
        peer_receive(w, gate, p);
    } else if (gate == WORLD_GATE_SERVERS) {
        mediator_bounce(w, p);
    } else if (gate == WORLD_GATE_NOBODY) {
        trace_lost(w, p, "nobody has this address");
    } else if (gate >= WORLD_GATE_NAT_INSIDE) {
        uint32_t nat = nat_of(gate);

        if (pass(w, p, nat, true, &verdict)) {
            bool back = verdict.action == NAT_MODEL_HAIRPIN;

            p->network = back ? nat + 1 : w->scene.nat[nat].parent;
            cross(w, number, back ? gate : WORLD_GATE_NAT_OUTSIDE + nat);
            return;
        }
    } else {
        uint32_t nat = nat_of(gate);

        if (pass(w, p, nat, false, &verdict)) {
            p->network = nat + 1;
            cross(w, number, WORLD_GATE_NAT_INSIDE + nat);
            return;
        }
    }
    release(w, number);
}

bool network_reach(struct world *w, uint32_t host, const struct stun_addr *src,
                   const struct stun_addr *dst, uint32_t *to, struct stun_addr *seen_src,
                   struct stun_addr *seen_dst, const char **why)
{
    struct nat_model_packet head = {
        .src = *src, .dst = *dst, .protocol = NAT_MODEL_UDP, .ttl = WORLD_DEFAULT_TTL};
    uint32_t network = w->scene.host[host].network;

    for (int i = 0; i < MAX_GATES; i++) {
        uint32_t gate = gate_of(w, network, &head.dst), nat = nat_of(gate);
        struct nat_model_verdict verdict;

        if (gate < SCENE_HOSTS) {
            *to = gate;
            *seen_src = head.src;
            *seen_dst = head.dst;
            return true;
        }
        if (gate >= WORLD_GATE_SERVERS) {
            *why = "nobody has this address";
            return false;
        }
        if (gate >= WORLD_GATE_NAT_INSIDE) {
            verdict = nat_model_outbound(&w->nat[nat].model, w->now_us, &head);
            network = verdict.action == NAT_MODEL_HAIRPIN ? nat + 1 : w->scene.nat[nat].parent;
        } else {
            verdict = nat_model_inbound(&w->nat[nat].model, w->now_us, &head);
            network = nat + 1;
        }
        if (verdict.action != NAT_MODEL_FORWARD && verdict.action != NAT_MODEL_HAIRPIN) {
            *why = nat_model_reason_text(verdict.reason);
            return false;
        }
        head = verdict.packet;
    }
    *why = "it goes in circles";
    return false;
}
