/* SPDX-License-Identifier: BSD-2-Clause */
#include "net_sim.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "stun/stun.h"

static const char link_bytes[] = "LINK-PACKET";

uint64_t net_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void net_random_bytes(void *context, uint8_t *out, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)net_random(context);
}

const char *net_nat_name(enum net_nat_kind kind)
{
    static const char *const names[NET_NAT_KINDS] = {"cone",   "cone-adf", "full-cone", "linux",
                                                     "step+1", "step+2",   "random",    "open"};

    return names[kind];
}

static bool is_bounce(const struct net *n, const struct stun_addr *addr)
{
    for (size_t i = 0; i < 4; i++) {
        if (stun_addr_equal(&n->bounce[i], addr))
            return true;
    }
    return false;
}

void net_carry(struct net *n, uint64_t delay_us, int lan, const struct stun_addr *from,
               const struct stun_addr *to, const uint8_t *bytes, size_t size)
{
    unsigned copies = net_random(&n->random) % 100 < n->duplicate_percent ? 2 : 1;

    if (net_random(&n->random) % 100 < n->loss_percent && lan < NET_RELAYED)
        return;
    for (size_t i = 0; i < NET_PACKETS && copies > 0; i++) {
        if (n->packet[i].used)
            continue;
        n->packet[i].used = true;
        if (i >= n->packets)
            n->packets = i + 1;
        n->packet[i].at_us =
            n->now_us + delay_us + (n->jitter_us > 0 ? net_random(&n->random) % n->jitter_us : 0);
        n->packet[i].from = *from;
        n->packet[i].to = *to;
        n->packet[i].lan = lan;
        n->packet[i].size = (uint16_t)size;
        memcpy(n->packet[i].bytes, bytes, size);
        copies--;
    }
    assert(copies == 0);
}

static int host_at(const struct net *n, int lan, const struct stun_addr *addr)
{
    for (int h = 0; h < 2; h++) {
        unsigned socket = n->host[h].socket_at[addr->port];

        if (n->host[h].nat == lan && socket != 0 &&
            stun_addr_equal(&n->host[h].local[socket - 1], addr))
            return h;
    }
    return -1;
}

static void transmit(struct net *n, int h, unsigned socket, const struct stun_addr *to, uint8_t ttl,
                     const uint8_t *bytes, size_t size)
{
    struct net_host *host = &n->host[h];
    struct stun_addr from = host->local[socket];
    unsigned hops = host->nat == NET_OPEN ? 0 : 1;
    bool model = host->nat != NET_OPEN && n->layers[host->nat] > 0;

    if (to->family == STUN_IPV6) {
        if (net_out6(n, h, &from, to, ttl))
            net_carry(n, n->one_way_us, NET_OPEN, &from, to, bytes, size);
        return;
    }
    if (stun_addr_is_private(to) && !(n->same_cgn && to->ip[0] == 100)) {
        if (host_at(n, host->nat, to) < 0)
            host->to_stranger++;
        net_carry(n, 200, host->nat, &from, to, bytes, size);
        return;
    }
    if (model) {
        hops = n->layers[host->nat];
        if (!net_model_out(n, host->nat, &from, to, ttl, bytes, size))
            return;
    }
    if (ttl != 0 && ttl <= hops)
        return;
    if (host->nat != NET_OPEN && !model) {
        if (stun_addr_same_ip(to, &n->nat[host->nat].public_ip))
            return; /* no hairpin */
        small_nat_out(&n->nat[host->nat], &from, to);
    }
    if (is_bounce(n, to)) {
        net_carry(n, n->bounce_of_us[h] > 0 ? n->bounce_of_us[h] : n->bounce_us, NET_OPEN, &from,
                  to, bytes, size);
        return;
    }
    if (net_nat_at(n, to) == NET_OPEN && host_at(n, NET_OPEN, to) < 0)
        host->to_stranger++;
    if (ttl == 0 || ttl > hops + n->core_hops)
        net_carry(n, n->one_way_us, NET_OPEN, &from, to, bytes, size);
}

/* A port that the other side never gave to its data socket: prediction has a budget of its own. */
static bool is_guess(const struct net *n, int h, const struct stun_addr *to)
{
    const struct net_host *other = &n->host[1 - h];

    return stun_addr_same_ip(to, &other->public_addr) &&
           !stun_addr_equal(to, &other->public_addr) && n->host[h].usable_us == UINT64_MAX;
}

