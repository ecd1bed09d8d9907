/* SPDX-License-Identifier: BSD-2-Clause */
/* Drives the exploration of the NAT in the background of a session: its sockets, and what becomes
 * of its results. Begins once the survey is over, rests while a dial is under way. */
#ifndef PEER_EXPLORER_H
#define PEER_EXPLORER_H

#include "peer/udp.h"
#include "punch/explore.h"

struct explorer {
    struct explore machine;
    struct udp_socket sockets[EXPLORE_SOCKETS];
    unsigned open; /* bits */
    bool wanted;   /* to be begun */
    bool running;
    bool told; /* the log has heard of the result */
};

struct eyelet_endpoint;

/* Zero-initialised is stopped. */
void explorer_stop(struct explorer *x);
/* As soon as the survey is over. */
void explorer_want(struct explorer *x);
void explorer_step(struct eyelet_endpoint *ep, uint64_t now_us);
uint64_t explorer_next_timeout(const struct eyelet_endpoint *ep);

/* Whether whom, as given to endpoint_watch, is one of its sockets. */
bool explorer_owns(const struct explorer *x, const void *whom);
void explorer_receive(struct eyelet_endpoint *ep, uint64_t now_us, struct udp_socket *s);

#endif
