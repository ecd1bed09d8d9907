/* SPDX-License-Identifier: BSD-2-Clause */
#include "punch/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum plan_need plan_need(const struct nat_profile *profile)
{
    switch (profile->mapping) {
    case NAT_MAPPING_NONE:
    case NAT_MAPPING_ENDPOINT_INDEPENDENT:
        return PLAN_NEED_NOTHING;
    case NAT_MAPPING_ADDRESS_DEPENDENT:
    case NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT:
        return profile->allocation == NAT_ALLOCATION_SEQUENTIAL ? PLAN_NEED_SAMPLES
                                                                : PLAN_NEED_LUCK;
    case NAT_MAPPING_UNKNOWN:
        break;
    }
    return PLAN_NEED_UNKNOWN;
}

unsigned plan_order(enum punch_kind kind, const struct stun_addr *addr, bool attested)
{
    unsigned order = 8;

    if (stun_addr_is_private(addr) || stun_addr_is_loopback(addr) || stun_addr_is_link_local(addr))
        order = 0;
    else if (attested)
        order = 2;
    else if (kind == PUNCH_PORT_MAPPED)
        order = 4;
    else if (kind != PUNCH_PREDICTED)
        order = 6;
    return order + (addr->family == STUN_IPV6 ? 0 : 1);
}

size_t plan_window(const struct nat_samples *samples, int32_t step)
{
    size_t foreign = 0, window;

    for (size_t i = 1; i < samples->count && step != 0; i++) {
        int32_t gap = (int16_t)(uint16_t)(samples->ports[i] - samples->ports[i - 1]);

        if (gap % step == 0 && gap / step > 1)
            foreign += (size_t)(gap / step - 1);
        else if (gap != step)
            foreign += 2;
    }
    window = PLAN_CLEAN_WINDOW + 4 * foreign;
    return window < NAT_MAX_PREDICTED ? window : NAT_MAX_PREDICTED;
}

static bool predict(const struct plan_side *side, struct plan_part *who_sends_there)
{
    int32_t step = nat_samples_step(&side->samples);

    if (step == 0)
        return false;
    /* Evenly spaced foreign allocations look like a larger step; the profile has seen more. */
    if (side->profile.step != 0 && step % side->profile.step == 0 && step / side->profile.step > 1)
        step = side->profile.step;
    who_sends_there->target = side->samples.public_addr;
    who_sends_there->target.port = 0;
    who_sends_there->port_count = nat_predict_ports(&side->samples, step, 0, who_sends_there->ports,
                                                    plan_window(&side->samples, step));
    return who_sends_there->port_count > 0;
}

static void at_public(const struct plan_side *side, struct plan_part *who_sends_there)
{
    who_sends_there->target = side->public_addr;
    who_sends_there->target.port = 0;
    who_sends_there->ports[0] = side->public_addr.port;
    who_sends_there->port_count = 1;
}

/* The side whose ports are predicted opens its hole first, from its fresh socket to the other's
 * unchanging address; the other tries the likeliest ports until one of them is the hole. */
static bool one_side(const struct plan_side *opener, const struct plan_side *seeker,
                     struct plan_part *opener_part, struct plan_part *seeker_part)
{
    if (seeker->public_addr.family != opener->samples.public_addr.family)
        return false;
    opener_part->fresh_socket = true;
    opener_part->opens_first = true;
    at_public(seeker, opener_part);
    return predict(opener, seeker_part);
}

/* Each aims at the other's next port, and gets its own next port by doing so. The callee opens,
 * because its packets leave before the caller has read the plan. */
static bool both_sides(const struct plan_side *mine, const struct plan_side *theirs,
                       struct plan *out)
{
    if (mine->samples.public_addr.family != theirs->samples.public_addr.family)
        return false;
    out->mine.fresh_socket = true;
    out->mine.opens_first = true;
    out->theirs.fresh_socket = true;
    return predict(theirs, &out->mine) && predict(mine, &out->theirs);
}

/* The other side has a fresh socket with an unchanging address, and has opened it towards us. */
static bool at_fresh(const struct plan_side *mine, const struct plan_side *theirs, struct plan *out)
{
    const struct stun_addr *fresh = &theirs->samples.public_addr;

    if (mine->public_addr.family != fresh->family || fresh->port == 0 ||
        stun_addr_equal(fresh, &theirs->public_addr))
        return false;
    out->theirs.fresh_socket = true;
    out->theirs.opens_first = true;
    at_public(mine, &out->theirs);
    out->mine.target = *fresh;
    out->mine.target.port = 0;
    out->mine.ports[0] = fresh->port;
    out->mine.port_count = 1;
    return true;
}

void plan_make(const struct plan_side *mine, const struct plan_side *theirs, struct plan *out)
{
    enum plan_need my_need = plan_need(&mine->profile);
    enum plan_need their_need = plan_need(&theirs->profile);
    bool i_vary = my_need == PLAN_NEED_SAMPLES, they_vary = their_need == PLAN_NEED_SAMPLES;
    bool possible;

    memset(out, 0, sizeof(*out));
    if (my_need == PLAN_NEED_LUCK || their_need == PLAN_NEED_LUCK) {
        bool other_varies =
            my_need == PLAN_NEED_LUCK ? they_vary || their_need == PLAN_NEED_LUCK : i_vary;

        out->kind = other_varies ? PLAN_IMPOSSIBLE : PLAN_PLAIN;
        return;
    }
    if (!i_vary && !they_vary) {
        if (theirs->samples.count == 0 || !at_fresh(mine, theirs, out))
            return;
        out->kind = PLAN_PREDICT;
        return;
    }
    if ((i_vary && mine->samples.count == 0) || (they_vary && theirs->samples.count == 0)) {
        out->kind = PLAN_WAIT;
        return;
    }
    if (i_vary && they_vary)
        possible = both_sides(mine, theirs, out);
    else if (i_vary)
        possible = one_side(mine, theirs, &out->mine, &out->theirs);
    else
        possible = one_side(theirs, mine, &out->theirs, &out->mine);
    if (!possible)
        memset(out, 0, sizeof(*out));
    else
        out->kind = PLAN_PREDICT;
}

static const char *part_text(const struct plan_part *part, char *text, size_t capacity)
{
    char to[STUN_ADDR_TEXT_BYTES];
    struct stun_addr first = part->target;

    first.port = part->port_count > 0 ? part->ports[0] : 0;
    snprintf(text, capacity, "%s socket%s to %s and %zu more",
             part->fresh_socket ? "fresh" : "data", part->opens_first ? ", opening first," : "",
             stun_addr_text(&first, to), part->port_count > 0 ? part->port_count - 1 : 0);
    return text;
}

const char *plan_text(const struct plan *plan, char text[static PLAN_TEXT_BYTES])
{
    static const char *const names[] = {
        [PLAN_PLAIN] = "plain punch",
        [PLAN_WAIT] = "waiting for fresh samples",
        [PLAN_IMPOSSIBLE] = "plain punch without hope: neither NAT can be aimed at",
    };
    char mine[100], theirs[100];

    if (plan->kind != PLAN_PREDICT) {
        snprintf(text, PLAN_TEXT_BYTES, "%s", names[plan->kind]);
        return text;
    }
    snprintf(text, PLAN_TEXT_BYTES, "prediction: we from the %s; they from the %s",
             part_text(&plan->mine, mine, sizeof(mine)),
             part_text(&plan->theirs, theirs, sizeof(theirs)));
    return text;
}
