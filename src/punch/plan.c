/* SPDX-License-Identifier: BSD-2-Clause */
#include "punch/plan.h"

#include <string.h>

#include "nat/stride.h"

#define SMALLEST_BLOCK 1024u /* that is believed from a few samples */
#define LARGEST_BLOCK  4096u
#define MISSED_RATE    50000u /* foreign allocations in 1000 s; four times that the next time */
#define SPAN_LEAST     3u
#define FOREIGN_PLACES 4 /* that each foreign allocation between two samples adds to the window */

enum plan_need plan_need(const struct nat_profile *profile)
{
    switch (profile->mapping) {
    case NAT_MAPPING_NONE:
    case NAT_MAPPING_ENDPOINT_INDEPENDENT:
        return PLAN_NEED_NOTHING;
    case NAT_MAPPING_ADDRESS_DEPENDENT:
    case NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT:
        if (profile->allocation == NAT_ALLOCATION_SEQUENTIAL)
            return PLAN_NEED_SAMPLES;
        return profile->allocation == NAT_ALLOCATION_BLOCK ? PLAN_NEED_BLOCK : PLAN_NEED_LUCK;
    case NAT_MAPPING_UNKNOWN:
        break;
    }
    return PLAN_NEED_UNKNOWN;
}

static bool is_varying(enum plan_need need)
{
    return need == PLAN_NEED_SAMPLES || need == PLAN_NEED_BLOCK || need == PLAN_NEED_LUCK;
}

bool plan_varies(const struct nat_profile *profile)
{
    return is_varying(plan_need(profile));
}

bool plan_harmless(const struct nat_profile *profile)
{
    return profile->mapping == NAT_MAPPING_NONE || profile->early == NAT_EARLY_HARMLESS ||
           profile->filtering == NAT_FILTERING_ENDPOINT_INDEPENDENT;
}

bool plan_lenient(const struct nat_profile *profile)
{
    return profile->filtering == NAT_FILTERING_ENDPOINT_INDEPENDENT ||
           profile->filtering == NAT_FILTERING_ADDRESS_DEPENDENT;
}

unsigned plan_order(enum punch_kind kind, const struct stun_addr *addr, bool attested)
{
    unsigned order = 8;

    if (kind == PUNCH_GATEWAY)
        order = 10;
    else if (stun_addr_is_private(addr) || stun_addr_is_loopback(addr) ||
             stun_addr_is_link_local(addr))
        order = 0;
    else if (attested)
        order = 2;
    else if (kind == PUNCH_PORT_MAPPED)
        order = 4;
    else if (kind != PUNCH_PREDICTED)
        order = 6;
    return order + (addr->family == STUN_IPV6 ? 0 : 1);
}

static size_t foreign_seen(const struct nat_samples *samples, int32_t step)
{
    size_t foreign = 0;

    for (size_t i = 1; i < samples->count && i < NAT_MAX_SAMPLES && step != 0; i++) {
        int32_t gap = (int16_t)(uint16_t)(samples->ports[i] - samples->ports[i - 1]);

        if (gap % step == 0 && gap / step > 1)
            foreign += (size_t)(gap / step - 1);
        else if (gap != step)
            foreign += 2;
    }
    return foreign;
}

size_t plan_window(const struct nat_samples *samples, int32_t step)
{
    size_t window = PLAN_CLEAN_WINDOW + FOREIGN_PLACES * foreign_seen(samples, step);

    return window < NAT_MAX_PREDICTED ? window : NAT_MAX_PREDICTED;
}

/* Rounded up. */
static uint64_t square_root(uint64_t x)
{
    uint64_t root = 0;

    while (root * root < x)
        root++;
    return root;
}

struct plan_span plan_span(const struct plan_side *side, int32_t step)
{
    /* Allocations in 1/1000, with a quarter of the age for what is not known about it. */
    uint64_t age_ms = side->age_us < 10000000 ? side->age_us / 1000 : 10000;
    uint64_t rate = side->profile.foreign_per_1000_s;
    uint64_t assumed = side->misses == 0 ? 0 : MISSED_RATE << 2 * (side->misses - 1);
    uint64_t mean = (rate < assumed ? assumed : rate) * age_ms / 1000;
    uint64_t least = mean * 3 / 4, most = mean + mean / 4, seen, spread;
    struct plan_span span;

