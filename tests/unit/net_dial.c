/* SPDX-License-Identifier: BSD-2-Clause */
/* How a network begins: its NATs, its hosts, and their dial. */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "net_sim.h"

static void make_nat(struct net *n, int i, enum net_nat_kind kind, uint64_t seed)
{
    struct stun_addr ip = stun_addr_v4(198, 51, 100, (uint8_t)(i + 1), 0);
    enum nat_filtering filter = NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT;
    enum nat_mapping map = NAT_MAPPING_ENDPOINT_INDEPENDENT;
    enum nat_allocation alloc = NAT_ALLOCATION_PRESERVING;
    int32_t port_step = 0;

    if (kind == NET_NAT_CONE_ADF)
        filter = NAT_FILTERING_ADDRESS_DEPENDENT;
    if (kind == NET_NAT_FULL_CONE)
        filter = NAT_FILTERING_ENDPOINT_INDEPENDENT;
    if (kind == NET_NAT_STEP_1 || kind == NET_NAT_STEP_2 || kind == NET_NAT_RANDOM)
        map = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
    if (kind == NET_NAT_STEP_1 || kind == NET_NAT_STEP_2) {
        alloc = NAT_ALLOCATION_SEQUENTIAL;
        port_step = kind == NET_NAT_STEP_1 ? 1 : 2;
    } else if (kind == NET_NAT_RANDOM) {
        alloc = NAT_ALLOCATION_OTHER;
    }
    small_nat_init(&n->nat[i], &ip, map, filter, alloc, port_step, seed);
    n->nat[i].poisons = kind == NET_NAT_LINUX;
}

static void forget_dial(struct net_host *host)
{
    size_t at = offsetof(struct net_host, usable_us);

    memset((uint8_t *)host + at, 0, sizeof(*host) - at);
    host->usable_us = host->proven_us = host->path_us = host->failed_us = host->lost_us =
        host->doubt_us = host->talk_us = host->keepalive_us = host->link_us = host->first_plain_us =
            UINT64_MAX;
}

void net_init(struct net *n, enum net_nat_kind caller, enum net_nat_kind callee, uint64_t seed)
{
    enum net_nat_kind kinds[2] = {caller, callee};

    memset(n, 0, offsetof(struct net, memory));
    n->now_us = 1;
    n->random = seed;
    n->one_way_us = 20000;
    n->bounce_us = 10000;
    n->note_us = 20000;
    n->core_hops = 4;
    for (unsigned i = 0; i < 4; i++)
        n->bounce[i] = stun_addr_v4(203, 0, 113, (uint8_t)(1 + i / 2), (uint16_t)(3478 + i % 2));
    for (int i = 0; i < 2; i++) {
        struct net_host *host = &n->host[i];

        host->nat = kinds[i] == NET_NAT_NONE ? NET_OPEN : i;
        if (host->nat != NET_OPEN)
            make_nat(n, i, kinds[i], seed * 2 + (unsigned)i);
        host->random = seed * 31 + (unsigned)i;
        host->local[0] = host->nat == NET_OPEN
                             ? stun_addr_v4(192, 0, 2, (uint8_t)(i + 1), 40000)
                             : stun_addr_v4(192, 168, (uint8_t)(i + 1), 5, (uint16_t)(41000 + i));
        host->has_socket[0] = true;
        host->socket_at[host->local[0].port] = 1;
        forget_dial(host);
    }
}

void net_hang_up(struct net *n)
{
    memset(n->packet, 0, sizeof(n->packet));
    memset(n->note, 0, sizeof(n->note));
    n->packets = 0;
    for (int h = 0; h < 2; h++) {
        struct net_host *host = &n->host[h];

        host->engine = NULL;
        for (unsigned socket = 1; socket < PUNCH_MAX_SOCKETS; socket++) {
            if (host->has_socket[socket])
                host->socket_at[host->local[socket].port] = 0;
            host->has_socket[socket] = false;
        }
        forget_dial(host);
    }
}

void net_same_lan(struct net *n)
{
    n->host[1].nat = 0;
    n->host[1].socket_at[n->host[1].local[0].port] = 0;
    n->host[1].local[0] = stun_addr_v4(192, 168, 1, 6, 41001);
    n->host[1].socket_at[41001] = 1;
}

void net_profile(const struct net *n, int h, struct nat_profile *out)
{
    int nat = n->host[h].nat;

    memset(out, 0, sizeof(*out));
    if (n->bounce_down)
        return;
    if (nat != NET_OPEN && n->layers[nat] > 0) {
        net_model_profile(n, h, out);
        return;
    }
    out->mapping = nat == NET_OPEN ? NAT_MAPPING_NONE : n->nat[nat].mapping;
    out->allocation = nat == NET_OPEN ? NAT_ALLOCATION_PRESERVING : n->nat[nat].allocation;
    out->pooling = NAT_POOLING_ONE;
    out->step = nat == NET_OPEN ? 0 : n->nat[nat].step;
    out->public_addr = n->host[h].public_addr;
    out->endpoints_seen = 4;
}

