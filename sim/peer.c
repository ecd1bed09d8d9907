/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/peer.h"

#include <errno.h>
#include <string.h>

#include "sim/network.h"
#include "sim/trace.h"
#include "sim/world.h"

/* Looks like a short header of QUIC: never like STUN. */
static const uint8_t link_magic[] = {0x40, 'l', 'i', 'n', 'k'};

bool peer_new(struct peer *p)
{
    p->bytes_of_engine = calloc(1, punch_size());
    p->socket_at = calloc(PEER_PORTS, sizeof(p->socket_at[0]));
    return p->bytes_of_engine != NULL && p->socket_at != NULL;
}

void peer_free(struct peer *p)
{
    free(p->bytes_of_engine);
    free(p->socket_at);
}

bool peer_is_link(const uint8_t *bytes, size_t size)
{
    return size >= sizeof(link_magic) && memcmp(bytes, link_magic, sizeof(link_magic)) == 0;
}

uint64_t peer_now(const struct world *w, uint32_t host)
{
    return w->now_us + w->peer[host].clock_us;
}

void peer_random(void *dice, uint8_t *out, size_t bytes)
{
    while (bytes > 0) {
        uint64_t word = dice_next(dice);
        size_t part = bytes < sizeof(word) ? bytes : sizeof(word);

        memcpy(out, &word, part);
        out += part;
        bytes -= part;
    }
}

void peer_close_socket(struct world *w, uint32_t host, unsigned socket)
{
    struct peer *p = &w->peer[host];

    if (p->local[socket].family == STUN_NO_FAMILY)
        return;
    p->socket_at[p->local[socket].port] = 0;
    p->closed[socket].at_us = w->now_us;
    p->closed[socket].port = p->local[socket].port;
    memset(&p->local[socket], 0, sizeof(p->local[socket]));
}

bool peer_had_socket(const struct peer *p, uint16_t port, uint64_t since_us)
{
    if (p->socket_at[port] != 0)
        return true;
    for (unsigned socket = 0; socket < PEER_SOCKETS; socket++) {
        if (p->closed[socket].port == port && p->closed[socket].at_us >= since_us)
            return true;
    }
    return false;
}

void peer_open_socket(struct world *w, uint32_t host, unsigned socket)
{
    struct peer *p = &w->peer[host];
    uint16_t port;

    peer_close_socket(w, host, socket);
    do
        port = (uint16_t)(32768 + dice_next(&p->dice) % 28000);
    while (p->socket_at[port] != 0);
    p->local[socket] = w->scene.host[host].ip;
    p->local[socket].port = port;
    p->socket_at[port] = (uint16_t)(socket + 1);
}

int peer_send(struct world *w, uint32_t host, unsigned socket, const struct stun_addr *to,
              uint8_t ttl, const uint8_t *bytes, size_t size)
{
    static const int errors[] = {EPERM, ENETUNREACH, EAGAIN, ECONNREFUSED};
    struct network_datagram d = {.who = (uint8_t)host,
                                 .src = w->peer[host].local[socket],
                                 .dst = *to,
                                 .ttl = ttl,
                                 .bytes = bytes,
                                 .size = (uint16_t)size};

    if (d.src.family == STUN_NO_FAMILY) {
        world_fault(w, "a packet for socket %u, which is not open", socket);
        return EBADF;
    }
    if (world_chance_ppm(w, w->scene.host[host].refused_ppm))
        return errors[world_below(w, 4)];
    network_send(w, host, &d);
    return 0;
}

static void sleep_on(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    uint64_t now_us = peer_now(w, host), warm = warm_next(p), dial = dial_next(p, now_us);
    uint64_t next = warm < dial ? warm : dial, learn = learn_next(p);

    next = learn < next ? learn : next;

    if (next == UINT64_MAX) {
        p->wake_us = UINT64_MAX;
        return;
    }
    p->wake_us = next <= now_us ? w->now_us : next - p->clock_us;
    p->wake_us += w->scene.host[host].late_us;
}

void peer_begin(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    uint8_t *bytes = p->bytes_of_engine;
    uint16_t *socket_at = p->socket_at;

    for (unsigned socket = 0; socket < PEER_SOCKETS; socket++)
        peer_close_socket(w, host, socket);
    memset(p, 0, sizeof(*p));
    p->bytes_of_engine = bytes;
    p->socket_at = socket_at;
    p->dice.state = w->scene.seed * 0xd1342543de82ef95u + host;
    p->clock_us = w->scene.host[host].clock_us;
    p->path_us = p->failed_us = p->usable_us = UINT64_MAX;
    p->talk.next_us = UINT64_MAX;
    peer_open_socket(w, host, PUNCH_DATA_SOCKET);
    peer_open_socket(w, host, PEER_BARE);
    warm_begin(w, host);
    sleep_on(w, host);
}

void peer_receive(struct world *w, uint32_t host, const struct world_packet *packet)
{
    struct peer *p = &w->peer[host];
    uint16_t at = p->socket_at[packet->head.dst.port];
    struct stun_message msg;

    if (at == 0) {
        trace_received(w, host, packet, "no socket has this port: ");
        return;
    }
    trace_received(w, host, packet, "gets ");
    if (stun_parse(packet->bytes, packet->size, &msg) != STUN_OK)
        dial_receive(w, host, at - 1u, packet);
    else if (at - 1u >= PEER_LEARN)
        learn_receive(w, host, at - 1u, &packet->head.src, &msg);
    else if (!warm_receive(w, host, at - 1u, &packet->head.src, &msg))
        dial_receive(w, host, at - 1u, packet);
    peer_wake(w, host);
}

void peer_wake(struct world *w, uint32_t host)
{
    warm_advance(w, host);
    dial_advance(w, host);
    learn_advance(w, host);
    sleep_on(w, host);
}

void peer_move(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    struct stun_addr *ip = &w->scene.host[host].ip;

    for (unsigned socket = 0; socket < PEER_SOCKETS; socket++)
        peer_close_socket(w, host, socket);
    p->surveying = p->learn.wanted = p->learn.running = false;
    ip->ip[3] = (uint8_t)(ip->ip[3] + 100);
    peer_open_socket(w, host, PUNCH_DATA_SOCKET);
    peer_open_socket(w, host, PEER_BARE);
    warm_keepalive(w, host);
    dial_moved(w, host);
    peer_wake(w, host);
}

void peer_leap(struct world *w, uint32_t host)
{
    w->peer[host].clock_us += w->scene.host[host].jump_us;
    trace_say(w, host == WORLD_CALLER ? "caller" : "callee", "* clock leaps by %.3f s",
              (double)w->scene.host[host].jump_us / 1e6);
    peer_wake(w, host);
}