    if (least > 1000 * 1000 || most > 1000 * 1000)
        least = most = 1000 * 1000;
    spread = 3 * square_root(least * 1000);
    least = least > spread ? (least - spread) / 1000 : 0;
    most = (most + 3 * square_root(most * 1000) + 999) / 1000;
    seen = FOREIGN_PLACES * foreign_seen(&side->samples, step);
    most += seen < NAT_MAX_PREDICTED ? seen : NAT_MAX_PREDICTED;
    /* A rate that was never measured is 0, too. */
    if (most < SPAN_LEAST - 1)
        most = SPAN_LEAST - 1;
    if (most - least >= NAT_MAX_PREDICTED) {
        uint64_t middle = mean / 1000;

        least = middle > NAT_MAX_PREDICTED / 2 ? middle - NAT_MAX_PREDICTED / 2 : 0;
        most = least + NAT_MAX_PREDICTED - 1;
    }
    span.first = 1 + (unsigned)least;
    span.last = 1 + (unsigned)most;
    span.likeliest = 1 + (unsigned)(mean / 1000 < most ? mean / 1000 : most);
    return span;
}

static int32_t step_of(const struct plan_side *side)
{
    int32_t step = nat_samples_step(&side->samples);

    /* Evenly spaced foreign allocations look like a larger step; the profile has seen more. */
    if (step != 0 && side->profile.step != 0 && step % side->profile.step == 0 &&
        step / side->profile.step > 1)
        step = side->profile.step;
    return step;
}

/* The block that holds all samples; false: they lie too far apart, or nothing is known. */
static bool block_of(const struct plan_side *side, uint16_t *first, uint32_t *ports)
{
    const struct nat_samples *s = &side->samples;
    uint32_t size = side->profile.block_ports, base = side->profile.block_first;
    uint32_t low = 65535, high = 0, number;

    for (size_t i = 0; i < s->count && i < NAT_MAX_SAMPLES; i++) {
        low = s->ports[i] < low ? s->ports[i] : low;
        high = s->ports[i] > high ? s->ports[i] : high;
    }
    if (s->count == 0)
        low = high = base;
    if (side->profile.allocation != NAT_ALLOCATION_BLOCK || size < 2 || size > PLAN_BLOCK_LARGEST) {
        size = SMALLEST_BLOCK;
        base = NAT_LOWEST_PORT;
    }
    if (low < NAT_LOWEST_PORT)
        return false;
    base %= size;
    if (low < base || high < base)
        return false;
    /* A NAT gives out blocks of one size, side by side: it may be another one by now. */
    while ((low - base) / size != (high - base) / size && size < LARGEST_BLOCK)
        size *= 2;
    number = (low - base) / size;
    if (number != (high - base) / size || base + number * size + size > 65536)
        return false;
    *first = (uint16_t)(base + number * size);
    *ports = size;
    return *first >= NAT_LOWEST_PORT;
}

/* What the fresh samples say counts more than the profile, which may be of yesterday. */
static enum plan_need need_of(const struct plan_side *side)
{
    enum plan_need need = plan_need(&side->profile);
    uint16_t first;
    uint32_t ports;

    if (need == PLAN_NEED_NOTHING || need == PLAN_NEED_UNKNOWN || side->samples.count < 3)
        return need;
    if (nat_samples_step(&side->samples) != 0)
        return PLAN_NEED_SAMPLES;
    return block_of(side, &first, &ports) ? PLAN_NEED_BLOCK : PLAN_NEED_LUCK;
}

/* The middle one of ports in their order, then one before it, one behind it, and so on. */
static void likeliest_first(uint16_t *ports, size_t count, size_t middle)
{
    uint16_t ordered[NAT_MAX_PREDICTED] = {0};
    size_t before = middle < count ? middle : count, after = before, written = 0;

    while (written < count) {
        if (after < count)
            ordered[written++] = ports[after++];
        if (before > 0)
            ordered[written++] = ports[--before];
    }
    memcpy(ports, ordered, count * sizeof(ports[0]));
}

static bool predict(const struct plan_side *side, struct plan_part *who_sends_there)
{
    int32_t step = step_of(side);
    struct plan_span span = plan_span(side, step);
    size_t window = plan_window(&side->samples, step);

    if (step == 0)
        return false;
    if (span.last - span.first + 1 > window)
        window = span.last - span.first + 1;
    who_sends_there->target = side->samples.public_addr;
    who_sends_there->target.port = 0;
    who_sends_there->port_count =
        nat_predict_ports(&side->samples, step, span.first - 1, who_sends_there->ports, window);
    likeliest_first(who_sends_there->ports, who_sends_there->port_count,
                    span.likeliest - span.first);
    return who_sends_there->port_count > 0;
}

