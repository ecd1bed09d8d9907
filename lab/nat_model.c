/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/nat_model.h"

#include <string.h>

#include "lab/nat_ports.h"

#define TCP_LIFE_US     7440000000u /* RFC 5382, REQ-5 */
#define FLOOD_WINDOW_US 1000000u

static bool live(const struct nat_session *s, uint64_t now_us)
{
    return s->expires_us > now_us;
}

static void touch(struct nat_model *n, struct nat_session *s, uint64_t now_us)
{
    uint64_t life = s->answered ? n->config.answered_life_us : n->config.life_us;
    if (s->protocol == NAT_MODEL_TCP)
        life = TCP_LIFE_US;
    s->expires_us = now_us + life;
    /* A session that lives longer now may have been the earliest; a sweep finds out. */
    if (s->expires_us < n->table.earliest_us)
        n->table.earliest_us = s->expires_us;
}

static struct nat_session *find_flow(const struct nat_model *n, uint64_t now_us,
                                     const struct stun_addr *inside, const struct stun_addr *remote,
                                     uint8_t protocol)
{
    const struct nat_table *t = &n->table;
    uint32_t i = nat_table_flow(t, inside, remote);
    for (; i != NAT_TABLE_NONE; i = t->session[i].next[NAT_TABLE_FLOW]) {
        struct nat_session *s = &t->session[i];
        if (live(s, now_us) && s->protocol == protocol && stun_addr_equal(&s->inside, inside) &&
            stun_addr_equal(&s->remote, remote))
            return s;
    }
    return NULL;
}

static struct nat_session *find_return(const struct nat_model *n, uint64_t now_us,
                                       const struct stun_addr *outside,
                                       const struct stun_addr *remote, uint8_t protocol)
{
    const struct nat_table *t = &n->table;
    uint32_t i = nat_table_return(t, outside, remote);
    for (; i != NAT_TABLE_NONE; i = t->session[i].next[NAT_TABLE_RETURN]) {
        struct nat_session *s = &t->session[i];
        if (live(s, now_us) && s->protocol == protocol && stun_addr_equal(&s->outside, outside) &&
            stun_addr_equal(&s->remote, remote))
            return s;
    }
    return NULL;
}

/* The newest session of a host's that has this outside address, from which on the next are asked.
 */
static struct nat_session *find_outside(const struct nat_model *n, uint64_t now_us, uint32_t from,
                                        const struct stun_addr *outside, uint8_t protocol)
{
    const struct nat_table *t = &n->table;
    for (uint32_t i = from; i != NAT_TABLE_NONE; i = t->session[i].next[NAT_TABLE_OUTSIDE]) {
        struct nat_session *s = &t->session[i];
        if (live(s, now_us) && s->protocol == protocol && s->inside.family != STUN_NO_FAMILY &&
            stun_addr_equal(&s->outside, outside))
            return s;
    }
    return NULL;
}

/* Whose mapping a new flow of the same inside address shares (RFC 4787, 4.1). */
static const struct nat_session *find_shared(const struct nat_model *n, uint64_t now_us,
                                             const struct nat_session *wanted)
{
    const struct nat_config *c = &n->config;
    const struct nat_table *t = &n->table;
    if (c->mapping == NAT_CONFIG_APDM ||
        (c->mapping == NAT_CONFIG_FLOW && c->allocation != NAT_CONFIG_PRESERVING))
        return NULL;
    uint32_t i = nat_table_inside(t, &wanted->inside);
    for (; i != NAT_TABLE_NONE; i = t->session[i].next[NAT_TABLE_INSIDE]) {
        const struct nat_session *s = &t->session[i];
        if (!live(s, now_us) || s->protocol != wanted->protocol ||
            !stun_addr_equal(&s->inside, &wanted->inside))
            continue;
        if (c->mapping == NAT_CONFIG_ADM && !stun_addr_same_ip(&s->remote, &wanted->remote))
            continue;
        if (c->mapping == NAT_CONFIG_FLOW &&
            find_return(n, now_us, &s->outside, &wanted->remote, wanted->protocol))
            return NULL;
        return s;
    }
    return NULL;
}

