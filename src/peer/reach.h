/* SPDX-License-Identifier: BSD-2-Clause */
/* Reaching the mediator: TCP and TLS to each of its addresses in turn, the next one a little after
 * the one before, until the first of them is encrypted. Families take turns, so that a dead one
 * costs no more than that little. The default port where none was given, 443 when that cannot be
 * reached; the one that worked last comes first.
 *
 * Times: microseconds of the endpoint's clock. */
#ifndef PEER_REACH_H
#define PEER_REACH_H

#include "peer/resolve.h"
#include "rendezvous/channel.h"

#define REACH_WHY_BYTES     320
#define REACH_MAX_TRIES     (2 * RESOLVE_MAX_ADDRESSES)
#define REACH_NEXT_US       300000u  /* from one try to the next */
#define REACH_PATIENCE_US   3000000u /* with a port, and at the end with all */
#define REACH_OTHER_PORT    443
#define REACH_MOST_FAILURES 7u /* more of them make the wait no longer */

struct reach_try {
    struct stun_addr to;
    struct channel *channel; /* owned; NULL: not begun, or failed */
};

struct reach {
    struct reach_try tries[REACH_MAX_TRIES];
    size_t count, first_port_count, begun, running;
    uint64_t begun_us; /* the last try */
    bool hurry;        /* one has failed: no waiting for the next */
    size_t told;       /* rank of the try that `why` is about */
    char why[REACH_WHY_BYTES];
};

enum reach_state { REACH_TRYING, REACH_OPEN, REACH_FAILED };

/* What is tried, in this order; the other port may be 0. Pure. */
void reach_plan(struct reach *r, const struct stun_addr *addresses, size_t count, uint16_t port,
                uint16_t other_port);

struct eyelet_endpoint;

/* Begins what is due, and goes on with what is ready. With REACH_OPEN *channel is the caller's,
 * still watched with the session as its whom, and *to is where it leads; with REACH_FAILED r->why
 * says what became of the likeliest try. In both cases nothing else is left open. */
enum reach_state reach_step(struct eyelet_endpoint *ep, uint64_t now_us, struct channel **channel,
                            struct stun_addr *to);
uint64_t reach_next_timeout(const struct reach *r);
void reach_stop(struct eyelet_endpoint *ep);

/* How long to wait before all of it is tried again. failures: in a row before this one; lost_us:
 * since the mediator could be reached last; eager: somebody waits for it; chance: random, so that a
 * mediator that comes back is not stormed. Pure. */
uint64_t reach_retry_us(unsigned failures, uint64_t lost_us, bool eager, uint32_t chance);

#endif
