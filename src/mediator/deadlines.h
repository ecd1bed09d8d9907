/* SPDX-License-Identifier: BSD-2-Clause */
/* Many things that all have the same time to do something. Because the time is the same, a list in
 * the order of arming is sorted, and no operation costs more than a few pointers. Pure. */
#ifndef MEDIATOR_DEADLINES_H
#define MEDIATOR_DEADLINES_H

#include <stddef.h>
#include <stdint.h>

/* Embedded in the thing that waits; zero-initialised = not armed. */
struct deadline {
    struct deadline *previous;
    struct deadline *next;
    uint64_t at_us;
};

struct deadlines {
    struct deadline ring; /* its next is due first */
    uint64_t after_us;
};

void deadlines_init(struct deadlines *list, uint64_t after_us);
/* Arms it, `after_us` from now; if it waits in this or another list, it leaves that one. */
void deadline_arm(struct deadlines *list, struct deadline *deadline, uint64_t now_us);
void deadline_disarm(struct deadline *deadline);
/* The first that is due, still armed, or NULL. */
struct deadline *deadlines_due(struct deadlines *list, uint64_t now_us);

#endif