static bool translates(const struct nat_model *n, const struct nat_model_packet *p)
{
    return p->src.family == STUN_IPV4 && n->config.mapping != NAT_CONFIG_NONE;
}

/* Neither addresses nor filters: a router. */
static bool is_open(const struct nat_model *n, const struct nat_model_packet *p)
{
    if (p->src.family == STUN_IPV6)
        return n->config.ipv6 == NAT_CONFIG_V6_OPEN;
    return n->config.mapping == NAT_CONFIG_NONE && n->config.filtering == NAT_CONFIG_EIF;
}

static enum nat_config_filtering filtering_of(const struct nat_model *n,
                                              const struct nat_model_packet *p)
{
    return p->src.family == STUN_IPV6 ? NAT_CONFIG_APDF : n->config.filtering;
}

/* What nothing at all helps against. */
static enum nat_model_reason refusal(const struct nat_model *n, const struct nat_model_packet *p)
{
    if (p->src.family != p->dst.family || p->src.family == STUN_NO_FAMILY ||
        (p->src.family == STUN_IPV6 && n->config.ipv6 == NAT_CONFIG_V6_NONE))
        return NAT_MODEL_NO_ROUTE;
    if (n->config.udp_blocked && p->protocol == NAT_MODEL_UDP)
        return NAT_MODEL_BLOCKED;
    return NAT_MODEL_FINE;
}

static struct nat_model_verdict stop(struct nat_model *n, enum nat_model_action action,
                                     enum nat_model_reason reason, const struct nat_model_packet *p)
{
    n->drops[reason]++;
    return (struct nat_model_verdict){action, reason, *p};
}

static struct nat_model_verdict pass(enum nat_model_action action, const struct nat_model_packet *p)
{
    return (struct nat_model_verdict){action, NAT_MODEL_FINE, *p};
}

/* A flood belongs to the mapping, so a session that joins one takes it over. */
static void inherit_flood(struct nat_session *s, const struct nat_session *from)
{
    s->unasked = from->unasked;
    s->window_us = from->window_us;
    s->blacklisted = from->blacklisted;
}

static enum nat_model_reason open_session(struct nat_model *n, uint64_t now_us,
                                          const struct nat_model_packet *p,
                                          struct nat_session **opened)
{
    struct nat_session s = {
        .inside = p->src, .remote = p->dst, .outside = p->src, .protocol = p->protocol};
    if (translates(n, p)) {
        const struct nat_session *shared = find_shared(n, now_us, &s);
        if (shared) {
            s.outside = shared->outside;
            inherit_flood(&s, shared);
        } else if (!nat_ports_allocate(n, now_us, &s)) {
            return NAT_MODEL_NO_PORT;
        }
    }
    /* Until touch says so, it lasts for long enough not to be swept. */
    s.expires_us = now_us + n->config.life_us;
    *opened = nat_table_add(&n->table, now_us, &s);
    return *opened ? NAT_MODEL_FINE : NAT_MODEL_FULL;
}

static enum nat_model_reason leave(struct nat_model *n, uint64_t now_us, struct nat_model_packet *p)
{
    struct nat_session *s = find_flow(n, now_us, &p->src, &p->dst, p->protocol);
    if (!s) {
        enum nat_model_reason reason = open_session(n, now_us, p, &s);
        if (reason != NAT_MODEL_FINE)
            return reason;
    }
    touch(n, s, now_us);
    p->src = s->outside;
    return NAT_MODEL_FINE;
}

/* Counts an unasked packet against every session of the mapping. */
static void count_flood(struct nat_model *n, uint64_t now_us, const struct nat_model_packet *p)
{
    struct nat_table *t = &n->table;
    uint32_t next;
    for (uint32_t i = nat_table_outside(t, &p->dst); i != NAT_TABLE_NONE; i = next) {
        struct nat_session *s = &t->session[i];
        next = s->next[NAT_TABLE_OUTSIDE];
        if (!live(s, now_us) || s->protocol != p->protocol || s->inside.family == STUN_NO_FAMILY ||
            !stun_addr_equal(&s->outside, &p->dst))
            continue;
        if (s->unasked == 0 || now_us - s->window_us >= FLOOD_WINDOW_US) {
            s->unasked = 0;
            s->window_us = now_us;
        }
        if (++s->unasked <= n->config.flood_packets)
            continue;
        if (n->config.flood == NAT_CONFIG_FLOOD_DROP)
            nat_table_remove(t, s);
        else
            s->blacklisted = true;
    }
}

