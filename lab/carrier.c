/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/carrier.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lab/packet.h"
#include "lab/pcap.h"

enum {
    READS_A_TURN = 64,       /* of one device, so that a busy one does not starve the clock */
    HELD_BACK_NS = 10000000, /* at most, of a packet that is to be overtaken */
    CORE_HOST = 254          /* of 192.0.2.0/24: answers for the routers of the Internet */
};

static void outwards(struct carrier *c, unsigned from, uint8_t *bytes, size_t size);
static void down(struct carrier *c, unsigned child, uint8_t *bytes, size_t size);

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static const struct topology_node *node_at(const struct carrier *c, unsigned index)
{
    return &c->topology->node[index];
}

static void capture(struct carrier *c, unsigned node, const uint8_t *bytes, size_t size)
{
    if (c->node[node].capture)
        pcap_write(c->node[node].capture, clock_ns(CLOCK_REALTIME), bytes, size);
}

/* Multicast and what a namespace says on its own is not news. */
static void tell(const struct carrier *c, unsigned where, const char *what, const uint8_t *bytes,
                 size_t size)
{
    struct packet p;
    char src[STUN_ADDR_TEXT_BYTES], dst[STUN_ADDR_TEXT_BYTES];
    if (!c->talkative || !packet_read(bytes, size, true, &p) || p.flow.dst.ip[0] >= 224)
        return;
    fprintf(stderr, "lab %9.3f %s: %s: %s > %s protocol %u ttl %u\n",
            (double)(now_ns() - c->begun_ns) / 1e6, node_at(c, where)->name, what,
            stun_addr_text(&p.flow.src, src), stun_addr_text(&p.flow.dst, dst), p.flow.protocol,
            p.flow.ttl);
}

static void put(struct carrier *c, int fd, const uint8_t *bytes, size_t size)
{
    if (fd >= 0 && write(fd, bytes, size) == (ssize_t)size)
        c->count.delivered++;
    else
        c->count.refused++;
}

static struct hop_addr hop_addr_of(const struct stun_addr *addr)
{
    struct hop_addr hop = {.bytes = (uint8_t)stun_addr_ip_bytes(addr)};
    memcpy(hop.ip, addr->ip, hop.bytes);
    return hop;
}

static bool is_ipv6(const uint8_t *bytes)
{
    return bytes[0] >> 4 == 6;
}

static unsigned child_towards(const struct carrier *c, unsigned network, unsigned not_child,
                              const struct stun_addr *dst)
{
    const struct topology *t = c->topology;
    for (unsigned i = 1; i < t->nodes; i++)
        if (t->node[i].parent == network && i != not_child && topology_leads_to(t, i, dst))
            return i;
    return 0;
}

static void queue_for(struct carrier *c, unsigned child, uint64_t delay_ns, uint8_t *bytes,
                      size_t size)
{
    if (delay_ns == 0)
        down(c, child, bytes, size);
    else if (!queue_put(&c->queue, now_ns() + delay_ns, child, bytes, size))
        c->count.refused++;
}

/* From the routers of the Internet back to the child that has sent. */
static void answer_from_core(struct carrier *c, unsigned from, unsigned to, const uint8_t *bytes,
                             size_t size)
{
    struct stun_addr core = stun_addr_v4(192, 0, 2, CORE_HOST, 0);
    static const uint8_t core6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = CORE_HOST};
    if (is_ipv6(bytes))
        core = stun_addr_from_ip(core6, 16, 0);
    struct hop_addr router = hop_addr_of(&core);
    uint8_t reply[HOP_REPLY_BYTES];
    size_t reply_size = hop_time_exceeded(reply, bytes, size, &router);
    const struct topology *t = c->topology;
    if (reply_size) /* half way there, half way back */
        queue_for(c, from, (t->way[from][to].delay_us + t->way[to][from].delay_us) * 500, reply,
                  reply_size);
}

static bool survive_the_core(struct carrier *c, unsigned from, unsigned to, uint8_t *bytes,
                             size_t size)
{
    for (unsigned i = 0; i < c->topology->hops; i++)
        if (!hop_age(bytes)) {
            c->count.expired++;
            tell(c, TOPOLOGY_INTERNET, "its time to live is over", bytes, size);
            answer_from_core(c, from, to, bytes, size);
            return false;
        }
    return true;
}

