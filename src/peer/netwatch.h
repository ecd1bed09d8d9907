/* SPDX-License-Identifier: BSD-2-Clause */
/* Notices that this machine is somewhere else: its addresses or its way to the Internet have
 * changed (netlink), or it has slept (the clock that runs on in sleep has left the other behind).
 * What the kernel tells is only a reason to look: events come in bursts, and most of them, like
 * those of container bridges, change nothing that matters. */
#ifndef PEER_NETWATCH_H
#define PEER_NETWATCH_H

#include "peer/interfaces.h"

struct netwatch {
    int events_fd; /* netlink; -1: not to be had, then it looks every few seconds */
    int clock_fd;  /* is readable after sleep; -1: not to be had */
    uint64_t look_us, looked_us;
    uint64_t gather_us; /* from an event to the look */
    uint64_t asleep_us; /* so far, since the machine was started */
    struct interfaces known;
};

struct eyelet_endpoint;

void netwatch_open(struct netwatch *w, uint64_t now_us);
void netwatch_close(struct netwatch *w);
/* Watches its descriptors, with w as their whom. 0 or an errno. */
int netwatch_watch(struct eyelet_endpoint *ep);
/* One of them is ready. */
void netwatch_ready(struct netwatch *w, uint64_t now_us);
/* Looks if that is due, and tells the session what has changed. */
void netwatch_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us);
uint64_t netwatch_next_timeout(const struct netwatch *w);

/* Whether the machine has slept since it was asked last: asleep_us is the time that it has slept in
 * all, since it was started. Pure. */
bool netwatch_has_slept(struct netwatch *w, uint64_t asleep_us);

/* What differs, by family: what is sent to the Internet leaves from another address. True if
 * anything does. Pure. */
bool netwatch_compare(const struct interfaces *before, const struct interfaces *after,
                      bool other_source[static INTERFACES_FAMILIES]);

#endif
