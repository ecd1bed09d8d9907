/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/deadlines.h"

void deadlines_init(struct deadlines *list, uint64_t after_us)
{
    *list = (struct deadlines){.after_us = after_us};
    list->ring.previous = list->ring.next = &list->ring;
}

void deadline_disarm(struct deadline *deadline)
{
    if (deadline->next == NULL)
        return;
    deadline->previous->next = deadline->next;
    deadline->next->previous = deadline->previous;
    deadline->previous = deadline->next = NULL;
}

void deadline_arm(struct deadlines *list, struct deadline *deadline, uint64_t now_us)
{
    deadline_disarm(deadline);
    deadline->at_us = now_us + list->after_us;
    deadline->previous = list->ring.previous;
    deadline->next = &list->ring;
    deadline->previous->next = deadline;
    list->ring.previous = deadline;
}

struct deadline *deadlines_due(struct deadlines *list, uint64_t now_us)
{
    struct deadline *first = list->ring.next;

    return first != &list->ring && first->at_us <= now_us ? first : NULL;
}
