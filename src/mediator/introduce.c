/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/introduce.h"

#include <string.h>

#include "mediator/dial_life.h"
#include "mediator/introduction.h"
#include "mediator/server.h"

/* Outcomes beyond these are counted alone: whoever dials itself must not fill a disk with the log.
 */
static const struct limit_rate introduce_logged = {.per_second = 50, .burst = 500};

static bool introduce_is_visible(const struct session *callee, const struct identity_id *to)
{
    switch (callee->visibility) {
    case wire_Visibility_VISIBLE_TO_ANYONE:
    case wire_Visibility_VISIBLE_IF_ACCEPTED:
        return true;
    case wire_Visibility_VISIBLE_TO_LISTED:
        for (size_t i = 0; i < callee->allowed_count; i++)
            if (identity_equal(&callee->allowed[i], to))
                return true;
        return false;
    case wire_Visibility_VISIBLE_TO_NOBODY:
    default:
        return false;
    }
}

/* NULL for every reason why this caller may not have this callee now; all look the same to it. */
static struct session *introduce_callee(const struct session *caller, const wire_GetPeer *msg,
                                        uint64_t now_us)
{
    const struct config_limits *limits = &caller->server->config->limits;
    struct identity_id id;

    memcpy(id.bytes, msg->peer_id.bytes, sizeof id.bytes);
    struct session *callee = session_of_entry(registry_listener(caller->server->registry, &id));
    if (callee == NULL || identity_equal(&id, &caller->entry.id) ||
        !introduce_is_visible(callee, &caller->entry.id) || !session_has_room(callee) ||
        !limits_take_from(caller->server->asks, callee->entry.session_id, &caller->from, now_us) ||
        !limit_take(&callee->calls, (struct limit_rate){limits->call_rate, limits->call_burst},
                    now_us) ||
        !dial_life_room(callee, &caller->from, now_us))
        return NULL;
    return callee;
}

/* Limits that count the questions, never what the answers would be. True: refused. */
static bool introduce_too_many(struct session *caller, const uint8_t *dial_id, uint64_t now_us)
{
    struct server *server = caller->server;
    const struct config_limits *limits = &server->config->limits;
    const char *which = NULL;

    if (!limit_take(&caller->dials, (struct limit_rate){limits->dial_rate, limits->dial_burst},
                    now_us))
        which = "too many dials a second";
    else if (!limits_take(server->prefix_dials, &caller->from, now_us))
        which = "too many dials a second from your network";
    else if (caller->refusals_waiting >= limits->refusals_per_session)
        which = "too many unanswered dials";
    else if (!dial_life_room(caller, NULL, now_us))
        which = "too many connections at one time";
    else if (dials_full(server->dials) || refusals_full(server->refusals))
        which = "this mediator is busy";
    if (which != NULL)
        session_send_error(caller, wire_ErrorCode_ERROR_TOO_MANY, dial_id, which);
    return which != NULL;
}

static void introduce_refuse_later(struct session *caller, const uint8_t *dial_id, uint64_t now_us)
{
    struct server *server = caller->server;

    refusals_add(server->refusals, caller->entry.session_id, dial_id, now_us);
    caller->refusals_waiting++;
    server_schedule_refusals(server);
}

void introduce_get_peer(struct session *caller, const wire_GetPeer *msg, uint64_t now_us)
{
    struct server *server = caller->server;
    const uint8_t *dial_id = msg->dial_id.bytes;

    dials_expire(server->dials, now_us);
    if (dials_find(server->dials, dial_id) != NULL) {
        session_end(caller, wire_ErrorCode_ERROR_BAD_MESSAGE, dial_id, "dial_id is not a new one");
        return;
    }
    if (introduce_too_many(caller, dial_id, now_us))
        return;
    struct session *callee = introduce_callee(caller, msg, now_us);
    struct dials_entry *dial = dials_add(server->dials, dial_id, caller->entry.session_id, now_us);
    struct introduction intro;
    server->counters.dials++;
    if (!dials_hold(server->dials, dial, &caller->from)) {
        dials_forget(server->dials, dial); /* or it would take a place that counts for nobody */
        session_send_error(caller, wire_ErrorCode_ERROR_TOO_MANY, dial_id,
                           "too many connections at one time from your network");
        return;
    }
    /* On the caller's list in any case: how many it may have must not tell whom there is. */
    dials_join(dial, DIALS_CALLER, caller->entry.session_id, &caller->own_dials);
    if (callee == NULL) {
        introduce_refuse_later(caller, dial_id, now_us);
        return;
    }
    dial->hidden[DIALS_CALLER] = msg->coordinates.hidden;
    dial->no_relay = msg->no_relay || callee->no_relay;
    dial_life_join(dial, caller, callee, now_us);
    dials_move(server->dials, dial, DIALS_ASKED, now_us);
    introduction_prepare(&intro, dial, caller, callee, now_us);
    if (!introduction_to_callee(&intro, msg) ||
        callee->visibility == wire_Visibility_VISIBLE_IF_ACCEPTED) {
        introduce_refuse_later(caller, dial_id, now_us);
        return;
    }
    dials_move(server->dials, dial, DIALS_LIVE, now_us);
    introduction_to_caller(&intro);
}

