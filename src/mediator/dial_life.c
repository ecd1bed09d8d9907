/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/dial_life.h"

#include "mediator/server.h"

#define DIAL_LIFE_IDLE_US (60u * 1000000u)

static bool dial_life_is_idle(const struct dials_entry *dial, uint64_t now_us)
{
    uint64_t used_us = dial->used_us;

    if (dial->pair != NULL && relay_used_us(dial->pair) > used_us)
        used_us = relay_used_us(dial->pair);
    return dial->state == DIALS_LIVE && now_us - used_us >= DIAL_LIFE_IDLE_US;
}

bool dial_life_room(struct session *session, uint64_t now_us)
{
    const struct dials_list *list = &session->own_dials;
    struct dials_entry *oldest_idle = NULL;

    if (list->count < session->server->config->limits.live_dials)
        return true;
    for (struct dials_entry *dial = list->first; dial != NULL; dial = dials_next(dial, list))
        if (dial_life_is_idle(dial, now_us))
            oldest_idle = dial;
    if (oldest_idle == NULL)
        return false;
    dial_life_end(session->server, oldest_idle, DIALS_OVER, now_us);
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
