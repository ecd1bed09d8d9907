/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a connection's path is what it is: its story, and what is known of both sides. */
#include <stdio.h>
#include <string.h>

#include "peer/endpoint.h"
#include "punch/plan.h"

static bool has_global_ipv6(const struct eyelet_endpoint *ep)
{
    return session_own_address(ep, STUN_IPV6).family == STUN_IPV6 &&
           ep->session.reflexive[SESSION_IPV6].family == STUN_IPV6;
}

/* The session knows this side, and the coordinates tell of the other one. */
void why_diagnose(const struct eyelet_conn *conn, struct diagnosis *out)
{
    const struct eyelet_endpoint *ep = conn->ep;
    const struct session *s = &ep->session;
    const struct diagnose_case c = {
        .mine = {.profile = s->profile,
                 .no_udp =
                     !session_is_attested(ep, STUN_IPV4) && !session_is_attested(ep, STUN_IPV6),
                 .ipv6 = has_global_ipv6(ep),
                 .port_mapped = s->mapped.family != STUN_NO_FAMILY,
                 .behind_provider = nat_is_behind_provider(ep),
                 .hidden = conn->policy == EYELET_RELAY_ONLY},
        .theirs = {.profile = conn->theirs,
                   .no_udp = conn->theirs_known && !conn->theirs_udp,
                   .ipv6 = conn->theirs_ipv6,
                   .port_mapped = conn->theirs_mapped,
                   .hidden = conn->theirs_hidden},
        .failure = conn->failure,
        .error = conn->failure_error,
        .searched = conn->punch != NULL && punch_has_searched(conn->punch),
        .no_search = ep->no_search,
        .same_public_address = conn->same_public_address,
    };
    diagnose(&c, out);
}

const char *why_plan(const struct eyelet_conn *conn, char text[static PLAN_TEXT_BYTES])
{
    struct plan plan;
    struct plan_side mine = {.profile = conn->ep->session.profile};
    struct plan_side theirs = {.profile = conn->theirs};
    plan_make(&mine, &theirs, &plan);
    return plan_text(&plan, text);
}

int eyelet_conn_step(const eyelet_conn *conn, size_t number, eyelet_step *step)
{
    if (conn == NULL || step == NULL || step->size < sizeof step->size ||
        step->size > sizeof *step) {
        return EYELET_ERR_ARGUMENT;
    }
    const struct story_step *from = story_step(conn->story, number);
    if (from == NULL) {
        return number < story_count(conn->story) ? EYELET_ERR_LIMIT : EYELET_ERR_AGAIN;
    }
    eyelet_step out = {.size = step->size, .at_us = from->at_us, .what = from->what};
    memcpy(out.text, from->text, sizeof out.text);
    memcpy(step, &out, step->size);
    return EYELET_OK;
}

void why_nat(const struct nat_profile *p, eyelet_nat *out)
{
    out->mapping = nat_mapping_text(p->mapping);
    out->filtering = nat_filtering_text(p->filtering);
    out->allocation = nat_allocation_text(p->allocation);
    out->pooling = nat_pooling_text(p->pooling);
    out->early = nat_early_text(p->early);
    out->hairpin = nat_hairpin_text(p->hairpin);
    out->step = p->step;
    out->foreign_per_1000_s = p->foreign_per_1000_s;
    out->block_ports = p->block_ports;
    out->block_first = p->block_first;
    out->lifetime_s = p->lifetime_s;
    out->opener_ttl = p->opener_ttl;
    out->servers = p->endpoints_seen;
    out->port_mapping = "";
}

static const char *outcome(const struct eyelet_conn *conn)
{
    switch (conn->carrier) {
    case CONN_DIRECT:
        return "direct";
    case CONN_RELAYED:
        return conn->failure != PUNCH_FAILURE_NONE || conn->policy == EYELET_RELAY_ONLY ? "relayed"
                                                                                        : "trying";
    case CONN_NO_CARRIER:
        break;
    }
    return "none";
}

int eyelet_conn_diagnose(const eyelet_conn *conn, eyelet_diagnosis *diagnosis)
{
    if (conn == NULL || diagnosis == NULL || diagnosis->size < sizeof diagnosis->size ||
        diagnosis->size > sizeof *diagnosis) {
        return EYELET_ERR_ARGUMENT;
    }
    struct why_texts *texts = &conn->ep->texts;
    struct diagnosis d = {0};
    eyelet_diagnosis out = {.size = diagnosis->size, .outcome = outcome(conn)};
    out.mine.size = out.theirs.size = sizeof out.mine;
    (void)eyelet_nat_profile(conn->ep, &out.mine);
    why_nat(&conn->theirs, &out.theirs);
    if (conn->carrier != CONN_DIRECT) {
        why_diagnose(conn, &d);
    }
    memcpy(texts->reason, d.reason, sizeof texts->reason);
    memcpy(texts->remedy, d.remedy, sizeof texts->remedy);
    out.plan = conn->theirs_known ? why_plan(conn, texts->plan) : "";
    out.reason = texts->reason;
    out.remedy = texts->remedy;
    memcpy(diagnosis, &out, diagnosis->size);
    return EYELET_OK;
}
