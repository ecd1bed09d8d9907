/* SPDX-License-Identifier: BSD-2-Clause */
/* What the program says: to people on stderr, quiet and clear, or to programs as one JSON object a
 * line. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/options.h"
#include "cli/outcome.h"

struct report {
    bool json;
    bool quiet;
    unsigned verbose;
    const char *verb; /* NULL: not known yet */
    FILE *events;     /* where JSON goes: stderr; stdout for verbs that answer; NULL: nowhere */
    bool is_live;     /* stderr is a terminal, and neither -q nor --json was given */
    bool line_open;   /* a line that changes stands at the end of the terminal */
};

void report_init(struct report *report, const struct options *options);

/* With is_live: the line at the end of the terminal, in place of the one before. text must fit
 * (page_columns of stderr, less one). */
void report_line(struct report *report, const char *text);
/* Before anything else goes to the terminal: that line makes room. */
void report_clear_line(struct report *report);

/* How it goes, with -v only; with --json as an event "log". */
__attribute__((format(printf, 2, 3))) void report_story(struct report *report, const char *format,
                                                        ...);
/* For people, unless -q. */
__attribute__((format(printf, 2, 3))) void report_note(struct report *report, const char *format,
                                                       ...);
/* With --json only: adds "v" and "event" and writes the line. Takes over fields (NULL: none).
 * Errors, warnings and how it goes are on stderr, whatever the verb. */
void report_event(struct report *report, const char *event, json_t *fields);
/* Likewise, but always on stderr. */
void report_log(struct report *report, const char *event, json_t *fields);
/* On stdout, also without --json: for verbs that answer. */
void report_answer(struct report *report, const char *event, json_t *fields);
/* After the last of it: 0, or an exit code after having said that stdout could not be written. */
int report_answered(struct report *report);
/* For both: text says what happened, to what; hint what to do next ("": nothing). Returns the exit
 * code. */
int report_error(struct report *report, const struct outcome *outcome, const char *text);
/* A wrong command line. */
__attribute__((format(printf, 2, 3))) int report_usage(struct report *report, const char *format,
                                                       ...);

#endif