static void count(struct net *n, int h, const struct stun_addr *to, bool link)
{
    struct net_host *host = &n->host[h];

    if (is_bounce(n, to) || host->path_us != UINT64_MAX)
        return;
    if (link && host->usable_us != UINT64_MAX)
        return;
    if (host->first_plain_us == UINT64_MAX)
        host->first_plain_us = n->now_us;
    if (n->now_us < host->first_plain_us + 100000)
        host->plain_100ms++;
    if (n->now_us < host->first_plain_us + 1000000)
        host->plain_1s++;
}

static void send_note(struct net *n, int from, const struct punch_note *note)
{
    if (n->notes_lost)
        return;
    n->host[from].agains += note != NULL && note->kind == PUNCH_NOTE_AGAIN;
    for (size_t i = 0; i < NET_NOTES; i++) {
        if (n->note[i].used)
            continue;
        n->note[i].used = true;
        n->note[i].at_us = n->now_us + n->note_us;
        n->note[i].to = 1 - from;
        n->note[i].candidates = note == NULL;
        if (note != NULL)
            n->note[i].note = *note;
        return;
    }
    assert(false);
}

static void close_socket(struct net_host *host, unsigned socket)
{
    if (!host->has_socket[socket])
        return;
    host->has_socket[socket] = false;
    host->socket_at[host->local[socket].port] = 0;
    if (socket >= PUNCH_SEARCH_SOCKET)
        host->sockets--;
}

static void open_socket(struct net *n, int h, unsigned socket)
{
    struct net_host *host = &n->host[h];

    close_socket(host, socket);
    host->local[socket] = host->local[0];
    do
        host->local[socket].port = (uint16_t)(30000 + net_random(&n->random) % 30000);
    while (host->socket_at[host->local[socket].port] != 0);
    host->socket_at[host->local[socket].port] = (uint16_t)(socket + 1);
    host->has_socket[socket] = true;
    if (socket >= PUNCH_SEARCH_SOCKET && ++host->sockets > host->most_sockets)
        host->most_sockets = host->sockets;
    punch_add_socket(host->engine, n->now_us, socket, &host->local[socket]);
}

void net_send_link(struct net *n, int h)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES];
    size_t routed = punch_routes(n->host[h].engine, n->now_us, routes);

    if (routed > 0)
        punch_sent_link(n->host[h].engine, n->now_us);
    for (size_t i = 0; i < routed; i++) {
        if (routes[i].socket == PUNCH_RELAY) {
            if (!n->relay_down)
                net_carry(n, n->note_us, NET_RELAYED + 1 - h, &n->host[h].local[0],
                          &n->host[1 - h].local[0], (const uint8_t *)link_bytes,
                          sizeof(link_bytes));
            continue;
        }
        n->host[h].links++;
        count(n, h, &routes[i].remote, true);
        transmit(n, h, routes[i].socket, &routes[i].remote, 0, (const uint8_t *)link_bytes,
                 sizeof(link_bytes));
    }
}

static void on_event(struct net *n, int h, const struct punch_event *e)
{
    struct net_host *host = &n->host[h];

    switch (e->kind) {
    case PUNCH_EVENT_NONE:
        break;
    case PUNCH_EVENT_USABLE:
        host->hits += e->pair.socket >= PUNCH_SEARCH_SOCKET;
        if (host->usable_us == UINT64_MAX) {
            host->usable_us = n->now_us;
            host->usable = *e;
        }
        break;
    case PUNCH_EVENT_PROVEN:
        if (host->proven_us == UINT64_MAX) {
            host->proven_us = n->now_us;
            host->proven = *e;
        }
        break;
    case PUNCH_EVENT_PATH:
        host->path_us = n->now_us;
        host->path = *e;
        host->paths++;
        break;
    case PUNCH_EVENT_WANT_SOCKET:
        host->wants += e->socket == PUNCH_FRESH_SOCKET;
        for (unsigned i = 0; i < e->socket_count; i++)
            open_socket(n, h, e->socket + i);
        break;
    case PUNCH_EVENT_DROP_SOCKET:
        for (unsigned i = 0; i < e->socket_count; i++)
            close_socket(host, e->socket + i);
        break;
    case PUNCH_EVENT_NOTE:
        host->asked_first += e->note.kind == PUNCH_NOTE_SEND_FIRST;
        host->plans += e->note.kind == PUNCH_NOTE_PLAN;
        host->samples += e->note.kind == PUNCH_NOTE_SAMPLES;
        send_note(n, h, &e->note);
        break;
    case PUNCH_EVENT_PATH_LOST:
        host->lost_us = n->now_us;
        host->losses++;
        host->keepalive_us = n->now_us + 2 * n->bounce_us;
        break;
    case PUNCH_EVENT_DOUBT:
        host->doubt_us = n->now_us;
        host->doubts++;
        host->keepalive_us = n->now_us + 2 * n->bounce_us;
        break;
    case PUNCH_EVENT_FAILED:
        host->failed_us = n->now_us;
        host->failed = *e;
        host->failures++;
        break;
    }
}

