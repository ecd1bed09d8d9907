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

#include "bench_peer.h"

#define PAUSE_MS 150  /* between dials, so that one does not pay for the end of another */
#define WARM_MS  1500 /* the profile is known and the addresses are attested */

struct options {
    enum eyelet_policy policy;
    bool speak, cold;
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

static void speak(eyelet_conn *conn)
{
    int64_t stream = eyelet_stream_open(conn);
    if (stream >= 0 && eyelet_stream_write(conn, stream, "s", 1) == 1)
        eyelet_stream_finish(conn, stream);
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
static int call_once(struct bench_peer *me, const eyelet_id *peer, const struct options *options,
                     struct dial *dial)
{
    eyelet_conn *conn;
    eyelet_event event;
    *dial = (struct dial){.stream = -1, .begun_ms = options->cold ? me->start_ms : bench_now_ms()};
    int error = eyelet_dial(me->ep, peer, NULL, &conn);
    if (error < 0)
        return bench_fail(me, NULL, "cannot dial", error);
    do {
        error = eyelet_wait(me->ep, 20000, &event);
        double elapsed = bench_now_ms() - dial->begun_ms;
        if (error < 0)
            return bench_fail(me, conn, "no echo", error);
        if (event.conn != conn)
            continue;
        if (event.kind == EYELET_EVENT_PATH && dial->echo_ms == 0)
            note_path(conn, dial, elapsed);
        else if (event.kind == EYELET_EVENT_CONNECTED && !ask(conn, dial, elapsed))
            return bench_fail(me, conn, "cannot write", (int)dial->stream);
        else if (event.kind == EYELET_EVENT_READABLE)
            note_byte(conn, event.stream, dial, elapsed);
        if (complete(dial, options) && !dial->closing) {
            dial->closing = true;
            eyelet_conn_close(conn, 0, NULL);
        }
    } while (event.conn != conn || event.kind != EYELET_EVENT_CLOSED);
    if (!complete(dial, options))
        return bench_fail(me, conn, "closed before the echo", event.error);
    eyelet_conn_free(conn);
    return 0;
}

static void pause_for(struct bench_peer *me, double ms)
{
    eyelet_event event;
    for (double end = bench_now_ms() + ms; bench_now_ms() < end;)
        eyelet_wait(me->ep, 10, &event);
}

static int call(struct bench_peer *me, const struct options *options, const char *peer_text,
                int repeat)
{
    eyelet_id peer;
    if (eyelet_id_parse(peer_text, &peer) < 0 || (!options->cold && !bench_wait_registered(me)))
        return 1;
    if (!options->cold)
        pause_for(me, WARM_MS);
    for (int i = 0; i < repeat; i++) {
        struct dial dial;
        if (call_once(me, &peer, options, &dial) != 0)
            return 1;
        printf("{\"echo_ms\":%.3f,\"connected_ms\":%.3f,\"direct_ms\":%.3f,\"first_path_ms\":%.3f,"
               "\"first_kind\":\"%s\",\"kind\":\"%s\",\"local\":\"%s\",\"first_byte_ms\":%.3f,"
               "\"first_byte_kind\":\"%s\"}\n",
               dial.echo_ms, dial.connected_ms, dial.path_ms, dial.first_path_ms, dial.first_kind,
               dial.kind, dial.local, dial.first_byte_ms, dial.first_byte_kind);
        fflush(stdout);
        pause_for(me, PAUSE_MS);
    }
    return 0;
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
    struct bench_peer me = {.program = "eyelet-dial-bench", .start_ms = bench_now_ms()};
    struct options options = {0};
    if (!parse_options(argc, argv, &options))
        return usage();
    char **words = argv + optind;
    bool serving = argc - optind == 4 && strcmp(words[0], "echo") == 0;
    if (!serving && !(argc - optind == 6 && strcmp(words[0], "call") == 0))
        return usage();
    if (!bench_open(&me, words + 1, options.policy))
        return 1;
    int status = serving ? bench_serve(&me, options.speak ? speak : NULL)
                         : call(&me, &options, words[4], atoi(words[5]));
    eyelet_close(me.ep);
    return status;
}
