/* SPDX-License-Identifier: BSD-2-Clause */
/* How a run can end: exit codes and the codes in JSON. Scripts depend on them. */
#ifndef CLI_OUTCOME_H
#define CLI_OUTCOME_H

#include <stdbool.h>

enum outcome_exit {
    OUTCOME_DONE = 0,
    OUTCOME_OTHER = 1,
    OUTCOME_USAGE = 2,
    OUTCOME_MEDIATOR = 3,
    OUTCOME_NO_SUCH_PEER = 4,
    OUTCOME_NOT_AUTHORISED = 5,
    OUTCOME_NO_DIRECT_PATH = 6,
    OUTCOME_RELAY_REFUSED = 7,
    OUTCOME_INTEGRITY = 8,
    OUTCOME_COMMAND = 9,  /* the command at the other side failed */
    OUTCOME_SIGNAL = 128, /* and the signal's number */
};

struct outcome {
    enum outcome_exit exit_code;
    const char *code; /* in JSON */
    const char *hint; /* what to do next, "" if eyelet_why() says all there is to say */
};

/* Of an enum eyelet_error below zero. */
struct outcome outcome_of_error(int error);

/* Codes of eyelet's own streams that were abandoned (eyelet_stream_reset). */
enum outcome_reset {
    OUTCOME_RESET_OTHER = 1,
    OUTCOME_RESET_TARGET = 2,   /* the callee could not reach its --to, or start its --exec */
    OUTCOME_RESET_BUSY = 3,     /* too many streams at once */
    OUTCOME_RESET_OUTPUT = 4,   /* nobody reads there any more */
    OUTCOME_RESET_PROTOCOL = 5, /* file transfer: not understood */
    OUTCOME_RESET_COMMAND = 7,  /* the command failed; on one of several streams of a connection */
};

/* How a command ended. */
struct outcome_command {
    int status; /* 0 to 255 */
    int signal; /* that killed it; 0: none, and status counts */
};

#define OUTCOME_COMMAND_TEXT_BYTES 32

bool outcome_command_failed(const struct outcome_command *command);
/* For people: "status 3" or "signal 9". Returns text. */
const char *outcome_command_text(const struct outcome_command *command,
                                 char text[static OUTCOME_COMMAND_TEXT_BYTES]);

/* The code of a goodbye (eyelet_conn_close) that says how the command behind the stream ended, and
 * back. False: a code that does not. */
unsigned long long outcome_command_code(const struct outcome_command *command);
bool outcome_command_parse(unsigned long long code, struct outcome_command *out);

/* For people: why the other side abandoned a stream. */
const char *outcome_reset_text(unsigned long long code);

#endif
