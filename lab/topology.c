/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/topology.h"

#include <stdio.h>
#include <string.h>

#define NONE UINT32_MAX

/* Addresses by plan: 16 of 203.0.113.0/24 and 198.51.100.0/24 for each network of the Internet, by
 * turns; 192.0.2.0/24 for the Internet's own hosts; 100.64.N.0/24 inside of providers, and
 * 192.168.10+N.0/24 at home; 2001:db8:N::/64 everywhere. */
enum { RANGE = 16, FIRST_HOST = 10 };

static struct stun_addr plus(struct stun_addr addr, unsigned by)
{
    unsigned last = addr.ip[3] + by;
    addr.ip[3] = (uint8_t)last;
    addr.ip[2] = (uint8_t)(addr.ip[2] + (last >> 8));
    return addr;
}

static struct stun_addr ipv6_of(unsigned network, unsigned host)
{
    uint8_t ip[16] = {0x20, 0x01, 0x0d, 0xb8, (uint8_t)(network >> 8), (uint8_t)network};
    ip[15] = (uint8_t)host;
    return stun_addr_from_ip(ip, 16, 0);
}

static struct hop_addr hop_of(const struct stun_addr *addr)
{
    struct hop_addr hop = {.bytes = (uint8_t)stun_addr_ip_bytes(addr)};
    memcpy(hop.ip, addr->ip, hop.bytes);
    return hop;
}

static bool good_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length < TOPOLOGY_NAME &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == length;
}

static unsigned add_node(struct topology *t, const char *name, unsigned parent, const char **error)
{
    if (!good_name(name))
        *error = "names are of a-z, 0-9, - and _, and short";
    else if (topology_find(t, name) != NONE)
        *error = "this name is taken";
    else if (parent >= t->nodes || t->node[parent].host)
        *error = "no such network";
    else if (t->nodes == TOPOLOGY_NODES)
        *error = "too many hosts and networks";
    else {
        struct topology_node *node = &t->node[t->nodes];
        memset(node, 0, sizeof(*node));
        snprintf(node->name, sizeof(node->name), "%s", name);
        node->parent = parent;
        return t->nodes++;
    }
    return 0;
}

/* "nf-drop,v6=fw": netfilter knows only this option. */
static bool set_netfilter(struct topology_node *node, const char *kind, const char **error)
{
    size_t length = strcspn(kind, ",");
    snprintf(node->netfilter, sizeof(node->netfilter), "%.*s", (int)length, kind);
    node->gateway = TOPOLOGY_NETFILTER;
    node->translates =
        strcmp(node->netfilter, "nf-open") != 0 && strcmp(node->netfilter, "nf-fw") != 0;
    node->config.pool = 1;
    if (kind[length] == 0)
        return true;
    *error = "of options netfilter takes v6=open and v6=fw";
    if (strcmp(kind + length, ",v6=fw") == 0)
        node->ipv6 = NAT_CONFIG_V6_FIREWALL;
    else if (strcmp(kind + length, ",v6=open") == 0)
        node->ipv6 = NAT_CONFIG_V6_OPEN;
    else
        return false;
    return true;
}

static bool set_kind(struct topology_node *node, const char *kind, const char **error)
{
    if (strncmp(kind, "nf-", 3) == 0)
        return set_netfilter(node, kind, error);
    struct nat_stack stack;
    if (!nat_config_parse(kind, &stack, error))
        return false;
    *error = "two layers within two layers";
    if (stack.layers != 1)
        return false;
    node->gateway = TOPOLOGY_MODEL;
    node->config = stack.layer[0];
    node->translates = node->config.mapping != NAT_CONFIG_NONE;
    node->ipv6 = node->config.ipv6;
    return true;
}

void topology_init(struct topology *t)
{
    memset(t, 0, sizeof(*t));
    t->nodes = 1;
    snprintf(t->node[0].name, TOPOLOGY_NAME, "internet");
    t->node[0].ipv6 = NAT_CONFIG_V6_OPEN;
    t->hops = 1;
    t->seed = 1;
}

