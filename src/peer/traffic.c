/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams between sockets, engines and links. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer/endpoint.h"

#define RECEIVE_ROUNDS 32 /* before others get their turn */
#define OUTPUT_ROUNDS  32
/* An acknowledgement costs the way to the peer as much as 45 datagrams that travel as one: while
 * more is waiting to be read, each answers two such batches at least. */
#define ANSWERED_BYTES (128u << 10)
#define ECHO_GAP_US    10000u /* 100 a second, as eyelet.h says */
#define ECHO_BURST_US  200000u
#define GOODBYE_COPIES 3 /* nobody is there any more to repeat a lost one */

/* ---- in ---- */

static bool offer_to_engine(struct eyelet_conn *conn, uint64_t now_us, const struct udp_socket *s,
                            const struct stun_addr *from, const uint8_t *bytes, size_t size)
{
    if (conn->punch == NULL || conn_socket(conn, s->index) != s) {
        return false;
    }
    struct punch_pair pair = {.socket = s->index, .remote = *from};
    return punch_input(conn->punch, now_us, &pair, bytes, size);
}

static void receive_stun(struct eyelet_endpoint *ep, uint64_t now_us, struct udp_socket *s,
                         const struct stun_addr *from, const uint8_t *bytes, size_t size)
{
    for (unsigned i = 0; i < SESSION_SOCKETS; i++) {
        if (s == &ep->warm[i] && session_stun(ep, now_us, i, from, bytes, size)) {
            return;
        }
    }
    if (s == &ep->warm[PUNCH_DATA_SOCKET] && mapping_stun(ep, bytes, size)) {
        return;
    }
    if (s->owner != NULL) {
        if (!path_size_answered(s->owner, now_us, bytes, size)) {
            (void)offer_to_engine(s->owner, now_us, s, from, bytes, size);
        }
        return;
    }
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        if (path_size_answered(c, now_us, bytes, size) ||
            offer_to_engine(c, now_us, s, from, bytes, size)) {
            return;
        }
    }
}

static struct eyelet_conn *find_link(struct eyelet_endpoint *ep, const uint8_t *bytes, size_t size)
{
    const uint8_t *cid;
    size_t cid_bytes;
    bool is_initial;
    if (!link_datagram_cid(bytes, size, &cid, &cid_bytes, &is_initial)) {
        return NULL;
    }
    struct eyelet_conn *last = ep->last_heard;
    if (last != NULL && last->link != NULL && link_has_cid(last->link, cid, cid_bytes)) {
        return last;
    }
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        if (c->link != NULL && c->state != CONN_ENDED && link_has_cid(c->link, cid, cid_bytes)) {
            ep->last_heard = c;
            return c;
        }
    }
    return NULL; /* no dial has announced it */
}

static void receive_link(struct eyelet_endpoint *ep, uint64_t now_us, const struct udp_socket *s,
                         const struct stun_addr *from, const uint8_t *bytes, size_t size)
{
    struct eyelet_conn *conn = find_link(ep, bytes, size);
    if (conn == NULL || conn->state == CONN_ENDED || conn->policy == EYELET_RELAY_ONLY) {
        return;
    }
    if (link_input(conn->link, now_us, bytes, size) != LINK_OK) {
        return;
    }
    conn->heard_by_relay = false;
    conn->heard_from = (struct punch_pair){.socket = s->index, .remote = *from};
    if (conn->punch != NULL && conn->has_path && stun_addr_equal(&conn->pair.remote, from) &&
        conn_socket(conn, conn->pair.socket) == s) {
        punch_heard_link(conn->punch, now_us, &conn->pair);
    }
}

void traffic_relayed(struct eyelet_conn *conn, uint64_t now_us, const uint8_t *bytes, size_t size)
{
    static const struct punch_pair relay = {.socket = PUNCH_RELAY};
    const uint8_t *cid;
    size_t cid_bytes;
    bool is_initial;
    if (conn->link == NULL || conn->punch == NULL || conn->state == CONN_ENDED ||
        !link_datagram_cid(bytes, size, &cid, &cid_bytes, &is_initial) ||
        !link_has_cid(conn->link, cid, cid_bytes)) {
        return;
    }
    conn->ep->last_heard = conn;
    if (link_input(conn->link, now_us, bytes, size) == LINK_OK) {
        conn->heard_by_relay = true;
        punch_heard_link(conn->punch, now_us, &relay);
    }
}

