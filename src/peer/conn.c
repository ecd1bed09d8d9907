/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer/endpoint.h"
#include "punch/plan.h"

struct eyelet_conn *conn_new(struct eyelet_endpoint *ep, const struct identity_id *peer,
                             uint64_t now_us)
{
    struct eyelet_conn *conn = ep->conn_count < CONN_MAX_PER_EP ? calloc(1, sizeof *conn) : NULL;
    if (conn == NULL) {
        return NULL;
    }
    conn->ep = ep;
    conn->peer = *peer;
    conn->began_us = now_us;
    conn->policy = ep->policy;
    conn->story = story_new();
    conn->stranded_us = UINT64_MAX;
    conn->timeout_us = ep->dial_timeout_us;
    conn->timeout_at_us = now_us + conn->timeout_us;
    conn->bare_ready_us = conn->goodbye_us = conn->size.next_us = UINT64_MAX;
    conn->datagram_bytes = LINK_MIN_DATAGRAM_BYTES;
    conn->main_stream = -1;
    struct eyelet_conn **end = &ep->conns;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = conn;
    ep->conn_count++;
    return conn;
}

struct udp_socket *conn_socket(const struct eyelet_conn *conn, unsigned index)
{
    if (index < PUNCH_SEARCH_SOCKET) {
        return conn->sockets[index];
    }
    return conn->search_sockets != NULL && index < PUNCH_MAX_SOCKETS
               ? conn->search_sockets[index - PUNCH_SEARCH_SOCKET]
               : NULL;
}

/* The endpoint's: all its links use them. */
static bool is_shared(const struct eyelet_endpoint *ep, const struct udp_socket *s)
{
    return s == &ep->warm[PUNCH_DATA_SOCKET] || s == &ep->warm[SESSION_IPV6];
}

bool conn_set_socket(struct eyelet_conn *conn, unsigned index, struct udp_socket *s)
{
    if (index >= PUNCH_SEARCH_SOCKET && conn->search_sockets == NULL) {
        conn->search_sockets = calloc(PUNCH_SEARCH_SOCKETS, sizeof(struct udp_socket *));
        if (conn->search_sockets == NULL) {
            return false;
        }
    }
    if (index < PUNCH_SEARCH_SOCKET) {
        conn->sockets[index] = s;
    } else {
        conn->search_sockets[index - PUNCH_SEARCH_SOCKET] = s;
    }
    if (s != NULL && !is_shared(conn->ep, s)) {
        s->owner = conn;
        s->index = index;
    }
    return true;
}

void conn_release_socket(struct eyelet_conn *conn, unsigned index)
{
    struct udp_socket *s = conn_socket(conn, index);
    if (s == NULL) {
        return;
    }
    (void)conn_set_socket(conn, index, NULL);
    if (conn->ep->unsent.conn == conn && conn->ep->unsent.pair.socket == index) {
        conn->ep->unsent = (struct unsent){0}; /* nothing will say that there is room again */
    }
    if (is_shared(conn->ep, s)) {
        return;
    }
    if (s->fd >= 0) {
        endpoint_unwatch(conn->ep, s->fd);
        udp_close(s);
    }
    s->owner = NULL;
    s->next = conn->ep->closed;
    conn->ep->closed = s;
}

static void stop_punching(struct eyelet_conn *conn)
{
    calls_end(conn);
    conn->relay_open = false;
    conn->carrier = CONN_NO_CARRIER;
    free(conn->punch);
    conn->punch = NULL;
    free(conn->early_note);
    conn->early_note = NULL;
    conn->path_up = false;
    conn->size.next_us = UINT64_MAX;
    for (unsigned i = 0; i < PUNCH_MAX_SOCKETS; i++) {
        conn_release_socket(conn, i);
    }
    free(conn->search_sockets);
    conn->search_sockets = NULL;
    if (conn->ep->unsent.conn == conn) {
        conn->ep->unsent = (struct unsent){0};
    }
    if (conn->ep->last_heard == conn) {
        conn->ep->last_heard = NULL;
    }
}

void conn_reset(struct eyelet_conn *conn)
{
    stop_punching(conn);
    link_free(conn->link);
    conn->link = NULL;
    flight_forget(&conn->flight);
    conn->has_path = false;
    conn->carrier = CONN_NO_CARRIER;
    conn->failure = PUNCH_FAILURE_NONE;
    conn->usable_us = 0;
    conn->bare_ready_us = conn->stranded_us = UINT64_MAX;
    conn->datagram_bytes = LINK_MIN_DATAGRAM_BYTES;
    conn->heard_by_relay = conn->was_silent = conn->relay_resuming = false;
    conn->news &= ~(unsigned)CONN_NEWS_PATH;
    gnutls_memset(&conn->offer, 0, sizeof conn->offer);
    gnutls_memset(&conn->keys, 0, sizeof conn->keys);
}

