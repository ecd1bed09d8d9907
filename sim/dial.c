/* SPDX-License-Identifier: BSD-2-Clause */
/* Drives the engine of one dial as src/peer/traffic.c does, and talks over its routes like a link.
 */
#include <stdio.h>
#include <string.h>

#include "sim/trace.h"
#include "sim/world.h"

#define MAX_ROUNDS     8    /* of an engine that wants to be called at once, without sending */
#define MAX_OUTPUTS    1500 /* at one moment */
#define LINK_BYTES     48
#define FIRST_RETRY_US 100000u

static const char *name_of(uint32_t host)
{
    return host == WORLD_CALLER ? "caller" : "callee";
}

/* ---- events: one line of the table for each kind ---- */

static void on_usable(struct world *w, uint32_t host, const struct punch_event *event)
{
    (void)event;
    if (w->peer[host].usable_us == UINT64_MAX)
        w->peer[host].usable_us = w->now_us;
}

/* The link's clock: what it waits for to try again may have come true. */
static void leap(struct world *w, uint32_t host)
{
    if (!w->trouble.planned)
        return;
    w->peer[host].talk.next_us = peer_now(w, host);
    w->peer[host].talk.unanswered = 0;
}

static void on_path(struct world *w, uint32_t host, const struct punch_event *event)
{
    struct peer *p = &w->peer[host];

    p->connected = p->ever = true;
    p->failed = false;
    p->technique = event->technique;
    if (p->path_us == UINT64_MAX)
        p->path_us = w->now_us;
    leap(w, host);
    if (w->peer[0].connected && w->peer[1].connected)
        trouble_plan(w);
}

static void on_doubt(struct world *w, uint32_t host, const struct punch_event *event)
{
    (void)event;
    leap(w, host);
    warm_keepalive(w, host);
}

static void open_one(struct world *w, uint32_t host, unsigned socket)
{
    struct peer *p = &w->peer[host];

    if (w->scene.host[host].no_sockets || socket == PUNCH_DATA_SOCKET ||
        socket >= PUNCH_MAX_SOCKETS) {
        punch_remove_socket(p->engine, peer_now(w, host), socket);
        return;
    }
    peer_open_socket(w, host, socket);
    punch_add_socket(p->engine, peer_now(w, host), socket, &p->local[socket]);
}

static void on_want_socket(struct world *w, uint32_t host, const struct punch_event *event)
{
    for (unsigned i = 0; i < event->socket_count; i++)
        open_one(w, host, event->socket + i);
}

static void on_drop_socket(struct world *w, uint32_t host, const struct punch_event *event)
{
    for (unsigned i = 0; i < event->socket_count; i++)
        peer_close_socket(w, host, event->socket + i);
}

static void on_note(struct world *w, uint32_t host, const struct punch_event *event)
{
    if (event->note.kind == PUNCH_NOTE_AGAIN)
        rules_again(w, host);
    mediator_note(w, host, &event->note);
}

static void on_path_lost(struct world *w, uint32_t host, const struct punch_event *event)
{
    (void)event;
    w->peer[host].connected = false;
    w->peer[host].lost = true;
    if (!w->trouble.planned)
        return;
    leap(w, host);
    warm_keepalive(w, host);
}

static void on_failed(struct world *w, uint32_t host, const struct punch_event *event)
{
    struct peer *p = &w->peer[host];

    p->failed = true;
    p->connected = false;
    p->failure = event->failure;
    if (p->failed_us == UINT64_MAX)
        p->failed_us = w->now_us;
}

static void (*const on_event[])(struct world *w, uint32_t host, const struct punch_event *event) = {
    [PUNCH_EVENT_USABLE] = on_usable,           [PUNCH_EVENT_PATH] = on_path,
    [PUNCH_EVENT_WANT_SOCKET] = on_want_socket, [PUNCH_EVENT_NOTE] = on_note,
    [PUNCH_EVENT_PATH_LOST] = on_path_lost,     [PUNCH_EVENT_FAILED] = on_failed,
    [PUNCH_EVENT_DROP_SOCKET] = on_drop_socket, [PUNCH_EVENT_DOUBT] = on_doubt,
};

