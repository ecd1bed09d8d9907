/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/resume.h"

#include <string.h>

#include "mediator/dial_life.h"
#include "mediator/introduction.h"
#include "mediator/server.h"

static void resume_introduce(const struct dials_entry *dial, struct session *caller,
                             struct session *callee, uint64_t now_us)
{
    struct introduction intro;

    introduction_prepare(&intro, dial, caller, callee, now_us);
    introduction_again(&intro, DIALS_CALLER);
    if (dial->state == DIALS_LIVE) /* unless the first one was dropped, since it does not read */
        introduction_again(&intro, DIALS_CALLEE);
}

/* What others make us send it must not push it out. */
static bool resume_may_tell(const struct session *by, struct session *other, uint64_t now_us)
{
    const struct config_limits *limits = &by->server->config->limits;

    return session_has_room(other) &&
           limit_take(&other->wakes, (struct limit_rate){limits->call_rate, limits->live_dials},
                      now_us);
}

/* The other member learns that it is asked for, if it is there and was not asked too often. It may
 * be a stranger to this dial: then it will not answer, and the asker learns nothing. */
static void resume_wake(struct session *other, const struct session *by, const uint8_t *dial_id,
                        uint64_t now_us)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_resumed_tag};
    wire_Resumed *resumed = &msg.body.resumed;

    if (other == NULL || other == by || !resume_may_tell(by, other, now_us))
        return;
    resumed->dial_id.size = WIRE_DIAL_ID_BYTES;
    memcpy(resumed->dial_id.bytes, dial_id, WIRE_DIAL_ID_BYTES);
    resumed->peer_id.size = IDENTITY_ID_BYTES;
    memcpy(resumed->peer_id.bytes, by->entry.id.bytes, IDENTITY_ID_BYTES);
    session_send(other, &msg);
}

/* Half of it: kept until the other member asks as well. */
static void resume_begin(struct session *session, struct session *other, struct dials_entry *dial,
                         const wire_Resume *msg, uint64_t now_us)
{
    struct server *server = session->server;

    bool room = dial_life_room(session, now_us);
    if (room && dial == NULL)
        dial = dials_add(server->dials, msg->dial_id.bytes, 0, now_us);
    if (!room || dial == NULL || !dials_hold(server->dials, dial, &session->from)) {
        if (room && dial != NULL)
            dials_forget(server->dials, dial);
        session_send_error(session, wire_ErrorCode_ERROR_TOO_MANY, msg->dial_id.bytes,
                           "too many connections at one time");
        return;
    }
    dial->member[DIALS_CALLEE] = 0;
    dial->no_relay = msg->no_relay;
    dial->hidden[DIALS_CALLER] = msg->hidden;
    dial->hidden[DIALS_CALLEE] = false;
    dial->refusal = NULL;
    memset(dial->reports, 0, sizeof dial->reports);
    memcpy(dial->wanted, msg->peer_id.bytes, sizeof dial->wanted);
    dials_join(dial, DIALS_CALLER, session->entry.session_id, &session->own_dials);
    dials_move(server->dials, dial, DIALS_RESUMING, now_us);
    resume_wake(other, session, dial->id, now_us);
}

/* Someone has asked for this dial before. */
static void resume_meet(struct session *session, struct session *other, struct dials_entry *dial,
                        const wire_Resume *msg, uint64_t now_us)
{
    struct server *server = session->server;

    if (dial->member[DIALS_CALLER] == session->entry.session_id) {
        memcpy(dial->wanted, msg->peer_id.bytes, sizeof dial->wanted);
        resume_wake(other, session, dial->id, now_us);
        return;
    }
    if (other == NULL || dial->member[DIALS_CALLER] != other->entry.session_id ||
        memcmp(dial->wanted, session->entry.id.bytes, sizeof dial->wanted) != 0) {
        /* Asked for by somebody else, who guesses or is a member with another other. */
        dials_move(server->dials, dial, DIALS_OVER, now_us);
        resume_begin(session, other, dial, msg, now_us);
        return;
    }
    if (!dial_life_room(session, now_us)) {
        session_send_error(session, wire_ErrorCode_ERROR_TOO_MANY, dial->id,
                           "too many connections at one time");
        return;
    }
    dial->no_relay |= msg->no_relay;
    dial->hidden[DIALS_CALLEE] = msg->hidden;
    dial->resumed = true;
    dial_life_join(dial, other, session, now_us);
    dials_move(server->dials, dial, DIALS_LIVE, now_us);
    server->counters.resumed++;
    resume_introduce(dial, other, session, now_us);
}

/* It has lived on, for both of its members. */
static void resume_live(struct session *session, struct session *other,
                        const struct dials_entry *dial, uint64_t now_us)
{
    enum dials_side side, others;

    if (other == NULL || !dials_side_of(dial, session->entry.session_id, &side) ||
        !dials_side_of(dial, other->entry.session_id, &others) || side == others ||
        !resume_may_tell(session, other, now_us))
        return;
    resume_introduce(dial, side == DIALS_CALLER ? session : other,
                     side == DIALS_CALLER ? other : session, now_us);
}

void resume_dial(struct session *session, const wire_Resume *msg, uint64_t now_us)
{
    struct server *server = session->server;
    const struct config_limits *limits = &server->config->limits;
    struct identity_id id;

    if (!limit_take(&session->resumes, (struct limit_rate){limits->dial_rate, limits->live_dials},
                    now_us)) {
        session_send_error(session, wire_ErrorCode_ERROR_TOO_MANY, msg->dial_id.bytes,
                           "too many resumed connections a second");
        return;
    }
    memcpy(id.bytes, msg->peer_id.bytes, sizeof id.bytes);
    struct session *other = session_of_entry(registry_by_id(server->registry, &id));
    struct dials_entry *dial = dials_find(server->dials, msg->dial_id.bytes);
    switch (dial != NULL ? dial->state : DIALS_OVER) {
    case DIALS_OVER:
        resume_begin(session, other, dial, msg, now_us);
        break;
    case DIALS_RESUMING:
        resume_meet(session, other, dial, msg, now_us);
        break;
    case DIALS_LIVE:
        resume_live(session, other, dial, now_us);
        break;
    case DIALS_ASKED:
    case DIALS_REFUSED:
        break;
    }
}
