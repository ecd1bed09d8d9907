/* SPDX-License-Identifier: BSD-2-Clause */
#include "punch/search.h"

#include <string.h>

#include "punch/engine.h"
#include "stun/integrity.h"

#define AHEAD             8 /* sockets that are asked for before they are needed, so many at once */
#define CATCH_UP          3 /* packets at once after a late timer; the rate stays below 250 a second */
#define OPEN_BEFORE_US    (50 * MS)
#define PREDICT_GAP_US    250u
#define PREDICT_AGAIN_US  (150 * MS)
#define REFUSED_US        (100 * MS)   /* until the budget is asked again */
#define EFFECT_US         SECOND       /* what was sent last has had its effect */
#define HOLES_US          (4 * SECOND) /* they stay while the other side tries its last ports */
#define PREDICT_EFFECT_US (600 * MS)

static bool bit(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static void set_bit(uint8_t *bits, size_t i, bool value)
{
    if (value)
        bits[i / 8] |= (uint8_t)(1u << (i % 8));
    else
        bits[i / 8] &= (uint8_t) ~(1u << (i % 8));
}

static uint64_t gap_us(const struct search *s)
{
    return s->gated ? PLAN_SEARCH_GAP_US : PREDICT_GAP_US;
}

static void transaction_of(const struct search *s, uint16_t index, uint8_t round,
                           uint8_t id[static STUN_TRANSACTION_BYTES])
{
    uint8_t what[STUN_HEADER_BYTES] = {[4] = (uint8_t)(index >> 8), (uint8_t)index, round};
    uint8_t digest[STUN_SHA1_BYTES];

    stun_hmac_sha1(what, sizeof(what), s->key, sizeof(s->key), digest);
    memcpy(id, digest, STUN_TRANSACTION_BYTES);
}

static uint16_t port_of(const struct search *s, uint16_t index)
{
    uint64_t place = (s->range_start + (uint64_t)index * s->range_stride) % s->range_ports;

    return (uint16_t)(s->range_first + place);
}

static uint32_t divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Each port once, and all of the range alike: steps of the golden ratio. */
static void spread(struct punch *p, struct search *s)
{
    uint32_t dice;

    p->random(p->random_context, (uint8_t *)&dice, sizeof(dice));
    s->range_start = dice % s->range_ports;
    s->range_stride = (uint32_t)((uint64_t)s->range_ports * 618 / 1000) + dice / 65536 % 16;
    if (s->range_stride == 0)
        s->range_stride = 1;
    while (divisor(s->range_stride, s->range_ports) != 1)
        s->range_stride++;
}

static bool allowed(const struct punch *p, const struct plan_part *part,
                    enum punch_technique technique)
{
    bool block = technique == PUNCH_TECHNIQUE_BLOCK;

    if (!remote_ip_attested(p, &part->target))
        return false; /* whatever a peer says */
    if (part->sockets > (block ? PLAN_BLOCK_SOCKETS : PLAN_SEARCH_ALL) ||
        part->probes > (block ? PLAN_BLOCK_PROBES : PLAN_SEARCH_ALL))
        return false;
    if (part->sockets > 0 && (part->port_count != 1 || part->ports[0] == 0))
        return false;
    if (part->probes > 0 &&
        (part->sockets > 0 || part->range_ports < part->probes || part->range_first < 1024 ||
         part->range_first + part->range_ports > 65536u))
        return false;
    if (technique == PUNCH_TECHNIQUE_PREDICTED)
        return part->sockets <= NAT_MAX_PREDICTED && part->probes == 0;
    return !p->no_search && (p->budget == NULL ||
                             punch_budget_search_from(p->budget, p->now_us, &p->profile.public_addr,
                                                      &part->target) == 0);
}

static void over(struct punch *p, bool found)
{
    struct search *s = &p->search;

    if (!s->running)
        return;
    s->running = false;
    s->dropped = 0;
    if (s->gated && p->budget != NULL)
        punch_budget_search_end(p->budget, p->now_us, found, &p->profile.public_addr, &s->target);
}

static bool in_use(const struct punch *p, uint16_t index)
{
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        if (p->pairs[i].used && p->pairs[i].socket == PUNCH_SEARCH_SOCKET + index)
            return true;
    }
    return false;
}