static void occupy(struct nat_model *n, uint64_t now_us, const struct nat_model_packet *p)
{
    struct nat_session s = {.remote = p->src,
                            .outside = p->dst,
                            .protocol = p->protocol,
                            .expires_us = now_us + n->config.life_us};
    nat_table_add(&n->table, now_us, &s);
}

static struct nat_model_verdict unasked(struct nat_model *n, uint64_t now_us,
                                        const struct nat_model_packet *p, bool mapped)
{
    if (mapped && n->config.flood)
        count_flood(n, now_us, p);
    if (translates(n, p) && n->config.poison) {
        occupy(n, now_us, p);
        return stop(n, NAT_MODEL_REFUSE, NAT_MODEL_ROUTER, p);
    }
    return stop(n, n->config.reject ? NAT_MODEL_REFUSE : NAT_MODEL_DROP,
                mapped ? NAT_MODEL_FILTERED : NAT_MODEL_UNMAPPED, p);
}

/* The session that lets a packet in, NULL if there is none. *mapped: whether the port is anybody's.
 */
static struct nat_session *find_way_in(const struct nat_model *n, uint64_t now_us,
                                       const struct nat_model_packet *p, bool *mapped)
{
    enum nat_config_filtering filtering = filtering_of(n, p);
    struct nat_session *s = find_return(n, now_us, &p->dst, &p->src, p->protocol);
    *mapped = true;
    if (s)
        return s;
    s = find_outside(n, now_us, nat_table_outside(&n->table, &p->dst), &p->dst, p->protocol);
    *mapped = s != NULL;
    while (s && filtering != NAT_CONFIG_EIF &&
           (filtering != NAT_CONFIG_ADF || !stun_addr_same_ip(&s->remote, &p->src)))
        s = filtering == NAT_CONFIG_APDF
                ? NULL
                : find_outside(n, now_us, s->next[NAT_TABLE_OUTSIDE], &p->dst, p->protocol);
    return s;
}

static struct nat_model_verdict enter(struct nat_model *n, uint64_t now_us,
                                      const struct nat_model_packet *p)
{
    bool mapped;
    struct nat_session *s = find_way_in(n, now_us, p, &mapped);
    if (!s)
        return unasked(n, now_us, p, mapped);
    if (s->inside.family == STUN_NO_FAMILY) {
        touch(n, s, now_us);
        return stop(n, NAT_MODEL_REFUSE, NAT_MODEL_ROUTER, p);
    }
    if (s->blacklisted)
        return stop(n, NAT_MODEL_DROP, NAT_MODEL_BLACKLISTED, p);
    s->answered = true;
    if (n->config.refreshed_inbound)
        touch(n, s, now_us);
    struct nat_model_packet in = *p;
    in.dst = s->inside;
    return pass(NAT_MODEL_FORWARD, &in);
}

size_t nat_model_memory_bytes(uint32_t sessions)
{
    return nat_table_bytes(sessions);
}

bool nat_model_init(struct nat_model *n, const struct nat_config *config,
                    const struct stun_addr *public_ip, void *memory, size_t memory_bytes,
                    struct nat_model_random random)
{
    memset(n, 0, sizeof(*n));
    if (config->pool == 0 || config->port_min == 0 || config->port_min > config->port_max ||
        config->life_us == 0 ||
        (config->allocation == NAT_CONFIG_BLOCK &&
         (config->block == 0 ||
          config->block > (uint32_t)(config->port_max - config->port_min) + 1)))
        return false;
    n->config = *config;
    n->random = random;
    if (config->mapping != NAT_CONFIG_NONE) {
        if (!public_ip || public_ip->family != STUN_IPV4)
            return false;
        n->public_ip = *public_ip;
        n->public_ip.port = 0;
    }
    if (!nat_table_init(&n->table, memory, memory_bytes, config->sessions))
        return false;
    nat_ports_reset(n);
    return true;
}

