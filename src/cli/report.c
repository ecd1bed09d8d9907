/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/names.h"

static void say(struct report *report, const char *text)
{
    report_clear_line(report);
    fprintf(stderr, "eyelet: %s\n", text);
}

static void write_line(struct report *report, FILE *stream, const char *event, json_t *fields)
{
    json_t *object = json_pack("{s:i,s:s}", "v", 1, "event", event);
    if (object && fields) {
        json_object_update(object, fields);
    }
    json_decref(fields);
    char *line = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    if (line) {
        report_clear_line(report);
        fprintf(stream, "%s\n", line);
        fflush(stream);
    }
    free(line);
    json_decref(object);
}

void report_init(struct report *report, const struct options *options)
{
    *report = (struct report){.json = options->json,
                              .quiet = options->quiet,
                              .verbose = options->verbose,
                              .events = stderr};
    const char *terminal = getenv("TERM");
    report->is_live = !options->quiet && !options->json && isatty(STDERR_FILENO) && terminal &&
                      strcmp(terminal, "dumb") != 0;
}

void report_line(struct report *report, const char *text)
{
    if (report->is_live) {
        fprintf(stderr, "\r%s\033[K", text);
        fflush(stderr);
        report->line_open = true;
    }
}

void report_clear_line(struct report *report)
{
    if (report->line_open) {
        fprintf(stderr, "\r\033[K");
        report->line_open = false;
    }
}

void report_story(struct report *report, const char *format, ...)
{
    if (report->verbose == 0) {
        return;
    }
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (report->json) {
        write_line(report, stderr, "log", json_pack("{s:s}", "text", text));
    } else {
        say(report, text);
    }
}

void report_note(struct report *report, const char *format, ...)
{
    if (report->quiet || report->json) {
        return;
    }
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    say(report, text);
}

void report_event(struct report *report, const char *event, json_t *fields)
{
    if (report->json && report->events) {
        write_line(report, report->events, event, fields);
    } else {
        json_decref(fields);
    }
}

void report_log(struct report *report, const char *event, json_t *fields)
{
    if (report->json) {
        write_line(report, stderr, event, fields);
    } else {
        json_decref(fields);
    }
}

void report_answer(struct report *report, const char *event, json_t *fields)
{
    write_line(report, stdout, event, fields);
}

int report_answered(struct report *report)
{
    struct outcome outcome = {OUTCOME_OTHER, "file", ""};
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return OUTCOME_DONE;
    }
    return report_error(report, &outcome, "the answer could not be written to stdout");
}

int report_error(struct report *report, const struct outcome *outcome, const char *said)
{
    /* it may quote anything: a wrong word of the command line, a path */
    char text[2048];
    names_show(said, strlen(said), text, sizeof(text));
    if (report->json) {
        write_line(
            report, stderr, "error",
            json_pack("{s:s,s:s,s:s}", "code", outcome->code, "text", text, "hint", outcome->hint));
    } else {
        report_clear_line(report);
        fprintf(stderr, "eyelet: %s\n", text);
        if (*outcome->hint && !report->quiet) {
            fprintf(stderr, "        %s\n", outcome->hint);
        }
    }
    return (int)outcome->exit_code;
}

int report_usage(struct report *report, const char *format, ...)
{
    char text[1024];
    char hint[80];
    struct outcome usage = {OUTCOME_USAGE, "usage", hint};
    snprintf(hint, sizeof(hint), "see \"eyelet %s%s--help\" or \"man eyelet\"",
             report->verb ? report->verb : "", report->verb ? " " : "");
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return report_error(report, &usage, text);
}