/* ---- driving ---- */

static void follow(struct world *w, uint32_t host, const struct world_packet *cause)
{
    struct punch_event event;

    while (punch_poll_event(w->peer[host].engine, &event)) {
        trace_event(w, host, &event);
        rules_event(w, host, &event, cause);
        if ((size_t)event.kind < sizeof(on_event) / sizeof(on_event[0]) &&
            on_event[event.kind] != NULL)
            on_event[event.kind](w, host, &event);
    }
}

static unsigned flush(struct world *w, uint32_t host)
{
    struct punch *engine = w->peer[host].engine;
    uint8_t buffer[PUNCH_MAX_PACKET_BYTES];
    struct punch_out out;
    unsigned sent = 0;

    follow(w, host, NULL);
    while (punch_output(engine, peer_now(w, host), &out, buffer)) {
        int error;

        if (++sent > MAX_OUTPUTS) {
            world_fault(w, "%s: more than %d packets at one moment", name_of(host), MAX_OUTPUTS);
            break;
        }
        rules_sent(w, host, &out, buffer);
        error = peer_send(w, host, out.pair.socket, &out.pair.remote, out.ttl, buffer, out.size);
        punch_sent(engine, peer_now(w, host), &out, error);
        follow(w, host, NULL);
    }
    return sent;
}

static void send_link(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    struct punch_pair route[PUNCH_MAX_ROUTES];
    uint8_t bytes[LINK_BYTES] = {0x40, 'l', 'i', 'n', 'k'};
    size_t routes = punch_routes(p->engine, peer_now(w, host), route);

    memcpy(bytes + 8, &p->talk.sent, sizeof(p->talk.sent));
    if (routes > 0)
        punch_sent_link(p->engine, peer_now(w, host));
    for (size_t i = 0; i < routes; i++) {
        if (route[i].socket == PUNCH_RELAY) {
            rules_sent_relayed(w, host);
            mediator_relay(w, host);
            continue;
        }
        rules_sent_link(w, host, &route[i], routes);
        (void)peer_send(w, host, route[i].socket, &route[i].remote, 0, bytes, sizeof(bytes));
    }
    p->talk.sent++;
}

/* The handshake goes once more by the plan, while nothing is heard. */
static void guess(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    struct punch_pair route[PUNCH_MAX_ROUTES];
    const uint8_t bytes[LINK_BYTES] = {0x40, 'l', 'i', 'n', 'k'};
    size_t routes;

    if (p->talk.sent == 0 || p->talk.heard > 0 || p->talk.guessed)
        return;
    routes = punch_guesses(p->engine, peer_now(w, host), route);
    for (size_t i = 0; i < routes; i++) {
        rules_sent_link(w, host, &route[i], routes);
        (void)peer_send(w, host, route[i].socket, &route[i].remote, 0, bytes, sizeof(bytes));
    }
    p->talk.guessed = routes > 0;
}

/* Like the link: the first packet again and again until something is heard, then a steady flow. */
static void talk(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    uint64_t now_us = peer_now(w, host);

    if (now_us < p->talk.next_us || !punch_has_route(p->engine, now_us))
        return;
    send_link(w, host);
    if ((p->connected || w->scene.relay) && p->talk.heard > 0 &&
        (p->talk.unanswered < 8 || w->trouble.planned))
        p->talk.next_us = now_us + w->scene.talk_gap_us;
    else
        p->talk.next_us =
            now_us + (FIRST_RETRY_US << (p->talk.unanswered < 5 ? p->talk.unanswered : 5));
    p->talk.unanswered++;
}