static void drop(struct punch *p)
{
    struct search *s = &p->search;

    while (s->dropped < s->asked) {
        struct punch_event *event;
        uint16_t end = s->dropped;

        if (in_use(p, end)) {
            s->dropped++;
            continue;
        }
        while (end < s->asked && !in_use(p, end))
            set_bit(s->open, end++, false);
        event = engine_event(p, PUNCH_EVENT_DROP_SOCKET);
        if (event == NULL)
            return; /* the driver does not poll: later */
        event->socket = PUNCH_SEARCH_SOCKET + s->dropped;
        event->socket_count = (unsigned)(end - s->dropped);
        s->dropped = end;
    }
}

/* What an earlier search has left; false: the driver has not polled its events. */
static bool forget(struct punch *p)
{
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        if (p->pairs[i].used && p->pairs[i].socket >= PUNCH_SEARCH_SOCKET)
            memset(&p->pairs[i], 0, sizeof(p->pairs[i]));
    }
    p->search.dropped = 0;
    drop(p);
    return p->search.dropped == p->search.asked;
}

/* Those of an earlier plan, which the budget may have held back: they have missed by now, and would
 * come on top of a search. */
static void end_guesses(struct punch *p)
{
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        struct pair *pair = &p->pairs[i];

        if (!pair->used || pair->kind != PUNCH_PREDICTED || pair->heard || pair->proven)
            continue;
        pair->tries_left = 0;
        pair->next_us = NEVER;
    }
}

bool search_begin(struct punch *p, const struct plan_part *part, enum punch_technique technique,
                  uint64_t at_us)
{
    struct search *s = &p->search;
    bool gated = technique != PUNCH_TECHNIQUE_PREDICTED;

    if (part->sockets + part->probes == 0 || s->running || !allowed(p, part, technique))
        return false;
    if (!forget(p))
        return false;
    memset(s, 0, sizeof(*s));
    s->role = part->sockets > 0 ? SEARCH_HOLES : SEARCH_PROBES;
    s->technique = (uint8_t)technique;
    s->running = true;
    s->gated = gated;
    s->target = part->target;
    s->target.port = s->role == SEARCH_HOLES ? part->ports[0] : 0;
    s->count = s->role == SEARCH_HOLES ? part->sockets : part->probes;
    /* Where we do not know how far our NAT is, a hole is worth more than not being heard, unless
     * being heard too early does harm. */
    s->low_ttl = s->role == SEARCH_HOLES && part->opens_first &&
                 (!gated || p->opener_ttl_known || !plan_harmless(&p->their_profile));
    s->rounds_left = gated ? 0 : 1;
    s->range_first = part->range_first;
    s->range_ports = part->range_ports;
    p->random(p->random_context, s->key, sizeof(s->key));
    if (s->role == SEARCH_PROBES)
        spread(p, s);
    s->start_us = s->due_us = at_us > p->now_us ? at_us : p->now_us;
    s->end_us = NEVER;
    /* When the caller's holes are there, the callee's packets get in. */
    s->again_us = s->start_us + (s->low_ttl && p->note_rtt_us != 0
                                     ? p->note_rtt_us / 2 + s->count * PREDICT_GAP_US
                                     : PREDICT_AGAIN_US);
    if (gated) {
        end_guesses(p);
        if (s->due_us < p->guesses_us)
            s->due_us = p->guesses_us;
    }
    if (gated && p->budget != NULL)
        punch_budget_search_begin(p->budget, p->now_us);
    search_advance(p);
    return true;
}

void search_stop(struct punch *p)
{
    over(p, p->state == CONNECTED);
    drop(p);
}

void search_cancel(struct punch *p)
{
    over(p, p->search.next < p->search.count / 2);
    drop(p);
}

static void want(struct punch *p)
{
    struct search *s = &p->search;
    unsigned count = (unsigned)(s->count - s->asked);
    struct punch_event *event;

    if (s->role != SEARCH_HOLES || count == 0 || s->asked > s->next + AHEAD ||
        p->now_us + OPEN_BEFORE_US < s->start_us)
        return;
    if (count > 2 * AHEAD)
        count = 2 * AHEAD;
    event = engine_event(p, PUNCH_EVENT_WANT_SOCKET);
    if (event == NULL)
        return;
    event->socket = PUNCH_SEARCH_SOCKET + s->asked;
    event->socket_count = count;
    s->asked = (uint16_t)(s->asked + count);
}

