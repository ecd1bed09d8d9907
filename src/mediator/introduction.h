/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two members of a dial are told about each other and the time between them. */
#ifndef MEDIATOR_INTRODUCTION_H
#define MEDIATOR_INTRODUCTION_H

#include "mediator/session.h"

struct introduction {
    const struct dials_entry *dial;
    struct session *member[2]; /* by dials_side */
    struct coordinates_whereabouts where[2];
    bool same_public;
    uint32_t opener_due_us;
    uint32_t path_rtt_us;
};

void introduction_prepare(struct introduction *intro, const struct dials_entry *dial,
                          struct session *caller, struct session *callee, uint64_t now_us);

/* False if the session has gone or was dropped. */
bool introduction_to_callee(const struct introduction *intro, const wire_GetPeer *dial);
void introduction_to_caller(const struct introduction *intro);
/* RESUMED to one of the members: again, after the dial was resumed. */
void introduction_again(const struct introduction *intro, enum dials_side to);

#endif
