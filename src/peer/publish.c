/* SPDX-License-Identifier: BSD-2-Clause */
/* What the mediator is told of us: coordinates, and who may find them. */
#include <string.h>

#include "peer/endpoint.h"

/* One that is in the list already keeps its kind. */
static void add_candidate(wire_Coordinates *out, wire_CandidateKind kind,
                          const struct stun_addr *addr)
{
    for (pb_size_t i = 0; i < out->candidates_count; i++) {
        struct stun_addr other = wire_to_addr(&out->candidates[i].address);
        if (stun_addr_equal(&other, addr)) {
            return;
        }
    }
    if (addr->family != STUN_NO_FAMILY && out->candidates_count < WIRE_MAX_CANDIDATES) {
        wire_Candidate *c = &out->candidates[out->candidates_count++];
        c->kind = kind;
        c->has_address = true;
        wire_from_addr(addr, &c->address);
    }
}

static void add_socket(const struct eyelet_endpoint *ep, unsigned socket, wire_Coordinates *out)
{
    const struct session *s = &ep->session;
    const struct udp_socket *udp = &ep->warm[socket];
    if (udp->fd < 0) {
        return;
    }
    if (s->reflexive[socket].family != STUN_NO_FAMILY && !s->stale[socket]) {
        add_candidate(out, wire_CandidateKind_CANDIDATE_SERVER_REFLEXIVE, &s->reflexive[socket]);
    } else if (s->survey_late && s->seen.family == udp->family) {
        /* No bounce server answers. Most NATs keep the port, and TCP has shown the address. */
        struct stun_addr guess = s->seen;
        guess.port = udp->port;
        add_candidate(out, wire_CandidateKind_CANDIDATE_SERVER_REFLEXIVE, &guess);
    }
    for (size_t i = 0; i < s->hosts.count; i++) {
        struct stun_addr host = s->hosts.addresses[i];
        host.port = udp->port;
        if (host.family == udp->family) {
            add_candidate(out, wire_CandidateKind_CANDIDATE_HOST, &host);
        }
    }
}

/* Of use to a neighbour behind the same provider's NAT alone. */
static bool is_inner_gateway(const struct session *s)
{
    return stun_addr_is_private(&s->gateway) &&
           !stun_addr_same_ip(&s->gateway, &s->reflexive[PUNCH_DATA_SOCKET]);
}

/* Of this IPv4 socket and the one of IPv6 beside it. */
static void add_addresses(const struct eyelet_endpoint *ep, unsigned socket, wire_Coordinates *out)
{
    const struct session *s = &ep->session;
    add_socket(ep, socket, out);
    if (socket == SESSION_BARE) {
        add_socket(ep, SESSION_BARE_IPV6, out);
        return;
    }
    add_socket(ep, SESSION_IPV6, out);
    add_candidate(out, wire_CandidateKind_CANDIDATE_PORT_MAPPED, &s->mapped);
    if (is_inner_gateway(s)) {
        add_candidate(out, wire_CandidateKind_CANDIDATE_GATEWAY, &s->gateway);
    }
}

void session_coordinates(const struct eyelet_endpoint *ep, unsigned socket, wire_Coordinates *out)
{
    const struct session *s = &ep->session;
    memset(out, 0, sizeof *out);
    out->hidden = ep->policy == EYELET_RELAY_ONLY;
    if (!out->hidden) {
        add_addresses(ep, socket, out);
    }
    out->has_profile = true;
    wire_from_profile(&s->profile, &out->profile);
}

struct stun_addr session_own_address(const struct eyelet_endpoint *ep, enum stun_family family)
{
    return interfaces_first(&ep->session.hosts, family);
}

void session_publish(struct eyelet_endpoint *ep)
{
    struct session *s = &ep->session;
    if (s->state != SESSION_REGISTERING && s->state != SESSION_UP) {
        return;
    }
    wire_ToMediator msg = {.which_body = wire_ToMediator_registration_tag};
    wire_Register *r = &msg.body.registration;
    interfaces_look(&s->hosts);
    r->has_coordinates = true;
    session_coordinates(ep, PUNCH_DATA_SOCKET, &r->coordinates);
    r->no_relay = ep->policy == EYELET_DIRECT_ONLY;
    r->instance.size = sizeof s->instance;
    memcpy(r->instance.bytes, s->instance, sizeof s->instance);
    r->yields = s->was_replaced;
    r->visibility = s->visibility;
    if (s->visibility == wire_Visibility_VISIBLE_TO_LISTED) {
        for (size_t i = 0; i < s->listed_count; i++) {
            r->allowed[i].size = IDENTITY_ID_BYTES;
            memcpy(r->allowed[i].bytes, s->listed[i].bytes, IDENTITY_ID_BYTES);
        }
        r->allowed_count = (pb_size_t)s->listed_count;
    }
    (void)session_send(ep, &msg);
}
