/* SPDX-License-Identifier: BSD-2-Clause */
#include "small_nat.h"

#include <assert.h>
#include <string.h>

static uint64_t dice(struct small_nat *n)
{
    uint64_t z = n->random += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static struct stun_addr part(const struct stun_addr *remote, enum nat_mapping m)
{
    struct stun_addr key = *remote;

    if (m == NAT_MAPPING_ADDRESS_DEPENDENT)
        key.port = 0;
    else if (m != NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT)
        memset(&key, 0, sizeof(key));
    return key;
}

static bool port_taken(const struct small_nat *n, uint16_t port, const struct stun_addr *remote)
{
    for (size_t i = 0; i < n->takens; i++) {
        if (n->taken[i].port == port && stun_addr_equal(&n->taken[i].remote, remote))
            return true;
    }
    for (size_t i = 0; i < n->flows; i++) {
        if (n->flow[i].port == port && (!n->poisons || stun_addr_equal(&n->flow[i].key, remote)))
            return true;
    }
    return false;
}

static uint16_t allocate(struct small_nat *n, const struct stun_addr *source,
                         const struct stun_addr *to)
{
    uint16_t port = source->port;

    if (n->allocation == NAT_ALLOCATION_SEQUENTIAL) {
        uint64_t own = 1 + (n->foreign > 0 ? dice(n) % (n->foreign + 1) : 0);

        n->next_port = (uint16_t)(n->next_port + (int32_t)own * n->step);
        return n->next_port;
    }
    if (n->allocation == NAT_ALLOCATION_OTHER)
        port = (uint16_t)(1024 + dice(n) % 64512);
    while (port_taken(n, port, to))
        port = (uint16_t)(1024 + dice(n) % 64512);
    return port;
}

void small_nat_init(struct small_nat *n, const struct stun_addr *public_ip, enum nat_mapping m,
                    enum nat_filtering f, enum nat_allocation a, int32_t step, uint64_t seed)
{
    memset(n, 0, sizeof(*n));
    n->public_ip = *public_ip;
    n->mapping = m;
    n->filtering = f;
    n->allocation = a;
    n->step = step;
    n->random = seed;
    n->next_port = (uint16_t)(20000 + dice(n) % 20000);
}

void small_nat_out(struct small_nat *n, struct stun_addr *source, const struct stun_addr *to)
{
    struct stun_addr key =
        part(to, n->poisons ? NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT : n->mapping);
    size_t i;

    for (i = 0; i < n->flows; i++) {
        if (stun_addr_equal(&n->flow[i].inside, source) && stun_addr_equal(&n->flow[i].key, &key))
            break;
    }
    if (i == n->flows) {
        assert(n->flows < SMALL_NAT_FLOWS);
        n->flow[i].inside = *source;
        n->flow[i].key = key;
        n->flow[i].port = allocate(n, source, to);
        n->flows++;
    }
    *source = n->public_ip;
    source->port = n->flow[i].port;
    for (size_t k = 0; k < n->alloweds; k++) {
        if (n->allowed[k].port == source->port && stun_addr_equal(&n->allowed[k].remote, to))
            return;
    }
    assert(n->alloweds < SMALL_NAT_FLOWS);
    n->allowed[n->alloweds].port = source->port;
    n->allowed[n->alloweds++].remote = *to;
}

static bool allowed(const struct small_nat *n, uint16_t port, const struct stun_addr *source)
{
    for (size_t i = 0; i < n->alloweds; i++) {
        const struct stun_addr *remote = &n->allowed[i].remote;

        if (n->allowed[i].port != port)
            continue;
        if (n->filtering == NAT_FILTERING_ENDPOINT_INDEPENDENT ||
            (n->filtering == NAT_FILTERING_ADDRESS_DEPENDENT &&
             stun_addr_same_ip(remote, source)) ||
            stun_addr_equal(remote, source))
            return true;
    }
    return false;
}

bool small_nat_in(struct small_nat *n, const struct stun_addr *source, struct stun_addr *to)
{
    for (size_t i = 0; i < n->flows; i++) {
        if (n->flow[i].port != to->port || !allowed(n, to->port, source))
            continue;
        if (n->flow[i].key.family != STUN_NO_FAMILY &&
            n->filtering == NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT && n->poisons &&
            !stun_addr_equal(&n->flow[i].key, source))
            continue;
        *to = n->flow[i].inside;
        return true;
    }
    if (n->poisons && !port_taken(n, to->port, source) && n->takens < SMALL_NAT_POISON) {
        n->taken[n->takens].port = to->port;
        n->taken[n->takens++].remote = *source;
    }
    return false;
}
