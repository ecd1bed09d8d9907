/* SPDX-License-Identifier: BSD-2-Clause */
/* STUN messages that come in: the peer's checks, answers to ours. */
#include <string.h>

#include "punch/engine.h"

static void answer(struct punch *p, const struct punch_pair *from, const struct stun_message *msg,
                   uint16_t error)
{
    struct answer *a;

    /* A burst beyond this is lost like on the wire; who means it asks again. */
    if (p->answer_count == ANSWERS)
        return;
    a = &p->answers[(p->answer_first + p->answer_count++) % ANSWERS];
    memset(a, 0, sizeof(*a));
    a->pair = *from;
    memcpy(a->transaction, msg->transaction, sizeof(a->transaction));
    a->error = error;
    if (error == STUN_ERROR_UNKNOWN_ATTRIBUTE) {
        a->unknown_count = (uint8_t)(msg->unknown_count < STUN_MAX_UNKNOWN ? msg->unknown_count
                                                                           : STUN_MAX_UNKNOWN);
        memcpy(a->unknown, msg->unknown, a->unknown_count * sizeof(a->unknown[0]));
    }
}

static void take_role(struct punch *p, bool controlling)
{
    p->controlling = controlling;
    p->nominate_due_us = controlling && p->state == CONNECTED ? p->now_us : NEVER;
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++)
        p->pairs[i].nominate = false;
}

/* RFC 8445, 7.3.1.1. True if the request must be refused with 487. */
static bool role_conflict(struct punch *p, const struct stun_message *msg)
{
    if (p->controlling && msg->has_controlling) {
        if (p->tie_breaker >= msg->tie_breaker)
            return true;
        take_role(p, false);
    } else if (!p->controlling && msg->has_controlled) {
        if (p->tie_breaker < msg->tie_breaker)
            return true;
        take_role(p, true);
    }
    return false;
}

/* A copy of a request that arrives from elsewhere says nothing about that place. */
static bool copied(struct punch *p, const struct stun_message *msg, const struct stun_addr *from)
{
    for (size_t i = 0; i < SEEN; i++) {
        if (p->seen[i].from.family != STUN_NO_FAMILY &&
            memcmp(p->seen[i].id, msg->transaction, STUN_TRANSACTION_BYTES) == 0)
            return !stun_addr_equal(&p->seen[i].from, from);
    }
    memcpy(p->seen[p->seen_next].id, msg->transaction, STUN_TRANSACTION_BYTES);
    p->seen[p->seen_next].from = *from;
    p->seen_next = (p->seen_next + 1) % SEEN;
    return false;
}

/* Where both NATs give each destination another port, each check of ours brings one of theirs from
 * a new one. What answers our search comes from where that was aimed at. */
static bool too_many(const struct punch *p, const struct punch_pair *from)
{
    unsigned count = 0;

    if (from->socket >= PUNCH_SEARCH_SOCKET && stun_addr_equal(&from->remote, &p->search.target))
        return false;
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        const struct pair *pair = &p->pairs[i];

        count += pair->used && !pair->proven && pair->kind == PUNCH_PEER_REFLEXIVE &&
                 stun_addr_same_ip(&pair->remote, &from->remote);
    }
    return count >= REFLEXIVE_PAIRS;
}

/* The pair that something authentic came in on, made if there is none. */
static uint16_t arrival(struct punch *p, const struct punch_pair *from)
{
    uint16_t i = pair_find(p, from->socket, &from->remote);
    const struct remote *r;

    if (i != NO_PAIR)
        return i;
    if (remote_find(p, &from->remote) == NULL && too_many(p, from))
        return NO_PAIR;
    r = remote_add(p, PUNCH_PEER_REFLEXIVE, &from->remote, false);
    if (r == NULL)
        return NO_PAIR;
    return pair_add(p, from->socket, r->kind, &from->remote, r->attested);
}

/* What was proven long ago and not used since says nothing any more. */
static void forget_old(struct punch *p, uint16_t i)
{
    struct pair *pair = &p->pairs[i];

    if (pair->proven && i != p->selected && pair->answered_us + OLD_US < p->now_us)
        pair->proven = false;
}

