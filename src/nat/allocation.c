/* SPDX-License-Identifier: BSD-2-Clause */
#include "nat/allocation.h"

#include "nat/block.h"
#include "nat/stride.h"

/* The first observation of each mapping: what the NAT has allocated, in order. */
struct mappings {
    const struct nat_observation *obs[NAT_MAX_OBSERVATIONS];
    size_t count;
};

typedef bool (*same_counter)(const struct nat_observation *a, const struct nat_observation *b);

static bool same_socket(const struct nat_observation *a, const struct nat_observation *b)
{
    return a->socket == b->socket;
}

static bool any_successor(const struct nat_observation *a, const struct nat_observation *b)
{
    (void)a;
    (void)b;
    return true;
}

static bool same_public_ip(const struct nat_observation *a, const struct nat_observation *b)
{
    return stun_addr_same_ip(&a->mapped, &b->mapped);
}

static bool same_burst(const struct nat_observation *a, const struct nat_observation *b)
{
    return a->sent_us == 0 || b->sent_us == 0 || b->sent_us < a->sent_us ||
           b->sent_us - a->sent_us <= NAT_BURST_US;
}

static void take_mappings(const struct nat_observation *const *obs, size_t count,
                          struct mappings *out)
{
    out->count = 0;
    for (size_t i = 0; i < count && i < NAT_MAX_OBSERVATIONS; i++) {
        bool known = false;

        for (size_t j = 0; j < out->count && !known; j++)
            known = same_socket(obs[i], out->obs[j]) &&
                    stun_addr_equal(&obs[i]->mapped, &out->obs[j]->mapped);
        if (!known)
            out->obs[out->count++] = obs[i];
    }
}

/* The one before i that drew from the same counter, NULL if there is none. */
static const struct nat_observation *before(const struct mappings *m, size_t i, same_counter same)
{
    for (size_t j = i; j-- > 0;) {
        if (same(m->obs[i], m->obs[j]))
            return m->obs[j];
    }
    return NULL;
}

static struct nat_stride stride_of(const struct mappings *m, same_counter same)
{
    struct nat_stride stride = {0};

    for (size_t i = 1; i < m->count; i++) {
        const struct nat_observation *last = before(m, i, same);

        if (last != NULL && same_burst(last, m->obs[i]))
            nat_stride_add(&stride, last->mapped.port, m->obs[i]->mapped.port);
    }
    return stride;
}

/* Some NATs count once, some per public address, some upwards from each socket's own port. A
 * single pair is believed only of the first kind: with three kinds to choose from, chance would
 * have it too easy. */
static int32_t find_step(const struct mappings *m, same_counter *counter)
{
    struct nat_stride stride = stride_of(m, any_successor);

    *counter = any_successor;
    if (nat_stride_step(&stride) != 0)
        return nat_stride_step(&stride);
    stride = stride_of(m, same_public_ip);
    *counter = same_public_ip;
    if (nat_stride_support(&stride) >= 2 && nat_stride_step(&stride) != 0)
        return nat_stride_step(&stride);
    stride = stride_of(m, same_socket);
    *counter = same_socket;
    return nat_stride_support(&stride) >= 2 ? nat_stride_step(&stride) : 0;
}

/* How many steps from one port to another, negative where they came in another order. */
static int32_t steps_between(const struct nat_observation *from, const struct nat_observation *to,
                             int32_t step)
{
    int32_t ring = UINT16_MAX + 1 - NAT_LOWEST_PORT;
    int32_t d = (int32_t)to->mapped.port - (int32_t)from->mapped.port;

    d = step > 0 ? d : -d;
    if (same_burst(from, to) && d < 0 && d > -NAT_STRIDE_LIMIT)
        return d / (step > 0 ? step : -step);
    return (d < 0 ? d + ring : d) / (step > 0 ? step : -step);
}

/* A sequence that starts over somewhere looks like thousands of others' mappings: what goes more
 * than half round is left out, and so is a rate that no NAT has. */
static uint32_t foreign_rate(const struct mappings *m, int32_t step, same_counter same)
{
    int32_t most = (UINT16_MAX + 1 - NAT_LOWEST_PORT) / 2 / (step > 0 ? step : -step);
    int64_t foreign = 0, elapsed_us = 0;

    for (size_t i = 1; i < m->count; i++) {
        const struct nat_observation *last = before(m, i, same);
        int32_t steps = last == NULL ? 0 : steps_between(last, m->obs[i], step);

        if (last == NULL || last->sent_us == 0 || m->obs[i]->sent_us < last->sent_us ||
            steps > most)
            continue;
        foreign += steps - 1;
        elapsed_us += (int64_t)(m->obs[i]->sent_us - last->sent_us);
    }
    if (elapsed_us < NAT_RATE_US || foreign <= 0 || foreign > elapsed_us / 1000)
        return 0;
    return (uint32_t)(foreign * 1000000000 / elapsed_us);
}

/* From the ports of the newest one's public address, if they are enough. */
static uint32_t find_block(const struct mappings *m, size_t enough, uint16_t *first)
{
    uint16_t ports[NAT_MAX_OBSERVATIONS];
    size_t count = 0;

    for (size_t i = 0; i < m->count; i++) {
        if (same_public_ip(m->obs[i], m->obs[m->count - 1]))
            ports[count++] = m->obs[i]->mapped.port;
    }
    return count >= enough ? nat_block_find(ports, count, first) : 0;
}

void nat_allocation_find(const struct nat_observation *const *obs, size_t count,
                         struct nat_profile *out)
{
    bool dependent = out->mapping == NAT_MAPPING_ADDRESS_DEPENDENT ||
                     out->mapping == NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
    same_counter counter = any_successor;
    struct mappings m;
    size_t preserved = 0;

    take_mappings(obs, count, &m);
    for (size_t i = 0; i < m.count; i++)
        preserved += m.obs[i]->mapped.port == m.obs[i]->local.port;
    if (m.count > 0 && preserved == m.count) {
        out->allocation = NAT_ALLOCATION_PRESERVING;
        return;
    }
    if (m.count < 2)
        return;
    /* Local ports are random, so one preserved port among others is no accident: this NAT counts
     * only if it counts on from there, and that shows only where it maps a socket repeatedly. */
    if (preserved == 0 || dependent)
        out->step = find_step(&m, &counter);
    if (out->step != 0) {
        out->allocation = NAT_ALLOCATION_SEQUENTIAL;
        /* Where each socket counts for itself, nobody else takes part. */
        if (counter != same_socket)
            out->foreign_per_1000_s = foreign_rate(&m, out->step, counter);
        return;
    }
    out->block_ports = find_block(&m, NAT_BLOCK_MAPPINGS, &out->block_first);
    if (out->block_ports == 0)
        out->block_first = 0;
    out->allocation = out->block_ports != 0 ? NAT_ALLOCATION_BLOCK : NAT_ALLOCATION_OTHER;
}

bool nat_block_suspected(const struct nat_observation *obs, size_t count)
{
    const struct nat_observation *all[NAT_MAX_OBSERVATIONS];
    struct nat_profile p;
    struct mappings m;
    uint16_t first;

    nat_profile_from(obs, count, &p);
    if (p.allocation != NAT_ALLOCATION_OTHER && p.allocation != NAT_ALLOCATION_BLOCK)
        return false;
    for (size_t i = 0; i < count && i < NAT_MAX_OBSERVATIONS; i++)
        all[i] = &obs[i];
    take_mappings(all, count, &m);
    return find_block(&m, NAT_BLOCK_SUSPECTS, &first) != 0;
}
