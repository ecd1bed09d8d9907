/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-dial-bench: how long a dial takes to the first echoed byte, both peers warm.
 *   eyelet-dial-bench [OPTION]... echo KEY_FILE MEDIATOR KNOWN_MEDIATORS
 *   eyelet-dial-bench [OPTION]... call KEY_FILE MEDIATOR KNOWN_MEDIATORS PEER N
 * The callee answers dials of anyone, the caller dials N times and prints a line of JSON a dial;
 * times are milliseconds from the call of eyelet_dial.
 *   --direct-only, --relay-only   which paths may carry
 *   --speak                       callee: says a byte as soon as it hears of the dial;
 *                                 caller: waits for it
 *   --cold                        caller: dials at once, before it is registered; times count from
 *                                 the start of the program */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "eyelet.h"

#define PAUSE_MS 150  /* between dials, so that one does not pay for the end of another */
#define WARM_MS  1500 /* the profile is known and the addresses are attested */

struct options {
    enum eyelet_policy policy;
    bool speak, cold;
    double start_ms;
};

struct dial {
    double begun_ms;
    double path_ms, connected_ms, echo_ms;  /* path: the first that is direct; 0: not yet */
    double first_path_ms, first_byte_ms;    /* first byte: what the callee said by itself */
    char first_kind[8], first_byte_kind[8]; /* of the first path, of that at the first byte */
    char kind[8], local[16];                /* of the path when the echo came */
    int64_t stream;
    bool closing;
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

static void speak(eyelet_conn *conn)
{
    int64_t stream = eyelet_stream_open(conn);
    if (stream >= 0 && eyelet_stream_write(conn, stream, "s", 1) == 1)
        eyelet_stream_finish(conn, stream);
}

static int serve(eyelet_endpoint *ep, const struct options *options)
{
    int error = eyelet_listen(ep, EYELET_LISTEN_ANYONE, NULL, 0);
    if (error < 0 || !wait_registered(ep))
        return 1;
    char text[EYELET_ID_TEXT_BYTES];
    printf("ready %s\n", eyelet_id_text(eyelet_own_id(ep), text));
    fflush(stdout);
    eyelet_event event;
    while ((error = eyelet_wait(ep, -1, &event)) == EYELET_OK) {
        if (event.kind == EYELET_EVENT_INCOMING && options->speak)
            speak(event.conn);
        else if (event.kind == EYELET_EVENT_READABLE)
            echo_stream(event.conn, event.stream);
        else if (event.kind == EYELET_EVENT_CLOSED)
            eyelet_conn_free(event.conn);
    }
    return fail(ep, NULL, "cannot wait", error);
}

static const char *kind_of(const eyelet_conn *conn, char local[static 16])
{
    eyelet_path path;
    if (eyelet_conn_path(conn, &path) < 0)
        return "";
    snprintf(local, 16, "%s", path.local);
    return path.direct ? "direct" : "relay";
}

static void note_path(const eyelet_conn *conn, struct dial *dial, double elapsed)
{
    char local[16];
    const char *kind = kind_of(conn, local);
    if (*kind && dial->first_path_ms == 0) {
        dial->first_path_ms = elapsed;
        snprintf(dial->first_kind, sizeof(dial->first_kind), "%s", kind);
    }
    if (strcmp(kind, "direct") == 0 && dial->path_ms == 0)
        dial->path_ms = elapsed;
}

/* The echo on our own stream, or what the callee said by itself on one of its own. */
static void note_byte(eyelet_conn *conn, int64_t stream, struct dial *dial, double elapsed)
{
    uint8_t byte;
    char local[16];
    while (eyelet_stream_read(conn, stream, &byte, 1) == 1) {
        if (stream == dial->stream && dial->echo_ms == 0) {
            dial->echo_ms = elapsed;
            snprintf(dial->kind, sizeof(dial->kind), "%s", kind_of(conn, dial->local));
        } else if (stream != dial->stream && dial->first_byte_ms == 0) {
            dial->first_byte_ms = elapsed;
            snprintf(dial->first_byte_kind, sizeof(dial->first_byte_kind), "%s",
                     kind_of(conn, local));
        }
    }
}

static bool ask(eyelet_conn *conn, struct dial *dial, double elapsed)
{
    dial->connected_ms = elapsed;
    dial->stream = eyelet_stream_open(conn);
    return dial->stream >= 0 && eyelet_stream_write(conn, dial->stream, "x", 1) == 1 &&
           eyelet_stream_finish(conn, dial->stream) == EYELET_OK;
}

static bool complete(const struct dial *dial, const struct options *options)
{
    return dial->echo_ms > 0 && dial->connected_ms > 0 &&
           (dial->path_ms > 0 || options->policy != EYELET_DIRECT_ONLY) &&
           (dial->first_byte_ms > 0 || !options->speak);
}

/* One byte there and back. */
static int call_once(eyelet_endpoint *ep, const eyelet_id *peer, const struct options *options,
                     struct dial *dial)
{
    eyelet_conn *conn;
    eyelet_event event;
    *dial = (struct dial){.stream = -1, .begun_ms = options->cold ? options->start_ms : now_ms()};
    int error = eyelet_dial(ep, peer, NULL, &conn);
    if (error < 0)
        return fail(ep, NULL, "cannot dial", error);
    do {
        error = eyelet_wait(ep, 20000, &event);
        double elapsed = now_ms() - dial->begun_ms;
        if (error < 0)
            return fail(ep, conn, "no echo", error);
        if (event.conn != conn)
            continue;
        if (event.kind == EYELET_EVENT_PATH && dial->echo_ms == 0)
            note_path(conn, dial, elapsed);
        else if (event.kind == EYELET_EVENT_CONNECTED && !ask(conn, dial, elapsed))
            return fail(ep, conn, "cannot write", (int)dial->stream);
        else if (event.kind == EYELET_EVENT_READABLE)
            note_byte(conn, event.stream, dial, elapsed);
        if (complete(dial, options) && !dial->closing) {
            dial->closing = true;
            eyelet_conn_close(conn, 0, NULL);
        }
    } while (event.conn != conn || event.kind != EYELET_EVENT_CLOSED);
    if (!complete(dial, options))
        return fail(ep, conn, "closed before the echo", event.error);
    eyelet_conn_free(conn);
    return 0;
}

static void pause_for(eyelet_endpoint *ep, double ms)
{
    eyelet_event event;
    for (double end = now_ms() + ms; now_ms() < end;)
        eyelet_wait(ep, 10, &event);
}

static int call(eyelet_endpoint *ep, const struct options *options, const char *peer_text,
                int repeat)
{
    eyelet_id peer;
    if (eyelet_id_parse(peer_text, &peer) < 0 || (!options->cold && !wait_registered(ep)))
        return 1;
    if (!options->cold)
        pause_for(ep, WARM_MS);
    for (int i = 0; i < repeat; i++) {
        struct dial dial;
        if (call_once(ep, &peer, options, &dial) != 0)
            return 1;
        printf("{\"echo_ms\":%.3f,\"connected_ms\":%.3f,\"direct_ms\":%.3f,\"first_path_ms\":%.3f,"
               "\"first_kind\":\"%s\",\"kind\":\"%s\",\"local\":\"%s\",\"first_byte_ms\":%.3f,"
               "\"first_byte_kind\":\"%s\"}\n",
               dial.echo_ms, dial.connected_ms, dial.path_ms, dial.first_path_ms, dial.first_kind,
               dial.kind, dial.local, dial.first_byte_ms, dial.first_byte_kind);
        fflush(stdout);
        pause_for(ep, PAUSE_MS);
    }
    return 0;
}

static void log_line(void *context, enum eyelet_log_level level, const char *text)
{
    const double *start = context;
    fprintf(stderr, "%9.3f %d %s\n", now_ms() - *start, (int)level, text);
}

static int usage(void)
{
    fprintf(stderr, "usage: eyelet-dial-bench [OPTION]... echo KEY_FILE MEDIATOR KNOWN_MEDIATORS\n"
                    "       eyelet-dial-bench [OPTION]... call KEY_FILE MEDIATOR KNOWN_MEDIATORS "
                    "PEER N\n"
                    "options: --direct-only --relay-only --speak --cold\n");
    return 2;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {{"direct-only", no_argument, NULL, 'd'},
                                          {"relay-only", no_argument, NULL, 'r'},
                                          {"speak", no_argument, NULL, 's'},
                                          {"cold", no_argument, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "+", names, NULL)) != -1;) {
        if (option == '?')
            return false;
        if (option == 'd' || option == 'r')
            options->policy = option == 'd' ? EYELET_DIRECT_ONLY : EYELET_RELAY_ONLY;
        options->speak |= option == 's';
        options->cold |= option == 'c';
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.start_ms = now_ms()};
    if (!parse_options(argc, argv, &options))
        return usage();
    char **words = argv + optind;
    bool serving = argc - optind == 4 && strcmp(words[0], "echo") == 0;
    if (!serving && !(argc - optind == 6 && strcmp(words[0], "call") == 0))
        return usage();
    eyelet_config config = {.size = sizeof(config),
                            .key_file = words[1],
                            .mediator = words[2],
                            .known_mediators = words[3],
                            .log = log_line,
                            .log_context = &options.start_ms,
                            .policy = options.policy};
    eyelet_endpoint *ep;
    int error = eyelet_open(&ep, &config);
    if (error < 0) {
        fprintf(stderr, "eyelet-dial-bench: %s\n", eyelet_strerror(error));
        return 1;
    }
    int status = serving ? serve(ep, &options) : call(ep, &options, words[4], atoi(words[5]));
    eyelet_close(ep);
    return status;
}