/* From one child of a network to another one. */
static void cross(struct carrier *c, unsigned from, unsigned to, uint8_t *bytes, size_t size)
{
    const struct topology *t = c->topology;
    uint64_t delay_ns = t->way[from][to].delay_us * 1000;
    if (t->node[to].parent != TOPOLOGY_INTERNET) {
        queue_for(c, to, delay_ns, bytes, size);
        return;
    }
    if (!survive_the_core(c, from, to, bytes, size))
        return;
    if (t->loss > 0 && dice_fraction(&c->dice) < t->loss) {
        c->count.lost++;
        tell(c, TOPOLOGY_INTERNET, "lost", bytes, size);
        return;
    }
    bool twice = t->duplicate > 0 && dice_fraction(&c->dice) < t->duplicate;
    for (int copies = twice ? 2 : 1; copies > 0; copies--) {
        uint64_t more = 0;
        if (t->jitter_us)
            more += (uint64_t)(dice_fraction(&c->dice) * (double)t->jitter_us * 1000);
        if (t->reorder > 0 && dice_fraction(&c->dice) < t->reorder)
            more += (uint64_t)(dice_fraction(&c->dice) * (double)HELD_BACK_NS);
        if (copies == 2 && !queue_put(&c->queue, now_ns() + delay_ns + more, to, bytes, size))
            c->count.refused++;
        else if (copies == 1)
            queue_for(c, to, delay_ns + more, bytes, size);
    }
    c->count.duplicated += twice;
}

/* A gateway sends to its inside. */
static void inside(struct carrier *c, unsigned network, uint8_t *bytes, size_t size)
{
    struct packet p;
    unsigned child =
        packet_read(bytes, size, false, &p) ? child_towards(c, network, 0, &p.flow.dst) : 0;
    if (child) {
        down(c, child, bytes, size);
        return;
    }
    c->count.unroutable++;
    tell(c, network, "nobody inside has this address", bytes, size);
}

static void stopped(struct carrier *c, unsigned network, enum nat_model_reason reason,
                    const uint8_t *bytes, size_t size)
{
    c->count.stopped++;
    tell(c, network, nat_model_reason_text(reason), bytes, size);
}

/* An ICMP error passes if the packet that it is about is known. */
static bool translate_error(struct carrier *c, unsigned network, bool outbound,
                            const struct packet *p, uint8_t *bytes, size_t size)
{
    struct nat_model *nat = c->node[network].nat;
    struct nat_model_packet quoted = p->quoted;
    uint64_t now_us = now_ns() / 1000;
    bool known = outbound ? nat_model_outbound_error(nat, now_us, &quoted)
                          : nat_model_inbound_error(nat, now_us, &quoted);
    if (!known) {
        stopped(c, network, NAT_MODEL_UNMAPPED, bytes, size);
        return false;
    }
    if (is_ipv6(bytes) || nat->config.mapping == NAT_CONFIG_NONE)
        return true;
    if (outbound)
        packet_rewrite_error(bytes, size, p, &quoted.dst, &p->flow.dst, &quoted);
    else
        packet_rewrite_error(bytes, size, p, &p->flow.src, &quoted.src, &quoted);
    return true;
}

/* A packet of the inside reaches the gateway of its network. */
static void up(struct carrier *c, unsigned network, uint8_t *bytes, size_t size,
               const struct packet *p)
{
    if (network == TOPOLOGY_INTERNET) {
        c->count.unroutable++;
        tell(c, network, "no route", bytes, size);
        return;
    }
    const struct topology_node *node = node_at(c, network);
    if (node->gateway == TOPOLOGY_NETFILTER) {
        put(c, c->node[network].tun, bytes, size);
        return;
    }
    uint8_t reply[HOP_REPLY_BYTES];
    if (!hop_age(bytes)) {
        c->count.expired++;
        tell(c, network, "its time to live is over", bytes, size);
        struct hop_addr router = hop_addr_of(is_ipv6(bytes) ? &node->address6 : &node->router);
        size_t reply_size = hop_time_exceeded(reply, bytes, size, &router);
        if (reply_size)
            inside(c, network, reply, reply_size);
        return;
    }
    if (p->error) {
        if (translate_error(c, network, true, p, bytes, size))
            outwards(c, network, bytes, size);
        return;
    }
    struct nat_model_verdict v =
        nat_model_outbound(c->node[network].nat, now_ns() / 1000, &p->flow);
    if (v.action != NAT_MODEL_FORWARD && v.action != NAT_MODEL_HAIRPIN) {
        stopped(c, network, v.reason, bytes, size);
        return;
    }
    packet_rewrite(bytes, size, p, &v.packet);
    if (v.action == NAT_MODEL_HAIRPIN)
        inside(c, network, bytes, size);
    else
        outwards(c, network, bytes, size);
}

static void answer_from_outside(struct carrier *c, unsigned network, const struct packet *p,
                                const uint8_t *bytes, size_t size, bool expired)
{
    const struct topology_node *node = node_at(c, network);
    struct stun_addr own = is_ipv6(bytes) ? node->address6 : node->outside;
    if (!expired)
        own = p->flow.dst;
    struct hop_addr router = hop_addr_of(&own);
    uint8_t reply[HOP_REPLY_BYTES];
    size_t reply_size = expired ? hop_time_exceeded(reply, bytes, size, &router)
                                : hop_port_unreachable(reply, bytes, size, &router);
    if (reply_size)
        outwards(c, network, reply, reply_size);
}

