/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/coordinates.h"

#include <string.h>

static bool coordinates_any_equal(const struct stun_addr *addr, const struct stun_addr *among,
                                  size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (stun_addr_equal(addr, &among[i]))
            return true;
    return false;
}

/* One public IPv4 address is one home; over IPv6 that is a /64 (RFC 4291). */
static bool coordinates_same_site(const struct stun_addr *a, const struct stun_addr *b)
{
    if (a->family == STUN_NO_FAMILY || a->family != b->family)
        return false;
    return memcmp(a->ip, b->ip, a->family == STUN_IPV6 ? 8 : 4) == 0;
}

/* The public address in one family; none if nothing is known. */
static struct stun_addr coordinates_public(const struct coordinates_whereabouts *where,
                                           uint8_t family)
{
    for (size_t i = 0; i < where->attested_count; i++)
        if (where->attested[i].family == family)
            return where->attested[i];
    return where->control.family == family ? where->control : (struct stun_addr){0};
}

static void coordinates_put(wire_Coordinates *out, wire_CandidateKind kind,
                            const struct stun_addr *addr, bool attested)
{
    if (out->candidates_count == WIRE_MAX_CANDIDATES)
        return;
    wire_Candidate *candidate = &out->candidates[out->candidates_count++];
    candidate->kind = kind;
    candidate->attested = attested;
    candidate->has_address = true;
    wire_from_addr(addr, &candidate->address);
}

void coordinates_take(const wire_Coordinates *in, struct coordinates *out)
{
    memset(out, 0, sizeof *out);
    out->profile = in->profile;
    out->hidden = in->hidden;
    for (size_t i = 0; i < in->candidates_count && out->count < WIRE_MAX_CANDIDATES; i++) {
        struct stun_addr addr = wire_to_addr(&in->candidates[i].address);
        if (!stun_addr_is_usable(&addr) || stun_addr_is_loopback(&addr) ||
            stun_addr_is_link_local(&addr))
            continue;
        out->candidate[out->count++] = (struct coordinates_candidate){
            .kind = (uint8_t)in->candidates[i].kind, .address = addr};
    }
}

bool coordinates_same_public(const struct coordinates_whereabouts *a,
                             const struct coordinates_whereabouts *b)
{
    static const uint8_t families[] = {STUN_IPV4, STUN_IPV6};

    for (size_t i = 0; i < sizeof families; i++) {
        struct stun_addr of_a = coordinates_public(a, families[i]);
        struct stun_addr of_b = coordinates_public(b, families[i]);
        if (coordinates_same_site(&of_a, &of_b))
            return true;
    }
    return false;
}

void coordinates_show(const struct coordinates *from, const struct coordinates_whereabouts *where,
                      bool same_public, wire_Coordinates *out)
{
    memset(out, 0, sizeof *out);
    out->has_profile = true;
    out->profile = from->profile;
    out->hidden = from->hidden;
    if (from->hidden)
        return;
    for (size_t i = 0; i < where->attested_count; i++)
        coordinates_put(out, wire_CandidateKind_CANDIDATE_SERVER_REFLEXIVE, &where->attested[i],
                        true);
    for (size_t i = 0; i < from->count; i++) {
        const struct coordinates_candidate *claimed = &from->candidate[i];
        if (coordinates_any_equal(&claimed->address, where->attested, where->attested_count) ||
            (stun_addr_is_private(&claimed->address) && !same_public))
            continue;
        coordinates_put(out, (wire_CandidateKind)claimed->kind, &claimed->address, false);
    }
}
