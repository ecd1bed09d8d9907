/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-dial-bench: how long a dial takes to the first echoed byte, both peers warm.
 *   eyelet-dial-bench echo KEY_FILE MEDIATOR KNOWN_MEDIATORS          answers dials of anyone
 *   eyelet-dial-bench call KEY_FILE MEDIATOR KNOWN_MEDIATORS PEER N   dials N times
 * The caller prints a line of JSON a dial; times are milliseconds from the call of eyelet_dial. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "eyelet.h"

#define PAUSE_MS 150 /* between dials, so that one does not pay for the end of another */

struct dial {
    double path_ms, connected_ms, echo_ms; /* the first path that is direct; 0: not yet */
    double first_path_ms;
    char first_kind[8], kind[8]; /* of the first path, of the path when the echo came */
    char local[16];
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int fail(const eyelet_endpoint *ep, const eyelet_conn *conn, const char *what, int error)
{
    fprintf(stderr, "eyelet-dial-bench: %s: %s: %s\n", what, eyelet_strerror(error),
            eyelet_why(ep, conn));
    return 1;
}

static bool wait_registered(eyelet_endpoint *ep)
{
    eyelet_event event;
    int error;
    do {
        error = eyelet_wait(ep, 15000, &event);
    } while (error == EYELET_OK && event.kind != EYELET_EVENT_REGISTERED);
    if (error < 0)
        fail(ep, NULL, "cannot register", error);
    return error == EYELET_OK;
}

static void echo_stream(eyelet_conn *conn, int64_t stream)
{
    uint8_t data[4096];
    ssize_t got;
    while ((got = eyelet_stream_read(conn, stream, data, sizeof(data))) > 0)
        eyelet_stream_write(conn, stream, data, (size_t)got);
    if (got == 0)
        eyelet_stream_finish(conn, stream);
}

static int serve(eyelet_endpoint *ep)
{
    int error = eyelet_listen(ep, EYELET_LISTEN_ANYONE, NULL, 0);
    if (error < 0 || !wait_registered(ep))
        return 1;
    char text[EYELET_ID_TEXT_BYTES];
    printf("ready %s\n", eyelet_id_text(eyelet_own_id(ep), text));
    fflush(stdout);
    eyelet_event event;
    while ((error = eyelet_wait(ep, -1, &event)) == EYELET_OK) {
        if (event.kind == EYELET_EVENT_READABLE)
            echo_stream(event.conn, event.stream);
        else if (event.kind == EYELET_EVENT_CLOSED)
            eyelet_conn_free(event.conn);
    }
    return fail(ep, NULL, "cannot wait", error);
}

static void note_path(const eyelet_conn *conn, struct dial *dial, double elapsed)
{
    eyelet_path path;
    if (eyelet_conn_path(conn, &path) < 0)
        return;
    snprintf(dial->kind, sizeof(dial->kind), "%s", path.direct ? "direct" : "relay");
    snprintf(dial->local, sizeof(dial->local), "%s", path.local);
    if (dial->first_path_ms == 0) {
        dial->first_path_ms = elapsed;
        snprintf(dial->first_kind, sizeof(dial->first_kind), "%s", dial->kind);
    }
    if (path.direct && dial->path_ms == 0)
        dial->path_ms = elapsed;
}

/* One byte there and back. */
static int call_once(eyelet_endpoint *ep, const eyelet_id *peer, struct dial *dial)
{
    eyelet_conn *conn;
    eyelet_event event;
    double start = now_ms();
    int error = eyelet_dial(ep, peer, NULL, &conn);
    if (error < 0)
        return fail(ep, NULL, "cannot dial", error);
    int64_t stream = -1;
    bool closing = false;
    for (;;) {
        error = eyelet_wait(ep, 20000, &event);
        double elapsed = now_ms() - start;
        if (error < 0)
            return fail(ep, conn, "no echo", error);
        if (event.conn != conn)
            continue;
        uint8_t byte;
        if (event.kind == EYELET_EVENT_PATH && dial->echo_ms == 0)
            note_path(conn, dial, elapsed);
        else if (event.kind == EYELET_EVENT_CONNECTED) {
            dial->connected_ms = elapsed;
            stream = eyelet_stream_open(conn);
            if (stream < 0 || eyelet_stream_write(conn, stream, "x", 1) != 1)
                return fail(ep, conn, "cannot write", (int)stream);
            eyelet_stream_finish(conn, stream);
        } else if (event.kind == EYELET_EVENT_READABLE && dial->echo_ms == 0 &&
                   eyelet_stream_read(conn, stream, &byte, 1) == 1)
            dial->echo_ms = elapsed;
        else if (event.kind == EYELET_EVENT_CLOSED)
            break;
        if (dial->echo_ms > 0 && dial->connected_ms > 0 && dial->path_ms > 0 && !closing) {
            closing = true;
            eyelet_conn_close(conn, 0, NULL);
        }
    }
    error = dial->echo_ms > 0 ? EYELET_OK : event.error;
    if (error < 0 || dial->echo_ms == 0)
        return fail(ep, conn, "closed before the echo", error);
    eyelet_conn_free(conn);
    return 0;
}

static void pause_for(eyelet_endpoint *ep, double ms)
{
    eyelet_event event;
    for (double end = now_ms() + ms; now_ms() < end;)
        eyelet_wait(ep, 10, &event);
}

static int call(eyelet_endpoint *ep, const char *peer_text, int repeat)
{
    eyelet_id peer;
    if (eyelet_id_parse(peer_text, &peer) < 0 || !wait_registered(ep))
        return 1;
    pause_for(ep, 1000); /* warm: the profile is known and the addresses are attested */
    for (int i = 0; i < repeat; i++) {
        struct dial dial = {0};
        if (call_once(ep, &peer, &dial) != 0)
            return 1;
        printf("{\"echo_ms\":%.3f,\"connected_ms\":%.3f,\"direct_ms\":%.3f,\"first_path_ms\":%.3f,"
               "\"first_kind\":\"%s\",\"kind\":\"%s\",\"local\":\"%s\"}\n",
               dial.echo_ms, dial.connected_ms, dial.path_ms, dial.first_path_ms, dial.first_kind,
               dial.kind, dial.local);
        fflush(stdout);
        pause_for(ep, PAUSE_MS);
    }
    return 0;
}

static void log_line(void *context, enum eyelet_log_level level, const char *text)
{
    double *start = context;
    fprintf(stderr, "%9.3f %d %s\n", now_ms() - *start, (int)level, text);
}

int main(int argc, char **argv)
{
    bool serving = argc == 5 && strcmp(argv[1], "echo") == 0;
    if (!serving && !(argc == 7 && strcmp(argv[1], "call") == 0)) {
        fprintf(stderr, "usage: eyelet-dial-bench echo KEY_FILE MEDIATOR KNOWN_MEDIATORS\n"
                        "       eyelet-dial-bench call KEY_FILE MEDIATOR KNOWN_MEDIATORS PEER N\n");
        return 2;
    }
    double start = now_ms();
    eyelet_config config = {.size = sizeof(config),
                            .key_file = argv[2],
                            .mediator = argv[3],
                            .known_mediators = argv[4],
                            .log = log_line,
                            .log_context = &start};
    eyelet_endpoint *ep;
    int error = eyelet_open(&ep, &config);
    if (error < 0) {
        fprintf(stderr, "eyelet-dial-bench: %s\n", eyelet_strerror(error));
        return 1;
    }
    int status = serving ? serve(ep) : call(ep, argv[5], atoi(argv[6]));
    eyelet_close(ep);
    return status;
}
