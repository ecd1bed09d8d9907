/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon: listeners, the event loop, and what all sessions share. */
#ifndef MEDIATOR_SERVER_H
#define MEDIATOR_SERVER_H

#include <gnutls/gnutls.h>
#include <uv.h>

#include "identity/identity.h"
#include "mediator/bounce_io.h"
#include "mediator/config.h"
#include "mediator/deadlines.h"
#include "mediator/dials.h"
#include "mediator/limit.h"
#include "mediator/occupancy.h"
#include "mediator/refusals.h"
#include "mediator/registry.h"

#define SERVER_MAX_LISTENERS (CONFIG_MAX_ADDRESSES * CONFIG_MAX_PORTS)

struct session;

struct server_listener {
    uv_poll_t poll;
    struct server *server;
    struct stun_addr addr; /* as it is announced */
    int fd;
};

/* Since the start; told in the log when the daemon ends, and on SIGUSR1. */
struct server_counters {
    uint64_t accepted;
    uint64_t turned_away; /* connections beyond a limit */
    uint64_t registered;
    uint64_t dials;
    uint64_t refused;
    uint64_t resumed;
    uint64_t outcome[_wire_Outcome_ARRAYSIZE];
};

struct server {
    const struct config *config;
    struct log log;
    struct identity_id id;
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority; /* one for all sessions */

    uv_loop_t loop;
    uv_timer_t tick;
    uv_timer_t refusal_timer;
    uv_signal_t signals[3];
    struct server_listener listeners[SERVER_MAX_LISTENERS];
    size_t listener_count;
    struct limit_bucket fd_warnings;
    struct limit_bucket reports; /* that are logged */
    int spare_fd; /* given up for a moment to turn a connection away when there are no more */
    struct bounce_io *bounce;

    struct session *sessions;
    size_t session_count;
    struct registry *registry;
    struct relay *relay; /* NULL: the operator does not want one */
    struct streams streams;
    struct dials *dials;
    struct refusals *refusals;
    struct occupancy *occupancy;
    struct limits *connections;
    struct limits *prefix_dials;
    struct limits *asks; /* dials and resumed dials of strangers, by prefix and who is asked for */
    struct deadlines young;  /* handshake, first message */
    struct deadlines active; /* must say something now and then */
    struct deadlines ending;

    struct server_counters counters;
    bool draining;
};

/* Runs until SIGTERM or SIGINT. Returns the exit status of the program. */
int server_run(const struct config *config);

uint64_t server_now_us(void);
/* To be called after a refusal was added: sees to it that it leaves in time. */
void server_schedule_refusals(struct server *server);

#endif
