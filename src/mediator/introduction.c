/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/introduction.h"

#include <string.h>

#include "mediator/server.h"
#include "mediator/sockets.h"

/* The caller's first openers must be out of its NAT, not just about to leave: a busy caller needs
 * some milliseconds between reading the answer and sending. */
#define INTRODUCTION_OPENER_MARGIN_US 3000

/* Two peers whose distances to us differ by some time are at least about that far from each other;
 * the part of it that even crooked routes keep is on the wire anyway, and need not be waited for.
 */
#define INTRODUCTION_FLIGHT_SHARE 16

static enum dials_side introduction_other(enum dials_side side)
{
    return side == DIALS_CALLER ? DIALS_CALLEE : DIALS_CALLER;
}

/* Of a member that hides its address, "the same as yours" would tell it. */
static bool introduction_tells_same(const struct introduction *intro, const wire_Coordinates *shown)
{
    return intro->same_public && !shown->hidden;
}

static wire_PeerCoord *introduction_peer_coord(const struct introduction *intro, enum dials_side to,
                                               wire_FromMediator *msg)
{
    wire_PeerCoord *coord = &msg->body.peer_coord;
    const struct dials_entry *dial = intro->dial;
    const struct session *other = intro->member[introduction_other(to)];

    memset(msg, 0, sizeof *msg);
    msg->which_body = wire_FromMediator_peer_coord_tag;
    coord->dial_id.size = WIRE_DIAL_ID_BYTES;
    memcpy(coord->dial_id.bytes, dial->id, WIRE_DIAL_ID_BYTES);
    coord->peer_id.size = IDENTITY_ID_BYTES;
    memcpy(coord->peer_id.bytes, other->entry.id.bytes, IDENTITY_ID_BYTES);
    coord->has_coordinates = true;
    coord->path_rtt_us = intro->path_rtt_us;
    if (dial->pair != NULL) {
        coord->relay_tag.size = WIRE_RELAY_TAG_BYTES;
        relay_tag(dial->pair, to, coord->relay_tag.bytes);
    } else if (dial->refusal != NULL) {
        strncpy(coord->relay_refusal, dial->refusal, sizeof coord->relay_refusal - 1);
    }
    return coord;
}

void introduction_prepare(struct introduction *intro, const struct dials_entry *dial,
                          struct session *caller, struct session *callee, uint64_t now_us)
{
    uint32_t caller_rtt_us = sockets_rtt_us(channel_fd(caller->channel));
    uint32_t callee_rtt_us = sockets_rtt_us(channel_fd(callee->channel));
    uint32_t lag_us = caller_rtt_us > callee_rtt_us ? caller_rtt_us - callee_rtt_us : 0;

    *intro = (struct introduction){
        .dial = dial,
        .member = {[DIALS_CALLER] = caller, [DIALS_CALLEE] = callee},
        .opener_due_us =
            INTRODUCTION_OPENER_MARGIN_US + lag_us / 2 - lag_us / INTRODUCTION_FLIGHT_SHARE,
        .path_rtt_us = caller_rtt_us + callee_rtt_us,
    };
    session_whereabouts(caller, now_us, &intro->where[DIALS_CALLER]);
    session_whereabouts(callee, now_us, &intro->where[DIALS_CALLEE]);
    intro->same_public =
        coordinates_same_public(&intro->where[DIALS_CALLER], &intro->where[DIALS_CALLEE]);
}

bool introduction_to_callee(const struct introduction *intro, const wire_GetPeer *dial)
{
    wire_FromMediator msg;
    struct coordinates fresh;
    wire_PeerCoord *coord = introduction_peer_coord(intro, DIALS_CALLEE, &msg);

    coordinates_take(&dial->coordinates, &fresh);
    coordinates_show(&fresh, &intro->where[DIALS_CALLER], intro->same_public, &coord->coordinates);
    coord->same_public_address = introduction_tells_same(intro, &coord->coordinates);
    coord->sealed.size = dial->sealed.size;
    memcpy(coord->sealed.bytes, dial->sealed.bytes, dial->sealed.size);
    coord->opener_due_us = intro->opener_due_us;
    return session_send(intro->member[DIALS_CALLEE], &msg);
}

void introduction_to_caller(const struct introduction *intro)
{
    wire_FromMediator msg;
    wire_PeerCoord *coord = introduction_peer_coord(intro, DIALS_CALLER, &msg);

    coordinates_show(&intro->member[DIALS_CALLEE]->coordinates, &intro->where[DIALS_CALLEE],
                     intro->same_public, &coord->coordinates);
    coord->same_public_address = introduction_tells_same(intro, &coord->coordinates);
    session_send(intro->member[DIALS_CALLER], &msg);
}

void introduction_again(const struct introduction *intro, enum dials_side to)
{
    enum dials_side about = introduction_other(to);
    const struct dials_entry *dial = intro->dial;
    wire_FromMediator msg = {.which_body = wire_FromMediator_resumed_tag};
    wire_Resumed *resumed = &msg.body.resumed;

    resumed->dial_id.size = WIRE_DIAL_ID_BYTES;
    memcpy(resumed->dial_id.bytes, dial->id, WIRE_DIAL_ID_BYTES);
    resumed->peer_id.size = IDENTITY_ID_BYTES;
    memcpy(resumed->peer_id.bytes, intro->member[about]->entry.id.bytes, IDENTITY_ID_BYTES);
    resumed->both = true;
    if (dial->pair != NULL) {
        resumed->relay_tag.size = WIRE_RELAY_TAG_BYTES;
        relay_tag(dial->pair, to, resumed->relay_tag.bytes);
    } else if (dial->refusal != NULL) {
        strncpy(resumed->relay_refusal, dial->refusal, sizeof resumed->relay_refusal - 1);
    }
    struct coordinates shown = intro->member[about]->coordinates;
    shown.hidden = shown.hidden || dial->hidden[about];
    resumed->has_coordinates = true;
    coordinates_show(&shown, &intro->where[about], intro->same_public, &resumed->coordinates);
    resumed->opener_due_us = to == DIALS_CALLEE && !dial->resumed ? intro->opener_due_us : 0;
    resumed->path_rtt_us = intro->path_rtt_us;
    resumed->same_public_address = introduction_tells_same(intro, &resumed->coordinates);
    session_send(intro->member[to], &msg);
}
