/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/flight.h"

#include <stdlib.h>
#include <string.h>

#include "peer/endpoint.h"

static bool has_gone_by(const struct flight *f, const struct punch_pair *pair)
{
    for (size_t i = 0; i < f->gone_by_count; i++) {
        if (f->gone_by[i].socket == pair->socket &&
            stun_addr_equal(&f->gone_by[i].remote, &pair->remote)) {
            return true;
        }
    }
    return false;
}

/* To a port that may be the one by which the peer hears. */
static bool is_guess(const struct eyelet_conn *conn, const struct punch_pair *route)
{
    return conn->usable_us == 0 && punch_is_guess(conn->punch, route);
}

static enum flight_state after_sending(const struct eyelet_conn *conn,
                                       const struct punch_pair *route)
{
    if (route->socket == PUNCH_RELAY) {
        return FLIGHT_DUE;
    }
    bool guessed = is_guess(conn, route) || conn->flight.state == FLIGHT_GUESSED;
    return guessed ? FLIGHT_GUESSED : FLIGHT_OUT;
}

static void note_gone(struct eyelet_conn *conn, const struct punch_pair *routes, size_t count)
{
    struct flight *f = &conn->flight;
    for (size_t i = 0; i < count && f->gone_by_count < FLIGHT_PAIRS; i++) {
        if (routes[i].socket != PUNCH_RELAY && !is_guess(conn, &routes[i]) &&
            !has_gone_by(f, &routes[i])) {
            f->gone_by[f->gone_by_count++] = routes[i];
        }
    }
}

/* What is kept goes as it is: a leap of the link's clock would count as a round trip. */
void flight_heard(struct eyelet_conn *conn, const struct punch_pair *pair)
{
    struct flight *f = &conn->flight;
    if (f->state != FLIGHT_NONE && !has_gone_by(f, pair)) {
        f->state = FLIGHT_DUE;
    }
}

void flight_forget(struct flight *f)
{
    free(f->datagrams);
    *f = (struct flight){.state = FLIGHT_NONE};
}

void flight_keep(struct eyelet_conn *conn, const struct punch_pair *routes, size_t route_count,
                 const uint8_t *bytes, size_t size)
{
    struct flight *f = &conn->flight;
    if (f->datagrams == NULL) {
        f->datagrams = calloc(FLIGHT_DATAGRAMS, sizeof *f->datagrams);
    }
    f->state = after_sending(conn, &routes[0]);
    note_gone(conn, routes, route_count);
    if (f->datagrams != NULL && f->count < FLIGHT_DATAGRAMS && size <= sizeof f->datagrams->bytes) {
        f->datagrams[f->count].size = size;
        memcpy(f->datagrams[f->count++].bytes, bytes, size);
    }
}

static void send_kept(struct eyelet_conn *conn, const struct flight_datagram *d,
                      const struct punch_pair *route)
{
    struct udp_socket *s = conn_socket(conn, route->socket);
    if (s != NULL) {
        (void)udp_send(s, &route->remote, 0, d->bytes, d->size, d->size);
    }
}

static void repeat_by_pairs(struct eyelet_conn *conn, uint64_t now_us)
{
    struct flight *f = &conn->flight;
    if (punch_only_relay(conn->punch, now_us) || !punch_has_route(conn->punch, now_us)) {
        return;
    }
    f->state = FLIGHT_OUT;
    for (size_t n = 0; n < f->count; n++) {
        struct punch_pair routes[PUNCH_MAX_ROUTES];
        size_t count = punch_routes(conn->punch, now_us, routes);
        for (size_t i = 0; i < count; i++) {
            send_kept(conn, &f->datagrams[n], &routes[i]);
        }
        note_gone(conn, routes, count);
        if (count > 0 && is_guess(conn, &routes[0])) {
            f->state = FLIGHT_GUESSED;
        }
    }
}

static void repeat_by_guesses(struct eyelet_conn *conn, uint64_t now_us)
{
    struct flight *f = &conn->flight;
    struct punch_pair routes[PUNCH_MAX_ROUTES];
    if (conn->usable_us != 0) {
        return; /* where the peer is heard needs no guess */
    }
    for (size_t n = 0; n < f->count; n++) {
        size_t count = punch_guesses(conn->punch, now_us, routes);
        for (size_t i = 0; i < count; i++) {
            send_kept(conn, &f->datagrams[n], &routes[i]);
            f->state = FLIGHT_GUESSED;
        }
    }
}

void flight_repeat(struct eyelet_conn *conn, uint64_t now_us)
{
    if (conn->flight.state != FLIGHT_NONE && link_is_established(conn->link)) {
        flight_forget(&conn->flight);
    }
    switch (conn->flight.state) {
    case FLIGHT_DUE:
        repeat_by_pairs(conn, now_us);
        break;
    case FLIGHT_OUT:
        repeat_by_guesses(conn, now_us);
        break;
    case FLIGHT_NONE:
    case FLIGHT_GUESSED:
        break;
    }
}
