/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting with an end: every wait of the thread ends at its deadline, or at once when told to. */
#ifndef PORTMAP_PATIENCE_H
#define PORTMAP_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

struct patience {
    uint64_t deadline_us; /* on the clock of patience_now_us */
    int stop_fd;          /* readable: give up at once; -1: nobody can */
    /* Not quite at once: so long what has begun may still take (patience_finish). */
    unsigned int grace_ms;
};

enum patience_end { PATIENCE_READY, PATIENCE_OVER, PATIENCE_STOPPED };

/* Goes on while the machine sleeps, as the router's clock does. */
uint64_t patience_now_us(void);

/* The same, but at most `ms` from now. */
struct patience patience_within(const struct patience *p, unsigned int ms);

/* Until fd (-1: none) has one of the poll `events`. Never waits after `sooner_us` either (0: no
 * such). */
enum patience_end patience_wait(const struct patience *p, int fd, short events, uint64_t sooner_us);

/* The same for a step of what must not be left half done: where it is told to give up, it goes on
 * for the grace, without being told again. */
enum patience_end patience_finish(struct patience *p, int fd, short events);

bool patience_is_stopped(const struct patience *p);

#endif
