/* SPDX-License-Identifier: BSD-2-Clause */
/* One endpoint in one libuv loop, for as long as a verb runs. */
#ifndef CLI_LOOP_H
#define CLI_LOOP_H

#include <uv.h>

#include "cli/options.h"
#include "cli/report.h"
#include "cli/settings.h"
#include "eyelet.h"

typedef void loop_event(void *context, const eyelet_event *event);
/* Before every wait: the place to free what callbacks have finished with. */
typedef void loop_tick(void *context);
/* SIGINT, SIGTERM or SIGHUP; true: it has been taken care of. */
typedef bool loop_stop(void *context);

struct loop {
    uv_loop_t uv;
    const struct options *options;
    const struct settings *settings;
    struct report *report;
    eyelet_endpoint *ep;
    loop_event *on_event;
    loop_tick *on_tick;
    loop_stop *on_stop; /* NULL: a signal ends it with 128 + its number */
    void *context;
    int exit_code;
    bool ended;
    bool was_registered, was_connected;
    bool lost; /* the session with the mediator, and not told that it is there again */
    uint64_t began_us;

    uv_poll_t poll;
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_signal_t interrupt;
    uv_signal_t terminate;
    uv_signal_t hang_up;
    uv_timer_t deadline;
    const char *late; /* what the deadline is about */
};

/* Opens the endpoint. Returns 0, or an exit code after having said why. */
int loop_open(struct loop *loop, const struct options *options, const struct settings *settings,
              struct report *report);
/* Runs until loop_end. on_tick may be NULL. The exit code. */
int loop_run(struct loop *loop, loop_event *on_event, loop_tick *on_tick, void *context);
void loop_end(struct loop *loop, int exit_code);
/* Says an error of the library and ends. conn NULL: of the endpoint. */
void loop_fail(struct loop *loop, int error, const eyelet_conn *conn);
/* Ends with a timeout after --timeout, if that was given, unless cancelled. late: "nobody has
 * called". */
void loop_set_deadline(struct loop *loop, const char *late);
void loop_cancel_deadline(struct loop *loop);
/* Peers are told, everything is freed. Handles of others on the loop must be closing by now. */
void loop_close(struct loop *loop);

uint64_t loop_now_us(void);

#endif
