/* SPDX-License-Identifier: BSD-2-Clause */
/* What the mediator is told of us: coordinates, and who may find them. */
#include <string.h>

#include "peer/endpoint.h"
#include "peer/interfaces.h"

static void add_candidate(wire_Coordinates *out, wire_CandidateKind kind,
                          const struct stun_addr *addr)
{
    if (out->candidates_count < WIRE_MAX_CANDIDATES) {
        wire_Candidate *c = &out->candidates[out->candidates_count++];
        c->kind = kind;
        c->has_address = true;
        wire_from_addr(addr, &c->address);
    }
}

void session_coordinates(const struct eyelet_endpoint *ep, unsigned socket, wire_Coordinates *out)
{
    const struct session *s = &ep->session;
    memset(out, 0, sizeof *out);
    if (s->reflexive[socket].family != STUN_NO_FAMILY) {
        add_candidate(out, wire_CandidateKind_CANDIDATE_SERVER_REFLEXIVE, &s->reflexive[socket]);
    } else if (s->survey_late && s->seen.family == STUN_IPV4) {
        /* No bounce server answers. Most NATs keep the port, and TCP has shown the address. */
        struct stun_addr guess = s->seen;
        guess.port = ep->warm[socket].port;
        add_candidate(out, wire_CandidateKind_CANDIDATE_SERVER_REFLEXIVE, &guess);
    }
    for (size_t i = 0; i < s->host_count; i++) {
        struct stun_addr host = s->hosts[i];
        host.port = ep->warm[socket].port;
        add_candidate(out, wire_CandidateKind_CANDIDATE_HOST, &host);
    }
    out->has_profile = true;
    wire_from_profile(&s->profile, &out->profile);
}

void session_publish(struct eyelet_endpoint *ep)
{
    struct session *s = &ep->session;
    if (s->state != SESSION_REGISTERING && s->state != SESSION_UP) {
        return;
    }
    wire_ToMediator msg = {.which_body = wire_ToMediator_registration_tag};
    wire_Register *r = &msg.body.registration;
    s->host_count = interfaces_addresses(s->hosts);
    r->has_coordinates = true;
    session_coordinates(ep, PUNCH_DATA_SOCKET, &r->coordinates);
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
