/* SPDX-License-Identifier: BSD-2-Clause */
/* Waits until the library has measured this network, with a word on the terminal meanwhile. */
#ifndef CLI_MEASURE_H
#define CLI_MEASURE_H

#include "cli/loop.h"

#define MEASURE_LIMIT_S 10

typedef void measure_done(void *context);

struct measure {
    struct loop *loop;
    uv_timer_t timer;
    uint64_t began_us;
    uint64_t registered_us; /* 0: not yet */
    uint64_t limit_us;
    measure_done *done;
    void *context;
};

/* Calls done once: when everything is measured that takes seconds, or after limit_s. */
void measure_start(struct measure *measure, struct loop *loop, uint32_t limit_s, measure_done *done,
                   void *context);
/* On a terminal: what is going on, and for how long. */
void measure_show(struct loop *loop, const char *what, uint64_t elapsed_us);
/* What is known by now; false: not even the mediator has answered. */
bool measure_result(const struct loop *loop, eyelet_nat *nat);

#endif
