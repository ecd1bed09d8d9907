/* SPDX-License-Identifier: BSD-2-Clause */
/* NATs of the lab's model in the network of net_sim. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "net_sim.h"

static struct nat_model *layer_of(struct net *n, int nat, unsigned layer)
{
    return &n->model[layer == 1 && n->same_cgn ? 0 : nat][layer];
}

/* The NAT that a packet from outside meets first, or NET_OPEN. */
int net_nat_at(struct net *n, const struct stun_addr *to)
{
    for (int k = 0; k < 2; k++) {
        int nat = n->host[k].nat;

        if (nat == NET_OPEN)
            continue;
        if (n->layers[nat] == 0 ? stun_addr_same_ip(&n->nat[nat].public_ip, to)
                                : nat_model_owns(layer_of(n, nat, n->layers[nat] - 1), to) ||
                                      stun_addr_same_ip(&n->host[k].local[0], to))
            return nat;
    }
    return NET_OPEN;
}

/* From outside through layers from-1..0; *nat is the one that it comes out of. */
bool net_model_in(struct net *n, int *nat, unsigned from, const struct stun_addr *source,
                  struct stun_addr *to)
{
    while (from-- > 0) {
        struct nat_model_packet p = {*source, *to, NAT_MODEL_UDP, 64};
        struct nat_model_verdict v = nat_model_inbound(layer_of(n, *nat, from), n->now_us, &p);

        if (v.action != NAT_MODEL_FORWARD)
            return false;
        *to = v.packet.dst;
        if (from == 1 && n->same_cgn && !nat_model_owns(&n->model[*nat][0], to))
            *nat = 1 - *nat;
    }
    return true;
}

/* From a host outwards. False: it has died, or gone back inside. */
bool net_model_out(struct net *n, int nat, struct stun_addr *source, const struct stun_addr *to,
                   uint8_t ttl, const uint8_t *bytes, size_t size)
{
    for (unsigned layer = 0; layer < n->layers[nat]; layer++) {
        struct nat_model_packet p = {*source, *to, NAT_MODEL_UDP, 64};
        struct nat_model_verdict v;
        int back = nat;

        if (ttl != 0 && ttl <= layer + 1)
            return false;
        /* A neighbour behind the same provider. */
        if (layer == 1 && n->same_cgn && nat_model_owns(&n->model[1 - nat][0], to)) {
            struct stun_addr inside = *to;

            back = 1 - nat;
            if (net_model_in(n, &back, 1, source, &inside))
                net_carry(n, 2000, back, source, &inside, bytes, size);
            return false;
        }
        v = nat_model_outbound(layer_of(n, nat, layer), n->now_us, &p);
        if (v.action == NAT_MODEL_HAIRPIN) {
            struct stun_addr inside = v.packet.dst;

            if (layer == 1 && n->same_cgn && !nat_model_owns(&n->model[nat][0], &inside))
                back = 1 - nat;
            if (net_model_in(n, &back, layer, &v.packet.src, &inside))
                net_carry(n, 1000, back, &v.packet.src, &inside, bytes, size);
        }
        if (v.action != NAT_MODEL_FORWARD)
            return false;
        *source = v.packet.src;
    }
    return true;
}

/* What a perfect exploration would find. */
void net_model_profile(const struct net *n, int h, struct nat_profile *out)
{
    int nat = n->host[h].nat;

    out->public_addr = n->host[h].public_addr;
    out->endpoints_seen = 4;
    out->pooling = NAT_POOLING_ONE;
    out->mapping = NAT_MAPPING_NONE;
    out->filtering = NAT_FILTERING_ENDPOINT_INDEPENDENT;
    out->early = NAT_EARLY_HARMLESS;
    out->hairpin = NAT_HAIRPIN_NO;
    out->allocation = NAT_ALLOCATION_PRESERVING;
    out->opener_ttl = (uint8_t)(n->layers[nat] + 1);
    for (unsigned layer = 0; layer < n->layers[nat]; layer++) {
        const struct nat_config *c = &n->model[n->same_cgn && layer == 1 ? 0 : nat][layer].config;
        enum nat_mapping mapping = NAT_MAPPING_NONE;

        if (c->mapping == NAT_CONFIG_EIM ||
            (c->mapping == NAT_CONFIG_FLOW && c->allocation == NAT_CONFIG_PRESERVING))
            mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT;
        else if (c->mapping != NAT_CONFIG_NONE)
            mapping = c->mapping == NAT_CONFIG_ADM ? NAT_MAPPING_ADDRESS_DEPENDENT
                                                   : NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
        if (mapping > out->mapping)
            out->mapping = mapping;
        if ((enum nat_filtering)c->filtering > out->filtering)
            out->filtering = (enum nat_filtering)c->filtering;
        if (c->poison)
            out->early = NAT_EARLY_POISONOUS;
        if (c->pool > 1 && c->pool_arbitrary)
            out->pooling = NAT_POOLING_MANY;
        if (c->allocation == NAT_CONFIG_SEQUENTIAL ||
            (c->allocation == NAT_CONFIG_BLOCK && c->step != 0)) {
            out->allocation = NAT_ALLOCATION_SEQUENTIAL;
            out->step = c->step;
            out->foreign_per_1000_s = c->foreign_per_s * 1000;
        } else if (c->allocation == NAT_CONFIG_BLOCK) {
            out->allocation = NAT_ALLOCATION_BLOCK;
            out->block_ports = c->block;
            out->block_first = (uint16_t)(c->port_min + (out->public_addr.port - c->port_min) /
                                                            c->block * c->block);
        } else if (c->allocation == NAT_CONFIG_RANDOM) {
            out->allocation = NAT_ALLOCATION_OTHER;
        }
    }
    if (out->mapping > NAT_MAPPING_ENDPOINT_INDEPENDENT)
        out->opener_ttl = 0; /* cannot be found out */
    if (n->knows_little) {
        out->filtering = NAT_FILTERING_UNKNOWN;
        out->early = NAT_EARLY_UNKNOWN;
        out->opener_ttl = 0;
        out->foreign_per_1000_s = 0;
    }
}

static void make_model(struct net *n, int i, const char *kind)
{
    struct nat_stack stack;
    const char *error = "";
    bool parsed = nat_config_parse(kind, &stack, &error);

    if (!parsed)
        printf("%s: %s\n", kind, error);
    assert(parsed);
    n->layers[i] = stack.layers;
    for (unsigned layer = 0; layer < stack.layers; layer++) {
        struct stun_addr ip = layer + 1 == stack.layers
                                  ? stun_addr_v4(198, 51, (uint8_t)(100 + i), 16, 0)
                                  : stun_addr_v4(100, 64, 0, (uint8_t)(2 + i), 0);
        struct nat_model_random random = {dice_draw, &n->dice};
        bool made = nat_model_init(&n->model[i][layer], &stack.layer[layer], &ip,
                                   n->memory[i][layer], sizeof(n->memory[i][layer]), random);

        assert(made);
    }
    if (n->model[i][0].config.mapping == NAT_CONFIG_NONE)
        n->host[i].local[0] = stun_addr_v4(192, 0, 2, (uint8_t)(i + 1), 40000);
    n->host[i].socket_at[n->host[i].local[0].port] = 1;
}

void net_init_kinds(struct net *n, const char *caller, const char *callee, uint64_t seed)
{
    net_init(n, NET_NAT_CONE, NET_NAT_CONE, seed);
    n->dice.state = seed * 77;
    make_model(n, 0, caller);
    make_model(n, 1, callee);
}

void net_same_cgn(struct net *n)
{
    n->same_cgn = true;
}
