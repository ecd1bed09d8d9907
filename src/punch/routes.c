/* SPDX-License-Identifier: BSD-2-Clause */
/* Where link packets go. */
#include "punch/engine.h"

#define RESERVE_TRIGGERED 2
#define RESERVE_CHECKS    3 /* of what may go to an address that nobody vouches for */
#define PAIRS             (PUNCH_MAX_ROUTES - 1) /* besides the relay */

static bool chosen(const struct punch_pair *routes, size_t count, const struct pair *pair)
{
    for (size_t i = 0; i < count; i++) {
        if (routes[i].socket == pair->socket && stun_addr_equal(&routes[i].remote, &pair->remote))
            return true;
    }
    return false;
}

/* A plain packet through the NATs would do harm, now or at all; or the link would have nothing left
 * to say when the predicted ports are tried, which it can hardly be heard without. */
static bool is_held(const struct punch *p, const struct pair *pair)
{
    return pair_crosses_nat(pair) &&
           (p->now_us < samples_hold(p) || search_opens(p) || outbox_futile(p));
}

static bool fits(const struct punch *p, const struct pair *pair, bool heard)
{
    if (!pair->used || pair->link_copies >= UNPROVEN_LINK_COPIES)
        return false;
    if (heard)
        return pair->heard && strangers_allow(p, pair, RESERVE_CHECKS);
    return pair->attested && !pair->heard && !pair_planned(pair) && !is_held(p, pair);
}

static struct pair *likeliest(struct punch *p, bool heard, const struct punch_pair *routes,
                              size_t count)
{
    struct pair *found = NULL;

    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        struct pair *pair = &p->pairs[i];

        if (fits(p, pair, heard) && !chosen(routes, count, pair) &&
            (found == NULL || pair_order(pair) < pair_order(found)))
            found = pair;
    }
    return found;
}

/* First checks of the burst that have not left yet: link copies must not take their place. */
static unsigned burst_left(const struct punch *p)
{
    unsigned sent = 0, unsent = 0;

    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        if (!p->pairs[i].used || pair_planned(&p->pairs[i]))
            continue;
        if (p->pairs[i].sent > 0)
            sent++;
        else
            unsent++;
    }
    if (sent >= PLAN_FIRST_BURST)
        return 0;
    return unsent < PLAN_FIRST_BURST - sent ? unsent : PLAN_FIRST_BURST - sent;
}

/* The callee's answer to the link's first flight goes out with the first burst, unheard. In later
 * rounds nothing of the link goes where the peer was not heard since: consent (RFC 7675). */
static bool may_go_unheard(const struct punch *p)
{
    return !p->caller && p->again.began_us == 0 && p->state == PUNCHING && p->now_us >= p->start_us;
}

static bool goes_unheard(struct punch *p, const struct stun_addr *to)
{
    if (!outbox_allows(p, to, RESERVE_TRIGGERED + burst_left(p)))
        return false;
    outbox_count(p);
    p->link_sent++;
    return true;
}

/* The peer is told of this port, and may have opened its NAT for it since the hole speaks. */
static struct pair *speaking_hole(struct punch *p)
{
    for (size_t i = 0; may_go_unheard(p) && i < PUNCH_MAX_PAIRS; i++) {
        struct pair *pair = &p->pairs[i];

        if (pair->used && pair->socket == PUNCH_FRESH_SOCKET && pair->opens && !pair->heard &&
            pair->attested && pair->last_full_us != NEVER &&
            pair->link_copies < UNPROVEN_LINK_COPIES)
            return pair;
    }
    return NULL;
}

static void add_copy(struct punch *p, struct pair *pair, struct punch_pair *route)
{
    pair->link_copies++;
    strangers_count(p, pair);
    route->socket = pair->socket;
    route->remote = pair->remote;
}

/* The likeliest ports of the plan, where the peer's hole has been opened before its samples came.
 */
static struct pair *likely_port(struct punch *p, size_t i)
{
    const struct plan_part *plan = &p->forecast.plan;
    struct stun_addr to = plan->target;
    uint16_t index;

    if (!may_go_unheard(p) || !p->forecast.decided || plan->opens_first || i >= plan->port_count)
        return NULL;
    to.port = plan->ports[i];
    index = pair_find(p, PUNCH_DATA_SOCKET, &to);
    if (index == NO_PAIR || p->pairs[index].kind != PUNCH_PREDICTED || p->pairs[index].heard ||
        p->pairs[index].link_copies >= UNPROVEN_LINK_COPIES)
        return NULL;
    return &p->pairs[index];
}

