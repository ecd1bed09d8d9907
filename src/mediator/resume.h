/* SPDX-License-Identifier: BSD-2-Clause */
/* RESUME: a dial that is asked for again, after a session of one of its members was lost or because
 * a member has moved. */
#ifndef MEDIATOR_RESUME_H
#define MEDIATOR_RESUME_H

#include "mediator/session.h"

void resume_dial(struct session *session, const wire_Resume *msg, uint64_t now_us);

#endif
