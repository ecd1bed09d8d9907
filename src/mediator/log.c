/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#define LOG_LINE_BYTES 1024

static const char *const log_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

static const int log_priorities[] = {
    [LOG_LEVEL_ERROR] = LOG_ERR,
    [LOG_LEVEL_WARN] = LOG_WARNING,
    [LOG_LEVEL_INFO] = LOG_INFO,
    [LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

bool log_level_parse(const char *text, enum log_level *out)
{
    for (size_t i = 0; i < sizeof log_names / sizeof log_names[0]; i++) {
        if (strcmp(text, log_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_open(struct log *log, enum log_level level, bool to_syslog)
{
    *log = (struct log){
        .level = level, .to_syslog = to_syslog, .timestamps = getenv("JOURNAL_STREAM") == NULL};
    if (to_syslog)
        openlog("eyeletd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    char line[LOG_LINE_BYTES];
    va_list arguments;

    if (level > log->level)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (log->to_syslog) {
        syslog(log_priorities[level], "%s", line);
        return;
    }
    char when[40] = "";
    if (log->timestamps) {
        struct timespec now;
        struct tm utc;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &utc);
        size_t used = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
        snprintf(when + used, sizeof when - used, ".%03ldZ ", now.tv_nsec / 1000000);
    }
    fprintf(stderr, "%seyeletd: %s: %s\n", when, log_names[level], line);
}
