/* SPDX-License-Identifier: BSD-2-Clause */
/* What the engine has to say to people. */
#include <stdio.h>
#include <string.h>

#include "punch/diagnose.h"
#include "punch/engine.h"

const char *punch_plan_text(const struct punch *p, char text[static PUNCH_PLAN_BYTES])
{
    const struct forecast *f = &p->forecast;
    struct plan_side mine = {.profile = p->profile, .public_addr = p->profile.public_addr};
    struct plan_side theirs = {.profile = p->their_profile,
                               .public_addr = p->their_profile.public_addr};
    struct plan plan;

    mine.samples = f->mine;
    theirs.samples = f->theirs;
    plan_make(&mine, &theirs, &plan);
    return plan_text(&plan, text);
}

void punch_case(const struct punch *p, enum punch_failure failure, struct diagnose_case *out)
{
    memset(out, 0, sizeof(*out));
    out->failure = failure;
    out->error = p->last_error;
    out->mine.profile = p->profile;
    out->mine.known = true;
    out->mine.no_udp = p->profile.endpoints_seen == 0 && p->bounce_count > 0;
    out->mine.ipv6 = p->sockets[PUNCH_IPV6_SOCKET].open;
    out->theirs.profile = p->their_profile;
    for (size_t i = 0; i < p->remote_count; i++) {
        const struct remote *r = &p->remotes[i];

        if (r->gone || r->kind == PUNCH_PEER_REFLEXIVE)
            continue;
        out->theirs.known = true;
        out->theirs.port_mapped = out->theirs.port_mapped || r->kind == PUNCH_PORT_MAPPED;
        out->theirs.ipv6 =
            out->theirs.ipv6 || (r->addr.family == STUN_IPV6 && !stun_addr_is_private(&r->addr));
        out->same_public_address =
            out->same_public_address || (p->profile.mapping != NAT_MAPPING_NONE &&
                                         stun_addr_same_ip(&r->addr, &p->profile.public_addr));
    }
    out->theirs.no_udp = out->theirs.known && p->their_profile.endpoints_seen == 0 &&
                         remote_public(p, STUN_IPV4) == NULL && remote_public(p, STUN_IPV6) == NULL;
    out->searched = p->search.role != SEARCH_NONE && p->search.gated;
    out->no_search = p->no_search;
}

const char *punch_why(const struct punch *p, enum punch_failure failure,
                      char text[static PUNCH_WHY_BYTES])
{
    struct diagnose_case c;
    struct diagnosis d;

    punch_case(p, failure, &c);
    diagnose(&c, &d);
    snprintf(text, PUNCH_WHY_BYTES, "%s", d.reason);
    return text;
}

const char *punch_technique_text(enum punch_technique t)
{
    switch (t) {
    case PUNCH_TECHNIQUE_NONE:
        break;
    case PUNCH_TECHNIQUE_PRIVATE:
        return "private";
    case PUNCH_TECHNIQUE_PUBLIC:
        return "public";
    case PUNCH_TECHNIQUE_PEER_REFLEXIVE:
        return "peer-reflexive";
    case PUNCH_TECHNIQUE_PREDICTED:
        return "predicted";
    case PUNCH_TECHNIQUE_PORT_MAPPED:
        return "port-mapped";
    case PUNCH_TECHNIQUE_BIRTHDAY:
        return "birthday";
    case PUNCH_TECHNIQUE_BLOCK:
        return "port block";
    case PUNCH_TECHNIQUE_HAIRPIN:
        return "hairpin";
    }
    return "none";
}
