/* SPDX-License-Identifier: BSD-2-Clause */
/* The state machine, and what the driver calls. */
#include "punch/punch.h"

#include <string.h>

#include "punch/engine.h"

#define DEFAULT_OPENER_TTL 2
#define DEFAULT_GIVE_UP_US (10 * SECOND)
#define MAX_RESTARTS       2
#define MAX_HOPES          8
/* USERNAME of a check: the rest of it needs at most 84 bytes. */
#define MAX_USERNAME_BYTES (PUNCH_MAX_PACKET_BYTES - 84)

uint64_t engine_earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool engine_has_socket(const struct punch *p, unsigned socket)
{
    unsigned index = socket - PUNCH_SEARCH_SOCKET;

    if (socket < PUNCH_SEARCH_SOCKET)
        return p->sockets[socket].open;
    return socket < PUNCH_MAX_SOCKETS && (p->search.open[index / 8] >> (index % 8) & 1) != 0;
}

static bool copy_credential(char *to, size_t *bytes, const char *from)
{
    size_t length = from == NULL ? 0 : strlen(from);

    if (length > PUNCH_MAX_CREDENTIAL)
        return false;
    if (length > 0)
        memcpy(to, from, length);
    to[length] = '\0';
    *bytes = length;
    return true;
}

void engine_note(struct punch *p, enum punch_note_kind kind)
{
    struct punch_event *event = engine_event(p, PUNCH_EVENT_NOTE);

    if (event != NULL)
        event->note.kind = kind;
}

static enum punch_failure reason(const struct punch *p)
{
    enum plan_need mine = plan_need(&p->profile), theirs = plan_need(&p->their_profile);
    bool tried = false, heard = p->heard_any;

    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++)
        tried = tried || p->pairs[i].used;
    if (p->connected_before)
        return PUNCH_FAILURE_CONSENT_LOST;
    if (!tried)
        return PUNCH_FAILURE_NO_CANDIDATES;
    if (p->sends_failed > 0 && p->sends_ok == 0)
        return PUNCH_FAILURE_SEND;
    if (heard)
        return PUNCH_FAILURE_ONE_WAY;
    if (p->profile.mapping == NAT_MAPPING_UNKNOWN && p->profile.endpoints_seen == 0)
        return PUNCH_FAILURE_LINK_DOWN;
    if (mine == PLAN_NEED_LUCK || theirs == PLAN_NEED_LUCK || mine == PLAN_NEED_BLOCK ||
        theirs == PLAN_NEED_BLOCK)
        return PUNCH_FAILURE_UNPREDICTABLE;
    return PUNCH_FAILURE_NO_ANSWER;
}

static void fail(struct punch *p)
{
    enum punch_failure failure = reason(p);
    struct punch_event *event =
        again_is_news(p, failure) ? engine_event(p, PUNCH_EVENT_FAILED) : NULL;

    p->state = FAILED;
    if (event != NULL) {
        event->failure = failure;
        event->error = failure == PUNCH_FAILURE_SEND ? p->last_error : 0;
    }
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        p->pairs[i].next_us = NEVER;
        p->pairs[i].triggered = false;
    }
    again_failed(p);
}

static void restart(struct punch *p)
{
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        struct pair *pair = &p->pairs[i];

        if (pair->used && !pair->proven && !pair->heard && !pair_planned(pair))
            pair_begin(p, pair, p->start_us);
    }
}

/* Where no port of ours can be predicted, a NAT that lets in any port of an address it has sent to
 * is met by speaking first alone. Where one can be, that is not needed, and not harmless: a
 * poisoned NAT sends all that its host says to new addresses from another port, also to the ports
 * that were predicted. */
bool engine_may_shout(const struct punch *p)
{
    enum plan_need mine = plan_need(&p->profile);

    return plan_harmless(&p->their_profile) || mine == PLAN_NEED_LUCK || mine == PLAN_NEED_BLOCK ||
           (mine == PLAN_NEED_SAMPLES && plan_lenient(&p->their_profile));
}

/* That the peer has sent to one public port of ours says that it sends to all of them. */
static bool says_all(const struct punch *p)
{
    return !plan_varies(&p->profile);
}

static void speak_up(struct punch *p)
{
    bool was = p->loud;

    p->loud = true;
    if (!was && p->started)
        restart(p);
}