struct nat_model_verdict nat_model_outbound(struct nat_model *n, uint64_t now_us,
                                            const struct nat_model_packet *packet)
{
    enum nat_model_reason reason = refusal(n, packet);
    if (reason != NAT_MODEL_FINE)
        return stop(n, NAT_MODEL_DROP, reason, packet);
    if (is_open(n, packet))
        return pass(NAT_MODEL_FORWARD, packet);
    bool back = translates(n, packet) && nat_model_owns(n, &packet->dst);
    if (back && !n->config.hairpin)
        return stop(n, NAT_MODEL_DROP, NAT_MODEL_NO_HAIRPIN, packet);
    struct nat_model_packet out = *packet;
    reason = leave(n, now_us, &out);
    if (reason != NAT_MODEL_FINE)
        return stop(n, NAT_MODEL_DROP, reason, packet);
    if (!back)
        return pass(NAT_MODEL_FORWARD, &out);
    struct nat_model_verdict verdict = enter(n, now_us, &out);
    if (verdict.action == NAT_MODEL_FORWARD)
        verdict.action = NAT_MODEL_HAIRPIN;
    else
        verdict.packet = *packet;
    return verdict;
}

struct nat_model_verdict nat_model_inbound(struct nat_model *n, uint64_t now_us,
                                           const struct nat_model_packet *packet)
{
    enum nat_model_reason reason = refusal(n, packet);
    if (reason == NAT_MODEL_FINE && translates(n, packet) && !nat_model_owns(n, &packet->dst))
        reason = NAT_MODEL_NO_ROUTE;
    if (reason != NAT_MODEL_FINE)
        return stop(n, NAT_MODEL_DROP, reason, packet);
    if (is_open(n, packet))
        return pass(NAT_MODEL_FORWARD, packet);
    return enter(n, now_us, packet);
}

bool nat_model_inbound_error(struct nat_model *n, uint64_t now_us, struct nat_model_packet *quoted)
{
    if (is_open(n, quoted))
        return true;
    const struct nat_session *s =
        find_return(n, now_us, &quoted->src, &quoted->dst, quoted->protocol);
    if (!s || s->inside.family == STUN_NO_FAMILY)
        return false;
    quoted->src = s->inside;
    return true;
}

bool nat_model_outbound_error(struct nat_model *n, uint64_t now_us, struct nat_model_packet *quoted)
{
    if (is_open(n, quoted))
        return true;
    const struct nat_session *s =
        find_flow(n, now_us, &quoted->dst, &quoted->src, quoted->protocol);
    if (!s)
        return false;
    quoted->dst = s->outside;
    return true;
}

void nat_model_reboot(struct nat_model *n)
{
    nat_table_clear(&n->table);
    nat_ports_reset(n);
}

bool nat_model_owns(const struct nat_model *n, const struct stun_addr *ip)
{
    if (n->config.mapping == NAT_CONFIG_NONE || ip->family != STUN_IPV4)
        return false;
    uint32_t first = 0, wanted = 0;
    for (int i = 0; i < 4; i++) {
        first = first << 8 | n->public_ip.ip[i];
        wanted = wanted << 8 | ip->ip[i];
    }
    return wanted - first < n->config.pool;
}

uint32_t nat_model_sessions(struct nat_model *n, uint64_t now_us)
{
    nat_table_sweep(&n->table, now_us);
    return n->table.used;
}

const char *nat_model_reason_text(enum nat_model_reason reason)
{
    static const char *const text[NAT_MODEL_REASONS] = {
        [NAT_MODEL_FINE] = "passed",
        [NAT_MODEL_BLOCKED] = "UDP is blocked",
        [NAT_MODEL_NO_ROUTE] = "no route",
        [NAT_MODEL_UNMAPPED] = "no mapping of that port",
        [NAT_MODEL_FILTERED] = "filtered",
        [NAT_MODEL_ROUTER] = "a connection of the router itself",
        [NAT_MODEL_BLACKLISTED] = "blacklisted after a flood",
        [NAT_MODEL_FULL] = "the session table is full",
        [NAT_MODEL_NO_PORT] = "no port is left",
        [NAT_MODEL_NO_HAIRPIN] = "no hairpinning",
    };
    return (unsigned)reason < NAT_MODEL_REASONS ? text[reason] : "?";
}
