/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/introduce.h"

#include <string.h>

#include "mediator/server.h"
#include "mediator/sockets.h"

/* The caller's first openers must be out of its NAT, not just about to leave: a busy caller needs
 * some milliseconds between reading the answer and sending. */
#define INTRODUCE_OPENER_MARGIN_US 3000

/* Two peers whose distances to us differ by some time are at least about that far from each other;
 * the part of it that even crooked routes keep is on the wire anyway, and need not be waited for.
 */
#define INTRODUCE_FLIGHT_SHARE 16

/* What both sides are told about each other and the time between them. */
struct introduction {
    struct session *caller, *callee;
    const uint8_t *dial_id;
    struct coordinates_whereabouts caller_where, callee_where;
    bool same_public;
    uint32_t opener_due_us;
    uint32_t path_rtt_us;
};

static void introduce_prepare(struct introduction *intro, uint64_t now_us)
{
    uint32_t caller_rtt_us = sockets_rtt_us(channel_fd(intro->caller->channel));
    uint32_t callee_rtt_us = sockets_rtt_us(channel_fd(intro->callee->channel));

    session_whereabouts(intro->caller, now_us, &intro->caller_where);
    session_whereabouts(intro->callee, now_us, &intro->callee_where);
    intro->same_public = coordinates_same_public(&intro->caller_where, &intro->callee_where);
    intro->path_rtt_us = caller_rtt_us + callee_rtt_us;
    uint32_t lag_us = caller_rtt_us > callee_rtt_us ? caller_rtt_us - callee_rtt_us : 0;
    intro->opener_due_us =
        INTRODUCE_OPENER_MARGIN_US + lag_us / 2 - lag_us / INTRODUCE_FLIGHT_SHARE;
}

static wire_PeerCoord *introduce_peer_coord(const struct introduction *intro,
                                            const struct session *other, wire_FromMediator *msg)
{
    wire_PeerCoord *coord = &msg->body.peer_coord;

    memset(msg, 0, sizeof *msg);
    msg->which_body = wire_FromMediator_peer_coord_tag;
    coord->dial_id.size = WIRE_DIAL_ID_BYTES;
    memcpy(coord->dial_id.bytes, intro->dial_id, WIRE_DIAL_ID_BYTES);
    coord->peer_id.size = IDENTITY_ID_BYTES;
    memcpy(coord->peer_id.bytes, other->entry.id.bytes, IDENTITY_ID_BYTES);
    coord->has_coordinates = true;
    coord->path_rtt_us = intro->path_rtt_us;
    coord->same_public_address = intro->same_public;
    return coord;
}

static bool introduce_to_callee(const struct introduction *intro, const wire_GetPeer *dial)
{
    wire_FromMediator msg;
    struct coordinates fresh;
    wire_PeerCoord *coord = introduce_peer_coord(intro, intro->caller, &msg);

    coordinates_take(&dial->coordinates, &fresh);
    coordinates_show(&fresh, &intro->caller_where, intro->same_public, &coord->coordinates);
    coord->sealed.size = dial->sealed.size;
    memcpy(coord->sealed.bytes, dial->sealed.bytes, dial->sealed.size);
    coord->opener_due_us = intro->opener_due_us;
    return session_send(intro->callee, &msg);
}

static void introduce_to_caller(const struct introduction *intro)
{
    wire_FromMediator msg;
    wire_PeerCoord *coord = introduce_peer_coord(intro, intro->callee, &msg);

    coordinates_show(&intro->callee->coordinates, &intro->callee_where, intro->same_public,
                     &coord->coordinates);
    session_send(intro->caller, &msg);
}

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
    struct session *callee = session_of_entry(registry_by_id(caller->server->registry, &id));
    if (callee == NULL || callee == caller || !introduce_is_visible(callee, &caller->entry.id) ||
        !session_has_room(callee) ||
        !limit_take(&callee->calls, (struct limit_rate){limits->call_rate, limits->call_burst},
                    now_us))
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
    struct dials_entry *dial = dials_add(server->dials, dial_id, caller->entry.session_id, now_us);
    struct introduction intro = {
        .caller = caller, .callee = introduce_callee(caller, msg, now_us), .dial_id = dial_id};
    server->counters.dials++;
    if (intro.callee == NULL) {
        introduce_refuse_later(caller, dial_id, now_us);
        return;
    }
    introduce_prepare(&intro, now_us);
    dial->member[DIALS_CALLEE] = intro.callee->entry.session_id;
    dial->state = DIALS_ASKED;
    if (!introduce_to_callee(&intro, msg) ||
        intro.callee->visibility == wire_Visibility_VISIBLE_IF_ACCEPTED) {
        introduce_refuse_later(caller, dial_id, now_us);
        return;
    }
    dial->state = DIALS_LIVE;
    introduce_to_caller(&intro);
}

void introduce_accept(struct session *callee, const wire_DialAccept *msg, uint64_t now_us)
{
    struct server *server = callee->server;
    const uint8_t *dial_id = msg->dial_id.bytes;
    struct dials_entry *dial = dials_find(server->dials, dial_id);
    struct introduction intro = {.callee = callee, .dial_id = dial_id};

    if (dial != NULL)
        intro.caller =
            session_of_entry(registry_by_session(server->registry, dial->member[DIALS_CALLER]));
    /* Just now the refusal may be due and not yet sent: then it is too late as well, or the caller
     * would get both. */
    if (intro.caller == NULL || now_us - dial->created_us >= REFUSALS_WAIT_US ||
        !dials_accept(dial, callee->entry.session_id)) {
        session_send_error(callee, wire_ErrorCode_ERROR_NO_SUCH_DIAL, dial_id, "no such dial");
        return;
    }
    introduce_prepare(&intro, now_us);
    introduce_to_caller(&intro);
}

void introduce_note(struct session *from, const wire_DialNote *msg)
{
    struct server *server = from->server;
    struct dials_entry *dial = dials_find(server->dials, msg->dial_id.bytes);
    uint64_t to_id = dial != NULL ? dials_note(server->dials, dial, from->entry.session_id) : 0;
    struct session *to =
        to_id != 0 ? session_of_entry(registry_by_session(server->registry, to_id)) : NULL;

    if (to == NULL || !session_has_room(to)) {
        session_send_error(from, wire_ErrorCode_ERROR_NO_SUCH_DIAL, msg->dial_id.bytes,
                           "no such dial");
        return;
    }
    wire_FromMediator forward = {.which_body = wire_FromMediator_dial_note_tag,
                                 .body.dial_note = *msg};
    session_send(to, &forward);
}

void introduce_complete(struct session *from, const wire_HolepunchingComplete *msg)
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

    if (dial == NULL || !dials_end(dial, from->entry.session_id, &side))
        return;
    server->counters.outcome[msg->outcome]++;
    wire_to_profile(&msg->mine, &profile);
    log_info(&server->log,
             "%s: hole punching as %s: %s, technique %u, %.1f ms, mapping %s, "
             "allocation %s",
             session_short_id(from, name), side == DIALS_CALLER ? "caller" : "callee",
             outcomes[msg->outcome], (unsigned)msg->technique, (double)msg->elapsed_us / 1000.0,
             nat_mapping_text(profile.mapping), nat_allocation_text(profile.allocation));
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
        if (dial != NULL && dial->state == DIALS_LIVE)
            continue; /* accepted in the meantime */
        if (dial != NULL)
            dial->state = DIALS_REFUSED;
        server->counters.refused++;
        if (caller != NULL)
            session_send_error(caller, wire_ErrorCode_ERROR_NO_SUCH_PEER, refusal.dial_id,
                               "no such peer");
    }
}