unsigned topology_network(struct topology *t, const char *name, const char *kind, unsigned parent,
                          const char **error)
{
    char inner[NAT_CONFIG_TEXT_BYTES], outer[NAT_CONFIG_TEXT_BYTES], isp[TOPOLOGY_NAME + 8];
    if (!nat_config_split(kind, inner, outer)) {
        *error = "cgn(INNER;OUTER)";
        return 0;
    }
    if (outer[0]) {
        snprintf(isp, sizeof(isp), "%s-isp", name);
        parent = topology_network(t, isp, outer, parent, error);
        if (!parent)
            return 0;
    }
    unsigned index = add_node(t, name, parent, error);
    if (!index || !set_kind(&t->node[index], inner, error))
        return 0;
    return index;
}

unsigned topology_host(struct topology *t, const char *name, unsigned parent, const char **error)
{
    unsigned index = add_node(t, name, parent, error);
    if (index)
        t->node[index].host = true;
    return index;
}

bool topology_set_lan(struct topology *t, unsigned network, const char *prefix)
{
    struct topology_node *node = &t->node[network];
    node->lan_given = true;
    return !node->host && hop_prefix_parse(prefix, &node->lan) && node->lan.addr.bytes == 4 &&
           node->lan.bits >= 8 && node->lan.bits <= 28;
}

bool topology_set_address(struct topology *t, unsigned host, const char *addresses)
{
    struct topology_node *node = &t->node[host];
    for (const char *at = addresses; node->addresses < TOPOLOGY_ADDRESSES;) {
        char one[64];
        struct hop_prefix prefix;
        size_t length = strcspn(at, ",");
        if (snprintf(one, sizeof(one), "%.*s", (int)length, at) >= (int)sizeof(one) ||
            strchr(one, '/') || !hop_prefix_parse(one, &prefix) || prefix.addr.bytes != 4)
            return false;
        node->address[node->addresses++] = stun_addr_from_ip(prefix.addr.ip, 4, 0);
        node->addresses_given = true;
        if (!at[length])
            return true;
        at += length + 1;
    }
    return false;
}

unsigned topology_find(const struct topology *t, const char *name)
{
    for (unsigned i = 0; i < t->nodes; i++)
        if (strcmp(t->node[i].name, name) == 0)
            return i;
    return NONE;
}

void topology_meet(const struct topology *t, unsigned one, unsigned other, unsigned *one_side,
                   unsigned *other_side)
{
    for (unsigned a = one;; a = t->node[a].parent) {
        for (unsigned b = other;; b = t->node[b].parent) {
            if (a && b && t->node[a].parent == t->node[b].parent) {
                *one_side = a;
                *other_side = b;
                return;
            }
            if (b == TOPOLOGY_INTERNET)
                break;
        }
        if (a == TOPOLOGY_INTERNET)
            break;
    }
    *one_side = *other_side = TOPOLOGY_INTERNET;
}

void topology_rtt(struct topology *t, unsigned one, unsigned other, double ms)
{
    unsigned a, b;
    topology_meet(t, one, other, &a, &b);
    struct topology_way way = {(uint64_t)(ms * 500), true};
    t->way[a][b] = t->way[b][a] = way;
}

bool topology_run(struct topology *t, const struct topology_program *program)
{
    if (t->programs == TOPOLOGY_PROGRAMS)
        return false;
    t->program[t->programs++] = *program;
    return true;
}

/* ---- addresses ---- */

static void give_inside(struct topology *t, unsigned index)
{
    struct topology_node *node = &t->node[index];
    bool provider = false;
    for (unsigned i = 1; i < t->nodes; i++)
        provider |= !t->node[i].host && t->node[i].parent == index;
    if (!node->translates) {
        node->lan.addr = hop_of(&node->outside);
        node->lan.bits = 28;
    } else if (!node->lan_given) {
        struct stun_addr base = provider ? stun_addr_v4(100, 64, (uint8_t)index, 0, 0)
                                         : stun_addr_v4(192, 168, (uint8_t)(10 + index), 0, 0);
        node->lan.addr = hop_of(&base);
        node->lan.bits = 24;
    }
    node->router = plus(stun_addr_from_ip(node->lan.addr.ip, 4, 0), 1);
    node->address6 = node->ipv6 ? ipv6_of(index, 1) : (struct stun_addr){0};
}

static struct stun_addr outside_of(struct topology *t, unsigned parent)
{
    unsigned number = t->node[parent].children++;
    if (parent != TOPOLOGY_INTERNET)
        return plus(stun_addr_from_ip(t->node[parent].lan.addr.ip, 4, 0), 128 + RANGE * number);
    number++;
    return number % 2 ? stun_addr_v4(203, 0, 113, (uint8_t)(RANGE * ((number + 1) / 2)), 0)
                      : stun_addr_v4(198, 51, 100, (uint8_t)(RANGE * (number / 2)), 0);
}