static void count_search(struct net *n, int h, const struct punch_pair *pair)
{
    struct net_host *host = &n->host[h];
    unsigned i;

    if (pair->socket < PUNCH_SEARCH_SOCKET && !is_guess(n, h, &pair->remote))
        return;
    host->search_us[host->searched++ % 1024] = n->now_us;
    for (i = 0; i < 1024 && i < host->searched; i++) {
        if (host->search_us[(host->searched - 1 - i) % 1024] + 1000000 <= n->now_us)
            break;
    }
    if (i > host->busiest)
        host->busiest = i;
}

static void flush(struct net *n, int h)
{
    struct net_host *host = &n->host[h];
    uint8_t buffer[PUNCH_MAX_PACKET_BYTES];
    struct punch_event event;
    struct punch_out out;
    bool again = true;

    if (host->engine == NULL)
        return;
    for (unsigned turns = 0; again; turns++) {
        assert(turns < 1000);
        again = false;
        while (punch_poll_event(host->engine, &event)) {
            again = true;
            on_event(n, h, &event);
        }
        while (punch_output(host->engine, n->now_us, &out, buffer)) {
            bool is_request = buffer[0] == 0 && buffer[1] == 1;

            again = true;
            assert(out.size <= PUNCH_MAX_PACKET_BYTES);
            assert(host->has_socket[out.pair.socket]);
            if (is_request && !is_bounce(n, &out.pair.remote)) {
                host->checks++;
                host->openers += out.ttl != 0;
                count_search(n, h, &out.pair);
                if (out.pair.socket != PUNCH_FRESH_SOCKET &&
                    out.pair.socket < PUNCH_SEARCH_SOCKET && !is_guess(n, h, &out.pair.remote))
                    count(n, h, &out.pair.remote, false);
                n->last_request[h].host = h;
                n->last_request[h].to = out.pair.remote;
                n->last_request[h].size = (uint16_t)out.size;
                memcpy(n->last_request[h].bytes, buffer, out.size);
            } else if (!is_request) {
                host->answers++;
            }
            if (host->refuse == 0)
                transmit(n, h, out.pair.socket, &out.pair.remote, out.ttl, buffer, out.size);
            punch_sent(host->engine, n->now_us, &out, host->refuse);
        }
    }
    assert(punch_next_timeout(host->engine) > n->now_us);
}

static void bounce(struct net *n, const struct stun_addr *server, const struct stun_addr *client,
                   const uint8_t *bytes, size_t size)
{
    uint8_t buffer[PUNCH_MAX_PACKET_BYTES];
    uint64_t delay_us = n->bounce_us;
    struct stun_message msg;
    struct stun_builder b;

    if (n->bounce_down || stun_parse(bytes, size, &msg) != STUN_OK)
        return;
    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_SUCCESS, msg.transaction);
    stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, client);
    for (int h = 0; h < 2; h++) {
        if (n->bounce_of_us[h] > 0 && n->host[h].nat != NET_OPEN &&
            n->host[h].nat == net_nat_at(n, client))
            delay_us = n->bounce_of_us[h];
    }
    net_carry(n, delay_us, NET_OPEN, server, client, buffer, stun_finish(&b));
}

static void heard(struct net *n, int h, const struct punch_pair *pair)
{
    struct net_host *host = &n->host[h];

    if (host->link_us == UINT64_MAX)
        host->link_us = n->now_us;
    else if (n->now_us - host->heard_us > host->stall_us)
        host->stall_us = n->now_us - host->heard_us;
    host->heard_us = n->now_us;
    host->relayed += pair->socket == PUNCH_RELAY;
    punch_heard_link(host->engine, n->now_us, pair);
}

