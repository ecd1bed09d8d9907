/* SPDX-License-Identifier: BSD-2-Clause */
/* The dials of the last minute and their two members. Also refused ones are kept for their time, so
 * that asking again with the same dial ID tells nobody why it was refused. Pure.
 *
 *            dials_add                     dials_accept
 *   (none) ------------> REFUSED     ASKED -------------> LIVE
 *                   \--> ASKED (callee must accept) --dials_refuse--> REFUSED
 *                   \--> LIVE
 */
#ifndef MEDIATOR_DIALS_H
#define MEDIATOR_DIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rendezvous/wire.h"

#define DIALS_LIFETIME_US (60u * 1000000u)

enum dials_state { DIALS_REFUSED, DIALS_ASKED, DIALS_LIVE };
enum dials_side { DIALS_CALLER = 0, DIALS_CALLEE = 1 };

struct dials_entry {
    uint8_t id[WIRE_DIAL_ID_BYTES];
    uint64_t
        member[2]; /* session IDs, by dials_side; the callee's is 0 if REFUSED from the start */
    uint64_t created_us;
    uint32_t next; /* in its hash chain */
    enum dials_state state;
    uint8_t notes[2]; /* forwarded from this side */
    bool ended[2];    /* this side has told its outcome */
};

struct dials;

/* Holds at most `capacity` dials; `notes` are forwarded per dial and direction. NULL: out of
 * memory. */
struct dials *dials_new(size_t capacity, uint8_t notes);
void dials_free(struct dials *dials);

/* NULL if the table is full. The ID must not be in the table: look first. The pointer is valid
 * until dials_expire. */
struct dials_entry *dials_add(struct dials *dials, const uint8_t id[static WIRE_DIAL_ID_BYTES],
                              uint64_t caller, uint64_t now_us);
struct dials_entry *dials_find(const struct dials *dials,
                               const uint8_t id[static WIRE_DIAL_ID_BYTES]);
bool dials_full(const struct dials *dials);
size_t dials_count(const struct dials *dials);
void dials_expire(struct dials *dials, uint64_t now_us);

/* The callee says yes: true, and LIVE, if it is this session that was asked and still may. */
bool dials_accept(struct dials_entry *entry, uint64_t session_id);
/* A note from this session: the other member's session ID, or 0 if there is no such live dial with
 * this member, a side has ended it, or its notes are used up. */
uint64_t dials_note(const struct dials *dials, struct dials_entry *entry, uint64_t session_id);
/* The session's part ends. False if it is no member, or had ended it before. */
bool dials_end(struct dials_entry *entry, uint64_t session_id, enum dials_side *side);

#endif
