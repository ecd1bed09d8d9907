/* SPDX-License-Identifier: BSD-2-Clause */
/* What moves under a connection: our addresses, the session, the relay. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "peer/endpoint.h"

void conn_leap(struct eyelet_conn *conn, uint64_t now_us)
{
    if (conn->link != NULL && conn->path_up) {
        link_set_path(conn->link, now_us, false, conn->datagram_bytes);
        link_set_path(conn->link, now_us, true, conn->datagram_bytes);
    }
}

void conn_relay_changed(struct eyelet_conn *conn, uint64_t now_us)
{
    if (conn->punch == NULL || conn->bare || conn->state < CONN_PUNCHING) {
        return;
    }
    punch_set_relay(conn->punch, now_us, relay_way(conn) != RELAY_NONE);
    path_follow(conn, now_us);
    endpoint_wake(conn->ep);
}

void conns_relay_changed(struct eyelet_endpoint *ep, uint64_t now_us)
{
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        conn_relay_changed(c, now_us);
    }
}

/* The warm sockets are bound to no address, and live on; what was opened for a dial has no address
 * of its own to tell, and is not moved. */
static void conn_moved(struct eyelet_conn *conn, uint64_t now_us)
{
    static const unsigned shared[] = {PUNCH_DATA_SOCKET, PUNCH_IPV6_SOCKET};
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        const struct udp_socket *s = conn->sockets[shared[i]];
        if (s != NULL) {
            struct stun_addr local = conn_local_address(conn->ep, s);
            punch_add_socket(conn->punch, now_us, shared[i], &local);
        }
    }
    conn_add_ipv6(conn, now_us); /* there may have been none before */
    conn_tell(conn, "moved", "our own addresses have changed");
    calls_send_candidates(conn);
    punch_again(conn->punch, now_us);
}

static bool is_alive(const struct eyelet_conn *conn)
{
    return conn->punch != NULL && (conn->state == CONN_PUNCHING || conn->state == CONN_OPEN) &&
           conn->policy != EYELET_RELAY_ONLY && !conn->bare;
}

void conns_moved(struct eyelet_endpoint *ep, uint64_t now_us)
{
    mapping_moved(ep, now_us);
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        if (is_alive(c)) {
            conn_moved(c, now_us);
        }
    }
    endpoint_wake(ep);
}

void conns_follow_addresses(struct eyelet_endpoint *ep, uint64_t now_us)
{
    const struct session *s = &ep->session;
    const struct stun_addr now[] = {s->reflexive[PUNCH_DATA_SOCKET], s->reflexive[SESSION_IPV6],
                                    s->mapped, s->gateway};
    bool changed = false;
    _Static_assert(sizeof now == sizeof ep->told, "one for each");
    for (size_t i = 0; i < sizeof now / sizeof *now; i++) {
        changed = changed || !stun_addr_equal(&now[i], &ep->told[i]);
    }
    if (!changed || !s->announced) {
        return;
    }
    /* What is learned for the first time was attested when those who called early were introduced:
     * to punch anew would end what the peer has planned. Unless it came from another address than
     * the TLS session, and the mediator was shown only now that we receive there. */
    static const struct stun_addr nothing[sizeof now / sizeof *now];
    bool introduced_with_it = memcmp(ep->told, nothing, sizeof nothing) == 0 &&
                              !s->keepalives[PUNCH_DATA_SOCKET].challenged;
    memcpy(ep->told, now, sizeof now);
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        if (is_alive(c)) {
            punch_set_profile(c->punch, now_us, &s->profile);
            calls_send_candidates(c);
            if (c->carrier != CONN_DIRECT && !introduced_with_it) {
                calls_resume(c); /* with the new address attested, and both at the same moment */
            }
        }
    }
}

/* ---- the story ---- */

void conn_tell(struct eyelet_conn *conn, const char *what, const char *format, ...)
{
    char text[STORY_TEXT_BYTES];
    uint64_t now_us = endpoint_now_us();
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    story_tell(conn->story, now_us > conn->began_us ? now_us - conn->began_us : 0, what, "%s",
               text);
    endpoint_log(conn->ep, EYELET_LOG_DEBUG, "%s: %s", what, text);
}

void conn_tell_plan(struct eyelet_conn *conn)
{
    char text[PLAN_TEXT_BYTES];
    conn_tell(conn, "plan", "%s", why_plan(conn, text));
}
