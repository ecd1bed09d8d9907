/* SPDX-License-Identifier: BSD-2-Clause */
/* Dials as the mediator carries them, from the call to the last note. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer/answer.h"
#include "peer/endpoint.h"

#define RESUME_US 1000000u

static struct eyelet_conn *find_dial(struct eyelet_endpoint *ep, const pb_byte_t *dial_id)
{
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        if (c->state != CONN_ENDED && memcmp(c->offer.dial_id, dial_id, WIRE_DIAL_ID_BYTES) == 0) {
            return c;
        }
    }
    return NULL;
}

void calls_key_notes(struct eyelet_conn *conn)
{
    const uint8_t *out = conn->caller ? conn->keys.note_to_callee : conn->keys.note_to_caller;
    const uint8_t *in = conn->caller ? conn->keys.note_to_caller : conn->keys.note_to_callee;
    conn->notes_out = conn->notes_in = (struct dial_note_box){0};
    memcpy(conn->notes_out.key, out, DIAL_KEY_BYTES);
    memcpy(conn->notes_in.key, in, DIAL_KEY_BYTES);
}

struct link_config calls_link_settings(const struct eyelet_conn *conn, uint64_t initial_rtt_us)
{
    return (struct link_config){.credentials = conn->ep->session.credentials,
                                .peer = conn->peer,
                                .initial_rtt_us = initial_rtt_us,
                                .idle_timeout_us = conn->ep->patience_us,
                                .token = conn->keys.link_token,
                                .token_bytes = DIAL_TOKEN_BYTES,
                                .random = identity_random};
}

/* The link's first datagram travels inside the dial; it waits for a path afterwards. */
static bool take_first_flight(struct eyelet_conn *conn, uint64_t now_us)
{
    struct eyelet_endpoint *ep = conn->ep;
    /* Twice the way to the mediator: nothing better is known before it has answered. */
    struct link_config config = calls_link_settings(conn, 2 * ep->session.round_trip_us);
    if (link_dial(&conn->link, &config, now_us) != LINK_OK) {
        conn->link = NULL;
        return false;
    }
    uint8_t flight[LINK_MAX_DATAGRAM_BYTES];
    size_t segment;
    link_set_path(conn->link, now_us, true, LINK_MIN_DATAGRAM_BYTES);
    size_t bytes = link_output(conn->link, now_us, flight, sizeof flight, &segment);
    link_set_path(conn->link, now_us, false, LINK_MIN_DATAGRAM_BYTES);
    if (bytes == 0 || bytes > DIAL_MAX_FLIGHT_BYTES) {
        return false;
    }
    memcpy(conn->offer.flight, flight, bytes);
    conn->offer.flight_bytes = bytes;
    return true;
}

static bool prepare_offer(struct eyelet_conn *conn, uint64_t now_us)
{
    struct eyelet_endpoint *ep = conn->ep;
    uint64_t unix_us = endpoint_unix_now_us();
    if (unix_us <= ep->last_dial_unix_us) {
        unix_us = ep->last_dial_unix_us + 1;
    }
    ep->last_dial_unix_us = unix_us;
    conn->caller = true;
    conn->offer.caller = ep->self.id;
    conn->offer.callee = conn->peer;
    conn->offer.timestamp_us = unix_us;
    conn->offer.is_probe = conn->probe;
    identity_random(NULL, conn->offer.dial_id, sizeof conn->offer.dial_id);
    identity_random(NULL, conn->offer.secret, sizeof conn->offer.secret);
    conn->offer.flight_bytes = 0;
    if (dial_derive(&conn->offer, &conn->keys) != DIAL_OK) {
        return false;
    }
    calls_key_notes(conn);
    return conn->bare || take_first_flight(conn, now_us);
}

