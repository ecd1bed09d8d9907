/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/nat_ports.h"

#include <math.h>
#include <string.h>

#define NO_BLOCK     UINT32_MAX
#define RANDOM_TRIES 32 /* before all ports are tried in order */

/* The ports that may be given: a block or the whole range. */
struct range {
    uint32_t first, count;
};

static bool live(const struct nat_session *s, uint64_t now_us)
{
    return s->expires_us > now_us;
}

/* Linux lets two hosts have one port towards different remotes; others give a port once. */
static bool taken(const struct nat_model *n, uint64_t now_us, const struct nat_session *wanted)
{
    const struct nat_table *t = &n->table;
    bool per_remote = n->config.mapping == NAT_CONFIG_FLOW;
    uint32_t i = nat_table_return(t, &wanted->outside, &wanted->remote);
    for (; i != NAT_TABLE_NONE; i = t->session[i].next[NAT_TABLE_RETURN]) {
        const struct nat_session *s = &t->session[i];
        if (live(s, now_us) && s->protocol == wanted->protocol &&
            stun_addr_equal(&s->outside, &wanted->outside) &&
            stun_addr_equal(&s->remote, &wanted->remote))
            return true;
    }
    if (per_remote)
        return false;
    i = nat_table_outside(t, &wanted->outside);
    for (; i != NAT_TABLE_NONE; i = t->session[i].next[NAT_TABLE_OUTSIDE]) {
        const struct nat_session *s = &t->session[i];
        if (live(s, now_us) && s->protocol == wanted->protocol &&
            s->inside.family != STUN_NO_FAMILY && stun_addr_equal(&s->outside, &wanted->outside))
            return true;
    }
    return false;
}

static bool try_port(const struct nat_model *n, uint64_t now_us, struct nat_session *s,
                     uint32_t port)
{
    s->outside.port = (uint16_t)port;
    return !taken(n, now_us, s);
}

static bool allocate_random(struct nat_model *n, uint64_t now_us, struct nat_session *s,
                            struct range range)
{
    for (int i = 0; i < RANDOM_TRIES; i++)
        if (try_port(n, now_us, s, range.first + nat_ports_below(n, range.count)))
            return true;
    uint32_t from = nat_ports_below(n, range.count);
    for (uint32_t i = 0; i < range.count; i++)
        if (try_port(n, now_us, s, range.first + (from + i) % range.count))
            return true;
    return false;
}

static uint32_t step_from(uint32_t port, int32_t step, struct range range)
{
    int64_t offset = ((int64_t)port - range.first + step) % (int64_t)range.count;
    return range.first + (uint32_t)(offset < 0 ? offset + range.count : offset);
}

static bool allocate_next(const struct nat_model *n, uint64_t now_us, struct nat_session *s,
                          struct range range, uint32_t last, int32_t step)
{
    uint32_t port = last;
    for (uint32_t i = 0; i < range.count; i++) {
        port = step_from(port, step, range);
        if (try_port(n, now_us, s, port))
            return true;
    }
    return false;
}

/* Time until the next customer comes, as a Poisson process has it. */
static uint64_t foreign_gap_us(struct nat_model *n)
{
    double fraction = ((double)(n->random.draw(n->random.context) >> 11) + 1) * 0x1p-53;
    return 1 + (uint64_t)(-log(fraction) * 1e6 / n->config.foreign_per_s);
}

static void let_foreign_in(struct nat_model *n, uint64_t now_us, struct range range)
{
    if (n->config.foreign_per_s == 0)
        return;
    if (n->foreign_at_us == 0)
        n->foreign_at_us = now_us + foreign_gap_us(n);
    /* After long idle time the sequence is anywhere, and the loop must end. */
    if (now_us > n->foreign_at_us &&
        (now_us - n->foreign_at_us) / 1000000 * n->config.foreign_per_s > 200000) {
        n->last_port[0] = range.first + nat_ports_below(n, range.count);
        n->foreign_at_us = now_us + foreign_gap_us(n);
    }
    for (; n->foreign_at_us <= now_us; n->foreign_at_us += foreign_gap_us(n))
        n->last_port[0] = step_from(n->last_port[0], n->config.step, range);
}

