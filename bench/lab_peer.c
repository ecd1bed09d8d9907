/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-lab-peer: one dial in a lab, from cold programs to what came of it.
 *   eyelet-lab-peer id KEY_FILE                                   prints its ID
 *   eyelet-lab-peer [POLICY] echo KEY_FILE MEDIATOR KNOWN_MEDIATORS
 *   eyelet-lab-peer [POLICY] call KEY_FILE MEDIATOR KNOWN_MEDIATORS PEER WARM_MS LIMIT_MS
 * POLICY is --direct-only or --relay-only; without it any path may carry. The callee says "ready
 * ID" and answers anyone. The caller says "registered", waits WARM_MS, dials, sends a byte, and
 * goes on until it has both the echo and a direct path (with --relay-only the echo), or its library
 * says that it is relayed for good, or LIMIT_MS are over. It prints one line of JSON: "result"
 * (direct, relayed, failed), "ms" (to the first direct path, or to the echo if there is none),
 * "echo_ms", ... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bench_peer.h"

#define LOOK_MS 100

struct call {
    struct bench_peer *me;
    eyelet_conn *conn;
    int64_t stream;
    double begun_ms, path_ms, direct_ms, connected_ms, echo_ms; /* since the dial; 0: not yet */
    char first_kind[8], local[16];
    bool closed;
    int error;
};

static void on_path(struct call *c, double elapsed)
{
    eyelet_path path;
    if (eyelet_conn_path(c->conn, &path) < 0)
        return;
    if (c->path_ms == 0) {
        c->path_ms = elapsed;
        snprintf(c->first_kind, sizeof(c->first_kind), "%s", path.direct ? "direct" : "relay");
    }
    if (path.direct && c->direct_ms == 0) {
        c->direct_ms = elapsed;
        snprintf(c->local, sizeof(c->local), "%s", path.local);
    }
}

static void on_connected(struct call *c, double elapsed)
{
    c->connected_ms = elapsed;
    c->stream = eyelet_stream_open(c->conn);
    if (c->stream >= 0)
        eyelet_stream_write(c->conn, c->stream, "x", 1);
}

static void on_event(struct call *c, const eyelet_event *event)
{
    double elapsed = bench_now_ms() - c->begun_ms;
    uint8_t byte;
    if (event->conn != c->conn)
        return;
    if (event->kind == EYELET_EVENT_PATH) {
        on_path(c, elapsed);
    } else if (event->kind == EYELET_EVENT_CONNECTED) {
        on_connected(c, elapsed);
    } else if (event->kind == EYELET_EVENT_READABLE && c->echo_ms == 0) {
        if (eyelet_stream_read(c->conn, c->stream, &byte, 1) == 1)
            c->echo_ms = elapsed;
    } else if (event->kind == EYELET_EVENT_CLOSED) {
        c->closed = true;
        c->error = event->error;
    }
}

static int report(const struct call *c, double limit_ms)
{
    eyelet_diagnosis diagnosis = {.size = sizeof(diagnosis), .reason = ""};
    eyelet_conn_diagnose(c->conn, &diagnosis);
    bool direct = c->direct_ms > 0 && c->echo_ms > 0;
    const char *result = direct ? "direct" : c->echo_ms > 0 ? "relayed" : "failed";
    json_t *line = json_pack(
        "{s:s,s:f,s:f,s:f,s:f,s:s,s:s,s:s,s:s,s:s}", "result", result, "ms",
        direct           ? c->direct_ms
        : c->echo_ms > 0 ? c->echo_ms
                         : limit_ms,
        "path_ms", c->path_ms, "connected_ms", c->connected_ms, "echo_ms", c->echo_ms, "first_kind",
        c->first_kind, "local", c->local, "error", c->closed ? eyelet_strerror(c->error) : "",
        "why", direct ? "" : eyelet_why(c->me->ep, c->conn), "reason", diagnosis.reason);
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    if (text)
        puts(text);
    free(text);
    json_decref(line);
    return strcmp(result, "failed") == 0;
}

