/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/explorer.h"

#include <string.h>

#include "peer/endpoint.h"

static bool dialling(const struct eyelet_endpoint *ep)
{
    for (const struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        if (c->state < CONN_OPEN) {
            return true;
        }
    }
    return false;
}

static bool may_begin(const struct eyelet_endpoint *ep)
{
    const struct session *s = &ep->session;
    return s->explorer.wanted && s->announced && !s->surveying && !dialling(ep);
}

static void begin(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    struct nat_observation seen[NAT_MAX_OBSERVATIONS];
    struct explore_config config = {.seen = seen,
                                    .seen_count =
                                        survey_observations(&s->survey, seen, NAT_MAX_OBSERVATIONS),
                                    .rtt_us = s->round_trip_us,
                                    .random = identity_random};
    s->explorer.wanted = false;
    s->explorer.told = false;
    s->explorer.running = true;
    explore_init(&s->explorer.machine, now_us, &config);
}

static void close_socket(struct explorer *x, unsigned i)
{
    if ((x->open >> i & 1) != 0) {
        udp_close(&x->sockets[i]); /* which also ends its being watched */
        x->open &= ~(1u << i);
    }
}

static bool replace_sockets(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct explorer *x = &ep->session.explorer;
    bool wanted, changed = false;
    unsigned i;
    while (explore_poll_socket(&x->machine, &i, &wanted)) {
        struct stun_addr local = {0};
        changed = true;
        close_socket(x, i);
        if (!wanted) {
            continue;
        }
        if (udp_open(&x->sockets[i], STUN_IPV4) == 0) {
            x->open |= 1u << i;
            (void)endpoint_watch(ep, x->sockets[i].fd, false, &x->sockets[i]);
            local = conn_local_address(ep, &x->sockets[i]);
        }
        explore_opened(&x->machine, now_us, i, &local);
    }
    return changed;
}

static void tell(struct eyelet_endpoint *ep)
{
    struct session *s = &ep->session;
    struct nat_profile p;
    if (explore_poll_news(&s->explorer.machine)) {
        explore_profile(&s->explorer.machine, &p);
        p.public_addr = s->profile.public_addr;
        s->profile = p;
        session_publish(ep);
    }
    if (!s->explorer.told && explore_is_settled(&s->explorer.machine)) {
        s->explorer.told = true;
        endpoint_log(ep, EYELET_LOG_INFO,
                     "the NAT: mapping %s, filtering %s, allocation %s, early packets %s, "
                     "hairpin %s, openers need a TTL of %u",
                     nat_mapping_text(s->profile.mapping), nat_filtering_text(s->profile.filtering),
                     nat_allocation_text(s->profile.allocation), nat_early_text(s->profile.early),
                     nat_hairpin_text(s->profile.hairpin), s->profile.opener_ttl);
    }
}

void explorer_stop(struct explorer *x)
{
    for (unsigned i = 0; i < EXPLORE_SOCKETS; i++) {
        close_socket(x, i);
    }
    x->running = x->wanted = false;
}

void explorer_want(struct explorer *x)
{
    explorer_stop(x);
    x->wanted = true;
}

void explorer_step(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct explorer *x = &ep->session.explorer;
    uint8_t packet[128];
    struct stun_addr to;
    unsigned socket, ttl;
    size_t size;
    if (may_begin(ep)) {
        begin(ep, now_us);
    }
    if (!x->running) {
        return;
    }
    explore_hold(&x->machine, now_us, dialling(ep));
    do {
        while (
            explore_output(&x->machine, now_us, &socket, &to, &ttl, packet, sizeof packet, &size)) {
            (void)udp_send(&x->sockets[socket], &to, ttl, packet, size, size);
        }
    } while (replace_sockets(ep, now_us));
    tell(ep);
}

uint64_t explorer_next_timeout(const struct eyelet_endpoint *ep)
{
    const struct explorer *x = &ep->session.explorer;
    if (may_begin(ep) || (x->running && x->machine.held != dialling(ep))) {
        return 0;
    }
    return x->running ? explore_next_timeout(&x->machine) : UINT64_MAX;
}

bool explorer_owns(const struct explorer *x, const void *whom)
{
    for (unsigned i = 0; i < EXPLORE_SOCKETS; i++) {
        if (whom == &x->sockets[i]) {
            return true;
        }
    }
    return false;
}

void explorer_receive(struct eyelet_endpoint *ep, uint64_t now_us, struct udp_socket *s)
{
    struct explorer *x = &ep->session.explorer;
    unsigned i = (unsigned)(s - x->sockets);
    struct stun_message msg;
    struct stun_addr from;
    size_t segment;
    while ((x->open >> i & 1) != 0) {
        ssize_t got = udp_receive(s, ep->rx, &from, &segment);
        if (got < 0) {
            break;
        }
        for (size_t at = 0; at < (size_t)got; at += segment) {
            size_t size = (size_t)got - at < segment ? (size_t)got - at : segment;
            if (stun_parse(ep->rx + at, size, &msg) == STUN_OK) {
                (void)explore_input(&x->machine, now_us, i, &from, &msg);
            }
        }
    }
    explorer_step(ep, now_us);
}