static void send_get_peer(struct eyelet_conn *conn)
{
    struct eyelet_endpoint *ep = conn->ep;
    wire_ToMediator msg = {.which_body = wire_ToMediator_get_peer_tag};
    wire_GetPeer *g = &msg.body.get_peer;
    size_t sealed_bytes;
    int error = dial_seal(&ep->self, &conn->offer, g->sealed.bytes, &sealed_bytes);
    if (error != DIAL_OK) {
        conn_fail(conn, EYELET_ERR_ARGUMENT, "the call cannot be sealed for this peer: %s",
                  dial_strerror(error));
        return;
    }
    g->sealed.size = (pb_size_t)sealed_bytes;
    g->dial_id.size = WIRE_DIAL_ID_BYTES;
    memcpy(g->dial_id.bytes, conn->offer.dial_id, WIRE_DIAL_ID_BYTES);
    g->peer_id.size = IDENTITY_ID_BYTES;
    memcpy(g->peer_id.bytes, conn->peer.bytes, IDENTITY_ID_BYTES);
    g->has_coordinates = true;
    conn_coordinates(conn, &g->coordinates);
    g->no_relay = conn->bare || conn->policy == EYELET_DIRECT_ONLY;
    if (conn->bare) {
        conn_claim_bare(conn);
    }
    int sent = session_send(ep, &msg);
    if (sent == EYELET_OK) {
        conn->state = CONN_CALLING;
        conn->asked = true;
        conn_tell(conn, "dial", "the call is on its way to the mediator");
        conn_sample_early(conn, endpoint_now_us());
    } else if (sent == EYELET_ERR_LIMIT) {
        conn_fail(conn, EYELET_ERR_LIMIT, "too much is waiting for the mediator: call again later");
    }
}

/* What can be relayed need not wait until our own NAT is known: the keepalive that makes the
 * mediator know our address left before the call. What is learned later follows
 * (conns_follow_addresses). */
static bool may_go_early(const struct eyelet_conn *conn)
{
    const struct session *s = &conn->ep->session;
    return s->state == SESSION_UP && s->relay_offered && !conn->bare &&
           conn->policy != EYELET_DIRECT_ONLY;
}

int calls_dial(struct eyelet_conn *conn, uint64_t now_us)
{
    if (!prepare_offer(conn, now_us)) {
        return EYELET_ERR_MEMORY;
    }
    if (conn->ep->session.announced || may_go_early(conn)) {
        send_get_peer(conn);
    }
    return EYELET_OK;
}

void calls_resume(struct eyelet_conn *conn)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_resume_tag};
    conn->resumed_us = endpoint_now_us();
    wire_Resume *r = &msg.body.resume;
    r->dial_id.size = WIRE_DIAL_ID_BYTES;
    memcpy(r->dial_id.bytes, conn->offer.dial_id, WIRE_DIAL_ID_BYTES);
    r->peer_id.size = IDENTITY_ID_BYTES;
    memcpy(r->peer_id.bytes, conn->peer.bytes, IDENTITY_ID_BYTES);
    r->hidden = conn->policy == EYELET_RELAY_ONLY;
    r->no_relay = conn->bare || conn->policy == EYELET_DIRECT_ONLY;
    (void)session_send(conn->ep, &msg);
}

static void send_dial_end(struct eyelet_conn *conn)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_dial_end_tag};
    msg.body.dial_end.dial_id.size = WIRE_DIAL_ID_BYTES;
    memcpy(msg.body.dial_end.dial_id.bytes, conn->offer.dial_id, WIRE_DIAL_ID_BYTES);
    (void)session_send(conn->ep, &msg);
}

void calls_end(struct eyelet_conn *conn)
{
    bool over = conn->reported == wire_Outcome_OUTCOME_FAILED ||
                conn->reported == wire_Outcome_OUTCOME_REFUSED;
    bool is_live = conn->punch != NULL && conn->state >= CONN_PUNCHING && !over;
    /* Asked for still: given up, or the peer's crossing call survives. */
    if (is_live || conn->asked) {
        send_dial_end(conn);
    }
    conn->asked = false;
}

/* A dial that nobody has answered is made anew after a new session: mediator and callee would take
 * the same one for a replay. What lives goes on as it is, and is made known again. */
