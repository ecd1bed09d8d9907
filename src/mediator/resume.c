/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/resume.h"

#include <string.h>

#include "mediator/dial_life.h"
#include "mediator/introduction.h"
#include "mediator/server.h"

#define RESUME_EVERY_US 1000000u /* of one dial */
#define RESUME_BURST    8

static void resume_introduce(const struct dials_entry *dial, struct session *caller,
                             struct session *callee, uint64_t now_us)
{
    struct introduction intro;

    introduction_prepare(&intro, dial, caller, callee, now_us);
    introduction_again(&intro, DIALS_CALLER);
    if (dial->state == DIALS_LIVE) /* unless the first one was dropped, since it does not read */
        introduction_again(&intro, DIALS_CALLEE);
}

/* What others make us send it must not push it out. And what strangers ask must not keep the
 * members of its own dials from being heard, so those are counted by the dial. */
static bool resume_may_tell(const struct session *by, struct session *other,
                            struct dials_entry *dial, uint64_t now_us)
{
    const struct config_limits *limits = &by->server->config->limits;
    enum dials_side side;

    if (!session_has_room(other))
        return false;
    if (dials_side_of(dial, other->entry.session_id, &side))
        return limit_take_every(&dial->wakes, RESUME_EVERY_US, RESUME_BURST, now_us);
    return limits_take_from(by->server->asks, other->entry.session_id, &by->from, now_us) &&
           limit_take(&other->wakes, (struct limit_rate){limits->call_rate, limits->live_dials},
                      now_us);
}

/* The other member learns that it is asked for, if it is there and was not asked too often: every
 * program of that ID, since any may be it. It may be a stranger to this dial: then it will not
 * answer, and the asker learns nothing. */
static void resume_wake(const struct session *by, struct dials_entry *dial,
                        const wire_Resume *asked, uint64_t now_us)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_resumed_tag};
    wire_Resumed *resumed = &msg.body.resumed;
    struct identity_id id;

    resumed->dial_id.size = WIRE_DIAL_ID_BYTES;
    memcpy(resumed->dial_id.bytes, asked->dial_id.bytes, WIRE_DIAL_ID_BYTES);
    resumed->peer_id.size = IDENTITY_ID_BYTES;
    memcpy(resumed->peer_id.bytes, by->entry.id.bytes, IDENTITY_ID_BYTES);
    memcpy(id.bytes, asked->peer_id.bytes, sizeof id.bytes);
    struct registry *registry = by->server->registry;
    struct registry_entry *entry = registry_by_id(registry, &id, NULL), *next;
    for (; entry != NULL; entry = next) {
        struct session *other = session_of_entry(entry);
        next = registry_by_id(registry, &id, entry); /* sending may drop it */
        if (other != by && resume_may_tell(by, other, dial, now_us))
            session_send(other, &msg);
    }
}

/* The session of this number, if it is the peer's that is asked for. */
static struct session *resume_session(const struct session *by, uint64_t session_id,
                                      const wire_Resume *asked)
{
    struct session *session =
        session_of_entry(registry_by_session(by->server->registry, session_id));

    return session != NULL &&
                   memcmp(session->entry.id.bytes, asked->peer_id.bytes, IDENTITY_ID_BYTES) == 0
               ? session
               : NULL;
}

/* Of a dial that is remembered the member that is asked for, if its session goes on; 0: none. */
static uint64_t resume_remembered(const struct session *by, const struct dials_entry *dial,
                                  const wire_Resume *asked)
{
    for (int side = 0; side < 2; side++) {
        const struct session *other = resume_session(by, dial->member[side], asked);
        if (other != NULL && other != by)
            return dial->member[side];
    }
    return 0;
}

/* Half of it: kept until the other member asks as well. */
static void resume_begin(struct session *session, struct dials_entry *dial, const wire_Resume *msg,
                         uint64_t now_us)
{
    struct server *server = session->server;

    bool room = dial_life_room(session, NULL, now_us);
    if (room && dial == NULL)
        dial = dials_add(server->dials, msg->dial_id.bytes, 0, now_us);
    if (!room || dial == NULL || !dials_hold(server->dials, dial, &session->from)) {
        if (room && dial != NULL)
            dials_forget(server->dials, dial);
        session_send_error(session, wire_ErrorCode_ERROR_TOO_MANY, msg->dial_id.bytes,
                           "too many connections at one time");
        return;
    }
    dial->member[DIALS_CALLEE] = resume_remembered(session, dial, msg);
    dial->no_relay = msg->no_relay;
    dial->hidden[DIALS_CALLER] = msg->hidden;
    dial->hidden[DIALS_CALLEE] = false;
    dial->refusal = NULL;
    memset(dial->reports, 0, sizeof dial->reports);
    memcpy(dial->wanted, msg->peer_id.bytes, sizeof dial->wanted);
    dials_join(dial, DIALS_CALLER, session->entry.session_id, &session->own_dials);
    dials_move(server->dials, dial, DIALS_RESUMING, now_us);
    resume_wake(session, dial, msg, now_us);
}

/* Someone has asked for this dial before. */
static void resume_meet(struct session *session, struct dials_entry *dial, const wire_Resume *msg,
                        uint64_t now_us)
{
    struct server *server = session->server;

    if (dial->member[DIALS_CALLER] == session->entry.session_id) {
        memcpy(dial->wanted, msg->peer_id.bytes, sizeof dial->wanted);
        resume_wake(session, dial, msg, now_us);
        return;
    }
    struct session *other = resume_session(session, dial->member[DIALS_CALLER], msg);
    if (other == NULL || memcmp(dial->wanted, session->entry.id.bytes, sizeof dial->wanted) != 0) {
        /* Asked for by somebody else, who guesses or is a member with another other. */
        dials_move(server->dials, dial, DIALS_OVER, now_us);
        resume_begin(session, dial, msg, now_us);
        return;
    }
    if (!dial_life_room(session, NULL, now_us)) {
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
static void resume_live(struct session *session, struct dials_entry *dial, const wire_Resume *msg,
                        uint64_t now_us)
{
    struct session *other =
        resume_session(session, dials_other(dial, session->entry.session_id), msg);
    enum dials_side side;

    if (other == NULL || !dials_side_of(dial, session->entry.session_id, &side) ||
        !resume_may_tell(session, other, dial, now_us))
        return;
    resume_introduce(dial, side == DIALS_CALLER ? session : other,
                     side == DIALS_CALLER ? other : session, now_us);
}

void resume_dial(struct session *session, const wire_Resume *msg, uint64_t now_us)
{
    struct server *server = session->server;
    const struct config_limits *limits = &server->config->limits;

    if (!limit_take(&session->resumes, (struct limit_rate){limits->dial_rate, limits->live_dials},
                    now_us)) {
        session_send_error(session, wire_ErrorCode_ERROR_TOO_MANY, msg->dial_id.bytes,
                           "too many resumed connections a second");
        return;
    }
    struct dials_entry *dial = dials_find(server->dials, msg->dial_id.bytes);
    switch (dial != NULL ? dial->state : DIALS_OVER) {
    case DIALS_OVER:
        resume_begin(session, dial, msg, now_us);
        break;
    case DIALS_RESUMING:
        resume_meet(session, dial, msg, now_us);
        break;
    case DIALS_LIVE:
        resume_live(session, dial, msg, now_us);
        break;
    case DIALS_ASKED:
    case DIALS_REFUSED:
        break;
    }
}
