/* SPDX-License-Identifier: BSD-2-Clause */
/* The first datagrams of a link: where they have gone, and where they must go once more. */
#include <stdlib.h>
#include <string.h>

#include "peer/endpoint.h"

static bool has_flown_to(const struct eyelet_conn *conn, const struct punch_pair *pair)
{
    for (size_t i = 0; i < conn->flown_count; i++) {
        if (conn->flown_to[i].socket == pair->socket &&
            stun_addr_equal(&conn->flown_to[i].remote, &pair->remote)) {
            return true;
        }
    }
    return false;
}

/* To a port that may be the one by which the peer hears. */
static bool is_guess(const struct eyelet_conn *conn, const struct punch_pair *route)
{
    return conn->usable_us == 0 && route->socket != PUNCH_RELAY &&
           (route->socket == PUNCH_FRESH_SOCKET || route->socket >= PUNCH_SEARCH_SOCKET);
}

void flight_went(struct eyelet_conn *conn, const struct punch_pair *route)
{
    if (route->socket != PUNCH_RELAY && !is_guess(conn, route) &&
        conn->flown_count < CONN_FLOWN_TO && !has_flown_to(conn, route)) {
        conn->flown_to[conn->flown_count++] = *route;
    }
}

/* The peer turns out to be where the handshake has not surely gone: it must not wait for the link's
 * timer. What is kept goes as it is: a leap of the link's clock would count as a round trip. */
void flight_heard(struct eyelet_conn *conn, uint64_t now_us, const struct punch_pair *pair)
{
    if (conn->link == NULL || link_is_established(conn->link) || has_flown_to(conn, pair)) {
        return;
    }
    if (conn->kept_flight != NULL && conn->kept_flight->count > 0) {
        conn->kept_flight->waits_for_peer = false;
    } else if (conn->path_up && conn->flown_count > 0) {
        link_set_path(conn->link, now_us, false, conn->datagram_bytes);
        link_set_path(conn->link, now_us, true, conn->datagram_bytes);
    }
}

void flight_forget(struct eyelet_conn *conn)
{
    free(conn->kept_flight);
    conn->kept_flight = NULL;
}

/* The handshake must not wait for the relay where a pair is faster, and the link has nothing more
 * to say until it is answered: what went by the relay alone goes to the pairs when they may be
 * tried, and what went unheard goes once more to the peer when it is heard elsewhere. */
void flight_keep(struct eyelet_conn *conn, const struct punch_pair *route, const uint8_t *bytes,
                 size_t size)
{
    if (conn->kept_flight == NULL) {
        conn->kept_flight = calloc(1, sizeof *conn->kept_flight);
    }
    struct flight *f = conn->kept_flight;
    if (f != NULL) {
        f->waits_for_peer = route->socket != PUNCH_RELAY;
        f->guessed = f->guessed || is_guess(conn, route);
    }
    if (f != NULL && f->count < CONN_FLIGHT_DATAGRAMS && size <= sizeof f->bytes[0]) {
        f->sizes[f->count] = size;
        memcpy(f->bytes[f->count++], bytes, size);
    }
}

static void send_kept(struct eyelet_conn *conn, size_t n, const struct punch_pair *route)
{
    const struct flight *f = conn->kept_flight;
    struct udp_socket *s = conn_socket(conn, route->socket);
    if (s != NULL) {
        (void)udp_send(s, &route->remote, 0, f->bytes[n], f->sizes[n], f->sizes[n]);
    }
}

static void repeat_by_hole(struct eyelet_conn *conn, uint64_t now_us)
{
    struct punch_pair hole;
    for (size_t n = 0; n < conn->kept_flight->count && punch_hole(conn->punch, now_us, &hole);
         n++) {
        send_kept(conn, n, &hole);
        conn->kept_flight->guessed = true;
    }
}

void flight_repeat(struct eyelet_conn *conn, uint64_t now_us)
{
    struct flight *f = conn->kept_flight;
    if (f == NULL) {
        return;
    }
    if (link_is_established(conn->link)) {
        flight_forget(conn);
        return;
    }
    if (f->waits_for_peer) {
        if (!f->guessed && conn->usable_us == 0) {
            repeat_by_hole(conn, now_us);
        }
        return;
    }
    if (punch_only_relay(conn->punch, now_us) || !punch_has_route(conn->punch, now_us)) {
        return;
    }
    for (size_t n = 0; n < f->count; n++) {
        struct punch_pair routes[PUNCH_MAX_ROUTES];
        size_t count = punch_routes(conn->punch, now_us, routes);
        for (size_t i = 0; i < count; i++) {
            send_kept(conn, n, &routes[i]);
            flight_went(conn, &routes[i]);
        }
        f->guessed = f->guessed || (count > 0 && is_guess(conn, &routes[0]));
    }
    f->waits_for_peer = true;
}