static void receive_one(struct eyelet_endpoint *ep, uint64_t now_us, struct udp_socket *s,
                        const struct stun_addr *from, const uint8_t *bytes, size_t size)
{
    struct eyelet_conn *conn;
    if (stun_is_message(bytes, size)) {
        receive_stun(ep, now_us, s, from, bytes, size);
    } else if (!relay_receive(ep, now_us, from, bytes, size, &conn)) {
        receive_link(ep, now_us, s, from, bytes, size);
    } else if (conn != NULL) {
        traffic_relayed(conn, now_us, bytes + WIRE_RELAY_TAG_BYTES, size - WIRE_RELAY_TAG_BYTES);
    }
}

void traffic_receive(struct eyelet_endpoint *ep, uint64_t now_us, struct udp_socket *s)
{
    size_t unanswered = 0;
    for (int round = 0; round < RECEIVE_ROUNDS; round++) {
        struct stun_addr from;
        size_t segment;
        ssize_t got = udp_receive(s, ep->rx, &from, &segment);
        if (got < 0) {
            break;
        }
        unanswered += (size_t)got;
        /* What is sent in between may be answered within this loop: with one time for all of it the
         * link would measure round trips of no time, and keep its window tiny for good. */
        now_us = endpoint_now_us();
        for (size_t at = 0; at < (size_t)got; at += segment) {
            size_t size = (size_t)got - at < segment ? (size_t)got - at : segment;
            receive_one(ep, now_us, s, &from, ep->rx + at, size);
        }
        if (ep->last_heard != NULL && unanswered >= ANSWERED_BYTES) {
            unanswered = 0;
            traffic_flush(ep->last_heard, now_us); /* acknowledgements must not wait for the rest */
            if (!endpoint_has_socket(s)) {
                break;
            }
        }
    }
    if (ep->last_heard != NULL && unanswered > 0) {
        traffic_flush(ep->last_heard, now_us);
    }
}

/* ---- out ---- */

/* The engine may ask for the same one again: it then wants another. */
static void open_socket(struct eyelet_conn *conn, uint64_t now_us, unsigned index)
{
    struct eyelet_endpoint *ep = conn->ep;
    if (index == PUNCH_DATA_SOCKET || index >= PUNCH_MAX_SOCKETS) {
        return;
    }
    conn_release_socket(conn, index);
    struct udp_socket *s = calloc(1, sizeof *s);
    if (s == NULL || udp_open(s, STUN_IPV4) != 0 || !conn_set_socket(conn, index, s)) {
        if (s != NULL) {
            udp_close(s);
        }
        free(s);
        punch_remove_socket(conn->punch, now_us, index);
        return;
    }
    struct stun_addr local = conn_local_address(ep, s);
    (void)endpoint_watch(ep, s->fd, false, s);
    punch_add_socket(conn->punch, now_us, index, &local);
}

/* The mediator carries notes once the call has been answered; samples stay good until then. */
static void hold_note(struct eyelet_conn *conn, const struct punch_note *note)
{
    if (conn->early_note == NULL) {
        conn->early_note = malloc(sizeof *conn->early_note);
    }
    if (conn->early_note != NULL) {
        *conn->early_note = *note;
    }
}

static void send_note(struct eyelet_conn *conn, const struct punch_note *from_engine)
{
    wire_Note note;
    if (conn->policy == EYELET_RELAY_ONLY || !notes_to_wire(from_engine, &note)) {
        return;
    }
    if (from_engine->kind == PUNCH_NOTE_AGAIN) {
        calls_send_candidates(conn); /* where we are now */
    } else if (from_engine->kind == PUNCH_NOTE_PLAN) {
        conn_tell(conn, "plan", "planned for both sides: %s",
                  punch_technique_text(from_engine->plan.technique));
    }
    calls_send_note(conn, &note);
}

static void follow_engine(struct eyelet_conn *conn, uint64_t now_us)
{
    struct punch_event event;
    char text[STUN_ADDR_TEXT_BYTES];
    while (conn->punch != NULL && punch_poll_event(conn->punch, &event)) {
        if (conn->bare && conn->state >= CONN_OPEN) {
            continue; /* the peer may have taken its socket: its silence means nothing any more */
        }
        switch (event.kind) {
        case PUNCH_EVENT_USABLE:
            conn_tell(conn, "usable", "the peer is heard from %s",
                      stun_addr_text(&event.pair.remote, text));
            flight_heard(conn, &event.pair);
            if (conn->usable_us == 0) {
                conn->usable = event.pair;
                conn->usable_us = now_us;
                conn->usable_kind = event.remote_kind;
            }
            break;
        case PUNCH_EVENT_PATH:
            path_proven(conn, now_us, &event);
            break;
        case PUNCH_EVENT_WANT_SOCKET:
            for (unsigned i = 0; i < event.socket_count; i++) {
                open_socket(conn, now_us, event.socket + i);
            }
            break;
        case PUNCH_EVENT_DROP_SOCKET:
            for (unsigned i = 0; i < event.socket_count; i++) {
                conn_release_socket(conn, event.socket + i);
            }
            break;
        case PUNCH_EVENT_NOTE:
            if (conn->state < CONN_PUNCHING) {
                hold_note(conn, &event.note);
            } else {
                send_note(conn, &event.note);
            }
            break;
        case PUNCH_EVENT_DOUBT:
            path_doubted(conn, now_us);
            break;
        case PUNCH_EVENT_PATH_LOST:
            path_lost(conn, now_us);
            break;
        case PUNCH_EVENT_FAILED:
            path_failed(conn, &event);
            break;
        default:
            break;
        }
    }
}