void calls_session_up(struct eyelet_endpoint *ep, uint64_t now_us)
{
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        c->relay_resuming = c->relay_resuming || c->relay_open;
        c->relay_open = false; /* its tag died with the session */
        if (c->punch != NULL && (c->state == CONN_PUNCHING || c->state == CONN_OPEN)) {
            calls_resume(c);
        } else if (c->state == CONN_CALLING) {
            c->asked = false;
            conn_reset(c);
            free(c->held); /* of the last session */
            c->held = NULL;
            c->state = CONN_NEW;
            if (!prepare_offer(c, now_us)) {
                conn_fail(c, EYELET_ERR_MEMORY, "the call could not be prepared again");
            }
        }
        if (c->state == CONN_NEW && c->caller && may_go_early(c)) {
            send_get_peer(c);
        }
    }
}

void calls_announced(struct eyelet_endpoint *ep)
{
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        if (c->state == CONN_NEW && c->caller) {
            send_get_peer(c);
        }
    }
}

void calls_send_note(struct eyelet_conn *conn, const wire_Note *note)
{
    uint8_t plain[WIRE_MAX_NOTE_BYTES];
    wire_ToMediator msg = {.which_body = wire_ToMediator_dial_note_tag};
    wire_DialNote *n = &msg.body.dial_note;
    size_t bytes = wire_encode_note(note, plain, sizeof plain - DIAL_NOTE_OVERHEAD_BYTES);
    n->sealed.size = (pb_size_t)dial_note_seal(&conn->notes_out, plain, bytes, n->sealed.bytes,
                                               sizeof n->sealed.bytes);
    if (bytes == 0 || n->sealed.size == 0) {
        return;
    }
    n->dial_id.size = WIRE_DIAL_ID_BYTES;
    memcpy(n->dial_id.bytes, conn->offer.dial_id, WIRE_DIAL_ID_BYTES);
    (void)session_send(conn->ep, &msg);
}

void calls_refuse(struct eyelet_conn *conn, wire_RefuseReason reason, const char *text)
{
    wire_Note note = {.which_body = wire_Note_refuse_tag};
    note.body.refuse.reason = reason;
    snprintf(note.body.refuse.text, sizeof note.body.refuse.text, "%s", text);
    calls_send_note(conn, &note);
}

void eyelet_refuse(eyelet_conn *conn, const char *text)
{
    text = text != NULL ? text : "";
    if (conn->incoming && conn->state != CONN_ENDED) {
        calls_refuse(conn, wire_RefuseReason_REFUSE_NOT_AUTHORISED, text);
        traffic_close(conn, endpoint_now_us(), CONN_REFUSED_CODE, text);
        conn_report(conn, wire_Outcome_OUTCOME_REFUSED);
    }
    conn_destroy(conn);
}

void calls_goodbye(struct eyelet_conn *conn, uint64_t code, const char *text)
{
    wire_Note note = {.which_body = wire_Note_goodbye_tag};
    note.body.goodbye.code = code;
    snprintf(note.body.goodbye.text, sizeof note.body.goodbye.text, "%s", text);
    calls_send_note(conn, &note);
}

void calls_give_up(struct eyelet_conn *conn)
{
    if (conn->state == CONN_PUNCHING) {
        calls_refuse(conn, wire_RefuseReason_REFUSE_CLOSED, "given up");
        conn_report(conn, wire_Outcome_OUTCOME_FAILED);
    }
}

void calls_send_candidates(struct eyelet_conn *conn)
{
    wire_Note note = {.which_body = wire_Note_candidates_tag};
    conn_coordinates(conn, &note.body.candidates);
    calls_send_note(conn, &note);
}

void calls_take_relay(struct eyelet_conn *conn, const uint8_t *tag, size_t tag_bytes,
                      const char *refusal)
{
    conn->relay_resuming = false;
    conn->relay_open =
        tag_bytes == sizeof conn->relay_tag && conn->policy != EYELET_DIRECT_ONLY && !conn->bare;
    if (conn->relay_open) {
        memcpy(conn->relay_tag, tag, sizeof conn->relay_tag);
    }
    snprintf(conn->relay_refusal, sizeof conn->relay_refusal, "%s", refusal);
}

