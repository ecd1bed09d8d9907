/* SPDX-License-Identifier: BSD-2-Clause */
/* Learns in the background what else the NAT does, as src/peer/explorer.c does it: after the
 * survey, and never while a dial is under way. */
#include "sim/trace.h"
#include "sim/world.h"

static bool dialling(const struct peer *p)
{
    return p->engine != NULL && !p->connected && !p->failed;
}

static bool may_begin(const struct peer *p)
{
    return p->learn.wanted && !p->surveying && !dialling(p);
}

static void begin(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    struct nat_observation seen[NAT_MAX_OBSERVATIONS];
    struct explore_config config = {
        .seen = seen,
        .seen_count = survey_observations(&p->survey, seen, NAT_MAX_OBSERVATIONS),
        .rtt_us = 2 * w->scene.host[host].mediator_us,
        .random = peer_random,
        .random_context = &p->dice,
    };

    p->learn.wanted = false;
    p->learn.running = true;
    explore_init(&p->learn.machine, peer_now(w, host), &config);
}

static bool replace_sockets(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    bool wanted, changed = false;
    unsigned i;

    while (explore_poll_socket(&p->learn.machine, &i, &wanted)) {
        changed = true;
        peer_close_socket(w, host, PEER_LEARN + i);
        if (!wanted)
            continue;
        if (!w->scene.host[host].no_sockets)
            peer_open_socket(w, host, PEER_LEARN + i);
        explore_opened(&p->learn.machine, peer_now(w, host), i, &p->local[PEER_LEARN + i]);
    }
    return changed;
}

static void tell(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    struct stun_addr public_addr = p->profile.public_addr;

    if (!explore_poll_news(&p->learn.machine))
        return;
    explore_profile(&p->learn.machine, &p->profile);
    p->profile.public_addr = public_addr;
    trace_say(w, host == WORLD_CALLER ? "caller" : "callee",
              "* learns: mapping %s, filtering %s, allocation %s, step %d, early packets %s, "
              "hairpin %s, opener TTL %u",
              nat_mapping_text(p->profile.mapping), nat_filtering_text(p->profile.filtering),
              nat_allocation_text(p->profile.allocation), (int)p->profile.step,
              nat_early_text(p->profile.early), nat_hairpin_text(p->profile.hairpin),
              (unsigned)p->profile.opener_ttl);
    rules_profile(w, host, &p->profile);
    warm_publish(w, host);
}

void learn_want(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];

    for (unsigned i = 0; i < EXPLORE_SOCKETS; i++)
        peer_close_socket(w, host, PEER_LEARN + i);
    p->learn.running = false;
    p->learn.wanted = w->scene.host[host].learns;
}

void learn_advance(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    uint64_t now_us = peer_now(w, host);
    uint8_t packet[128];
    struct stun_addr to;
    unsigned socket, ttl;
    size_t size;

    if (may_begin(p))
        begin(w, host);
    if (!p->learn.running)
        return;
    explore_hold(&p->learn.machine, now_us, dialling(p));
    do {
        while (explore_output(&p->learn.machine, now_us, &socket, &to, &ttl, packet, sizeof(packet),
                              &size))
            (void)peer_send(w, host, PEER_LEARN + socket, &to, (uint8_t)ttl, packet, size);
    } while (replace_sockets(w, host));
    tell(w, host);
}

void learn_receive(struct world *w, uint32_t host, unsigned socket, const struct stun_addr *from,
                   const struct stun_message *msg)
{
    if (w->peer[host].learn.running)
        (void)explore_input(&w->peer[host].learn.machine, peer_now(w, host), socket - PEER_LEARN,
                            from, msg);
}

uint64_t learn_next(const struct peer *p)
{
    return p->learn.running ? explore_next_timeout(&p->learn.machine) : UINT64_MAX;
}