/* The next packet waits for the driver to open its socket, or for the peer's credentials. */
static bool starved(const struct punch *p)
{
    const struct search *s = &p->search;

    if (p->remote_ufrag_bytes == 0 || p->remote_password_bytes == 0)
        return true;
    if (s->role == SEARCH_PROBES)
        return !p->sockets[PUNCH_DATA_SOCKET].open;
    return s->next >= s->asked || !bit(s->known, s->next);
}

void search_advance(struct punch *p)
{
    struct search *s = &p->search;

    if (s->running && (p->state == CONNECTED || p->state == FAILED))
        search_stop(p);
    if (!s->running) {
        drop(p);
        return;
    }
    want(p);
    if (p->now_us >= s->end_us)
        search_stop(p);
}

void search_socket(struct punch *p, unsigned socket, bool open)
{
    unsigned index = socket - PUNCH_SEARCH_SOCKET;

    set_bit(p->search.known, index, true);
    set_bit(p->search.open, index, open);
}

void search_guessed(struct punch *p)
{
    if (p->guesses_us < p->now_us)
        p->guesses_us = p->now_us;
    p->guesses_us += PLAN_SEARCH_GAP_US;
}

static void finish_round(struct punch *p)
{
    struct search *s = &p->search;

    if (s->next < s->count)
        return;
    if (s->rounds_left == 0) {
        s->end_us = p->now_us + (!s->gated                 ? PREDICT_EFFECT_US
                                 : s->role == SEARCH_HOLES ? HOLES_US
                                                           : EFFECT_US);
        return;
    }
    s->rounds_left--;
    s->next = 0;
    s->low_ttl = false;
    s->due_us = s->again_us > p->now_us ? s->again_us : p->now_us + PREDICT_GAP_US;
}

static bool take(struct punch *p)
{
    if (p->budget == NULL)
        return true;
    return p->search.gated ? punch_budget_take_search(p->budget, p->now_us, &p->search.target)
                           : punch_budget_take(p->budget, p->now_us, &p->search.target);
}

bool search_output(struct punch *p, struct punch_out *out, uint8_t *buffer, size_t capacity)
{
    struct search *s = &p->search;
    uint8_t id[STUN_TRANSACTION_BYTES];
    struct check check = {
        .transaction = id, .family = s->target.family, .controlling = p->controlling};
    uint16_t index;

    /* No guessing while the peer was just heard: what is under way decides. */
    if (!s->running || s->end_us != NEVER || engine_hopes(p))
        return false;
    while (s->role == SEARCH_HOLES && s->next < s->asked && bit(s->known, s->next) &&
           !bit(s->open, s->next)) { /* could not be had */
        s->next++;
        finish_round(p);
    }
    want(p);
    if (s->end_us != NEVER || starved(p) || p->now_us < s->due_us)
        return false;
    if (!take(p)) {
        s->due_us = p->now_us + REFUSED_US;
        return false;
    }
    if (s->due_us + CATCH_UP * gap_us(s) < p->now_us)
        s->due_us = p->now_us - CATCH_UP * gap_us(s);
    s->due_us += gap_us(s);
    if (!s->gated)
        search_guessed(p);
    index = s->next++;
    out->pair.remote = s->target;
    if (s->role == SEARCH_PROBES)
        out->pair.remote.port = port_of(s, index);
    out->pair.socket =
        s->role == SEARCH_HOLES ? index + (unsigned)PUNCH_SEARCH_SOCKET : PUNCH_DATA_SOCKET;
    out->ttl = s->low_ttl ? p->opener_ttl : 0;
    s->sent_ms[index] = (uint16_t)((p->now_us - s->start_us) / MS);
    check.socket = out->pair.socket;
    transaction_of(s, index, s->rounds_left, id);
    finish_round(p);
    out->size = check_build(p, &check, buffer, capacity);
    return out->size > 0;
}