static void wait_for(struct bench_peer *me, double ms)
{
    eyelet_event event;
    for (double end = bench_now_ms() + ms; bench_now_ms() < end;)
        eyelet_wait(me->ep, (int)(end - bench_now_ms()) + 1, &event);
}

/* Whether there is nothing to wait for any more. No event says that punching was given up. */
static bool settled(const struct call *c, enum eyelet_policy policy)
{
    eyelet_diagnosis diagnosis = {.size = sizeof(diagnosis)};
    if (c->closed)
        return true;
    if (c->echo_ms == 0)
        return false;
    return c->direct_ms > 0 || policy == EYELET_RELAY_ONLY ||
           (eyelet_conn_diagnose(c->conn, &diagnosis) == EYELET_OK &&
            strcmp(diagnosis.outcome, "relayed") == 0);
}

static int call(struct bench_peer *me, enum eyelet_policy policy, char **argv)
{
    struct call c = {.me = me, .stream = -1};
    double warm_ms = atof(argv[1]), limit_ms = atof(argv[2]);
    eyelet_id peer;
    if (eyelet_id_parse(argv[0], &peer) < 0 || !bench_wait_registered(me))
        return 1;
    puts("registered");
    fflush(stdout);
    wait_for(me, warm_ms);
    c.begun_ms = bench_now_ms();
    int error = eyelet_dial(me->ep, &peer, NULL, &c.conn);
    if (error < 0)
        return bench_fail(me, NULL, "cannot dial", error);
    for (double left;
         (left = c.begun_ms + limit_ms - bench_now_ms()) > 0 && !settled(&c, policy);) {
        eyelet_event event;
        if (eyelet_wait(me->ep, left < LOOK_MS ? (int)left + 1 : LOOK_MS, &event) == EYELET_OK)
            on_event(&c, &event);
    }
    int status = report(&c, limit_ms);
    eyelet_conn_free(c.conn);
    return status;
}

static int print_id(const char *path)
{
    eyelet_id id;
    char text[EYELET_ID_TEXT_BYTES];
    int error = eyelet_id_of_key_file(path, &id);
    if (error < 0) {
        fprintf(stderr, "eyelet-lab-peer: %s: %s\n", path, eyelet_strerror(error));
        return 1;
    }
    puts(eyelet_id_text(&id, text));
    return 0;
}

static enum eyelet_policy policy_of(const char *word)
{
    return strcmp(word, "--direct-only") == 0  ? EYELET_DIRECT_ONLY
           : strcmp(word, "--relay-only") == 0 ? EYELET_RELAY_ONLY
                                               : EYELET_ANY_PATH;
}

int main(int argc, char **argv)
{
    enum eyelet_policy policy = argc > 1 ? policy_of(argv[1]) : EYELET_ANY_PATH;
    if (policy != EYELET_ANY_PATH) {
        argc--;
        argv++;
    }
    if (argc == 3 && strcmp(argv[1], "id") == 0)
        return print_id(argv[2]);
    bool serving = argc == 5 && strcmp(argv[1], "echo") == 0;
    if (!serving && !(argc == 8 && strcmp(argv[1], "call") == 0)) {
        fprintf(stderr,
                "usage: eyelet-lab-peer id KEY_FILE\n"
                "       eyelet-lab-peer [POLICY] echo KEY_FILE MEDIATOR KNOWN_MEDIATORS\n"
                "       eyelet-lab-peer [POLICY] call KEY_FILE MEDIATOR KNOWN_MEDIATORS PEER "
                "WARM_MS LIMIT_MS\n"
                "POLICY is --direct-only or --relay-only.\n");
        return 2;
    }
    struct bench_peer me = {.program = "eyelet-lab-peer", .start_ms = bench_now_ms()};
    if (!bench_open(&me, argv + 2, policy))
        return 1;
    int status = serving ? bench_serve(&me, NULL) : call(&me, policy, argv + 5);
    eyelet_close(me.ep);
    return status;
}
