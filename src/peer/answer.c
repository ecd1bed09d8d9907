/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/answer.h"

#include <stdlib.h>
#include <string.h>

#include "peer/endpoint.h"

#define BARE_MARGIN_US 3000

static bool is_allowed(const struct eyelet_endpoint *ep, const struct identity_id *who)
{
    if (ep->listen_mode != EYELET_LISTEN_LISTED) {
        return ep->listen_mode == EYELET_LISTEN_ANYONE;
    }
    for (size_t i = 0; i < ep->allowed_count; i++) {
        if (memcmp(ep->allowed[i].bytes, who->bytes, IDENTITY_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* Our own dial to the same peer that has not become a connection yet. Dials for links and for bare
 * sockets do not meet: nobody would get what it has asked for. */
static struct eyelet_conn *crossing_dial(struct eyelet_endpoint *ep, const struct identity_id *who,
                                         bool bare)
{
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        if (c->caller && !c->incoming && !c->probe && c->bare == bare && c->state < CONN_OPEN &&
            identity_equal(&c->peer, who)) {
            return c;
        }
    }
    return NULL;
}

/* The caller of a bare connection learns where to send its openers only from our note. */
static uint64_t opener_due_us(const struct eyelet_conn *conn, const wire_PeerCoord *msg)
{
    uint64_t note_us = msg->path_rtt_us / 2 + BARE_MARGIN_US;
    return conn->bare && note_us > msg->opener_due_us ? note_us : msg->opener_due_us;
}

static bool begin_callee(struct eyelet_conn *conn, uint64_t now_us, const wire_PeerCoord *msg)
{
    if (dial_derive(&conn->offer, &conn->keys) != DIAL_OK) {
        return false;
    }
    calls_key_notes(conn);
    conn->caller = false;
    conn->bare = conn->offer.flight_bytes == 0;
    conn->probe = conn->offer.is_probe;
    if (!conn->bare) {
        struct link_config config = calls_link_settings(conn, msg->path_rtt_us);
        if (link_accept(&conn->link, &config, conn->offer.flight, conn->offer.flight_bytes,
                        now_us) != LINK_OK) {
            conn->link = NULL;
            return false;
        }
    }
    if (conn->bare) {
        /* The bare socket's addresses are not in what the mediator has cached. */
        calls_send_candidates(conn);
        conn_claim_bare(conn);
    }
    conn->note_rtt_us = msg->path_rtt_us;
    if (conn_start_punch(conn, now_us) != EYELET_OK) {
        return false;
    }
    calls_take_relay(conn, msg->relay_tag.bytes, msg->relay_tag.size, msg->relay_refusal);
    if (conn->policy == EYELET_RELAY_ONLY && !conn->relay_open) {
        return false;
    }
    conn_add_candidates(conn, now_us, &msg->coordinates);
    conn->same_public_address = msg->same_public_address;
    conn_tell(conn, "dial", "the call has come%s", conn->probe ? ", to measure the path" : "");
    conn_tell_plan(conn);
    conn_relay_changed(conn, now_us);
    punch_start(conn->punch, now_us, now_us + opener_due_us(conn, msg));
    return true;
}

void answer_turn_around(struct eyelet_conn *conn, uint64_t now_us, const wire_PeerCoord *msg,
                        const struct dial_offer *offer)
{
    conn_reset(conn);
    conn->offer = *offer;
    if (!begin_callee(conn, now_us, msg)) {
        conn_fail(conn, EYELET_ERR_PROTOCOL, "the peer's crossing call could not be taken");
    }
}

static void accept_call(struct eyelet_endpoint *ep, const wire_PeerCoord *msg)
{
    if (ep->session.visibility == wire_Visibility_VISIBLE_IF_ACCEPTED) {
        wire_ToMediator answer = {.which_body = wire_ToMediator_dial_accept_tag};
        answer.body.dial_accept.dial_id.size = WIRE_DIAL_ID_BYTES;
        memcpy(answer.body.dial_accept.dial_id.bytes, msg->dial_id.bytes, WIRE_DIAL_ID_BYTES);
        (void)session_send(ep, &answer);
    }
}

static void refuse_stale(struct eyelet_endpoint *ep, uint64_t now_us,
                         const struct dial_offer *offer, int error)
{
    struct eyelet_conn *conn = conn_new(ep, &offer->caller, now_us);
    if (conn == NULL) {
        return;
    }
    conn->offer = *offer;
    if (dial_derive(&conn->offer, &conn->keys) == DIAL_OK) {
        calls_key_notes(conn);
        calls_refuse(
            conn, wire_RefuseReason_REFUSE_STALE,
            error == DIAL_ERR_CLOCK
                ? "the clocks of caller and callee are far apart: set them, then call again"
                : "this call is not newer than an earlier one of its caller");
    }
    conn_destroy(conn);
}

/* Nobody may take all the places for those that measure. */
static bool too_many_echoes(const struct eyelet_endpoint *ep, const struct identity_id *who)
{
    unsigned count = 0, theirs = 0;
    for (const struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        count += conn_is_echo(c);
        theirs += conn_is_echo(c) && identity_equal(&c->peer, who);
    }
    return count >= CONN_MAX_PROBES || theirs >= CONN_MAX_PROBES_OF_ONE;
}

void answer_call(struct eyelet_endpoint *ep, uint64_t now_us, const wire_PeerCoord *msg)
{
    struct dial_offer offer;
    struct identity_id who;
    memcpy(who.bytes, msg->peer_id.bytes, sizeof who.bytes);
    bool allowed = is_allowed(ep, &who);
    if (!allowed && crossing_dial(ep, &who, false) == NULL &&
        crossing_dial(ep, &who, true) == NULL) {
        return; /* the mediator answers for us: no such peer */
    }
    int error = dial_unseal(&ep->self, msg->dial_id.bytes, &who, msg->sealed.bytes,
                            msg->sealed.size, &offer);
    if (error != DIAL_OK) {
        endpoint_log(ep, EYELET_LOG_WARN, "a call was dropped: %s", dial_strerror(error));
        return;
    }
    struct eyelet_conn *ours =
        offer.is_probe ? NULL : crossing_dial(ep, &who, offer.flight_bytes == 0);
    if ((ours == NULL && !allowed) || (offer.is_probe && too_many_echoes(ep, &who))) {
        gnutls_memset(&offer, 0, sizeof offer);
        return;
    }
    if (ours != NULL && ours->state <= CONN_PUNCHING &&
        memcmp(ep->self.id.bytes, who.bytes, sizeof who.bytes) < 0) {
        /* The lower ID's dial survives, and that is ours, unless nobody answers it. */
        if (ours->held == NULL && ours->state < CONN_PUNCHING) {
            ours->held = malloc(sizeof *ours->held);
        }
        if (ours->held != NULL) {
            *ours->held = *msg;
            accept_call(ep, msg); /* after the second that ours may take, it would be too late */
        }
        gnutls_memset(&offer, 0, sizeof offer);
        return;
    }
    dial_guard_set_now(ep->guard, endpoint_unix_now_us());
    error = dial_guard_admit(ep->guard, &who, offer.timestamp_us);
    if (error != DIAL_OK) {
        endpoint_log(ep, EYELET_LOG_WARN, "a call was refused: %s", dial_strerror(error));
        accept_call(ep, msg);
        refuse_stale(ep, now_us, &offer, error);
    } else if (ours != NULL) {
        accept_call(ep, msg);
        answer_turn_around(ours, now_us, msg, &offer);
    } else {
        struct eyelet_conn *conn = conn_new(ep, &who, now_us);
        accept_call(ep, msg);
        if (conn != NULL) {
            conn->incoming = true;
            conn->offer = offer;
            if (begin_callee(conn, now_us, msg)) {
                conn->news |= conn->probe ? 0 : CONN_NEWS_INCOMING;
            } else {
                calls_refuse(conn, wire_RefuseReason_REFUSE_BUSY, "the call could not be taken");
                conn_destroy(conn);
            }
        }
    }
    gnutls_memset(&offer, 0, sizeof offer);
}