void engine_advance(struct punch *p, uint64_t now_us)
{
    if (now_us > p->now_us)
        p->now_us = now_us;
    if (p->state == PUNCHING) {
        if (!p->asked_first && p->now_us >= p->silence_due_us && !p->heard_any) {
            p->asked_first = true;
            engine_note(p, PUNCH_NOTE_SEND_FIRST);
        }
        if (p->now_us >= p->start_us + ALONE_US && !p->loud)
            speak_up(p);
        if (p->now_us >= p->deadline_us && !again_recovers(p))
            fail(p);
    }
    liveness_advance(p);
    again_advance(p);
    if (p->state == CONNECTED && p->controlling && p->now_us >= p->nominate_due_us) {
        p->nominate_due_us = NEVER;
        p->pairs[p->selected].nominate = true;
        p->pairs[p->selected].triggered = true;
        p->pairs[p->selected].next_us = p->now_us;
    }
    forecast_advance(p);
    search_advance(p);
}

struct punch_event *engine_event(struct punch *p, enum punch_event_kind kind)
{
    struct punch_event *event;

    /* What the driver must not miss has a place in any case. */
    if (p->event_count >= (kind == PUNCH_EVENT_USABLE || kind == PUNCH_EVENT_PROVEN ||
                                   kind == PUNCH_EVENT_WANT_SOCKET ||
                                   kind == PUNCH_EVENT_DROP_SOCKET
                               ? EVENTS - EVENTS_KEPT
                               : EVENTS))
        return NULL;
    event = &p->events[(p->event_first + p->event_count++) % EVENTS];
    memset(event, 0, sizeof(*event));
    event->kind = kind;
    return event;
}

bool engine_hopes(const struct punch *p)
{
    return p->state == CONNECTED || (p->heard_any && p->now_us < p->hope_until_us);
}

/* Our answer leaves our NAT from another port than the one that was heard, and the peer's lets in
 * only that one. */
static bool hopeless(const struct punch *p, const struct pair *pair)
{
    return plan_varies(&p->profile) && !pair_planned(pair) && pair_crosses_nat(pair) &&
           p->their_profile.mapping != NAT_MAPPING_NONE &&
           p->their_profile.filtering == NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT;
}

/* Guesses wait for it. What is heard again and again and never answered is no hope: once, and for
 * some more hits of what was planned. */
static void hope(struct punch *p, const struct pair *pair, bool first)
{
    bool hit = first && (pair_planned(pair) || search_found(p, pair));

    if ((p->hopes > 0 && !hit) || p->hopes == MAX_HOPES || hopeless(p, pair))
        return;
    p->hopes++;
    p->hope_until_us = p->now_us + HOPE_US + p->note_rtt_us;
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        struct pair *other = &p->pairs[i];

        if (other->used && other->kind == PUNCH_PREDICTED && !other->heard &&
            other->next_us < p->hope_until_us)
            other->next_us = p->hope_until_us;
    }
}

/* With a path, another pair is of use if it is better, if the peer wants it, or if the path may be
 * lost and the peer looks for us from elsewhere. */
static bool is_wanted(const struct punch *p, const struct pair *pair)
{
    return p->state != CONNECTED || pair_better(pair, &p->pairs[p->selected]) ||
           pair->nominated > 0 || liveness_fears(p);
}

void engine_hear(struct punch *p, uint16_t index)
{
    struct pair *pair = &p->pairs[index];
    bool first = !pair->heard;

    pair->heard = true;
    p->heard_any = true;
    p->loud = p->loud || says_all(p);
    hope(p, pair, first);
    if (p->budget != NULL && remote_ip_attested(p, &pair->remote))
        punch_budget_answered(p->budget, &pair->remote);
    if (first)
        pair_event(p, PUNCH_EVENT_USABLE, pair);
    if (!pair->proven && is_wanted(p, pair))
        pair_trigger(p, pair);
}

void engine_prove(struct punch *p, uint16_t index, uint64_t rtt_us)
{
    struct pair *pair = &p->pairs[index];
    struct remote *r = remote_find(p, &pair->remote);
    bool first = !pair->proven;

    if (r != NULL)
        r->answered_us = p->now_us;
    pair->rtt_us = rtt_us;
    pair->answered_us = p->now_us;
    pair->proven = true;
    if (first && p->budget != NULL)
        punch_budget_answered(p->budget, &pair->remote);
    if (!pair->nominate) {
        pair->next_us = NEVER;
        pair->triggered = false;
    }
    if (index == p->selected)
        liveness_answered(p);
    if (!first)
        return;
    pair_event(p, PUNCH_EVENT_PROVEN, pair);
    p->state = CONNECTED;
    p->connected_before = true;
    again_connected(p);
    pair_select(p);
    search_stop(p);
}

