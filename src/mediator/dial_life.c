/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/dial_life.h"

#include "mediator/server.h"

#define DIAL_LIFE_IDLE_US (60u * 1000000u)

static uint64_t dial_life_used_us(const struct dials_entry *dial)
{
    uint64_t relayed_us = dial->pair != NULL ? relay_used_us(dial->pair) : 0;

    return relayed_us > dial->used_us ? relayed_us : dial->used_us;
}

static struct dials_entry *dial_life_oldest_idle(const struct dials_list *list, uint64_t now_us)
{
    struct dials_entry *oldest_idle = NULL;

    for (struct dials_entry *dial = list->first; dial != NULL; dial = dials_next(dial, list))
        if (dial->state == DIALS_LIVE && now_us - dial_life_used_us(dial) >= DIAL_LIFE_IDLE_US)
            oldest_idle = dial;
    return oldest_idle;
}

static bool dial_life_is_of_others(const struct dials_entry *dial, const struct session *session)
{
    return dial->member[DIALS_CALLER] != session->entry.session_id;
}

/* Of the network that crowds the list the dial that was longest not used. */
static struct dials_entry *dial_life_crowding(const struct session *session,
                                              const struct stun_addr *asker)
{
    const struct dials_list *list = &session->own_dials;
    struct occupancy *shares = occupancy_new();
    struct dials_entry *chosen = NULL;

    if (shares == NULL)
        return NULL;
    for (struct dials_entry *dial = list->first; dial != NULL; dial = dials_next(dial, list))
        if (dial_life_is_of_others(dial, session))
            occupancy_enter(shares, &dial->holder, UINT32_MAX);
    uint32_t most = asker != NULL ? occupancy_of(shares, asker) + 2 : 1;
    for (struct dials_entry *dial = list->first; dial != NULL; dial = dials_next(dial, list)) {
        uint32_t share = occupancy_of(shares, &dial->holder);
        if (!dial_life_is_of_others(dial, session) || share < most ||
            (chosen != NULL && share == most &&
             dial_life_used_us(dial) > dial_life_used_us(chosen)))
            continue;
        chosen = dial;
        most = share;
    }
    occupancy_free(shares);
    return chosen;
}

bool dial_life_room(struct session *session, const struct stun_addr *asker, uint64_t now_us)
{
    if (session->own_dials.count < session->server->config->limits.live_dials)
        return true;
    struct dials_entry *least = dial_life_oldest_idle(&session->own_dials, now_us);
    if (least == NULL)
        least = dial_life_crowding(session, asker);
    if (least == NULL)
        return false;
    dial_life_end(session->server, least, DIALS_OVER, now_us);
    return true;
}

void dial_life_join(struct dials_entry *dial, struct session *caller, struct session *callee,
                    uint64_t now_us)
{
    struct relay *relay = caller->server->relay;

    if (dial->link[DIALS_CALLER].list == NULL)
        dials_join(dial, DIALS_CALLER, caller->entry.session_id, &caller->own_dials);
    dials_join(dial, DIALS_CALLEE, callee->entry.session_id, &callee->own_dials);
    if (dial->no_relay)
        return;
    if (relay == NULL)
        dial->refusal = "this mediator does not relay";
    else
        dial->pair = relay_open(relay, &caller->relay, &callee->relay, now_us, &dial->refusal);
}

void dial_life_end(struct server *server, struct dials_entry *dial, enum dials_state state,
                   uint64_t now_us)
{
    relay_close(server->relay, dial->pair);
    dial->pair = NULL;
    dials_move(server->dials, dial, state, now_us);
}

void dial_life_leave(struct session *session, uint64_t now_us)
{
    while (session->own_dials.first != NULL)
        dial_life_end(session->server, session->own_dials.first, DIALS_OVER, now_us);
}