static void give_host(struct topology *t, unsigned index, unsigned number)
{
    struct topology_node *node = &t->node[index];
    const struct topology_node *parent = &t->node[node->parent];
    node->ipv6 = parent->ipv6 ? NAT_CONFIG_V6_OPEN : NAT_CONFIG_V6_NONE;
    if (node->ipv6)
        node->address6 = ipv6_of(node->parent, FIRST_HOST + number);
    if (node->parent == TOPOLOGY_INTERNET)
        node->second6 = ipv6_of(node->parent, 100 + FIRST_HOST + number);
    if (node->addresses_given)
        return;
    if (node->parent == TOPOLOGY_INTERNET) {
        node->address[0] = stun_addr_v4(192, 0, 2, (uint8_t)(1 + 2 * number), 0);
        node->address[1] = plus(node->address[0], 1);
        node->addresses = 2;
        return;
    }
    struct stun_addr base = stun_addr_from_ip(parent->lan.addr.ip, 4, 0);
    node->address[0] = plus(base, (parent->translates ? FIRST_HOST : 2) + number);
    node->addresses = 1;
}

static void give_default_ways(struct topology *t)
{
    for (unsigned i = 1; i < t->nodes; i++)
        for (unsigned k = 1; k < t->nodes; k++)
            if (i != k && t->node[i].parent == TOPOLOGY_INTERNET &&
                t->node[k].parent == TOPOLOGY_INTERNET && !t->way[i][k].given)
                t->way[i][k].delay_us = t->default_delay_us;
}

bool topology_finish(struct topology *t, const char **error)
{
    unsigned hosts[TOPOLOGY_NODES] = {0}, networks[TOPOLOGY_NODES] = {0};
    /* Parents stand before their children. */
    for (unsigned i = 1; i < t->nodes; i++) {
        struct topology_node *node = &t->node[i];
        if (node->host) {
            give_host(t, i, hosts[node->parent]++);
            continue;
        }
        networks[node->parent]++;
        /* IPv6 is filtered at home; providers only carry it. */
        for (unsigned k = node->parent; node->ipv6 && k != TOPOLOGY_INTERNET; k = t->node[k].parent)
            if (t->node[k].config.ipv6 == NAT_CONFIG_V6_NONE)
                t->node[k].config.ipv6 = t->node[k].ipv6 = NAT_CONFIG_V6_OPEN;
        node->outside = outside_of(t, node->parent);
        give_inside(t, i);
    }
    for (unsigned i = 0; i < t->nodes; i++) {
        if (networks[i] > (i ? 7u : 22u) || hosts[i] > (i && !t->node[i].translates ? 12u : 100u)) {
            *error = "too many hosts or networks in one network";
            return false;
        }
    }
    give_default_ways(t);
    return true;
}

/* ---- where packets go ---- */

static bool below(const struct topology *t, unsigned node, unsigned network)
{
    while (node != network && node != TOPOLOGY_INTERNET)
        node = t->node[node].parent;
    return node == network;
}

bool topology_leads_to(const struct topology *t, unsigned child, const struct stun_addr *dst)
{
    const struct topology_node *node = &t->node[child];
    if (dst->family == STUN_IPV6) {
        for (unsigned i = 1; i < t->nodes; i++)
            if (below(t, i, child) && (stun_addr_same_ip(&t->node[i].address6, dst) ||
                                       stun_addr_same_ip(&t->node[i].second6, dst)))
                return true;
        return false;
    }
    for (unsigned i = 0; i < node->addresses; i++)
        if (stun_addr_same_ip(&node->address[i], dst))
            return true;
    if (node->host)
        return false;
    struct hop_addr to = hop_of(dst);
    if (!node->translates)
        return hop_prefix_has(&node->lan, &to);
    for (unsigned i = 0; i < node->config.pool; i++) {
        struct stun_addr own = plus(node->outside, i);
        if (stun_addr_same_ip(&own, dst))
            return true;
    }
    return false;
}

struct stun_addr topology_public(const struct topology *t, unsigned host)
{
    struct stun_addr seen = t->node[host].address[0];
    for (unsigned i = t->node[host].parent; i != TOPOLOGY_INTERNET; i = t->node[i].parent)
        if (t->node[i].translates)
            seen = t->node[i].outside;
    return seen;
}
