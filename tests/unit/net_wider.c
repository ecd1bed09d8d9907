/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes after the dial: a relay, NATs that lose power, hosts that move. And IPv6: each host
 * behind a firewall of its own, which translates nothing. */
#include <assert.h>
#include <string.h>

#include "net_sim.h"

void net_relay(struct net *n, bool up)
{
    for (int h = 0; h < 2; h++) {
        punch_set_relay(n->host[h].engine, n->now_us, up);
        net_flush(n, h);
    }
}

void net_reboot(struct net *n, int h)
{
    int nat = n->host[h].nat;

    if (n->layers[nat] > 0)
        nat_model_reboot(&n->model[nat][n->layers[nat] - 1]);
    else
        n->nat[nat].flows = n->nat[nat].alloweds = n->nat[nat].takens = 0;
}

/* As a bounce server sees the data socket now. */
static struct stun_addr seen(struct net *n, int h)
{
    struct net_host *host = &n->host[h];
    struct stun_addr addr = host->local[0];

    if (host->nat != NET_OPEN && n->layers[host->nat] > 0)
        (void)net_model_out(n, host->nat, &addr, &n->bounce[0], 0, NULL, 0);
    else if (host->nat != NET_OPEN)
        small_nat_out(&n->nat[host->nat], &addr, &n->bounce[0]);
    return addr;
}

void net_keepalive_answered(struct net *n, int h)
{
    struct stun_addr now = seen(n, h);
    struct nat_profile profile;

    if (stun_addr_equal(&now, &n->host[h].public_addr))
        return;
    n->host[h].public_addr = now;
    net_profile(n, h, &profile);
    punch_set_profile(n->host[h].engine, n->now_us, &profile);
    net_note_candidates(n, h);
    punch_again(n->host[h].engine, n->now_us);
}

void net_candidates(struct net *n, int h)
{
    punch_new_candidates(n->host[h].engine, n->now_us);
    net_tell(n, h, false);
}

void net_move(struct net *n, int h)
{
    struct net_host *host = &n->host[h];

    host->socket_at[host->local[0].port] = 0;
    host->local[0].ip[3] = (uint8_t)(host->local[0].ip[3] + 50);
    host->local[0].port = (uint16_t)(host->local[0].port + 7);
    host->socket_at[host->local[0].port] = 1;
    punch_add_socket(host->engine, n->now_us, 0, &host->local[0]);
    host->keepalive_us = n->now_us + 2 * n->bounce_us;
    net_flush(n, h);
}

void net_ipv6(struct net *n)
{
    for (int h = 0; h < 2; h++) {
        struct net_host *host = &n->host[h];
        static const uint8_t prefix[16] = {0x20, 0x01, 0x0d, 0xb8, 1};

        host->local[PUNCH_IPV6_SOCKET] = stun_addr_from_ip(prefix, 16, (uint16_t)(6000 + h));
        host->local[PUNCH_IPV6_SOCKET].ip[15] = (uint8_t)(h + 1);
        host->has_socket[PUNCH_IPV6_SOCKET] = true;
        host->socket_at[6000 + h] = PUNCH_IPV6_SOCKET + 1;
    }
}

void net_add_ipv6(struct net *n, int h)
{
    punch_add_socket(n->host[h].engine, n->now_us, PUNCH_IPV6_SOCKET,
                     &n->host[h].local[PUNCH_IPV6_SOCKET]);
    net_flush(n, h);
}

void net_tell_ipv6(struct net *n, int h)
{
    punch_add_remote(n->host[h].engine, n->now_us, PUNCH_SERVER_REFLEXIVE,
                     &n->host[1 - h].local[PUNCH_IPV6_SOCKET], true);
    net_flush(n, h);
}

bool net_out6(struct net *n, int h, const struct stun_addr *from, const struct stun_addr *to,
              uint8_t ttl)
{
    struct net_firewall *f = &n->host[h].firewall;
    size_t i = 0;

    if (ttl == 1)
        return false;
    while (i < f->flows &&
           !(stun_addr_equal(&f->flow[i].inside, from) && stun_addr_equal(&f->flow[i].outside, to)))
        i++;
    if (i == f->flows) {
        assert(i < NET_FLOWS);
        f->flow[f->flows].inside = *from;
        f->flow[f->flows++].outside = *to;
    }
    return ttl == 0 || ttl > 1u + n->core_hops;
}

bool net_in6(struct net *n, const struct stun_addr *from, const struct stun_addr *to)
{
    const struct net_firewall *f = &n->host[to->ip[15] - 1].firewall;

    for (size_t i = 0; i < f->flows; i++) {
        if (stun_addr_equal(&f->flow[i].inside, to) && stun_addr_equal(&f->flow[i].outside, from))
            return true;
    }
    return false;
}
