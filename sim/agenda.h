/* SPDX-License-Identifier: BSD-2-Clause */
/* What is going to happen, earliest first; equal moments keep their order. */
#ifndef SIM_AGENDA_H
#define SIM_AGENDA_H

#include <stdbool.h>
#include <stdint.h>

#define AGENDA_ROOM 8192

enum agenda_kind {
    AGENDA_PACKET,    /* what: index of the packet */
    AGENDA_DIAL,      /* the caller asks the mediator */
    AGENDA_INTRODUCE, /* the mediator has read it */
    AGENDA_COORD,     /* who: a peer reads about the other */
    AGENDA_NOTE,      /* who: to whom; what: index of the note */
    AGENDA_ATTACK,
    AGENDA_REBOOT,
    AGENDA_JUMP,       /* who: whose clock */
    AGENDA_RELAYED,    /* who: to whom */
    AGENDA_CANDIDATES, /* who: reads where the other is now */
    AGENDA_TROUBLE,
    AGENDA_TROUBLE_ENDS,
};

struct agenda_item {
    uint64_t at_us, order;
    enum agenda_kind kind;
    uint32_t who, what;
};

struct agenda {
    struct agenda_item heap[AGENDA_ROOM];
    uint32_t count;
    uint64_t order;
};

/* False: full. */
bool agenda_add(struct agenda *a, uint64_t at_us, enum agenda_kind kind, uint32_t who,
                uint32_t what);
uint64_t agenda_next(const struct agenda *a);     /* UINT64_MAX: empty */
struct agenda_item agenda_take(struct agenda *a); /* not from an empty one */

#endif
