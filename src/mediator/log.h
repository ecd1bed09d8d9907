/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages for the operator, one line each, to stderr or syslog. Keys, session keys and sealed
 * bytes never go in here; IDs are shortened and client-supplied text is not logged at all. */
#ifndef MEDIATOR_LOG_H
#define MEDIATOR_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log {
    enum log_level level; /* what is less urgent is not written */
    bool to_syslog;
    bool timestamps; /* on stderr; off where the journal adds its own */
};

/* "error", "warn", "info" or "debug". */
bool log_level_parse(const char *text, enum log_level *out);
void log_open(struct log *log, enum log_level level, bool to_syslog);
void log_write(const struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(log, ...) log_write(log, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(log, ...)  log_write(log, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(log, ...)  log_write(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_write(log, LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