void conn_destroy(struct eyelet_conn *conn)
{
    struct eyelet_endpoint *ep = conn->ep;
    for (struct eyelet_conn **at = &ep->conns; *at != NULL; at = &(*at)->next) {
        if (*at == conn) {
            *at = conn->next;
            ep->conn_count--;
            break;
        }
    }
    conn_reset(conn);
    story_free(conn->story);
    free(conn->held);
    free(conn);
}

bool conn_is_echo(const struct eyelet_conn *conn)
{
    return conn->probe && conn->incoming;
}

static void claim(struct eyelet_conn *conn, unsigned warm, unsigned index)
{
    struct eyelet_endpoint *ep = conn->ep;
    struct udp_socket *s = ep->warm[warm].fd >= 0 ? malloc(sizeof *s) : NULL;
    if (s == NULL) {
        return; /* conn_start_punch finds no socket and says so */
    }
    *s = ep->warm[warm];
    conn_release_socket(conn, index);
    (void)conn_set_socket(conn, index, s);
    endpoint_rewatch(ep, s->fd, false, s);
    (void)endpoint_open_warm(ep, warm);
    session_bare_replaced(ep, endpoint_now_us(), warm);
}

void conn_claim_bare(struct eyelet_conn *conn)
{
    conn->bare_public = conn->ep->session.reflexive[SESSION_BARE];
    claim(conn, SESSION_BARE, PUNCH_DATA_SOCKET);
    claim(conn, SESSION_BARE_IPV6, PUNCH_IPV6_SOCKET);
}

struct stun_addr conn_local_address(const struct eyelet_endpoint *ep, const struct udp_socket *s)
{
    struct stun_addr local = session_own_address(ep, (enum stun_family)s->family);
    local.family = s->family;
    local.port = s->port;
    return local;
}

void conn_coordinates(const struct eyelet_conn *conn, wire_Coordinates *out)
{
    session_coordinates(conn->ep, conn->bare ? SESSION_BARE : PUNCH_DATA_SOCKET, out);
    if (conn->policy == EYELET_RELAY_ONLY) {
        out->candidates_count = 0;
        out->hidden = true;
    }
}

void conn_add_ipv6(struct eyelet_conn *conn, uint64_t now_us)
{
    struct eyelet_endpoint *ep = conn->ep;
    struct udp_socket *s = conn->sockets[PUNCH_IPV6_SOCKET];
    if (session_own_address(ep, STUN_IPV6).family != STUN_IPV6) {
        return;
    }
    if (!conn->bare) {
        if (s != NULL || ep->warm[SESSION_IPV6].fd < 0) {
            return;
        }
        conn->sockets[PUNCH_IPV6_SOCKET] = s = &ep->warm[SESSION_IPV6];
    }
    if (s != NULL) {
        struct stun_addr local = conn_local_address(ep, s);
        punch_add_socket(conn->punch, now_us, PUNCH_IPV6_SOCKET, &local);
    }
}

static int make_engine(struct eyelet_conn *conn, uint64_t now_us)
{
    struct eyelet_endpoint *ep = conn->ep;
    const struct session *s = &ep->session;
    const struct dial_keys *k = &conn->keys;
    struct punch_config config = {
        .caller = conn->caller,
        .local_ufrag = conn->caller ? k->caller_ufrag : k->callee_ufrag,
        .local_password = conn->caller ? k->caller_password : k->callee_password,
        .remote_ufrag = conn->caller ? k->callee_ufrag : k->caller_ufrag,
        .remote_password = conn->caller ? k->callee_password : k->caller_password,
        .profile = s->profile,
        .no_search = ep->no_search,
        .recover_us = ep->patience_us,
        .note_rtt_us = conn->note_rtt_us,
        .bounce_count = s->bounce_ipv4_count,
        .budget = &ep->budget,
        .random = identity_random,
    };
    memcpy(config.bounce, s->bounce, sizeof config.bounce);
    if (conn->bare) {
        config.profile.public_addr = conn->bare_public;
    } else {
        conn->sockets[PUNCH_DATA_SOCKET] = &ep->warm[PUNCH_DATA_SOCKET];
    }
    void *memory = malloc(punch_size());
    if (memory == NULL || conn->sockets[PUNCH_DATA_SOCKET] == NULL) {
        free(memory);
        return EYELET_ERR_MEMORY;
    }
    conn->punch = punch_init(memory, &config, now_us);
    if (conn->punch == NULL) {
        free(memory);
        return EYELET_ERR_MEMORY;
    }
    struct stun_addr local = conn_local_address(ep, conn->sockets[PUNCH_DATA_SOCKET]);
    if (conn->policy != EYELET_RELAY_ONLY) {
        punch_add_socket(conn->punch, now_us, PUNCH_DATA_SOCKET, &local);
        conn_add_ipv6(conn, now_us);
    }
    return EYELET_OK;
}