void net_engine(struct net *n, int h, uint64_t give_up_us)
{
    struct net_host *host = &n->host[h];
    struct punch_config config = {
        .caller = h == NET_CALLER,
        .local_ufrag = h == NET_CALLER ? "caller00" : "callee00",
        .local_password = h == NET_CALLER ? "caller-password-000000" : "callee-password-000000",
        .remote_ufrag = h == NET_CALLER ? "callee00" : "caller00",
        .remote_password = h == NET_CALLER ? "callee-password-000000" : "caller-password-000000",
        .bounce_count = 4,
        .note_rtt_us = 2 * n->note_us,
        .give_up_after_us = give_up_us,
        .budget = &host->budget,
        .random = net_random_bytes,
        .random_context = &host->random,
    };

    memcpy(config.bounce, n->bounce, sizeof(n->bounce));
    host->public_addr = host->local[0];
    if (host->nat != NET_OPEN && n->layers[host->nat] > 0)
        (void)net_model_out(n, host->nat, &host->public_addr, &n->bounce[0], 0, NULL, 0);
    else if (host->nat != NET_OPEN)
        small_nat_out(&n->nat[host->nat], &host->public_addr, &n->bounce[0]);
    net_profile(n, h, &config.profile);
    assert(punch_size() <= sizeof(host->memory));
    host->engine = punch_init(host->memory, &config, n->now_us);
    assert(host->engine != NULL);
    punch_add_socket(host->engine, n->now_us, 0, &host->local[0]);
    net_flush(n, h);
}

void net_tell(struct net *n, int h, bool with_private)
{
    struct net_host *other = &n->host[1 - h];
    struct nat_profile profile;

    net_profile(n, 1 - h, &profile);
    punch_set_remote_profile(n->host[h].engine, n->now_us, &profile);
    punch_add_remote(n->host[h].engine, n->now_us, PUNCH_SERVER_REFLEXIVE, &other->public_addr,
                     true);
    if (with_private)
        punch_add_remote(n->host[h].engine, n->now_us, PUNCH_HOST, &other->local[0], false);
}

void net_start(struct net *n, int h, uint64_t start_at_us)
{
    punch_start(n->host[h].engine, n->now_us, start_at_us);
    net_flush(n, h);
    if (h == NET_CALLEE && start_at_us <= n->now_us && !n->no_link)
        net_send_link(n, h);
    if (n->talk_gap_us > 0)
        n->host[h].talk_us = n->now_us + n->talk_gap_us;
}

void net_dial(struct net *n, uint64_t caller_us, uint64_t callee_us, bool with_private)
{
    int first = caller_us <= callee_us ? NET_CALLER : NET_CALLEE;
    uint64_t at[2] = {caller_us, callee_us};
    uint64_t zero = n->now_us;

    net_engine(n, NET_CALLER, 0);
    net_engine(n, NET_CALLEE, 0);
    net_run(n, zero + at[first]);
    net_tell(n, first, with_private);
    net_start(n, first, n->now_us);
    net_run(n, zero + at[1 - first]);
    net_tell(n, 1 - first, with_private);
    net_start(n, 1 - first, n->now_us);
}

void net_dial_timed(struct net *n, struct net_times *t)
{
    uint64_t zero = n->now_us, due_us;

    t->relayed_us = (t->caller_us + t->callee_us) / 2;
    due_us = t->caller_us > t->relayed_us ? t->caller_us - t->relayed_us : 0;
    n->one_way_us = t->peers_us / 2;
    n->note_us = t->relayed_us;
    n->bounce_of_us[0] = t->caller_us / 2;
    n->bounce_of_us[1] = t->callee_us / 2;
    net_engine(n, NET_CALLER, 0);
    net_engine(n, NET_CALLEE, 0);
    if (t->relayed_us <= t->caller_us) {
        net_run(n, zero + t->relayed_us);
        net_tell(n, NET_CALLEE, false);
        net_start(n, NET_CALLEE, zero + t->relayed_us + due_us);
    }
    net_run(n, zero + t->caller_us);
    net_tell(n, NET_CALLER, false);
    net_start(n, NET_CALLER, n->now_us);
    if (t->relayed_us > t->caller_us) {
        net_run(n, zero + t->relayed_us);
        net_tell(n, NET_CALLEE, false);
        net_start(n, NET_CALLEE, n->now_us);
    }
}
