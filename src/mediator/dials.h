/* SPDX-License-Identifier: BSD-2-Clause */
/* The dials and their two members. One that lives does so until a member ends it or a member's
 * session ends, and one that is asked for until it is answered: both may have a relay pair. All
 * others are kept for a minute, also refused ones, so that asking again with the same dial ID tells
 * nobody why it was refused. Pure.
 *
 *              dials_add                        dials_accept
 *   (none) ----> REFUSED      ASKED -----------------------------> LIVE --> OVER
 *            |-> ASKED (callee must accept) --> REFUSED            ^         |
 *            |-> LIVE                                              |         |
 *            \-> RESUMING (one member has asked for it again) -----+ <-------/
 */
#ifndef MEDIATOR_DIALS_H
#define MEDIATOR_DIALS_H

#include "mediator/deadlines.h"
#include "mediator/limit.h"
#include "mediator/occupancy.h"
#include "rendezvous/wire.h"

#define DIALS_LIFETIME_US (60u * 1000000u)
#define DIALS_MAX_REPORTS 8 /* of one side */

enum dials_state { DIALS_REFUSED, DIALS_ASKED, DIALS_LIVE, DIALS_RESUMING, DIALS_OVER };
enum dials_side { DIALS_CALLER = 0, DIALS_CALLEE = 1 };

/* Embedded in a session: its dials that are ASKED, LIVE or RESUMING. Zero-initialise. */
struct dials_list {
    struct dials_entry *first;
    uint32_t count;
};

struct dials_link {
    struct dials_list *list; /* NULL: in none */
    struct dials_entry *next, *previous;
};

struct relay_pair;

struct dials_entry {
    struct deadline deadline; /* of those that are neither ASKED nor LIVE */
    uint8_t id[WIRE_DIAL_ID_BYTES];
    uint64_t member[2]; /* session IDs, by dials_side; 0: nobody yet */
    struct dials_link link[2];
    uint64_t created_us;
    uint64_t used_us; /* by a note */
    uint32_t next;    /* in its hash chain */
    enum dials_state state;
    struct limit_bucket notes[2];
    struct limit_bucket wakes; /* of members that are asked for again */
    uint8_t reports[2];        /* of this side's outcome */
    bool accepted;             /* has been LIVE */
    bool hidden[2];            /* on purpose without addresses, whatever is registered */
    bool no_relay;             /* a member does not want one */
    bool resumed;              /* who called and who was called is no longer known */
    struct relay_pair *pair;   /* by dials_side; the owner of the table opens and closes it */
    const char
        *refusal;       /* why there is no pair; constant, NULL if there is one or none is wanted */
    uint8_t wanted[32]; /* RESUMING: the ID of the other member */
    struct stun_addr holder; /* see dials_hold; none: not held */
};

struct dials;

/* Holds at most `capacity` dials, of them `per_prefix` that are held for one address prefix;
 * `notes` are forwarded per dial and direction. NULL: out of memory. */
struct dials *dials_new(size_t capacity, uint32_t per_prefix, struct limit_rate notes);
void dials_free(struct dials *dials);

/* REFUSED so far. NULL if the table is full. The ID must not be in the table: look first. The
 * pointer is valid until it is neither ASKED nor LIVE and dials_expire is called. */
struct dials_entry *dials_add(struct dials *dials, const uint8_t id[static WIRE_DIAL_ID_BYTES],
                              uint64_t caller, uint64_t now_us);
struct dials_entry *dials_find(const struct dials *dials,
                               const uint8_t id[static WIRE_DIAL_ID_BYTES]);
bool dials_full(const struct dials *dials);
size_t dials_count(const struct dials *dials);
void dials_expire(struct dials *dials, uint64_t now_us);

/* Counts it for the prefix of who has asked for it, as long as it is ASKED, LIVE or RESUMING,
 * and one that was resumed as long as it is in the table: Resume has no rate of its prefix. False:
 * that prefix has too many. */
bool dials_hold(struct dials *dials, struct dials_entry *entry, const struct stun_addr *from);
/* Out of the table, before its time. */
void dials_forget(struct dials *dials, struct dials_entry *entry);
/* This session is that side; the dial is on its list until dials_move makes it REFUSED or OVER. */
void dials_join(struct dials_entry *entry, enum dials_side side, uint64_t session_id,
                struct dials_list *list);
/* Changes the state; the minute of those that are neither ASKED nor LIVE begins. */
void dials_move(struct dials *dials, struct dials_entry *entry, enum dials_state state,
                uint64_t now_us);
/* Which side this session is; false for a stranger. */
bool dials_side_of(const struct dials_entry *entry, uint64_t session_id, enum dials_side *side);
/* The next older one on a list. */
struct dials_entry *dials_next(const struct dials_entry *entry, const struct dials_list *list);

/* The callee says yes: true, and LIVE, if it is this session that was asked and still may. */
bool dials_accept(struct dials *dials, struct dials_entry *entry, uint64_t session_id,
                  uint64_t now_us);
/* The session ID of the other member; 0 if the dial does not live, or this is no member. */
uint64_t dials_other(const struct dials_entry *entry, uint64_t session_id);
/* Counts a note from this member. False: it has sent too many. */
bool dials_note(const struct dials *dials, struct dials_entry *entry, uint64_t session_id,
                uint64_t now_us);

#endif