static void flush_engine(struct eyelet_conn *conn, uint64_t now_us)
{
    uint8_t packet[PUNCH_MAX_PACKET_BYTES];
    struct punch_out out;
    follow_engine(conn, now_us);
    while (conn->punch != NULL && punch_output(conn->punch, now_us, &out, packet)) {
        struct udp_socket *s = conn_socket(conn, out.pair.socket);
        int error =
            s == NULL ? EBADF : udp_send(s, &out.pair.remote, out.ttl, packet, out.size, out.size);
        punch_sent(conn->punch, now_us, &out, error);
        follow_engine(conn, now_us);
    }
}

/* By which the relay is reached now, for waiting until it takes more. */
static struct udp_socket *relay_socket(const struct eyelet_conn *conn)
{
    struct stun_addr to = relay_address(conn);
    return &conn->ep->warm[to.family == STUN_IPV6 ? SESSION_IPV6 : PUNCH_DATA_SOCKET];
}

static int send_to(struct eyelet_conn *conn, const struct punch_pair *pair, const uint8_t *batch,
                   size_t bytes, size_t segment, struct udp_socket **by)
{
    if (pair->socket == PUNCH_RELAY) {
        *by = relay_socket(conn);
        return relay_send(conn, batch, bytes, segment);
    }
    *by = conn_socket(conn, pair->socket);
    return *by != NULL ? udp_send(*by, &pair->remote, 0, batch, bytes, segment) : EBADF;
}

/* False: the socket is full, and the batch is kept. */
static bool send_batch(struct eyelet_conn *conn, uint64_t now_us, const uint8_t *batch,
                       size_t bytes, size_t segment)
{
    struct eyelet_endpoint *ep = conn->ep;
    struct punch_pair routes[PUNCH_MAX_ROUTES];
    size_t count = punch_routes(conn->punch, now_us, routes);
    for (size_t i = 0; i < count; i++) {
        struct udp_socket *s;
        int error = send_to(conn, &routes[i], batch, bytes, segment, &s);
        if (error == EAGAIN && count == 1 && batch == ep->tx) {
            ep->unsent = (struct unsent){
                .conn = conn, .pair = routes[i], .bytes = bytes, .segment_bytes = segment};
            endpoint_rewatch(ep, s->fd, true, s);
            return false;
        }
    }
    punch_sent_link(conn->punch, now_us);
    if (count > 0 && !link_is_established(conn->link)) {
        flight_keep(conn, routes, count, batch, bytes);
    }
    return true;
}

void traffic_retry_unsent(struct eyelet_endpoint *ep)
{
    struct unsent u = ep->unsent;
    if (u.bytes == 0) {
        return;
    }
    struct udp_socket *s;
    if (send_to(u.conn, &u.pair, ep->tx, u.bytes, u.segment_bytes, &s) == EAGAIN) {
        endpoint_rewatch(ep, s->fd, true, s);
        return;
    }
    ep->unsent = (struct unsent){0};
}

/* The callee's first flight completes the handshake at the caller: whoever is to be refused must
 * not get it. */
static bool may_be_refused(const struct eyelet_conn *conn)
{
    return conn->incoming && !conn->shown && !conn->probe;
}

static void flush_link(struct eyelet_conn *conn, uint64_t now_us)
{
    struct eyelet_endpoint *ep = conn->ep;
    if (may_be_refused(conn)) {
        return;
    }
    bool up = conn->punch != NULL && punch_has_route(conn->punch, now_us);
    if (up != conn->path_up) {
        conn->path_up = up;
        link_set_path(conn->link, now_us, up, conn->datagram_bytes);
    }
    if (up) {
        flight_repeat(conn, now_us);
    }
    for (int round = 0; up && ep->unsent.bytes == 0; round++) {
        if (!conn->has_path && !punch_has_route(conn->punch, now_us)) {
            break; /* the budget of unproven addresses is used up for now */
        }
        if (round == OUTPUT_ROUNDS) {
            endpoint_wake(ep);
            break;
        }
        size_t segment;
        /* The engine counts each packet that goes to an address not proven yet. */
        bool alone = conn->has_path ||
                     (link_is_established(conn->link) && punch_only_relay(conn->punch, now_us));
        size_t room = alone ? sizeof ep->tx : LINK_MAX_DATAGRAM_BYTES;
        size_t bytes = link_output(conn->link, now_us, ep->tx, room, &segment);
        if (bytes == 0 || !send_batch(conn, now_us, ep->tx, bytes, segment)) {
            break;
        }
    }
}