size_t punch_size(void)
{
    return sizeof(struct punch);
}

struct punch *punch_init(void *memory, const struct punch_config *config, uint64_t now_us)
{
    struct punch *p = memory;

    memset(p, 0, sizeof(*p));
    if (!copy_credential(p->local_ufrag, &p->local_ufrag_bytes, config->local_ufrag) ||
        !copy_credential(p->local_password, &p->local_password_bytes, config->local_password) ||
        p->local_ufrag_bytes == 0 || p->local_password_bytes == 0 || config->random == NULL)
        return NULL;
    p->caller = config->caller;
    p->controlling = config->caller;
    p->profile = config->profile;
    p->opener_ttl = config->opener_ttl != 0 ? config->opener_ttl : p->profile.opener_ttl;
    p->opener_ttl_known = p->opener_ttl != 0;
    if (!p->opener_ttl_known)
        p->opener_ttl = DEFAULT_OPENER_TTL;
    p->no_search = config->no_search;
    p->note_rtt_us = config->note_rtt_us;
    p->bounce_count =
        config->bounce_count < PUNCH_MAX_BOUNCE ? config->bounce_count : PUNCH_MAX_BOUNCE;
    memcpy(p->bounce, config->bounce, p->bounce_count * sizeof(p->bounce[0]));
    p->give_up_after_us =
        config->give_up_after_us == 0 ? DEFAULT_GIVE_UP_US : config->give_up_after_us;
    p->budget = config->budget;
    p->random = config->random;
    p->random_context = config->random_context;
    p->random(p->random_context, (uint8_t *)&p->tie_breaker, sizeof(p->tie_breaker));
    p->now_us = now_us;
    p->selected = NO_PAIR;
    p->first_sent_us = NEVER;
    p->nominate_due_us = NEVER;
    again_init(p, config->recover_us);
    p->loud = engine_may_shout(p);
    if (config->remote_ufrag != NULL && config->remote_password != NULL &&
        !punch_set_remote_credentials(p, now_us, config->remote_ufrag, config->remote_password))
        return NULL;
    return p;
}

bool punch_set_remote_credentials(struct punch *p, uint64_t now_us, const char *ufrag,
                                  const char *password)
{
    engine_advance(p, now_us);
    if (strlen(ufrag) + 1 + p->local_ufrag_bytes > MAX_USERNAME_BYTES)
        return false;
    return copy_credential(p->remote_ufrag, &p->remote_ufrag_bytes, ufrag) &&
           copy_credential(p->remote_password, &p->remote_password_bytes, password);
}

void punch_add_socket(struct punch *p, uint64_t now_us, unsigned socket,
                      const struct stun_addr *local)
{
    engine_advance(p, now_us);
    if (socket >= PUNCH_MAX_SOCKETS)
        return;
    if (socket >= PUNCH_SEARCH_SOCKET) {
        search_socket(p, socket, true);
        return;
    }
    if (p->sockets[socket].open) {
        if (stun_addr_equal(&p->sockets[socket].local, local))
            return;
        punch_remove_socket(p, now_us, socket);
    }
    p->sockets[socket].open = true;
    p->sockets[socket].local = *local;
    if (socket == PUNCH_FRESH_SOCKET)
        samples_socket(p);
    for (size_t i = 0; i < p->remote_count; i++)
        pair_form(p, socket, &p->remotes[i]);
    forecast_advance(p);
}

void punch_remove_socket(struct punch *p, uint64_t now_us, unsigned socket)
{
    bool lost;

    engine_advance(p, now_us);
    if (socket >= PUNCH_MAX_SOCKETS)
        return;
    if (socket >= PUNCH_SEARCH_SOCKET) {
        search_socket(p, socket, false);
    } else {
        if (!p->sockets[socket].open)
            return;
        p->sockets[socket].open = false;
    }
    if (socket == PUNCH_FRESH_SOCKET)
        samples_socket_gone(p);
    lost = p->state == CONNECTED && p->pairs[p->selected].socket == socket;
    if (lost)
        again_lose(p);
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        if (p->pairs[i].used && p->pairs[i].socket == socket)
            memset(&p->pairs[i], 0, sizeof(p->pairs[i]));
    }
}