void introduce_accept(struct session *callee, const wire_DialAccept *msg, uint64_t now_us)
{
    struct server *server = callee->server;
    const uint8_t *dial_id = msg->dial_id.bytes;
    struct dials_entry *dial = dials_find(server->dials, dial_id);
    struct session *caller = NULL;
    struct introduction intro;

    if (dial != NULL)
        caller =
            session_of_entry(registry_by_session(server->registry, dial->member[DIALS_CALLER]));
    /* Just now the refusal may be due and not yet sent: then it is too late as well, or the caller
     * would get both. */
    if (caller == NULL || now_us - dial->created_us >= REFUSALS_WAIT_US ||
        !dials_accept(server->dials, dial, callee->entry.session_id, now_us)) {
        session_send_error(callee, wire_ErrorCode_ERROR_NO_SUCH_DIAL, dial_id, "no such dial");
        return;
    }
    introduction_prepare(&intro, dial, caller, callee, now_us);
    introduction_to_caller(&intro);
}

void introduce_note(struct session *from, const wire_DialNote *msg, uint64_t now_us)
{
    struct server *server = from->server;
    struct dials_entry *dial = dials_find(server->dials, msg->dial_id.bytes);
    uint64_t to_id = dial != NULL ? dials_other(dial, from->entry.session_id) : 0;
    struct session *to =
        to_id != 0 ? session_of_entry(registry_by_session(server->registry, to_id)) : NULL;

    if (to == NULL) {
        session_send_error(from, wire_ErrorCode_ERROR_NO_SUCH_DIAL, msg->dial_id.bytes,
                           "no such dial");
        return;
    }
    if (!session_has_room(to) || !dials_note(server->dials, dial, from->entry.session_id, now_us)) {
        session_send_error(from, wire_ErrorCode_ERROR_TOO_MANY, msg->dial_id.bytes,
                           "too many notes for this connection");
        return;
    }
    wire_FromMediator forward = {.which_body = wire_FromMediator_dial_note_tag,
                                 .body.dial_note = *msg};
    session_send(to, &forward);
}

void introduce_end(struct session *from, const wire_DialEnd *msg, uint64_t now_us)
{
    struct dials_entry *dial = dials_find(from->server->dials, msg->dial_id.bytes);
    enum dials_side side;

    /* Also one that is only asked for, and one whose refusal is due: the same for both. */
    if (dial != NULL && dials_side_of(dial, from->entry.session_id, &side) &&
        dial->link[side].list != NULL)
        dial_life_end(from->server, dial, DIALS_OVER, now_us);
}

void introduce_complete(struct session *from, const wire_HolepunchingComplete *msg, uint64_t now_us)
{
    static const char *const outcomes[] = {
        [wire_Outcome_OUTCOME_UNSPECIFIED] = "unspecified",
        [wire_Outcome_OUTCOME_DIRECT] = "direct",
        [wire_Outcome_OUTCOME_RELAYED] = "relayed",
        [wire_Outcome_OUTCOME_FAILED] = "failed",
        [wire_Outcome_OUTCOME_REFUSED] = "refused",
    };
    struct server *server = from->server;
    struct dials_entry *dial = dials_find(server->dials, msg->dial_id.bytes);
    enum dials_side side;
    struct nat_profile profile;
    char name[SESSION_SHORT_ID_BYTES];

    if (dial == NULL || !dials_side_of(dial, from->entry.session_id, &side) || !dial->accepted ||
        dial->reports[side] == DIALS_MAX_REPORTS)
        return;
    bool first = dial->reports[side]++ == 0;
    if (first)
        server->counters.outcome[msg->outcome]++;
    wire_to_profile(&msg->mine, &profile);
    if (limit_take(&server->reports, introduce_logged, now_us))
        log_info(&server->log,
                 "%s: hole punching as %s: %s%s, technique %u, %.1f ms, mapping %s, "
                 "allocation %s",
                 session_short_id(from, name), side == DIALS_CALLER ? "caller" : "callee",
                 first ? "" : "now ", outcomes[msg->outcome], (unsigned)msg->technique,
                 (double)msg->elapsed_us / 1000.0, nat_mapping_text(profile.mapping),
                 nat_allocation_text(profile.allocation));
    if (dial->state == DIALS_LIVE && (msg->outcome == wire_Outcome_OUTCOME_FAILED ||
                                      msg->outcome == wire_Outcome_OUTCOME_REFUSED))
        dial_life_end(server, dial, DIALS_OVER, now_us);
}

void introduce_refuse_due(struct server *server, uint64_t now_us)
{
    struct refusal refusal;

    while (refusals_take(server->refusals, now_us, &refusal)) {
        struct session *caller =
            session_of_entry(registry_by_session(server->registry, refusal.session_id));
        struct dials_entry *dial = dials_find(server->dials, refusal.dial_id);
        if (caller != NULL)
            caller->refusals_waiting--;
        if (dial != NULL && dial->accepted)
            continue; /* in the meantime */
        if (dial != NULL)
            dial_life_end(server, dial, DIALS_REFUSED, now_us);
        server->counters.refused++;
        if (caller != NULL)
            session_send_error(caller, wire_ErrorCode_ERROR_NO_SUCH_PEER, refusal.dial_id,
                               "no such peer");
    }
}