void traffic_close(struct eyelet_conn *conn, uint64_t now_us, uint64_t code, const char *text)
{
    uint8_t packet[LINK_MAX_DATAGRAM_BYTES];
    size_t segment;
    if (conn->link == NULL) {
        return;
    }
    traffic_flush(conn, now_us); /* what was written goes first */
    link_close(conn->link, code, text);
    if (conn->relay_open && !conn->has_path) {
        calls_goodbye(conn, code, text);
    }
    if (!conn->path_up || conn->punch == NULL) {
        return;
    }
    size_t bytes = link_output(conn->link, now_us, packet, sizeof packet, &segment);
    for (int copy = 0; bytes > 0 && copy < GOODBYE_COPIES; copy++) {
        (void)send_batch(conn, now_us, packet, bytes, segment);
    }
}

static bool may_echo(struct eyelet_conn *conn, uint64_t now_us)
{
    if (conn->echo_us + ECHO_BURST_US < now_us) {
        conn->echo_us = now_us - ECHO_BURST_US;
    }
    if (conn->echo_us > now_us) {
        return false;
    }
    conn->echo_us += ECHO_GAP_US;
    return true;
}

/* The callee's part of a probe: messages go back, and nothing else is known. */
static void echo(struct eyelet_conn *conn, uint64_t now_us)
{
    struct link_event e;
    while (link_poll_event(conn->link, &e)) {
        uint8_t copy[LINK_MAX_DATAGRAM_BYTES];
        if (e.kind == LINK_EVENT_MESSAGE && e.bytes <= sizeof copy && may_echo(conn, now_us)) {
            memcpy(copy, e.data, e.bytes);
            (void)link_send_message(conn->link, copy, e.bytes);
        } else if (e.kind == LINK_EVENT_STREAM_OPENED) {
            link_stream_reset(conn->link, e.stream, 0);
        }
    }
}

static void link_ended(struct eyelet_conn *conn)
{
    const struct link_close_reason *r = link_close_reason(conn->link);
    conn->code = r->code;
    switch (r->kind) {
    case LINK_CLOSE_LOCAL:
    case LINK_CLOSE_PEER:
        if (r->kind == LINK_CLOSE_PEER && r->code == CONN_REFUSED_CODE) {
            conn_fail(conn, EYELET_ERR_REFUSED, "the peer refused the call: %s", r->text);
            break;
        }
        snprintf(conn->why, sizeof conn->why, "%s", r->text);
        conn_end(conn);
        break;
    case LINK_CLOSE_WRONG_PEER:
        conn_fail(conn, EYELET_ERR_WRONG_PEER,
                  "somebody answered who does not hold the key of this peer");
        break;
    case LINK_CLOSE_IDLE:
        conn_fail(conn, EYELET_ERR_TIMEOUT, "the peer has fallen silent");
        break;
    default:
        conn_fail(conn, EYELET_ERR_PROTOCOL, "the encrypted link failed: %s", r->text);
        break;
    }
}

static void follow_link(struct eyelet_conn *conn, uint64_t now_us)
{
    if (conn->state == CONN_PUNCHING && link_is_established(conn->link)) {
        if (!conn->has_path && !conn->heard_by_relay &&
            conn->heard_from.remote.family != STUN_NO_FAMILY) { /* or no address is known yet */
            path_usable(conn, now_us);
        }
        conn->state = CONN_OPEN;
        conn->was_open = true;
        conn->news |= CONN_NEWS_CONNECTED;
    }
    if (conn->state != CONN_ENDING && link_close_reason(conn->link)->kind != LINK_CLOSE_NONE) {
        link_ended(conn);
    }
}

void traffic_flush(struct eyelet_conn *conn, uint64_t now_us)
{
    if (conn->state == CONN_ENDED || (conn->state < CONN_PUNCHING && conn->punch == NULL)) {
        return;
    }
    flush_engine(conn, now_us);
    if (conn->state < CONN_PUNCHING) {
        return;
    }
    if (conn->link != NULL && conn->state != CONN_ENDED) {
        if (conn->probe && !conn->caller) {
            echo(conn, now_us);
        }
        flush_link(conn, now_us);
        follow_link(conn, now_us);
        path_follow(conn, now_us);
    }
}