static bool allocate_sequential(struct nat_model *n, uint64_t now_us, struct nat_session *s,
                                struct range range)
{
    /* A sequence of UDP is not disturbed by this host's own TCP. */
    unsigned which = s->protocol != NAT_MODEL_UDP;
    if (which == 0)
        let_foreign_in(n, now_us, range);
    if (!allocate_next(n, now_us, s, range, n->last_port[which], n->config.step))
        return false;
    n->last_port[which] = s->outside.port;
    return true;
}

static bool block_given(const struct nat_model *n, uint32_t address, uint32_t block)
{
    for (uint32_t i = 0; i < n->hosts; i++)
        if (n->host[i].block == block && n->host[i].address == address)
            return true;
    return false;
}

static bool give_block(struct nat_model *n, struct nat_model_host *host, struct range all)
{
    uint32_t blocks = all.count / n->config.block;
    uint32_t from = nat_ports_below(n, blocks);
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t block = (from + i) % blocks;
        if (!block_given(n, host->address, block)) {
            host->block = block;
            return true;
        }
    }
    return false;
}

static struct nat_model_host *host_of(struct nat_model *n, const struct stun_addr *inside)
{
    for (uint32_t i = 0; i < n->hosts; i++)
        if (stun_addr_same_ip(&n->host[i].ip, inside))
            return &n->host[i];
    if (n->hosts == NAT_MODEL_HOSTS)
        return NULL;
    struct nat_model_host *host = &n->host[n->hosts++];
    host->ip = *inside;
    host->ip.port = 0;
    host->address = nat_ports_below(n, n->config.pool);
    host->block = NO_BLOCK;
    host->last_port[0] = host->last_port[1] = 0;
    return host;
}

static void set_address(const struct nat_model *n, struct nat_session *s, uint32_t address)
{
    s->outside = n->public_ip;
    uint32_t last = (uint32_t)s->outside.ip[3] + address;
    s->outside.ip[3] = (uint8_t)last;
    s->outside.ip[2] = (uint8_t)(s->outside.ip[2] + (last >> 8));
}

static bool allocate_in_block(struct nat_model *n, uint64_t now_us, struct nat_session *s,
                              struct nat_model_host *host, struct range all)
{
    if (host->block == NO_BLOCK && !give_block(n, host, all))
        return false;
    struct range range = {all.first + host->block * n->config.block, n->config.block};
    if (!n->config.step)
        return allocate_random(n, now_us, s, range);
    uint32_t *last = &host->last_port[s->protocol != NAT_MODEL_UDP];
    if (*last == 0)
        *last = range.first + nat_ports_below(n, range.count);
    if (!allocate_next(n, now_us, s, range, *last, 1))
        return false;
    *last = s->outside.port;
    return true;
}

uint32_t nat_ports_below(struct nat_model *n, uint32_t limit)
{
    return (uint32_t)((n->random.draw(n->random.context) >> 32) * limit >> 32);
}

void nat_ports_reset(struct nat_model *n)
{
    uint32_t count = (uint32_t)(n->config.port_max - n->config.port_min) + 1;
    for (int i = 0; i < 2; i++)
        n->last_port[i] = n->config.port_min + nat_ports_below(n, count);
    n->foreign_at_us = 0;
    n->hosts = 0;
}

bool nat_ports_allocate(struct nat_model *n, uint64_t now_us, struct nat_session *s)
{
    const struct nat_config *c = &n->config;
    struct range all = {c->port_min, (uint32_t)(c->port_max - c->port_min) + 1};
    struct nat_model_host *host = NULL;
    if (c->allocation == NAT_CONFIG_BLOCK || (c->pool > 1 && !c->pool_arbitrary)) {
        host = host_of(n, &s->inside);
        if (!host)
            return false;
    }
    /* The block of a host lies on one address. */
    set_address(n, s, host ? host->address : nat_ports_below(n, c->pool));
    switch (c->allocation) {
    case NAT_CONFIG_OVERLOAD:
        s->outside.port = s->inside.port;
        return true;
    case NAT_CONFIG_PRESERVING:
        if (try_port(n, now_us, s, s->inside.port))
            return true;
        return c->step ? allocate_next(n, now_us, s, all, s->inside.port, c->step)
                       : allocate_random(n, now_us, s, all);
    case NAT_CONFIG_SEQUENTIAL:
        return allocate_sequential(n, now_us, s, all);
    case NAT_CONFIG_BLOCK:
        return allocate_in_block(n, now_us, s, host, all);
    default:
        return allocate_random(n, now_us, s, all);
    }
}