/* The index of what went from there to here; count if nothing did. */
static uint16_t index_of(const struct search *s, const struct punch_pair *from)
{
    if (!stun_addr_same_ip(&from->remote, &s->target))
        return s->count;
    if (s->role == SEARCH_HOLES) {
        unsigned index = from->socket - PUNCH_SEARCH_SOCKET;

        return from->socket >= PUNCH_SEARCH_SOCKET && index < s->count &&
                       from->remote.port == s->target.port
                   ? (uint16_t)index
                   : s->count;
    }
    for (uint16_t i = 0; s->role == SEARCH_PROBES && i < s->count; i++) {
        if (port_of(s, i) == from->remote.port)
            return from->socket == PUNCH_DATA_SOCKET ? i : s->count;
    }
    return s->count;
}

uint16_t search_input(struct punch *p, const struct punch_pair *from,
                      const struct stun_message *msg, uint64_t *rtt_us)
{
    const struct search *s = &p->search;
    uint16_t index, sent_ms;
    uint8_t id[STUN_TRANSACTION_BYTES];
    bool ours = false;

    if (s->role == SEARCH_NONE || msg->type != STUN_BINDING_SUCCESS ||
        (index = index_of(s, from)) == s->count || !engine_has_socket(p, from->socket))
        return NO_PAIR;
    for (uint8_t round = 0; round < 2 && !ours; round++) {
        transaction_of(s, index, round, id);
        ours = memcmp(id, msg->transaction, sizeof(id)) == 0;
    }
    if (!ours ||
        !stun_integrity_ok(msg, (const uint8_t *)p->remote_password, p->remote_password_bytes) ||
        msg->unknown_count > 0 || msg->mapped.family == STUN_NO_FAMILY)
        return NO_PAIR;
    sent_ms = (uint16_t)((p->now_us - s->start_us) / MS - s->sent_ms[index]);
    *rtt_us = sent_ms * (uint64_t)MS;
    index = pair_find(p, from->socket, &from->remote);
    if (index != NO_PAIR)
        return index;
    return pair_add(p, from->socket, PUNCH_PREDICTED, &from->remote, true);
}

uint64_t search_next(const struct punch *p)
{
    const struct search *s = &p->search;

    if (!s->running)
        return s->dropped < s->asked ? p->now_us + 10 * MS : NEVER;
    if (s->end_us != NEVER || engine_hopes(p))
        return s->end_us;
    if (p->now_us + OPEN_BEFORE_US < s->start_us)
        return s->start_us - OPEN_BEFORE_US;
    return starved(p) ? NEVER : s->due_us;
}

bool search_found(const struct punch *p, const struct pair *pair)
{
    const struct search *s = &p->search;
    uint32_t place = (uint32_t)pair->remote.port - s->range_first;

    if (s->role == SEARCH_HOLES)
        return pair->socket >= PUNCH_SEARCH_SOCKET;
    return s->role == SEARCH_PROBES && pair->socket == PUNCH_DATA_SOCKET &&
           (pair->kind == PUNCH_PREDICTED || pair->kind == PUNCH_PEER_REFLEXIVE) &&
           stun_addr_same_ip(&pair->remote, &s->target) && place < s->range_ports;
}

static bool is_crossed(const struct search *s)
{
    return s->running && s->role == SEARCH_HOLES && !s->gated;
}

bool search_opens(const struct punch *p)
{
    return is_crossed(&p->search) && p->search.end_us == NEVER;
}

/* Each port that others took in the meantime moves the hit by one from the last socket towards the
 * first. The window has room for three sigma of them (plan_span); a few are what is expected. */
size_t search_routes(const struct punch *p, struct punch_pair *routes, size_t room)
{
    const struct search *s = &p->search;
    size_t count = 0, after;

    if (!is_crossed(s) || s->end_us == NEVER)
        return 0;
    after = (s->count - 1u) / 4;
    after -= after < room / 2 ? after : room / 2;
    for (size_t i = s->count - after; i-- > 0 && count < room;) {
        if (!bit(s->open, i))
            continue;
        routes[count].socket = PUNCH_SEARCH_SOCKET + (unsigned)i;
        routes[count++].remote = s->target;
    }
    return count;
}

bool punch_has_searched(const struct punch *p)
{
    return p->search.role != SEARCH_NONE && p->search.gated;
}