void calls_peer_coord(struct eyelet_endpoint *ep, uint64_t now_us, const wire_PeerCoord *msg)
{
    if (msg->sealed.size > 0) {
        answer_call(ep, now_us, msg);
        return;
    }
    struct eyelet_conn *conn = find_dial(ep, msg->dial_id.bytes);
    if (conn == NULL || conn->state != CONN_CALLING) {
        return;
    }
    free(conn->held); /* our dial has been answered: it survives */
    conn->held = NULL;
    conn->note_rtt_us = msg->path_rtt_us;
    calls_take_relay(conn, msg->relay_tag.bytes, msg->relay_tag.size, msg->relay_refusal);
    if (conn->policy == EYELET_RELAY_ONLY && !conn->relay_open) {
        conn_fail(conn, EYELET_ERR_RELAY, "the mediator does not relay this call: %s",
                  msg->relay_refusal[0] != '\0' ? msg->relay_refusal : "it has no relay");
        return;
    }
    if (conn_start_punch(conn, now_us) != EYELET_OK) {
        conn_fail(conn, EYELET_ERR_MEMORY, "out of memory for punching");
        return;
    }
    conn->asked = false;
    conn->same_public_address = msg->same_public_address;
    conn_tell(conn, "answer", "the mediator has told both sides of each other%s",
              conn->relay_open ? ", and relays" : "");
    if (conn->bare) {
        struct nat_profile theirs;
        wire_to_profile(&msg->coordinates.profile, &theirs);
        punch_set_remote_profile(conn->punch, now_us, &theirs);
    } else {
        conn_add_candidates(conn, now_us, &msg->coordinates);
    }
    conn_tell_plan(conn);
    conn_relay_changed(conn, now_us);
    punch_start(conn->punch, now_us, now_us);
}

void calls_resumed(struct eyelet_endpoint *ep, uint64_t now_us, const wire_Resumed *msg)
{
    struct eyelet_conn *conn = find_dial(ep, msg->dial_id.bytes);
    if (conn == NULL || conn->punch == NULL || conn->state < CONN_PUNCHING ||
        memcmp(conn->peer.bytes, msg->peer_id.bytes, IDENTITY_ID_BYTES) != 0) {
        return;
    }
    if (!msg->both) {
        calls_resume(conn);
        return;
    }
    bool lived_on = conn->relay_open && msg->relay_tag.size == sizeof conn->relay_tag &&
                    memcmp(conn->relay_tag, msg->relay_tag.bytes, sizeof conn->relay_tag) == 0;
    calls_take_relay(conn, msg->relay_tag.bytes, msg->relay_tag.size, msg->relay_refusal);
    conn_relay_changed(conn, now_us);
    if (conn->carrier != CONN_DIRECT) {
        conn_leap(conn, now_us); /* the peer may have been away */
    }
    if (!conn->bare && msg->has_coordinates) {
        punch_new_candidates(conn->punch, now_us);
        conn_add_candidates(conn, now_us, &msg->coordinates);
    }
    if (lived_on || !conn->has_path) { /* a path that works does not mind a mediator's death */
        conn_tell(conn, "again", "introduced to each other again: punching");
        punch_again(conn->punch, now_us);
    }
}

static void refused(struct eyelet_conn *conn, const wire_Refuse *r)
{
    if (r->reason == wire_RefuseReason_REFUSE_CLOSED) {
        conn_fail(conn, EYELET_ERR_CLOSED, "the peer gave up before a path was found");
        return;
    }
    conn_report(conn, wire_Outcome_OUTCOME_REFUSED);
    conn_fail(conn, EYELET_ERR_REFUSED, "the peer refused the call%s%s", r->text[0] ? ": " : "",
              r->text);
}

static void said_goodbye(struct eyelet_conn *conn, const wire_Goodbye *g)
{
    if (conn->link == NULL || conn->state >= CONN_ENDING ||
        link_close_reason(conn->link)->kind != LINK_CLOSE_NONE) {
        return;
    }
    if (g->code == CONN_REFUSED_CODE) {
        conn_fail(conn, EYELET_ERR_REFUSED, "the peer refused the call: %s", g->text);
        return;
    }
    conn->code = g->code;
    snprintf(conn->why, sizeof conn->why, "%s", g->text);
    conn_end(conn);
}