void punch_set_remote_profile(struct punch *p, uint64_t now_us, const struct nat_profile *theirs)
{
    engine_advance(p, now_us);
    p->their_profile = *theirs;
    if (p->caller && engine_may_shout(p))
        speak_up(p);
    forecast_advance(p);
}

void punch_set_profile(struct punch *p, uint64_t now_us, const struct nat_profile *ours)
{
    engine_advance(p, now_us);
    p->profile = *ours;
    if (ours->opener_ttl != 0) {
        p->opener_ttl = ours->opener_ttl;
        p->opener_ttl_known = true;
    }
    forecast_advance(p);
}

/* A caller's NAT that takes no harm may be tried before its opener is known to be out: where the
 * mediator is far and the peer near, this saves the difference. */
static void start_early(struct punch *p)
{
    struct pair *best = NULL;

    if (p->caller || !plan_harmless(&p->their_profile))
        return;
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        struct pair *pair = &p->pairs[i];

        if (pair->used && pair->attested && !pair->heard &&
            (best == NULL || pair_order(pair) < pair_order(best)))
            best = pair;
    }
    if (best != NULL)
        pair_begin(p, best, p->now_us);
}

void engine_begin(struct punch *p, uint64_t start_us)
{
    p->start_us = start_us > p->now_us ? start_us : p->now_us;
    p->deadline_us = p->start_us + p->give_up_after_us;
    p->silence_due_us = p->start_us + PUNCH_SILENCE_US;
    for (size_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        if (p->pairs[i].used && !p->pairs[i].heard)
            pair_begin(p, &p->pairs[i], p->start_us);
    }
    if (p->start_us > p->now_us)
        start_early(p);
    forecast_advance(p);
}

void punch_start(struct punch *p, uint64_t now_us, uint64_t start_at_us)
{
    engine_advance(p, now_us);
    if (p->started)
        return;
    p->started = true;
    if (p->state == WAITING)
        p->state = PUNCHING;
    engine_begin(p, start_at_us);
}

void punch_note_input(struct punch *p, uint64_t now_us, const struct punch_note *n)
{
    engine_advance(p, now_us);
    switch (n->kind) {
    case PUNCH_NOTE_SAMPLES:
        forecast_samples(p, n);
        break;
    case PUNCH_NOTE_PLAN:
        forecast_plan(p, n);
        break;
    case PUNCH_NOTE_SEND_FIRST:
        if (p->state != PUNCHING || p->heard_any || p->restarts == MAX_RESTARTS)
            break;
        p->restarts++;
        p->loud = p->loud || says_all(p);
        restart(p);
        break;
    case PUNCH_NOTE_AGAIN:
        again_note(p);
        break;
    }
}

uint64_t punch_next_timeout(const struct punch *p)
{
    uint64_t next = engine_earlier(engine_earlier(outbox_next(p), liveness_next(p)),
                                   engine_earlier(forecast_next(p), search_next(p)));

    next = engine_earlier(next, again_next(p));

    if (p->state == PUNCHING) {
        next = engine_earlier(next, p->deadline_us);
        if (!p->asked_first && !p->heard_any)
            next = engine_earlier(next, p->silence_due_us);
        if (!p->loud)
            next = engine_earlier(next, p->start_us + ALONE_US);
        if (engine_hopes(p))
            next = engine_earlier(next, p->hope_until_us);
    }
    if (p->state == CONNECTED && p->controlling)
        next = engine_earlier(next, p->nominate_due_us);
    return next;
}

void punch_handle_timeout(struct punch *p, uint64_t now_us)
{
    remotes_sweep(p);
    engine_advance(p, now_us);
}

bool punch_poll_event(struct punch *p, struct punch_event *event)
{
    if (p->event_count == 0)
        return false;
    *event = p->events[p->event_first];
    p->event_first = (p->event_first + 1) % EVENTS;
    p->event_count--;
    return true;
}

bool punch_is_connected(const struct punch *p)
{
    return p->state == CONNECTED;
}

bool punch_is_agreed(const struct punch *p)
{
    if (p->state != CONNECTED || p->selected == NO_PAIR)
        return false;
    const struct pair *pair = &p->pairs[p->selected];
    return p->controlling ? p->nominate_due_us == NEVER && !pair->nominate
                          : pair->nominated > 0 && pair->nominated == p->nominations;
}