void conn_sample_early(struct eyelet_conn *conn, uint64_t now_us)
{
    if (!conn->bare && conn->policy != EYELET_RELAY_ONLY && conn->punch == NULL &&
        plan_varies(&conn->ep->session.profile) && make_engine(conn, now_us) == EYELET_OK) {
        traffic_flush(conn, now_us);
    }
}

int conn_start_punch(struct eyelet_conn *conn, uint64_t now_us)
{
    int error = conn->punch != NULL ? EYELET_OK : make_engine(conn, now_us);
    if (error != EYELET_OK) {
        return error;
    }
    conn->state = CONN_PUNCHING;
    if (conn->early_note != NULL) {
        wire_Note note;
        if (notes_to_wire(conn->early_note, &note)) {
            calls_send_note(conn, &note);
        }
        free(conn->early_note);
        conn->early_note = NULL;
    }
    return EYELET_OK;
}

void conn_add_candidates(struct eyelet_conn *conn, uint64_t now_us, const wire_Coordinates *coord)
{
    wire_to_profile(&coord->profile, &conn->theirs);
    conn->theirs_known = true;
    conn->theirs_hidden = coord->hidden;
    conn->theirs_udp = conn->theirs_udp || conn->theirs.endpoints_seen > 0;
    punch_set_remote_profile(conn->punch, now_us, &conn->theirs);
    for (pb_size_t i = 0; i < coord->candidates_count && conn->policy != EYELET_RELAY_ONLY; i++) {
        const wire_Candidate *c = &coord->candidates[i];
        struct stun_addr addr = wire_to_addr(&c->address);
        enum punch_kind kind = PUNCH_HOST;
        if (c->kind == wire_CandidateKind_CANDIDATE_SERVER_REFLEXIVE) {
            kind = PUNCH_SERVER_REFLEXIVE;
        } else if (c->kind == wire_CandidateKind_CANDIDATE_PORT_MAPPED) {
            kind = PUNCH_PORT_MAPPED;
            conn->theirs_mapped = true;
        } else if (c->kind == wire_CandidateKind_CANDIDATE_GATEWAY) {
            kind = PUNCH_GATEWAY;
        }
        conn->theirs_udp = conn->theirs_udp || c->attested;
        conn->theirs_ipv6 = conn->theirs_ipv6 || addr.family == STUN_IPV6;
        if (conn_socket(conn, addr.family == STUN_IPV6 ? PUNCH_IPV6_SOCKET : PUNCH_DATA_SOCKET) !=
            NULL) {
            punch_add_remote(conn->punch, now_us, kind, &addr, c->attested);
        }
    }
}

void conn_report(struct eyelet_conn *conn, wire_Outcome outcome)
{
    if (conn->reported == outcome || conn->reported == wire_Outcome_OUTCOME_REFUSED ||
        conn->state == CONN_NEW) {
        return;
    }
    conn->reported = outcome;
    wire_ToMediator msg = {.which_body = wire_ToMediator_holepunching_complete_tag};
    wire_HolepunchingComplete *h = &msg.body.holepunching_complete;
    uint64_t elapsed = endpoint_now_us() - conn->began_us;
    h->dial_id.size = WIRE_DIAL_ID_BYTES;
    memcpy(h->dial_id.bytes, conn->offer.dial_id, WIRE_DIAL_ID_BYTES);
    h->outcome = outcome;
    h->technique = conn->technique;
    h->elapsed_us = elapsed > UINT32_MAX ? UINT32_MAX : (uint32_t)elapsed;
    h->has_mine = true;
    wire_from_profile(&conn->ep->session.profile, &h->mine);
    (void)session_send(conn->ep, &msg);
}

void conn_end(struct eyelet_conn *conn)
{
    if (conn->state != CONN_ENDED) {
        conn->state = CONN_ENDED;
        conn->news |= CONN_NEWS_CLOSED;
        stop_punching(conn);
    }
}

