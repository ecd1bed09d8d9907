/* SPDX-License-Identifier: BSD-2-Clause */
#include "portmap/patience.h"

#include <poll.h>
#include <time.h>

uint64_t patience_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

struct patience patience_within(const struct patience *p, unsigned int ms)
{
    uint64_t end = patience_now_us() + (uint64_t)ms * 1000;
    return (struct patience){.deadline_us = end < p->deadline_us ? end : p->deadline_us,
                             .stop_fd = p->stop_fd,
                             .grace_ms = p->grace_ms};
}

enum patience_end patience_wait(const struct patience *p, int fd, short events, uint64_t sooner_us)
{
    uint64_t end = sooner_us != 0 && sooner_us < p->deadline_us ? sooner_us : p->deadline_us;
    struct pollfd fds[2] = {{.fd = p->stop_fd, .events = POLLIN}, {.fd = fd, .events = events}};
    for (;;) {
        uint64_t now = patience_now_us();
        if (now >=
            p->deadline_us) { /* whatever there is to read: somebody may never stop sending */
            return PATIENCE_OVER;
        }
        uint64_t rest_ms = end > now ? (end - now + 999) / 1000 : 0;
        int ready = poll(fds, 2, rest_ms < 1000000000 ? (int)rest_ms : 1000000000);
        if (fds[0].revents != 0 && ready > 0) {
            return PATIENCE_STOPPED;
        }
        if (fds[1].revents != 0 && ready > 0) {
            return PATIENCE_READY;
        }
        if (patience_now_us() >= end) {
            return PATIENCE_OVER;
        }
    }
}

enum patience_end patience_finish(struct patience *p, int fd, short events)
{
    enum patience_end end = patience_wait(p, fd, events, 0);
    if (end == PATIENCE_STOPPED && p->grace_ms > 0) {
        *p = patience_within(p, p->grace_ms);
        p->stop_fd = -1;
        end = patience_wait(p, fd, events, 0);
    }
    return end;
}

bool patience_is_stopped(const struct patience *p)
{
    struct pollfd fd = {.fd = p->stop_fd, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}
