/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/reach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "peer/endpoint.h"
#include "peer/tcp.h"

#define FIRST_RETRY_US  100000u
#define EAGER_RETRY_US  2000000u
#define LAST_RETRY_US   10000000u
#define EAGER_US        60000000u
#define QUEUE_MAX_BYTES (256 * 1024)

#define REACH_NOTHING_TOLD (2 * REACH_MAX_TRIES)

/* The family of the first address first: the system has sorted them. */
static size_t take_turns(struct reach_try *out, const struct stun_addr *addresses, size_t count,
                         uint16_t port)
{
    size_t at[2] = {0, 0}, taken = 0;
    for (unsigned turn = 0; taken < count; turn = !turn) {
        while (at[turn] < count && (addresses[at[turn]].family != addresses[0].family) != turn) {
            at[turn]++;
        }
        if (at[turn] < count) {
            out[taken] = (struct reach_try){.to = addresses[at[turn]++]};
            out[taken++].to.port = port;
        }
    }
    return taken;
}

void reach_plan(struct reach *r, const struct stun_addr *addresses, size_t count, uint16_t port,
                uint16_t other_port)
{
    *r = (struct reach){0};
    count = count < RESOLVE_MAX_ADDRESSES ? count : RESOLVE_MAX_ADDRESSES;
    r->count = r->first_port_count = take_turns(r->tries, addresses, count, port);
    if (other_port != 0) {
        r->count += take_turns(r->tries + r->count, addresses, count, other_port);
    }
    r->told = REACH_NOTHING_TOLD;
}

uint64_t reach_retry_us(unsigned failures, uint64_t lost_us, bool eager, uint32_t chance)
{
    unsigned doublings = failures < REACH_MOST_FAILURES ? failures : REACH_MOST_FAILURES;
    uint64_t wait = (uint64_t)FIRST_RETRY_US << doublings;
    uint64_t most = eager && lost_us < EAGER_US ? EAGER_RETRY_US : LAST_RETRY_US;
    wait = wait < most ? wait : most;
    return wait - wait / 4 + chance % (wait / 4 + 1);
}

/* What is said of an earlier try counts for more: it was the likelier one. */
static void tell(struct eyelet_endpoint *ep, size_t rank, const char *what, const char *error)
{
    struct reach *r = &ep->session.reach;
    char name[LOCATOR_NAME_BYTES];
    if (rank < r->told) {
        r->told = rank;
        snprintf(r->why, sizeof r->why, "the mediator %s %s%s%s",
                 locator_name(&ep->session.where, name), what, error,
                 r->count > r->first_port_count ? " (another port does not help)" : "");
    }
}

static void tell_error(struct eyelet_endpoint *ep, size_t rank, const char *error)
{
    tell(ep, rank, "cannot be reached: ", error);
}

/* That this machine lacks the family of an address says the least. */
static void tell_no_way(struct eyelet_endpoint *ep, size_t try, int error)
{
    tell_error(ep, try + ep->session.reach.count, strerror(error));
}

static void close_try(struct eyelet_endpoint *ep, struct reach_try *t)
{
    endpoint_unwatch(ep, channel_fd(t->channel));
    channel_free(t->channel);
    t->channel = NULL;
    ep->session.reach.running--;
}

static void begin(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct reach *r = &ep->session.reach;
    size_t i = r->begun++;
    struct reach_try *t = &r->tries[i];
    r->begun_us = now_us;
    r->hurry = true; /* until it has got under way */
    int fd = tcp_connect(&t->to);
    if (fd < 0) {
        tell_no_way(ep, i, errno);
        return;
    }
    struct channel_config config = {.server = false,
                                    .fd = fd,
                                    .credentials = ep->session.credentials,
                                    .max_queue_bytes = QUEUE_MAX_BYTES};
    if (channel_new(&t->channel, &config) != CHANNEL_OK) {
        t->channel = NULL;
        tell_error(ep, i, "no TLS session");
        return;
    }
    (void)endpoint_watch(ep, fd, true, &ep->session);
    r->running++;
    r->hurry = false;
}

/* When the next try is due, or when there is none, the end of it all. */
static uint64_t due_us(const struct reach *r)
{
    if (r->begun == 0 || (r->begun < r->count && (r->hurry || r->running == 0))) {
        /* The other port only once nothing of the first one is left. */
        if (r->begun != r->first_port_count || r->running == 0) {
            return 0;
        }
    }
    if (r->begun == r->count && r->running == 0) {
        return 0;
    }
    bool last_of_port = r->begun == r->count || r->begun == r->first_port_count;
    return r->begun_us + (last_of_port ? REACH_PATIENCE_US : REACH_NEXT_US);
}

uint64_t reach_next_timeout(const struct reach *r)
{
    return due_us(r);
}

void reach_stop(struct eyelet_endpoint *ep)
{
    struct reach *r = &ep->session.reach;
    for (size_t i = 0; i < r->begun; i++) {
        if (r->tries[i].channel != NULL) {
            close_try(ep, &r->tries[i]);
        }
    }
}

/* True if one is encrypted; it is taken out. */
static bool go_on(struct eyelet_endpoint *ep, struct channel **channel, struct stun_addr *to)
{
    struct reach *r = &ep->session.reach;
    for (size_t i = 0; i < r->begun; i++) {
        struct reach_try *t = &r->tries[i];
        if (t->channel == NULL) {
            continue;
        }
        if (channel_process(t->channel) != CHANNEL_OK) {
            tell_error(ep, i, channel_why(t->channel));
            close_try(ep, t);
            r->hurry = true;
        } else if (channel_is_open(t->channel)) {
            *channel = t->channel;
            *to = t->to;
            t->channel = NULL;
            r->running--;
            return true;
        } else {
            endpoint_rewatch(ep, channel_fd(t->channel), channel_wants_write(t->channel),
                             &ep->session);
        }
    }
    return false;
}

enum reach_state reach_step(struct eyelet_endpoint *ep, uint64_t now_us, struct channel **channel,
                            struct stun_addr *to)
{
    struct reach *r = &ep->session.reach;
    if (go_on(ep, channel, to)) {
        reach_stop(ep);
        return REACH_OPEN;
    }
    while (now_us >= due_us(r)) {
        if (r->begun < r->count) {
            begin(ep, now_us);
            continue;
        }
        for (size_t i = 0; i < r->begun; i++) {
            if (r->tries[i].channel != NULL) {
                tell(ep, i, "does not answer", "");
            }
        }
        reach_stop(ep);
        return REACH_FAILED;
    }
    return REACH_TRYING;
}