static void deliver(struct net *n, size_t i)
{
    const struct net_packet packet = n->packet[i]; /* its place is used again meanwhile */
    struct punch_pair pair = {.remote = packet.from};
    struct stun_addr to = packet.to;
    int lan = packet.lan, h;
    bool first;

    n->packet[i].used = false;
    while (n->packets > 0 && !n->packet[n->packets - 1].used)
        n->packets--;
    if (lan >= NET_RELAYED) {
        heard(n, lan - NET_RELAYED, &(struct punch_pair){.socket = PUNCH_RELAY});
        flush(n, lan - NET_RELAYED);
        return;
    }
    if (lan == NET_OPEN && to.family == STUN_IPV6) {
        if (!net_in6(n, &packet.from, &to))
            return;
    } else if (lan == NET_OPEN) {
        if (is_bounce(n, &to)) {
            bounce(n, &to, &packet.from, packet.bytes, packet.size);
            return;
        }
        lan = net_nat_at(n, &to);
        if (lan != NET_OPEN && n->layers[lan] > 0
                ? !net_model_in(n, &lan, n->layers[lan], &packet.from, &to)
                : lan != NET_OPEN && !small_nat_in(&n->nat[lan], &packet.from, &to))
            return;
    }
    h = to.family == STUN_IPV6 ? to.ip[15] - 1 : host_at(n, lan, &to);
    if (h < 0 || n->host[h].engine == NULL)
        return;
    pair.socket = n->host[h].socket_at[to.port] - 1u;
    first = n->host[h].usable_us == UINT64_MAX;
    if (packet.size == sizeof(link_bytes) &&
        memcmp(packet.bytes, link_bytes, sizeof(link_bytes)) == 0) {
        heard(n, h, &pair);
    } else {
        punch_input(n->host[h].engine, n->now_us, &pair, packet.bytes, packet.size);
    }
    flush(n, h);
    if (first && n->host[h].usable_us != UINT64_MAX && !n->no_link)
        net_send_link(n, h);
}

static uint64_t next_time(struct net *n, size_t *packet, size_t *note, int *host)
{
    uint64_t next = UINT64_MAX;

    *packet = NET_PACKETS;
    *note = NET_NOTES;
    *host = -1;
    for (int h = 0; h < 2; h++) {
        uint64_t at =
            n->host[h].engine == NULL ? UINT64_MAX : punch_next_timeout(n->host[h].engine);

        at = n->host[h].talk_us < at ? n->host[h].talk_us : at;
        at = n->keepalives && n->host[h].keepalive_us < at ? n->host[h].keepalive_us : at;
        if (at < next) {
            next = at;
            *host = h;
        }
    }
    for (size_t i = 0; i < n->packets; i++) {
        if (n->packet[i].used && n->packet[i].at_us < next) {
            next = n->packet[i].at_us;
            *packet = i;
        }
    }
    for (size_t i = 0; i < NET_NOTES; i++) {
        if (n->note[i].used && n->note[i].at_us < next) {
            next = n->note[i].at_us;
            *note = i;
        }
    }
    return next;
}

static void wake(struct net *n, int h)
{
    struct net_host *host = &n->host[h];

    punch_handle_timeout(host->engine, n->now_us);
    flush(n, h);
    if (n->keepalives && n->now_us >= host->keepalive_us) {
        host->keepalive_us = UINT64_MAX;
        net_keepalive_answered(n, h);
        flush(n, h);
    }
    if (n->now_us < host->talk_us)
        return;
    host->talk_us = n->now_us + n->talk_gap_us;
    net_send_link(n, h);
    flush(n, h);
}

static bool step(struct net *n, uint64_t until_us)
{
    size_t packet, note;
    int host;
    uint64_t next = next_time(n, &packet, &note, &host);

    if (next > until_us) {
        if (n->now_us < until_us)
            n->now_us = until_us;
        return false;
    }
    n->now_us = next;
    if (note < NET_NOTES) {
        int to = n->note[note].to;

        n->note[note].used = false;
        if (n->host[to].engine == NULL)
            return true;
        if (n->note[note].candidates)
            net_candidates(n, to);
        else
            punch_note_input(n->host[to].engine, n->now_us, &n->note[note].note);
        flush(n, to);
    } else if (packet < NET_PACKETS) {
        deliver(n, packet);
    } else {
        wake(n, host);
    }
    return true;
}

void net_run(struct net *n, uint64_t until_us)
{
    while (step(n, until_us))
        ;
}

bool net_run_connected(struct net *n, uint64_t until_us)
{
    do {
        if (n->host[0].engine != NULL && n->host[1].engine != NULL &&
            punch_is_connected(n->host[0].engine) && punch_is_connected(n->host[1].engine))
            return true;
    } while (step(n, until_us));
    return false;
}

void net_flush(struct net *n, int host)
{
    flush(n, host);
}

void net_note_candidates(struct net *n, int from)
{
    send_note(n, from, NULL);
}

void net_inject(struct net *n, uint64_t at_us, const struct stun_addr *from,
                const struct stun_addr *to, const uint8_t *bytes, size_t size)
{
    net_carry(n, at_us - n->now_us, NET_OPEN, from, to, bytes, size);
}
