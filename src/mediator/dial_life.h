/* SPDX-License-Identifier: BSD-2-Clause */
/* What a dial between two sessions brings with it, and gives back at its end: a place on the lists
 * of both, a pair of relay tags, a share of what its prefix may have. */
#ifndef MEDIATOR_DIAL_LIFE_H
#define MEDIATOR_DIAL_LIFE_H

#include "mediator/session.h"

/* Whether this session may have one more dial, for which `asker` asks: the address of another
 * session, or NULL for its own wish. Where it has as many as it may, one is ended; its members ask
 * for it again when they need it:
 * - the oldest of which nothing was heard for a minute;
 * - or one of the network that has asked it for the most dials, if that has more than the asker's
 *   would then have, so that nobody can fill the list; its own wishes go before all of them. */
bool dial_life_room(struct session *session, const struct stun_addr *asker, uint64_t now_us);
/* The other member joins; the relay pair is opened unless no_relay is set. State: the caller's. */
void dial_life_join(struct dials_entry *dial, struct session *caller, struct session *callee,
                    uint64_t now_us);
/* REFUSED or OVER. */
void dial_life_end(struct server *server, struct dials_entry *dial, enum dials_state state,
                   uint64_t now_us);
/* All dials of a session that ends. */
void dial_life_leave(struct session *session, uint64_t now_us);

#endif
