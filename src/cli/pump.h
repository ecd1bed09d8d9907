/* SPDX-License-Identifier: BSD-2-Clause */
/* A stream joined to two file descriptors, with back-pressure both ways and each direction ending
 * on its own:    input --> stream -->      --> stream --> output */
#ifndef CLI_PUMP_H
#define CLI_PUMP_H

#include "cli/session.h"

struct pump;

enum pump_end {
    PUMP_COMPLETE,      /* both directions have ended properly */
    PUMP_INPUT_FAILED,  /* text says why; the stream has been reset */
    PUMP_OUTPUT_FAILED, /* the same */
    PUMP_OUTPUT_GONE,   /* nobody reads the output any more; the stream has been reset */
    PUMP_STREAM_LOST,   /* reset by the peer, or the connection is gone */
};

/* Once, as the last thing that the pump does: it may be freed here only if the caller of pump_start
 * or pump_event does not use it afterwards. */
typedef void pump_ended(void *context, struct pump *pump, enum pump_end end, const char *text);
/* The input has ended; the stream ends with pump_finish. */
typedef void pump_input_over(void *context);

struct pump_config {
    struct session *session;
    int64_t stream;
    int input; /* both are adopted, and different numbers */
    int output;
    bool standard;       /* they are stdin and stdout */
    bool drop_when_gone; /* a consumer that leaves does not end the other direction */
    pump_ended *ended;
    pump_input_over *input_over; /* NULL: the stream ends with the input */
    void *context;
};

/* NULL: errno says why, and both have been closed. */
struct pump *pump_new(const struct pump_config *config);
/* Moves what can be moved; ended may be called from here. */
void pump_start(struct pump *pump);
/* Ends our direction of the stream, after input_over. */
void pump_finish(struct pump *pump);
/* Closes both. NULL is fine. */
void pump_free(struct pump *pump);

/* EYELET_EVENT_READABLE, _WRITABLE, _STREAM_RESET of its stream, and CLOSED of its connection. */
void pump_event(struct pump *pump, const eyelet_event *event);
#endif