void conn_fail(struct eyelet_conn *conn, int error, const char *format, ...)
{
    if (conn->state == CONN_ENDED || conn->error != EYELET_OK) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(conn->why, sizeof conn->why, format, args);
    va_end(args);
    conn->error = error;
    endpoint_log(conn->ep, EYELET_LOG_INFO, "%s", conn->why);
    conn_tell(conn, "failed", "%s", conn->why);
    if (conn->state == CONN_PUNCHING) {
        conn_report(conn, wire_Outcome_OUTCOME_FAILED);
    }
    conn->state = CONN_ENDING; /* what the link says while it closes is no news any more */
    traffic_close(conn, endpoint_now_us(), 0, "");
    conn_end(conn);
}

static void fail_late(struct eyelet_conn *conn)
{
    const struct session *s = &conn->ep->session;
    unsigned long long ms = (unsigned long long)conn->timeout_us / 1000;
    if (conn->state == CONN_NEW) {
        conn_fail(conn, EYELET_ERR_MEDIATOR, "not registered with a mediator after %llu ms: %s", ms,
                  s->why[0] != '\0' ? s->why : "it does not answer");
    } else if (conn->state == CONN_CALLING) {
        conn_fail(conn, EYELET_ERR_MEDIATOR, "the mediator did not answer the call within %llu ms",
                  ms);
    } else if (conn->has_path || relay_way(conn) != RELAY_NONE) {
        conn_fail(conn, EYELET_ERR_TIMEOUT,
                  "there is a %s path, but the peer did not finish the handshake within %llu ms",
                  conn->has_path ? "direct" : "relayed", ms);
    } else {
        conn_fail(conn, EYELET_ERR_NO_PATH, "no path within %llu ms", ms);
    }
}

/* Everything written has arrived, or waiting for that has lasted long enough. */
static void say_goodbye(struct eyelet_conn *conn, uint64_t now_us)
{
    if (conn->link != NULL && now_us < conn->goodbye_us && link_unacked(conn->link) > 0 &&
        link_close_reason(conn->link)->kind == LINK_CLOSE_NONE) {
        return;
    }
    conn->goodbye_us = UINT64_MAX;
    traffic_close(conn, now_us, conn->goodbye_code, conn->goodbye);
    conn_end(conn);
}

void conn_handle_timeout(struct eyelet_conn *conn, uint64_t now_us)
{
    if (conn->state == CONN_ENDED) {
        return;
    }
    if (conn->state < CONN_OPEN && now_us >= conn->timeout_at_us) {
        fail_late(conn);
        return;
    }
    if (conn->punch != NULL && punch_next_timeout(conn->punch) <= now_us) {
        punch_handle_timeout(conn->punch, now_us);
    }
    if (conn->path_up && conn->link != NULL && link_next_timeout(conn->link) <= now_us) {
        (void)link_handle_timeout(conn->link, now_us);
    }
    if (now_us >= conn->size.next_us) {
        path_probe_size(conn, now_us);
    }
    if (conn->state == CONN_OPEN && conn->stranded_us != UINT64_MAX &&
        now_us >= conn->stranded_us + conn->ep->patience_us) {
        conn_fail(conn, EYELET_ERR_TIMEOUT, "the peer could not be reached for %llu s",
                  (unsigned long long)conn->ep->patience_us / 1000000);
        return;
    }
    if (now_us >= conn->bare_ready_us) {
        path_hand_over(conn, now_us);
    }
    if (conn->state == CONN_ENDING) {
        say_goodbye(conn, now_us);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t conn_next_timeout(const struct eyelet_conn *conn)
{
    if (conn->state == CONN_ENDED) {
        return UINT64_MAX;
    }
    uint64_t next = conn->state < CONN_OPEN ? conn->timeout_at_us : UINT64_MAX;
    next = earlier(next, conn->size.next_us);
    if (conn->state == CONN_OPEN && conn->stranded_us != UINT64_MAX) {
        next = earlier(next, conn->stranded_us + conn->ep->patience_us);
    }
    next = earlier(next, conn->bare_ready_us);
    next = earlier(next, conn->goodbye_us);
    if (conn->punch != NULL) {
        next = earlier(next, punch_next_timeout(conn->punch));
    }
    if (conn->path_up && conn->link != NULL && conn->ep->unsent.bytes == 0) {
        next = earlier(next, link_next_timeout(conn->link));
    }
    return next;
}
