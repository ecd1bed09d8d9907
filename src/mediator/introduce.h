/* SPDX-License-Identifier: BSD-2-Clause */
/* What the mediator is for: the messages of a dial. Each function handles one of a registered
 * session; the session may be ended or closed afterwards. */
#ifndef MEDIATOR_INTRODUCE_H
#define MEDIATOR_INTRODUCE_H

#include "mediator/session.h"

void introduce_get_peer(struct session *caller, const wire_GetPeer *msg, uint64_t now_us);
void introduce_accept(struct session *callee, const wire_DialAccept *msg, uint64_t now_us);
void introduce_note(struct session *from, const wire_DialNote *msg, uint64_t now_us);
void introduce_complete(struct session *from, const wire_HolepunchingComplete *msg,
                        uint64_t now_us);
void introduce_end(struct session *from, const wire_DialEnd *msg, uint64_t now_us);

/* Sends the "no such peer" that are due by now. */
void introduce_refuse_due(struct server *server, uint64_t now_us);

#endif