void dial_advance(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];

    if (p->engine == NULL)
        return;
    punch_handle_timeout(p->engine, peer_now(w, host));
    for (unsigned round = 0;; round++) {
        unsigned sent = flush(w, host);

        if (punch_next_timeout(p->engine) > peer_now(w, host))
            break;
        if (sent == 0 && round >= MAX_ROUNDS) {
            world_fault(w, "%s: wants to be called back in the past for ever", name_of(host));
            break;
        }
        if (round >= MAX_OUTPUTS || w->fault[0] != 0)
            break;
        punch_handle_timeout(p->engine, peer_now(w, host));
    }
    talk(w, host);
    guess(w, host);
    follow(w, host, NULL);
}

uint64_t dial_next(const struct peer *p, uint64_t now_us)
{
    uint64_t next;

    if (p->engine == NULL)
        return UINT64_MAX;
    next = punch_next_timeout(p->engine);
    /* A link that wants to send and has no route waits for the engine. */
    return p->talk.next_us > now_us && p->talk.next_us < next ? p->talk.next_us : next;
}

/* ---- what comes in ---- */

static void hear_link(struct world *w, uint32_t host, const struct punch_pair *pair,
                      const struct world_packet *packet)
{
    struct peer *p = &w->peer[host];

    /* The link's encryption finds every forgery and every copy, also of its own packets. */
    if (packet->who != 1 - host)
        return;
    p->talk.heard++;
    p->talk.unanswered = 0;
    trouble_heard_link(w, host);
    if (w->scene.host[host].hears_every_link || rules_is_path(w, host, pair)) {
        punch_heard_link(p->engine, peer_now(w, host), pair);
        follow(w, host, packet);
    }
}

void dial_relayed(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    const struct punch_pair relay = {.socket = PUNCH_RELAY};

    if (p->engine == NULL)
        return;
    trace_say(w, name_of(host), "gets a link packet by the relay");
    p->talk.heard++;
    p->talk.unanswered = 0;
    trouble_heard_link(w, host);
    punch_heard_link(p->engine, peer_now(w, host), &relay);
    peer_wake(w, host);
}

void dial_receive(struct world *w, uint32_t host, unsigned socket,
                  const struct world_packet *packet)
{
    struct peer *p = &w->peer[host];
    struct punch_pair pair = {.socket = socket, .remote = packet->head.src};

    if (p->engine == NULL || socket >= PUNCH_MAX_SOCKETS)
        return;
    if (peer_is_link(packet->bytes, packet->size)) {
        hear_link(w, host, &pair, packet);
        return;
    }
    (void)punch_input(p->engine, peer_now(w, host), &pair, packet->bytes, packet->size);
    follow(w, host, packet);
    rules_received(w, host, packet);
}

void dial_note(struct world *w, uint32_t host, const struct punch_note *note)
{
    struct peer *p = &w->peer[host];

    if (p->engine == NULL)
        return;
    trace_say(w, name_of(host), "* gets a note");
    uint64_t round_us = punch_round_us(p->engine);
    punch_note_input(p->engine, peer_now(w, host), note);
    if (punch_round_us(p->engine) != round_us)
        rules_again(w, host);
    peer_wake(w, host);
}

/* ---- the beginning ---- */

void dial_credentials(uint64_t seed, uint32_t host, char ufrag[static DIAL_CREDENTIAL_BYTES],
                      char password[static DIAL_CREDENTIAL_BYTES])
{
    snprintf(ufrag, DIAL_CREDENTIAL_BYTES, "%s%06x", host == WORLD_CALLER ? "er" : "ee",
             (unsigned)(seed & 0xffffff));
    snprintf(password, DIAL_CREDENTIAL_BYTES, "password-of-%s-%08x", name_of(host),
             (unsigned)((seed + host) * 2654435761u));
}

