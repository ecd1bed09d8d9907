/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_peer.h"

#include <stdio.h>
#include <time.h>

double bench_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int bench_fail(const struct bench_peer *peer, const eyelet_conn *conn, const char *what, int error)
{
    fprintf(stderr, "%s: %s: %s: %s\n", peer->program, what, eyelet_strerror(error),
            eyelet_why(peer->ep, conn));
    return 1;
}

static void bench_log(void *context, enum eyelet_log_level level, const char *text)
{
    const struct bench_peer *peer = context;
    fprintf(stderr, "%9.3f %d %s\n", bench_now_ms() - peer->start_ms, (int)level, text);
}

bool bench_open(struct bench_peer *peer, char *const *words, enum eyelet_policy policy)
{
    eyelet_config config = {.size = sizeof(config),
                            .key_file = words[0],
                            .mediator = words[1],
                            .known_mediators = words[2],
                            .log = bench_log,
                            .log_context = peer,
                            .policy = policy};
    int error = eyelet_open(&peer->ep, &config);
    if (error < 0)
        fprintf(stderr, "%s: %s\n", peer->program, eyelet_strerror(error));
    return error >= 0;
}

bool bench_wait_registered(struct bench_peer *peer)
{
    eyelet_event event;
    int error;
    do {
        error = eyelet_wait(peer->ep, 15000, &event);
    } while (error == EYELET_OK && event.kind != EYELET_EVENT_REGISTERED);
    if (error < 0)
        bench_fail(peer, NULL, "cannot register", error);
    return error == EYELET_OK;
}

static void bench_echo(eyelet_conn *conn, int64_t stream)
{
    uint8_t data[4096];
    ssize_t got;
    while ((got = eyelet_stream_read(conn, stream, data, sizeof(data))) > 0)
        eyelet_stream_write(conn, stream, data, (size_t)got);
    if (got == 0)
        eyelet_stream_finish(conn, stream);
}

int bench_serve(struct bench_peer *peer, void (*greet)(eyelet_conn *conn))
{
    char text[EYELET_ID_TEXT_BYTES];
    eyelet_event event;
    int error = eyelet_listen(peer->ep, EYELET_LISTEN_ANYONE, NULL, 0);
    if (error < 0)
        return bench_fail(peer, NULL, "cannot listen", error);
    if (!bench_wait_registered(peer))
        return 1;
    printf("ready %s\n", eyelet_id_text(eyelet_own_id(peer->ep), text));
    fflush(stdout);
    while ((error = eyelet_wait(peer->ep, -1, &event)) == EYELET_OK) {
        if (event.kind == EYELET_EVENT_INCOMING && greet)
            greet(event.conn);
        else if (event.kind == EYELET_EVENT_READABLE)
            bench_echo(event.conn, event.stream);
        else if (event.kind == EYELET_EVENT_CLOSED)
            eyelet_conn_free(event.conn);
    }
    return bench_fail(peer, NULL, "cannot wait", error);
}
