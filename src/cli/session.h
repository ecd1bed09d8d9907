/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection as its user sees it: what is said about it, and what passed through it. It is the
 * context of its eyelet_conn. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli/loop.h"

struct session {
    struct loop *loop;
    eyelet_conn *conn;
    char peer[EYELET_ID_TEXT_BYTES];
    uint64_t began_us;
    uint64_t bytes_in;
    uint64_t bytes_out;
    bool connected;
    bool got_byte;
    bool closing;     /* we have said goodbye */
    bool closed;      /* CLOSED was the last event of it */
    bool explained;   /* why it is relayed, or nobody needs it explained */
    size_t next_step; /* of its story, to be told */
    struct session *next;
};

/* NULL: no memory. */
struct session *session_new(struct loop *loop, eyelet_conn *conn);
/* Frees the conn too. NULL is fine. */
void session_free(struct session *session);

/* Says what PATH, CONNECTED and CLOSED mean. Call it for every event of the conn. For a CLOSED with
 * an error, returns the exit code that fits; 0 otherwise. */
int session_event(struct session *session, const eyelet_event *event);
/* Says what is new in its story (with -v), and, once, why it is relayed if punching has failed.
 * Call it at every tick. */
void session_tell(struct session *session);
/* What is known of both sides and of the path between them; false: nothing. */
bool session_diagnose(const struct session *session, eyelet_diagnosis *diagnosis);
/* Counts bytes that came in, and says so for the first. */
void session_received(struct session *session, size_t bytes);
/* Says goodbye; CLOSED follows. */
void session_goodbye(struct session *session);
/* The same, and how the command at this side has ended. */
void session_goodbye_command(struct session *session, const struct outcome_command *command);
/* With --json: that the command at either side failed. */
void session_command_failed(struct session *session, const struct outcome_command *command);

/* An ID or a name from known_peers. Returns 0, or an exit code after having said why. */
int session_peer(const char *text, const struct settings *settings, struct report *report,
                 eyelet_id *id);
enum session_kind { SESSION_LINK, SESSION_PROBE };

/* Begins a dial. Returns 0, or an exit code after having said why. */
int session_dial(struct loop *loop, const eyelet_id *peer, enum session_kind kind,
                 struct session **out);

#endif
