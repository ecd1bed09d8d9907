/* SPDX-License-Identifier: BSD-2-Clause */
/* One client of the mediator, from accept to close.
 *
 *   HANDSHAKE --TLS done--> GREETED --REGISTER--> REGISTERED
 *       |  |                   |                      |
 *       |  |                   +---- session_end -----+--> ENDING (its last message is on the way)
 *       |  +----------------> RELAYING (a connection for datagrams: stream.h)
 *       +------------- session_drop, or the time is up ------> CLOSED (freed by the event loop)
 */
#ifndef MEDIATOR_SESSION_H
#define MEDIATOR_SESSION_H

#include <uv.h>

#include "mediator/attested.h"
#include "mediator/coordinates.h"
#include "mediator/deadlines.h"
#include "mediator/dials.h"
#include "mediator/limit.h"
#include "mediator/registry.h"
#include "mediator/relay.h"
#include "rendezvous/channel.h"

struct server;

enum session_state {
    SESSION_HANDSHAKE,
    SESSION_GREETED,
    SESSION_REGISTERED,
    SESSION_RELAYING,
    SESSION_ENDING,
    SESSION_CLOSED,
};

#define SESSION_SHORT_ID_BYTES 9

struct session {
    struct registry_entry entry; /* ID and session ID */
    struct deadline deadline;
    struct session *previous, *next; /* in the server's list of all */
    uv_poll_t poll;
    struct server *server;
    struct channel *channel;
    enum session_state state;
    int polled;             /* UV_READABLE and UV_WRITABLE as last asked for */
    struct stun_addr from;  /* the client's end of the connection */
    struct stun_addr local; /* ours */
    struct attested attested;
    struct coordinates coordinates;
    wire_Visibility visibility;
    bool no_relay; /* not for this peer's calls, whoever makes them */
    uint8_t allowed_count;
    struct identity_id *allowed; /* owned; NULL if none */
    struct limit_bucket messages, dials, calls, replacements;
    struct limit_bucket resumes; /* that it asks for */
    struct limit_bucket wakes;   /* that strangers ask of it */
    struct limit_bucket relayed; /* to it, over the session */
    uint16_t refusals_waiting;
    bool unread; /* more has arrived than fits a turn */
    struct dials_list own_dials;
    struct relay_member relay;
    struct relay_stream *stream; /* RELAYING: owned by stream.c */
};

/* Takes the fd in any case. Without memory or with TLS refusing, the connection is closed. */
void session_open(struct server *server, int fd, const struct stun_addr *from,
                  const struct stun_addr *local);

/* False if the session is not open, or was dropped because it does not read what it gets. */
bool session_send(struct session *session, const wire_FromMediator *msg);
/* dial_id may be NULL. */
void session_send_error(struct session *session, wire_ErrorCode code, const uint8_t *dial_id,
                        const char *text);
/* Sends the error as the last message; the session leaves the registry at once. */
void session_end(struct session *session, wire_ErrorCode code, const uint8_t *dial_id,
                 const char *text);
void session_drop(struct session *session);
/* After something was queued for it. */
void session_update_poll(struct session *session);

/* Whether others may still add to its queue: so that nobody can be pushed out by what strangers
 * send, half of it is kept for answers to its own questions. */
bool session_has_room(const struct session *session);
void session_whereabouts(const struct session *session, uint64_t now_us,
                         struct coordinates_whereabouts *out);
/* The first 8 characters of its ID, for the log. */
const char *session_short_id(const struct session *session,
                             char text[static SESSION_SHORT_ID_BYTES]);

struct session *session_of_entry(struct registry_entry *entry); /* NULL for NULL */
struct session *session_of_deadline(struct deadline *deadline);

/* ---- session_relay.c ---- */
/* A datagram that the client has sent over the session. */
void session_relay_take(struct session *session, const wire_Relayed *msg);
/* Datagrams for the client, each with its tag; what there is no room for is dropped. */
void session_relay_put(struct relay_member *member, const uint8_t *bytes, size_t size,
                       size_t datagram_bytes);

#endif
