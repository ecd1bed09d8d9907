/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/outcome.h"

#include <stddef.h>
#include <stdio.h>

#include "eyelet.h"

/* Numbers of the goodbye that never change their meaning. */
#define CODE_EXITED   0x100 /* and the exit status */
#define CODE_SIGNAL   0x200 /* and the signal's number */
#define CODE_MAX_PART 0xff

static const struct {
    int error;
    struct outcome outcome;
} outcomes[] = {
    {EYELET_ERR_ARGUMENT, {OUTCOME_USAGE, "usage", "see \"man eyelet\""}},
    {EYELET_ERR_MEMORY, {OUTCOME_OTHER, "memory", ""}},
    {EYELET_ERR_SYSTEM, {OUTCOME_OTHER, "system", ""}},
    {EYELET_ERR_KEY_FILE,
     {OUTCOME_OTHER, "key-file", "give another one with --key, or mend this one (chmod 600)"}},
    {EYELET_ERR_MEDIATOR,
     {OUTCOME_MEDIATOR, "mediator-unreachable",
      "check --mediator HOST[:PORT], and that eyeletd runs there and its TCP port is open"}},
    {EYELET_ERR_MEDIATOR_KEY,
     {OUTCOME_MEDIATOR, "mediator-key-changed",
      "somebody may be in between: ask its operator for the ID of the mediator"}},
    {EYELET_ERR_NO_SUCH_PEER,
     {OUTCOME_NO_SUCH_PEER, "no-such-peer",
      "check the ID, that the other side runs with the same mediator, and that it allows your ID"}},
    {EYELET_ERR_REFUSED,
     {OUTCOME_NOT_AUTHORISED, "refused",
      "if it does not know you, give it your ID (\"eyelet id\")"}},
    {EYELET_ERR_WRONG_PEER,
     {OUTCOME_INTEGRITY, "wrong-peer",
      "whoever answered does not hold the key of that ID: nothing was sent to it"}},
    {EYELET_ERR_NO_PATH,
     {OUTCOME_NO_DIRECT_PATH, "no-direct-path",
      "leave out --direct-only on both sides to be relayed, or see with \"eyelet netcheck PEER\" "
      "what "
      "would make it direct"}},
    {EYELET_ERR_TIMEOUT,
     {OUTCOME_OTHER, "timeout", "try again, or allow more time with --timeout SECONDS"}},
    {EYELET_ERR_CLOSED, {OUTCOME_OTHER, "closed", ""}},
    {EYELET_ERR_AGAIN, {OUTCOME_OTHER, "busy", ""}},
    {EYELET_ERR_TOO_LARGE, {OUTCOME_OTHER, "too-large", ""}},
    {EYELET_ERR_LIMIT, {OUTCOME_OTHER, "limit", "wait a little and try again"}},
    {EYELET_ERR_STATE, {OUTCOME_OTHER, "state", ""}},
    {EYELET_ERR_PROTOCOL,
     {OUTCOME_OTHER, "protocol", "check that both sides run matching versions of eyelet"}},
    {EYELET_ERR_RELAY,
     {OUTCOME_RELAY_REFUSED, "relay-refused",
      "use a mediator that relays, ask the operator of this one for a higher quota, or see with "
      "\"eyelet netcheck PEER\" what would make it direct"}},
};

struct outcome outcome_of_error(int error)
{
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        if (outcomes[i].error == error) {
            return outcomes[i].outcome;
        }
    }
    return (struct outcome){error == EYELET_OK ? OUTCOME_DONE : OUTCOME_OTHER,
                            error == EYELET_OK ? "ok" : "other", ""};
}

bool outcome_command_failed(const struct outcome_command *command)
{
    return command->status != 0 || command->signal != 0;
}

const char *outcome_command_text(const struct outcome_command *command,
                                 char text[static OUTCOME_COMMAND_TEXT_BYTES])
{
    snprintf(text, OUTCOME_COMMAND_TEXT_BYTES, "%s %d", command->signal ? "signal" : "status",
             command->signal ? command->signal : command->status);
    return text;
}

unsigned long long outcome_command_code(const struct outcome_command *command)
{
    return command->signal ? CODE_SIGNAL + ((unsigned)command->signal & CODE_MAX_PART)
                           : CODE_EXITED + ((unsigned)command->status & CODE_MAX_PART);
}

bool outcome_command_parse(unsigned long long code, struct outcome_command *out)
{
    unsigned long long part = code & CODE_MAX_PART;
    *out = (struct outcome_command){0};
    if (code - part == CODE_EXITED) {
        out->status = (int)part;
        return true;
    }
    out->signal = (int)part;
    return code - part == CODE_SIGNAL && part > 0;
}

const char *outcome_reset_text(unsigned long long code)
{
    switch (code) {
    case OUTCOME_RESET_TARGET:
        return "the other side could not reach its target or start its command";
    case OUTCOME_RESET_BUSY:
        return "the other side serves too many at once";
    case OUTCOME_RESET_OUTPUT:
        return "nobody reads the output at the other side any more";
    case OUTCOME_RESET_PROTOCOL:
        return "the other side did not understand what it got";
    case OUTCOME_RESET_COMMAND:
        return "the command at the other side failed";
    default:
        return "the other side abandoned the stream";
    }
}