void calls_note(struct eyelet_endpoint *ep, uint64_t now_us, const wire_DialNote *msg)
{
    struct eyelet_conn *conn = find_dial(ep, msg->dial_id.bytes);
    uint8_t plain[WIRE_MAX_NOTE_BYTES];
    wire_Note note;
    struct punch_note for_engine;
    const char *why;
    if (conn == NULL) {
        return;
    }
    size_t bytes =
        dial_note_open(&conn->notes_in, msg->sealed.bytes, msg->sealed.size, plain, sizeof plain);
    if (bytes == 0 || !wire_decode_note(plain, bytes, &note, &why)) {
        endpoint_log(ep, EYELET_LOG_WARN, "a note of the dial channel was forged or damaged");
        return;
    }
    if (note.which_body == wire_Note_refuse_tag) {
        if (conn->state <= CONN_OPEN) { /* the handshake may have been faster */
            refused(conn, &note.body.refuse);
        }
    } else if (note.which_body == wire_Note_goodbye_tag) {
        said_goodbye(conn, &note.body.goodbye);
    } else if (conn->punch != NULL && note.which_body == wire_Note_candidates_tag &&
               conn->policy != EYELET_RELAY_ONLY) {
        for (pb_size_t i = 0; i < note.body.candidates.candidates_count; i++) {
            note.body.candidates.candidates[i].attested = false; /* the peer's word alone */
        }
        conn_add_candidates(conn, now_us, &note.body.candidates);
    } else if (conn->punch != NULL && conn->policy != EYELET_RELAY_ONLY &&
               notes_from_wire(&note, &for_engine)) {
        if (for_engine.kind == PUNCH_NOTE_AGAIN) {
            conn_tell(conn, "again", "the peer wants to punch again");
            calls_send_candidates(conn);
        } else if (for_engine.kind == PUNCH_NOTE_PLAN) {
            conn_tell(conn, "plan", "the peer has planned: %s",
                      punch_technique_text(for_engine.plan.technique));
        }
        punch_note_input(conn->punch, now_us, &for_engine);
    }
}

void calls_error(struct eyelet_endpoint *ep, uint64_t now_us, const wire_Error *msg)
{
    char id[IDENTITY_TEXT_BYTES];
    struct eyelet_conn *conn = find_dial(ep, msg->dial_id.bytes);
    if (conn != NULL && conn->state >= CONN_PUNCHING && conn->state <= CONN_OPEN &&
        msg->code == wire_ErrorCode_ERROR_NO_SUCH_DIAL && now_us >= conn->resumed_us + RESUME_US) {
        calls_resume(conn); /* the mediator has made room for others */
    }
    if (conn == NULL || conn->state != CONN_CALLING) {
        return;
    }
    conn->asked = false;
    if (msg->code == wire_ErrorCode_ERROR_NO_SUCH_PEER && conn->held != NULL) {
        struct dial_offer offer;
        wire_PeerCoord *held = conn->held;
        conn->held = NULL;
        dial_guard_set_now(ep->guard, endpoint_unix_now_us());
        if (dial_unseal(&ep->self, held->dial_id.bytes, &conn->peer, held->sealed.bytes,
                        held->sealed.size, &offer) == DIAL_OK &&
            dial_guard_admit(ep->guard, &conn->peer, offer.timestamp_us) == DIAL_OK) {
            answer_turn_around(conn, now_us, held, &offer);
            free(held);
            return;
        }
        free(held);
    }
    if (msg->code == wire_ErrorCode_ERROR_NO_SUCH_PEER) {
        conn_fail(
            conn, EYELET_ERR_NO_SUCH_PEER,
            "no peer %s: it is not registered with this mediator, or does not show itself to you",
            identity_text(&conn->peer, id));
    } else if (msg->code == wire_ErrorCode_ERROR_TOO_MANY) {
        conn_fail(conn, EYELET_ERR_LIMIT, "the mediator says: %s", msg->text);
    } else {
        conn_fail(conn, EYELET_ERR_MEDIATOR, "the mediator says: %s", msg->text);
    }
}