static void at(const struct stun_addr *addr, struct plan_part *who_sends_there)
{
    who_sends_there->target = *addr;
    who_sends_there->target.port = 0;
    who_sends_there->ports[0] = addr->port;
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
    at(&seeker->public_addr, opener_part);
    return predict(opener, seeker_part);
}

/* Both ports move on while the notes are under way. Each side aims many new sockets at one port of
 * the other, the last that the other may have got to: each of them has another port, so one has
 * the very port that the other side aims at. It does not matter by how much each was off. */
static bool crossed(const struct plan_side *aimed_at, struct plan_span span,
                    struct plan_span sender_span, struct plan_part *part)
{
    size_t got =
        nat_predict_ports(&aimed_at->samples, step_of(aimed_at), span.last - 1, part->ports, 1);

    part->target = aimed_at->samples.public_addr;
    part->target.port = 0;
    part->port_count = got;
    part->sockets = (uint16_t)(sender_span.last - sender_span.first + 1);
    return got == 1;
}

static bool both_sides(const struct plan_side *mine, const struct plan_side *theirs,
                       struct plan *out)
{
    int32_t my_step = step_of(mine), their_step = step_of(theirs);
    struct plan_span my_span = plan_span(mine, my_step);
    struct plan_span their_span = plan_span(theirs, their_step);

    if (mine->samples.public_addr.family != theirs->samples.public_addr.family || my_step == 0 ||
        their_step == 0)
        return false;
    /* The callee's packets leave before the caller has read the plan. */
    out->mine.opens_first = true;
    return crossed(theirs, their_span, my_span, &out->mine) &&
           crossed(mine, my_span, their_span, &out->theirs);
}

/* The other side has a fresh socket with an unchanging address, and has opened it towards us. If we
 * have one, too, that is where it shall send to. */
static bool at_fresh(const struct plan_side *mine, const struct plan_side *theirs, struct plan *out)
{
    const struct stun_addr *fresh = &theirs->samples.public_addr;
    bool both = mine->samples.count > 0;
    const struct stun_addr *here = both ? &mine->samples.public_addr : &mine->public_addr;

    if (here->family != fresh->family || fresh->port == 0 ||
        stun_addr_equal(fresh, &theirs->public_addr))
        return false;
    out->theirs.fresh_socket = true;
    out->theirs.opens_first = true;
    at(here, &out->theirs);
    out->mine.fresh_socket = out->mine.opens_first = both;
    at(fresh, &out->mine);
    return true;
}

/* Many NATs use only the upper part of the ports. Six samples there by chance: 1 in 64; four in the
 * uppermost quarter: 1 in 256. */
static void range_of(const struct plan_side *side, uint16_t *first, uint32_t *ports)
{
    uint16_t low = 65535;

    for (size_t i = 0; i < side->samples.count && i < NAT_MAX_SAMPLES; i++)
        low = side->samples.ports[i] < low ? side->samples.ports[i] : low;
    *first = NAT_LOWEST_PORT;
    if (side->samples.count >= 4 && low >= 49152)
        *first = 49152;
    else if (side->samples.count >= 6 && low >= 32768)
        *first = 32768;
    *ports = 65536u - *first;
}

/* Expected hits are sockets x probes / ports. A block of n ports is found with n / 32 sockets. */
static void size_block(uint32_t ports, uint16_t *sockets, uint16_t *probes)
{
    uint32_t s = ports / 32, k;

    s = s < 8 ? 8 : s > PLAN_BLOCK_SOCKETS ? PLAN_BLOCK_SOCKETS : s;
    k = 8 * ports / s; /* half of them find it in 98 of 100 cases */
    k = k > PLAN_BLOCK_PROBES ? PLAN_BLOCK_PROBES : k > ports ? ports : k;
    *sockets = (uint16_t)s;
    *probes = (uint16_t)k;
}

static bool search(const struct plan_side *varying, const struct plan_side *steady, bool block,
                   struct plan_part *opener, struct plan_part *seeker)
{
    const struct stun_addr *seen =
        varying->samples.count > 0 ? &varying->samples.public_addr : &varying->public_addr;
    uint64_t patience = steady->profile.filtering == NAT_FILTERING_UNKNOWN ? PLAN_PATIENCE_US : 0;