/* A packet reaches the outside of a NAT of the model. */
static void enter(struct carrier *c, unsigned network, uint8_t *bytes, size_t size)
{
    struct packet p;
    if (!packet_read(bytes, size, false, &p) || p.tail) {
        stopped(c, network, NAT_MODEL_UNMAPPED, bytes, size);
        return;
    }
    struct nat_model_verdict v = {NAT_MODEL_FORWARD, NAT_MODEL_FINE, p.flow};
    if (!p.error)
        v = nat_model_inbound(c->node[network].nat, now_ns() / 1000, &p.flow);
    if (v.action != NAT_MODEL_FORWARD) {
        stopped(c, network, v.reason, bytes, size);
        if (v.action == NAT_MODEL_REFUSE)
            answer_from_outside(c, network, &p, bytes, size, false);
        return;
    }
    /* Only what is forwarded gets older: what a NAT remembers, it remembers before. */
    if (!hop_age(bytes)) {
        c->count.expired++;
        tell(c, network, "its time to live is over", bytes, size);
        answer_from_outside(c, network, &p, bytes, size, true);
        return;
    }
    if (!p.error)
        packet_rewrite(bytes, size, &p, &v.packet);
    else if (!translate_error(c, network, false, &p, bytes, size))
        return;
    inside(c, network, bytes, size);
}

/* A packet has reached a child of a network. */
static void down(struct carrier *c, unsigned child, uint8_t *bytes, size_t size)
{
    const struct topology_node *node = node_at(c, child);
    capture(c, child, bytes, size);
    if (node->host)
        put(c, c->node[child].tun, bytes, size);
    else if (node->gateway == TOPOLOGY_NETFILTER)
        put(c, c->node[child].wan, bytes, size);
    else
        enter(c, child, bytes, size);
}

/* A child of a network sends: to a neighbour, or to the gateway. */
static void outwards(struct carrier *c, unsigned from, uint8_t *bytes, size_t size)
{
    struct packet p;
    unsigned network = node_at(c, from)->parent;
    capture(c, from, bytes, size);
    if (!packet_read(bytes, size, true, &p) || (p.tail && network != TOPOLOGY_INTERNET)) {
        c->count.unroutable++;
        return;
    }
    unsigned neighbour = child_towards(c, network, from, &p.flow.dst);
    if (neighbour)
        cross(c, from, neighbour, bytes, size);
    else
        up(c, network, bytes, size, &p);
}

static bool make_nat(struct carrier *c, unsigned index)
{
    const struct topology_node *node = node_at(c, index);
    struct carrier_node *mine = &c->node[index];
    uint32_t sessions = node->config.sessions ? node->config.sessions : CARRIER_SESSIONS;
    size_t bytes = nat_model_memory_bytes(sessions);
    mine->nat = calloc(1, sizeof(*mine->nat));
    mine->memory = calloc(1, bytes);
    return mine->nat && mine->memory &&
           nat_model_init(mine->nat, &node->config, &node->outside, mine->memory, bytes,
                          (struct nat_model_random){dice_draw, &c->nat_dice});
}

bool carrier_init(struct carrier *c, const struct topology *t)
{
    memset(c, 0, sizeof(*c));
    c->topology = t;
    c->begun_ns = now_ns();
    /* Two sources: whether packets are lost changes no port. */
    c->dice.state = t->seed;
    c->nat_dice.state = ~t->seed;
    for (unsigned i = 0; i < TOPOLOGY_NODES; i++)
        c->node[i].tun = c->node[i].wan = -1;
    for (unsigned i = 1; i < t->nodes; i++)
        if (!t->node[i].host && t->node[i].gateway == TOPOLOGY_MODEL && !make_nat(c, i))
            return false;
    return true;
}

void carrier_close(struct carrier *c)
{
    for (unsigned i = 0; i < TOPOLOGY_NODES; i++) {
        struct carrier_node *node = &c->node[i];
        if (node->tun >= 0)
            close(node->tun);
        if (node->wan >= 0)
            close(node->wan);
        if (node->capture)
            fclose(node->capture);
        free(node->nat);
        free(node->memory);
    }
    queue_clear(&c->queue);
}

void carrier_read(struct carrier *c, unsigned node, bool wan)
{
    const struct topology_node *n = node_at(c, node);
    for (int i = 0; i < READS_A_TURN; i++) {
        ssize_t got =
            read(wan ? c->node[node].wan : c->node[node].tun, c->packet, sizeof(c->packet));
        if (got <= 0)
            return;
        if (n->host || wan)
            outwards(c, node, c->packet, (size_t)got);
        else
            inside(c, node, c->packet, (size_t)got);
    }
}

uint64_t carrier_deliver(struct carrier *c)
{
    struct queue_packet packet;
    while (queue_take(&c->queue, now_ns(), &packet)) {
        down(c, packet.link, packet.bytes, packet.size);
        free(packet.bytes);
    }
    return queue_next_due(&c->queue);
}