static size_t by_likely_ports(struct punch *p, struct punch_pair *routes)
{
    size_t count = 0;

    for (size_t i = 0; i < PAIRS; i++) {
        struct pair *pair = likely_port(p, i);

        if (pair != NULL && goes_unheard(p, &pair->remote))
            add_copy(p, pair, &routes[count++]);
    }
    return count;
}

/* Behind the checks of predicted ports: which of them has met the peer's hole is not known yet. */
static size_t guesses(struct punch *p, struct punch_pair *routes)
{
    size_t likely = search_routes(p, routes, PAIRS), count = 0;
    struct pair *hole = speaking_hole(p);

    while (count < likely && goes_unheard(p, &routes[count].remote))
        count++;
    if (likely > 0)
        return count;
    if (hole == NULL)
        return by_likely_ports(p, routes);
    if (!goes_unheard(p, &hole->remote))
        return 0;
    add_copy(p, hole, &routes[0]);
    return 1;
}

/* Copies to pairs that are not proven. */
static size_t unproven(struct punch *p, struct punch_pair *routes)
{
    bool heard = likeliest(p, true, routes, 0) != NULL;
    size_t count = 0;

    if (!heard && !may_go_unheard(p))
        return 0;
    if (!heard)
        count = guesses(p, routes);
    while (count < PAIRS) {
        struct pair *pair = likeliest(p, heard, routes, count);

        if (pair == NULL)
            break;
        if (!heard && !goes_unheard(p, &pair->remote))
            break;
        add_copy(p, pair, &routes[count++]);
    }
    return count;
}

static bool relay_carries(const struct punch *p)
{
    return p->relay && p->started && (p->state != CONNECTED || p->life.doubted);
}

size_t punch_routes(struct punch *p, uint64_t now_us,
                    struct punch_pair routes[static PUNCH_MAX_ROUTES])
{
    size_t count = 0;

    engine_advance(p, now_us);
    if (p->state == CONNECTED) {
        routes[0].socket = p->pairs[p->selected].socket;
        routes[0].remote = p->pairs[p->selected].remote;
        count = 1;
    } else if (p->state != FAILED) {
        count = unproven(p, routes);
    }
    if (relay_carries(p))
        routes[count++] = (struct punch_pair){.socket = PUNCH_RELAY};
    return count;
}

static bool has_guesses(struct punch *p)
{
    struct punch_pair any;

    if (search_routes(p, &any, 1) > 0 || speaking_hole(p) != NULL)
        return true;
    for (size_t i = 0; i < PAIRS; i++) {
        if (likely_port(p, i) != NULL)
            return true;
    }
    return false;
}

static bool has_unheard(struct punch *p)
{
    return may_go_unheard(p) && (has_guesses(p) || likeliest(p, false, NULL, 0) != NULL);
}

size_t punch_guesses(struct punch *p, uint64_t now_us,
                     struct punch_pair routes[static PUNCH_MAX_ROUTES])
{
    engine_advance(p, now_us);
    return may_go_unheard(p) && likeliest(p, true, NULL, 0) == NULL ? guesses(p, routes) : 0;
}

bool punch_is_guess(const struct punch *p, const struct punch_pair *route)
{
    uint16_t i = pair_find(p, route->socket, &route->remote);

    if (i != NO_PAIR && p->pairs[i].heard)
        return false;
    return route->socket == PUNCH_FRESH_SOCKET ||
           (route->socket >= PUNCH_SEARCH_SOCKET && route->socket < PUNCH_MAX_SOCKETS) ||
           (i != NO_PAIR && p->pairs[i].kind == PUNCH_PREDICTED);
}

bool punch_has_route(struct punch *p, uint64_t now_us)
{
    engine_advance(p, now_us);
    if (p->state == CONNECTED || relay_carries(p))
        return true;
    if (p->state == FAILED)
        return false;
    if (likeliest(p, true, NULL, 0) != NULL)
        return true;
    return !outbox_blocked(p, RESERVE_TRIGGERED + burst_left(p)) && has_unheard(p);
}

bool punch_only_relay(struct punch *p, uint64_t now_us)
{
    engine_advance(p, now_us);
    return relay_carries(p) && p->state != CONNECTED &&
           (p->state == FAILED || (likeliest(p, true, NULL, 0) == NULL && !has_unheard(p)));
}
