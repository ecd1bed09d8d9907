/* SPDX-License-Identifier: BSD-2-Clause */
#include "nat/profile.h"

#include "nat/allocation.h"

/* The observations that can be compared with each other, still in the order of sending. */
struct evidence {
    const struct nat_observation *obs[NAT_MAX_OBSERVATIONS];
    size_t count;
};

/* What pairs of answers to the same socket from two endpoints have shown. */
struct comparison {
    bool same_over_address, same_over_port;
    bool differs_over_address, differs_over_port;
};

static bool same_socket(const struct nat_observation *a, const struct nat_observation *b)
{
    return a->socket == b->socket;
}

static bool untouched(const struct nat_observation *o)
{
    return stun_addr_equal(&o->local, &o->mapped);
}

static bool stays_inside(const struct stun_addr *addr)
{
    return stun_addr_is_private(addr) || stun_addr_is_loopback(addr) ||
           stun_addr_is_link_local(addr);
}

/* A socket that has moved, or gets another answer from the same endpoint than before, belongs to
 * another time: the NAT has restarted, or the host is in another network. */
static bool contradicts(const struct nat_observation *now, const struct nat_observation *before)
{
    if (!same_socket(now, before))
        return false;
    if (!stun_addr_equal(&now->local, &before->local))
        return true;
    return stun_addr_equal(&now->server, &before->server) &&
           !stun_addr_equal(&now->mapped, &before->mapped);
}

static void take_answers(const struct nat_observation *obs, size_t count, struct evidence *out)
{
    out->count = 0;
    for (size_t i = 0; i < count && i < NAT_MAX_OBSERVATIONS; i++) {
        const struct nat_observation *o = &obs[i];

        if (o->mapped.family == STUN_NO_FAMILY || o->server.family == STUN_NO_FAMILY)
            continue;
        /* IPv4 and IPv6 pass different boxes. */
        if (out->count > 0 && o->mapped.family != out->obs[0]->mapped.family)
            continue;
        out->obs[out->count++] = o;
    }
}

static void drop_outdated(struct evidence *e)
{
    size_t start = 0;

    for (size_t i = 1; i < e->count; i++) {
        for (size_t j = start; j < i && start < i; j++) {
            if (contradicts(e->obs[i], e->obs[j]))
                start = i;
        }
    }
    for (size_t i = start; i < e->count; i++)
        e->obs[i - start] = e->obs[i];
    e->count -= start;
}

/* A server in the host's own private network sees the private address and says nothing about the
 * NAT that the others are behind. */
static void drop_inside(struct evidence *e)
{
    size_t kept = 0, translated = 0;

    for (size_t i = 0; i < e->count; i++)
        translated += !untouched(e->obs[i]);
    if (translated == 0)
        return;
    for (size_t i = 0; i < e->count; i++) {
        if (!untouched(e->obs[i]) || !stays_inside(&e->obs[i]->mapped))
            e->obs[kept++] = e->obs[i];
    }
    e->count = kept;
}

static uint8_t count_endpoints(const struct evidence *e)
{
    uint8_t endpoints = 0;

    for (size_t i = 0; i < e->count; i++) {
        bool known = false;

        for (size_t j = 0; j < i && !known; j++)
            known = stun_addr_equal(&e->obs[i]->server, &e->obs[j]->server);
        endpoints = (uint8_t)(endpoints + !known);
    }
    return endpoints;
}

static void compare(const struct nat_observation *a, const struct nat_observation *b,
                    struct comparison *out)
{
    bool same = stun_addr_equal(&a->mapped, &b->mapped);

    if (!same_socket(a, b) || stun_addr_equal(&a->server, &b->server))
        return;
    if (stun_addr_same_ip(&a->server, &b->server)) {
        out->same_over_port |= same;
        out->differs_over_port |= !same;
    } else {
        out->same_over_address |= same;
        out->differs_over_address |= !same;
    }
}

static enum nat_mapping judge(const struct comparison *c)
{
    if (c->differs_over_port)
        return NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
    if (c->differs_over_address)
        return NAT_MAPPING_ADDRESS_DEPENDENT;
    /* Equal towards two ports of one address leaves open what another address would get. */
    return c->same_over_address ? NAT_MAPPING_ENDPOINT_INDEPENDENT : NAT_MAPPING_UNKNOWN;
}

static enum nat_mapping find_mapping(const struct evidence *e)
{
    struct comparison data = {0}, all = {0};
    size_t changed = 0;

    for (size_t i = 0; i < e->count; i++) {
        changed += !untouched(e->obs[i]);
        for (size_t j = 0; j < i; j++) {
            compare(e->obs[i], e->obs[j], &all);
            if (e->obs[i]->socket == 0)
                compare(e->obs[i], e->obs[j], &data);
        }
    }
    if (e->count == 0)
        return NAT_MAPPING_UNKNOWN;
    if (changed == 0)
        return NAT_MAPPING_NONE;
    /* A port-preserving NAT remaps a socket whose port another host has taken, towards that
     * host's destinations only. The data socket is the one that peers will talk to. */
    if (judge(&data) == NAT_MAPPING_ENDPOINT_INDEPENDENT)
        return NAT_MAPPING_ENDPOINT_INDEPENDENT;
    return judge(&all);
}

static enum nat_pooling find_pooling(const struct evidence *e)
{
    bool twice = false;

    for (size_t i = 1; i < e->count; i++) {
        if (!stun_addr_same_ip(&e->obs[i]->mapped, &e->obs[0]->mapped))
            return NAT_POOLING_MANY;
        twice |= !same_socket(e->obs[i], e->obs[0]) ||
                 !stun_addr_equal(&e->obs[i]->server, &e->obs[0]->server);
    }
    return twice ? NAT_POOLING_ONE : NAT_POOLING_UNKNOWN;
}

void nat_profile_from(const struct nat_observation *obs, size_t count, struct nat_profile *out)
{
    struct evidence e;

    *out = (struct nat_profile){0};
    take_answers(obs, count, &e);
    out->endpoints_seen = count_endpoints(&e);
    drop_outdated(&e);
    drop_inside(&e);
    for (size_t i = 0; i < e.count; i++) {
        if (e.obs[i]->socket == 0)
            out->public_addr = e.obs[i]->mapped;
    }
    out->mapping = find_mapping(&e);
    out->pooling = find_pooling(&e);
    nat_allocation_find(e.obs, e.count, out);
}

bool nat_profile_is_consistent(const struct nat_profile *p)
{
    return p->mapping == NAT_MAPPING_NONE || p->mapping == NAT_MAPPING_ENDPOINT_INDEPENDENT;
}
