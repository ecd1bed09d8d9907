/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of a session: what the mediator says goes to whom it concerns. */
#include <stdlib.h>
#include <string.h>

#include "peer/endpoint.h"
#include "peer/warm.h"

#define ANSWER_US 2000000u /* to a question; later there is a doubt */

static void take_bounce(struct session *s, const wire_Registered *msg, enum stun_family family)
{
    for (pb_size_t i = 0; i < msg->bounce_count; i++) {
        struct stun_addr addr = wire_to_addr(&msg->bounce[i]);
        if (addr.family == family && s->bounce_count < PUNCH_MAX_BOUNCE) {
            s->bounce[s->bounce_count++] = addr;
        }
    }
}

static void registered(struct eyelet_endpoint *ep, uint64_t now_us, const wire_Registered *msg)
{
    struct session *s = &ep->session;
    memcpy(s->session_id, msg->session_id.bytes, sizeof s->session_id);
    memcpy(s->session_key, msg->session_key.bytes, sizeof s->session_key);
    s->seen = msg->has_seen ? wire_to_addr(&msg->seen) : (struct stun_addr){0};
    if (s->state == SESSION_UP) {
        return;
    }
    s->bounce_count = 0;
    take_bounce(s, msg, STUN_IPV4);
    s->bounce_ipv4_count = s->bounce_count;
    take_bounce(s, msg, STUN_IPV6);
    s->relay_offered = msg->relay;
    s->state = SESSION_UP;
    s->failures = 0;
    s->lost_us = 0;
    s->was_up = true;
    s->was_replaced = false;
    s->ping_us = now_us + SESSION_PING_US;
    session_measure(s);
    warm_start(ep, now_us, msg->nonce.bytes, msg->nonce.size);
    calls_session_up(ep, now_us);
}

/* Whether the session goes on. */
static bool take_error(struct eyelet_endpoint *ep, uint64_t now_us, const wire_Error *error)
{
    struct session *s = &ep->session;
    char name[LOCATOR_NAME_BYTES];
    if (error->dial_id.size != 0) {
        calls_error(ep, now_us, error);
        return true;
    }
    session_say(s, EYELET_ERR_MEDIATOR, "the mediator %s says: %s", locator_name(&s->where, name),
                error->text);
    s->was_told = true;
    if (error->code == wire_ErrorCode_ERROR_REPLACED) {
        /* Another program has our key; fighting over it would only starve both. */
        s->failures = REACH_MOST_FAILURES;
        s->was_replaced = true;
    }
    return error->code == wire_ErrorCode_ERROR_TOO_MANY;
}

bool session_take(struct eyelet_endpoint *ep, uint64_t now_us, const uint8_t *frame, size_t size)
{
    struct session *s = &ep->session;
    const char *why = "";
    char name[LOCATOR_NAME_BYTES];
    static const char *const broke = "the mediator %s broke the protocol: %s";
    wire_FromMediator *msg = malloc(sizeof *msg);
    if (msg == NULL) {
        session_say(s, EYELET_ERR_MEMORY, "out of memory for a message of the mediator");
        return false;
    }
    bool ok = wire_decode_from_mediator(frame, size, msg, &why);
    if (!ok) {
        session_say(s, EYELET_ERR_MEDIATOR, broke, locator_name(&s->where, name), why);
    } else {
        switch (msg->which_body) {
        case wire_FromMediator_registered_tag:
            registered(ep, now_us, &msg->body.registered);
            break;
        case wire_FromMediator_peer_coord_tag:
            calls_peer_coord(ep, now_us, &msg->body.peer_coord);
            break;
        case wire_FromMediator_dial_note_tag:
            calls_note(ep, now_us, &msg->body.dial_note);
            break;
        case wire_FromMediator_resumed_tag:
            calls_resumed(ep, now_us, &msg->body.resumed);
            break;
        case wire_FromMediator_relayed_tag:
            relay_take(ep, now_us, msg->body.relayed.datagram.bytes,
                       msg->body.relayed.datagram.size);
            break;
        case wire_FromMediator_pong_tag:
            s->pong_due_us = 0;
            break;
        case wire_FromMediator_error_tag:
            ok = take_error(ep, now_us, &msg->body.error);
            break;
        default:
            break;
        }
    }
    free(msg);
    return ok;
}

static bool is_question(const wire_ToMediator *msg)
{
    return msg->which_body == wire_ToMediator_get_peer_tag ||
           msg->which_body == wire_ToMediator_registration_tag;
}

int session_send(struct eyelet_endpoint *ep, const wire_ToMediator *msg)
{
    struct session *s = &ep->session;
    uint8_t frame[CHANNEL_MAX_FRAME_BYTES];
    if (s->channel == NULL || !channel_is_open(s->channel)) {
        return EYELET_ERR_MEDIATOR;
    }
    size_t size = wire_encode_to_mediator(msg, frame, sizeof frame);
    int error = size != 0 ? channel_send(s->channel, frame, size) : CHANNEL_ERR_FRAME;
    if (error != CHANNEL_OK) {
        return error == CHANNEL_ERR_QUEUE_FULL ? EYELET_ERR_LIMIT : EYELET_ERR_MEDIATOR;
    }
    if (is_question(msg) && s->answer_due_us == 0) {
        s->answer_due_us = endpoint_now_us() + ANSWER_US;
    }
    endpoint_rewatch(ep, channel_fd(s->channel), channel_wants_write(s->channel), s);
    return EYELET_OK;
}
