/* SPDX-License-Identifier: BSD-2-Clause */
/* What the peers of the benches have in common: an endpoint that logs to stderr, and a callee that
 * echoes. */
#ifndef BENCH_BENCH_PEER_H
#define BENCH_BENCH_PEER_H

#include "eyelet.h"

struct bench_peer {
    const char *program; /* for messages */
    eyelet_endpoint *ep;
    double start_ms; /* of the program: log lines count from it */
};

double bench_now_ms(void);

/* Prints what is wrong, and why; conn may be NULL. Returns 1, for main. */
int bench_fail(const struct bench_peer *peer, const eyelet_conn *conn, const char *what, int error);

/* words: KEY_FILE MEDIATOR KNOWN_MEDIATORS. False: it has said why not. */
bool bench_open(struct bench_peer *peer, char *const *words, enum eyelet_policy policy);
bool bench_wait_registered(struct bench_peer *peer);

/* Answers anyone and echoes every stream, from when it has said "ready ID" until something fails;
 * then returns 1. greet may be NULL: what is done with each caller at once. */
int bench_serve(struct bench_peer *peer, void (*greet)(eyelet_conn *conn));

#endif
