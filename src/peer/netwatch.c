/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/netwatch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "peer/endpoint.h"

#define GATHER_US      20000u
#define GATHER_MOST_US 160000u /* while looks find nothing: some machine's routes never rest */
#define CALM_US        5000000u
#define LOOK_US        5000000u /* without events */
#define SLEPT_US       2000000u /* less is no sleep that a NAT or a peer would have noticed */

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static uint64_t asleep_us(void)
{
    uint64_t awake = read_clock(CLOCK_MONOTONIC);
    uint64_t all = read_clock(CLOCK_BOOTTIME); /* read later, so never less */
    return all - awake;
}

static int open_events(void)
{
    struct sockaddr_nl groups = {.nl_family = AF_NETLINK,
                                 .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE |
                                              RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&groups, sizeof groups) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A timer that never fires, but is cancelled when the wall clock jumps, as it does after sleep. */
static void arm_clock(const struct netwatch *w)
{
    struct itimerspec far = {.it_value.tv_sec = INT32_MAX};
    (void)timerfd_settime(w->clock_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
}

void netwatch_open(struct netwatch *w, uint64_t now_us)
{
    *w = (struct netwatch){.look_us = UINT64_MAX, .looked_us = now_us, .gather_us = GATHER_US};
    w->events_fd = open_events();
    w->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (w->events_fd < 0) {
        w->look_us = now_us + LOOK_US;
    }
    if (w->clock_fd >= 0) {
        arm_clock(w);
    }
    w->asleep_us = asleep_us();
    interfaces_look(&w->known);
}

void netwatch_close(struct netwatch *w)
{
    if (w->events_fd >= 0) {
        close(w->events_fd);
    }
    if (w->clock_fd >= 0) {
        close(w->clock_fd);
    }
    w->events_fd = w->clock_fd = -1;
}

int netwatch_watch(struct eyelet_endpoint *ep)
{
    struct netwatch *w = &ep->session.watch;
    int error = w->events_fd >= 0 ? endpoint_watch(ep, w->events_fd, false, w) : 0;
    if (error == 0 && w->clock_fd >= 0) {
        error = endpoint_watch(ep, w->clock_fd, false, w);
    }
    return error;
}

void netwatch_ready(struct netwatch *w, uint64_t now_us)
{
    uint8_t event[4096];
    uint64_t count;
    ssize_t got;
    /* Lost events (ENOBUFS) are events too. */
    while (w->events_fd >= 0 &&
           ((got = recv(w->events_fd, event, sizeof event, 0)) > 0 || errno == ENOBUFS)) {
        if (w->look_us > now_us + w->gather_us) {
            w->look_us = now_us + w->gather_us;
        }
    }
    if (w->clock_fd >= 0 && read(w->clock_fd, &count, sizeof count) < 0 && errno == ECANCELED) {
        arm_clock(w);
        w->look_us = now_us;
    }
}

bool netwatch_compare(const struct interfaces *before, const struct interfaces *after,
                      bool other_source[static INTERFACES_FAMILIES])
{
    for (unsigned family = 0; family < INTERFACES_FAMILIES; family++) {
        other_source[family] = !stun_addr_same_ip(&before->source[family], &after->source[family]);
    }
    return !interfaces_equal(before, after);
}

bool netwatch_has_slept(struct netwatch *w, uint64_t asleep)
{
    bool slept = asleep > w->asleep_us + SLEPT_US;
    w->asleep_us = asleep;
    return slept;
}

void netwatch_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct netwatch *w = &ep->session.watch;
    bool other_source[INTERFACES_FAMILIES] = {false};
    bool slept = netwatch_has_slept(w, asleep_us()), changed = false;
    if (now_us >= w->look_us || slept) {
        struct interfaces now;
        interfaces_look(&now);
        changed = netwatch_compare(&w->known, &now, other_source);
        w->known = now;
        bool calm = changed || now_us - w->looked_us > CALM_US;
        w->gather_us = calm ? GATHER_US : 2 * w->gather_us;
        w->gather_us = w->gather_us < GATHER_MOST_US ? w->gather_us : GATHER_MOST_US;
        w->looked_us = now_us;
        w->look_us = w->events_fd >= 0 ? UINT64_MAX : now_us + LOOK_US;
    }
    if (changed || slept) {
        endpoint_log(ep, EYELET_LOG_INFO, "%s",
                     changed ? "the addresses of this machine have changed"
                             : "this machine has slept");
        session_moved(ep, now_us, other_source);
    }
}

uint64_t netwatch_next_timeout(const struct netwatch *w)
{
    return w->look_us;
}