static void add_candidates(struct world *w, uint32_t host)
{
    const wire_Coordinates *coord = &w->mediator.shown[host];
    struct peer *p = &w->peer[host];
    struct nat_profile theirs;

    wire_to_profile(&coord->profile, &theirs);
    punch_set_remote_profile(p->engine, peer_now(w, host), &theirs);
    for (pb_size_t i = 0; i < coord->candidates_count; i++) {
        const wire_Candidate *c = &coord->candidates[i];
        struct stun_addr addr = wire_to_addr(&c->address);
        enum punch_kind kind = PUNCH_HOST;

        if (c->kind == wire_CandidateKind_CANDIDATE_SERVER_REFLEXIVE)
            kind = PUNCH_SERVER_REFLEXIVE;
        else if (c->kind == wire_CandidateKind_CANDIDATE_PORT_MAPPED)
            kind = PUNCH_PORT_MAPPED;
        rules_candidate(w, host, &addr, c->attested);
        punch_add_remote(p->engine, peer_now(w, host), kind, &addr, c->attested);
    }
}

void dial_candidates(struct world *w, uint32_t host)
{
    if (w->peer[host].engine == NULL)
        return;
    trace_say(w, name_of(host), "* is told where the other is now");
    punch_new_candidates(w->peer[host].engine, peer_now(w, host));
    add_candidates(w, host);
    peer_wake(w, host);
}

void dial_elsewhere(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];

    if (p->engine == NULL)
        return;
    trace_say(w, name_of(host), "* its public address is another one");
    punch_set_profile(p->engine, peer_now(w, host), &p->profile);
    mediator_candidates(w, host);
    punch_again(p->engine, peer_now(w, host));
}

void dial_moved(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];

    for (unsigned socket = PUNCH_DATA_SOCKET + 1; socket < PUNCH_MAX_SOCKETS; socket++)
        punch_remove_socket(p->engine, peer_now(w, host), socket);
    punch_add_socket(p->engine, peer_now(w, host), PUNCH_DATA_SOCKET, &p->local[PUNCH_DATA_SOCKET]);
    mediator_candidates(w, host);
}

void dial_introduced(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    uint64_t now_us = peer_now(w, host);
    uint64_t start_us = now_us + (host == WORLD_CALLEE ? w->mediator.opener_due_us : 0);
    char ufrag[SCENE_HOSTS][DIAL_CREDENTIAL_BYTES], password[SCENE_HOSTS][DIAL_CREDENTIAL_BYTES];
    struct punch_config config = {
        .caller = host == WORLD_CALLER,
        .local_ufrag = ufrag[host],
        .local_password = password[host],
        .remote_ufrag = ufrag[1 - host],
        .remote_password = password[1 - host],
        .profile = p->profile,
        .bounce_count = SCENE_BOUNCE,
        .opener_ttl = w->scene.host[host].learns ? 0 : w->scene.host[host].opener_ttl,
        .note_rtt_us = 2 * (w->scene.host[0].mediator_us + w->scene.host[1].mediator_us),
        .budget = &p->budget,
        .random = peer_random,
        .random_context = &p->dice,
    };

    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        dial_credentials(w->scene.seed, h, ufrag[h], password[h]);
    if (!w->scene.host[host].learns)
        config.profile.opener_ttl = config.opener_ttl;
    memcpy(config.bounce, w->scene.bounce, sizeof(w->scene.bounce));
    trace_say(w, name_of(host), "* is introduced, begins in %.1f ms",
              (double)(start_us - now_us) / 1e3);
    p->engine = punch_init(p->bytes_of_engine, &config, now_us);
    if (p->engine == NULL) {
        world_fault(w, "%s: punch_init refuses", name_of(host));
        return;
    }
    punch_add_socket(p->engine, now_us, PUNCH_DATA_SOCKET, &p->local[PUNCH_DATA_SOCKET]);
    add_candidates(w, host);
    punch_start(p->engine, now_us, start_us);
    rules_introduced(w, host);
    punch_set_relay(p->engine, now_us, w->scene.relay);
    p->talk.next_us = start_us;
    peer_wake(w, host);
}