static void request(struct punch *p, const struct punch_pair *from, const struct stun_message *msg)
{
    uint16_t i;

    if (!stun_integrity_ok(msg, (const uint8_t *)p->local_password, p->local_password_bytes))
        return;
    if (msg->unknown_count > 0) {
        answer(p, from, msg, STUN_ERROR_UNKNOWN_ATTRIBUTE);
        return;
    }
    if (msg->has_priority && msg->priority == 0) {
        answer(p, from, msg, STUN_ERROR_BAD_REQUEST);
        return;
    }
    if (role_conflict(p, msg)) {
        answer(p, from, msg, STUN_ERROR_ROLE_CONFLICT);
        return;
    }
    answer(p, from, msg, 0);
    if (copied(p, msg, &from->remote))
        return;
    i = arrival(p, from);
    if (i == NO_PAIR)
        return;
    forget_old(p, i);
    if (msg->use_candidate && !p->controlling &&
        (p->pairs[i].nominated == 0 || p->pairs[i].nominated != p->nominations))
        p->pairs[i].nominated = ++p->nominations;
    engine_hear(p, i);
    pair_select(p);
}

static void response(struct punch *p, const struct punch_pair *from, const struct stun_message *msg,
                     struct transaction *t, uint16_t i)
{
    struct pair *pair = &p->pairs[i];

    /* RFC 8445, 7.2.5.2.1: only from where the request went. What cannot be trusted changes
     * nothing: the true answer may still come. */
    if (pair->socket != from->socket || !stun_addr_equal(&pair->remote, &from->remote))
        return;
    if (!stun_integrity_ok(msg, (const uint8_t *)p->remote_password, p->remote_password_bytes) ||
        msg->unknown_count > 0)
        return;
    if (msg->type == STUN_BINDING_ERROR) {
        t->live = false;
        /* Stale if we have changed our role since: it objects to what we no longer claim. */
        if (msg->error_code == STUN_ERROR_ROLE_CONFLICT && t->controlling == p->controlling) {
            take_role(p, !p->controlling);
            pair_trigger(p, pair);
        }
        return;
    }
    if (msg->mapped.family == STUN_NO_FAMILY)
        return;
    t->live = false;
    if (t->nominating)
        pair->nominate = false;
    engine_hear(p, i);
    engine_prove(p, i, p->now_us - t->sent_us);
}

bool punch_input(struct punch *p, uint64_t now_us, const struct punch_pair *pair,
                 const uint8_t *bytes, size_t size)
{
    struct stun_message msg;
    struct transaction *t;
    uint64_t rtt_us;
    uint16_t i;

    remotes_sweep(p);
    engine_advance(p, now_us);
    if (stun_parse(bytes, size, &msg) != STUN_OK)
        return false;
    if (pair->socket >= PUNCH_MAX_SOCKETS || !stun_addr_is_usable(&pair->remote))
        return false;
    switch (msg.type) {
    case STUN_BINDING_REQUEST:
        if (!check_is_for_us(p, &msg))
            return false;
        if (engine_has_socket(p, pair->socket))
            request(p, pair, &msg);
        return true;
    case STUN_BINDING_SUCCESS:
    case STUN_BINDING_ERROR:
        t = check_find(p, msg.transaction, &i);
        if (t == NULL) {
            i = search_input(p, pair, &msg, &rtt_us);
            if (i == NO_PAIR)
                return samples_input(p, pair, &msg);
            engine_hear(p, i);
            engine_prove(p, i, rtt_us);
            return true;
        }
        response(p, pair, &msg, t, i);
        return true;
    case STUN_BINDING_INDICATION:
        return pair_find(p, pair->socket, &pair->remote) != NO_PAIR;
    default:
        return false;
    }
}

void punch_sent_link(struct punch *p, uint64_t now_us)
{
    engine_advance(p, now_us);
    if (p->state == CONNECTED)
        liveness_sent(p);
}

void punch_heard_link(struct punch *p, uint64_t now_us, const struct punch_pair *pair)
{
    uint16_t i;

    engine_advance(p, now_us);
    if (pair->socket >= PUNCH_MAX_SOCKETS || !engine_has_socket(p, pair->socket) ||
        !stun_addr_is_usable(&pair->remote))
        return; /* by the relay: nothing is learned of any pair */
    i = arrival(p, pair);
    if (i == NO_PAIR)
        return;
    if (p->state == CONNECTED && i == p->selected)
        liveness_heard(p);
    /* The peer's check was lost, but here is the peer: as good as its check. */
    if (!p->pairs[i].heard)
        engine_hear(p, i);
}