    if (steady->public_addr.family == STUN_NO_FAMILY || seen->family != steady->public_addr.family)
        return false;
    opener->sockets = seeker->probes = PLAN_SEARCH_ALL;
    range_of(varying, &seeker->range_first, &seeker->range_ports);
    if (block && block_of(varying, &seeker->range_first, &seeker->range_ports))
        size_block(seeker->range_ports, &opener->sockets, &seeker->probes);
    at(&steady->public_addr, opener);
    opener->opens_first = true;
    opener->start_after_us = patience;
    seeker->target = *seen;
    seeker->target.port = 0;
    /* Openers that must not be heard, and no TTL known that leaves our NAT: the probes open the
     * other NAT first, all of them, and then whatever arrives there does no harm. */
    if (varying->profile.opener_ttl == 0 && !plan_harmless(&steady->profile)) {
        opener->opens_first = false;
        if (opener->sockets < PLAN_SEARCH_ALL) {
            opener->sockets = PLAN_BLOCK_SOCKETS;
            seeker->probes = (uint16_t)(seeker->probes / 2);
        }
        seeker->start_after_us = patience;
        opener->start_after_us += (seeker->probes + 1u) * (uint64_t)PLAN_SEARCH_GAP_US;
        return true;
    }
    seeker->start_after_us = opener->sockets * (uint64_t)PLAN_SEARCH_GAP_US + PLAN_SEARCH_GAP_US;
    if (seeker->start_after_us > PLAN_LEAD_US)
        seeker->start_after_us = PLAN_LEAD_US;
    seeker->start_after_us += patience;
    return true;
}

static bool is_waiting(const struct plan_side *side, enum plan_need need)
{
    return is_varying(need) && side->samples.count == 0 &&
           (need == PLAN_NEED_SAMPLES || !side->no_samples);
}

static enum plan_kind decide(const struct plan_side *mine, const struct plan_side *theirs,
                             struct plan *out)
{
    bool i_vary = is_varying(out->my_need), they_vary = is_varying(out->their_need);
    enum plan_need need = i_vary ? out->my_need : out->their_need;
    bool possible;

    if (!i_vary && !they_vary)
        return theirs->samples.count > 0 && at_fresh(mine, theirs, out) ? PLAN_PREDICT : PLAN_PLAIN;
    if (i_vary && they_vary) {
        if (out->my_need != PLAN_NEED_SAMPLES || out->their_need != PLAN_NEED_SAMPLES)
            return PLAN_IMPOSSIBLE;
        if (is_waiting(mine, out->my_need) || is_waiting(theirs, out->their_need))
            return PLAN_WAIT;
        return both_sides(mine, theirs, out) ? PLAN_PREDICT : PLAN_PLAIN;
    }
    if (need != PLAN_NEED_SAMPLES && plan_lenient(i_vary ? &theirs->profile : &mine->profile))
        return PLAN_PLAIN;
    if (is_waiting(i_vary ? mine : theirs, need))
        return PLAN_WAIT;
    if (need == PLAN_NEED_SAMPLES) {
        possible = i_vary ? one_side(mine, theirs, &out->mine, &out->theirs)
                          : one_side(theirs, mine, &out->theirs, &out->mine);
        return possible ? PLAN_PREDICT : PLAN_PLAIN;
    }
    possible = i_vary ? search(mine, theirs, need == PLAN_NEED_BLOCK, &out->mine, &out->theirs)
                      : search(theirs, mine, need == PLAN_NEED_BLOCK, &out->theirs, &out->mine);
    if (!possible)
        return PLAN_PLAIN;
    return out->mine.sockets + out->theirs.sockets == PLAN_SEARCH_ALL ? PLAN_BIRTHDAY : PLAN_BLOCK;
}

void plan_make(const struct plan_side *mine, const struct plan_side *theirs, struct plan *out)
{
    memset(out, 0, sizeof(*out));
    out->my_need = need_of(mine);
    out->their_need = need_of(theirs);
    out->kind = decide(mine, theirs, out);
    if (out->kind == PLAN_PLAIN || out->kind == PLAN_WAIT || out->kind == PLAN_IMPOSSIBLE) {
        memset(&out->mine, 0, sizeof(out->mine));
        memset(&out->theirs, 0, sizeof(out->theirs));
    }
}
