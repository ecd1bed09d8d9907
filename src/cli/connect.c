/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/pump.h"
#include "cli/verbs.h"

struct call {
    struct loop loop;
    struct session *session;
    struct pump *pump;
    int64_t stream;
    bool over;   /* the pump has ended */
    bool exited; /* the goodbye said how the command at the other side ended */
    struct outcome_command command;
    int exit_code;
};

static int judge_command(struct call *call)
{
    const struct outcome_command *command = &call->command;
    struct outcome outcome = {OUTCOME_COMMAND, "command-failed", ""};
    char how[OUTCOME_COMMAND_TEXT_BYTES];
    char text[120];
    if (!outcome_command_failed(command)) {
        return OUTCOME_DONE;
    }
    session_command_failed(call->session, command);
    snprintf(text, sizeof(text), "the command at the other side ended with %s",
             outcome_command_text(command, how));
    return report_error(call->loop.report, &outcome, text);
}

/* If complete, STREAM_CLOSED follows when everything is acknowledged; then it is time to say
 * goodbye. */
static void on_pump_ended(void *context, struct pump *pump, enum pump_end end, const char *text)
{
    struct call *call = context;
    struct outcome outcome = {OUTCOME_OTHER, "file", ""};
    (void)pump;
    call->over = true;
    if (call->exited && (end == PUMP_COMPLETE || end == PUMP_STREAM_LOST)) {
        call->exit_code = judge_command(call); /* it had said all; our input was not wanted */
    } else if (end != PUMP_COMPLETE) {
        outcome.code = end == PUMP_STREAM_LOST ? "closed" : "file";
        call->exit_code = report_error(call->loop.report, &outcome, text);
        session_goodbye(call->session);
    }
    if (call->session->closed) {
        loop_end(&call->loop, call->exit_code);
    }
}

static void start_pump(struct call *call)
{
    call->stream = eyelet_stream_open(call->session->conn);
    if (call->stream < 0) {
        loop_fail(&call->loop, (int)call->stream, call->session->conn);
        return;
    }
    struct pump_config config = {
        .session = call->session,
        .stream = call->stream,
        .input = STDIN_FILENO,
        .output = STDOUT_FILENO,
        .standard = true,
        .ended = on_pump_ended,
        .context = call,
    };
    call->pump = pump_new(&config);
    if (!call->pump) {
        struct outcome outcome = outcome_of_error(EYELET_ERR_SYSTEM);
        loop_end(&call->loop, report_error(call->loop.report, &outcome, strerror(errno)));
        return;
    }
    /* so that the other side learns of the stream also while we have nothing to say */
    (void)eyelet_stream_write(call->session->conn, call->stream, "", 0);
    pump_start(call->pump);
}

static void on_closed(struct call *call, const eyelet_event *event, int exit_code)
{
    call->exited = exit_code == 0 && outcome_command_parse(event->code, &call->command);
    if (exit_code != 0) {
        call->exit_code = exit_code;
        call->over = true;
    } else if (call->pump && !call->over) {
        pump_event(call->pump, event); /* a slow output may still be behind */
    } else if (!call->pump) {
        call->over = true;
    }
    if (call->over && !call->loop.ended) {
        loop_end(&call->loop, call->exit_code);
    }
}

static void on_event(void *context, const eyelet_event *event)
{
    struct call *call = context;
    if (event->conn != call->session->conn) {
        return;
    }
    int exit_code = session_event(call->session, event);
    switch (event->kind) {
    case EYELET_EVENT_CONNECTED:
        start_pump(call);
        break;
    case EYELET_EVENT_STREAM_OPENED:
        eyelet_stream_reset(event->conn, event->stream, OUTCOME_RESET_OTHER);
        break;
    case EYELET_EVENT_STREAM_CLOSED:
        if (event->stream == call->stream && call->over) {
            session_goodbye(call->session);
        }
        break;
    case EYELET_EVENT_CLOSED:
        on_closed(call, event, exit_code);
        break;
    default:
        if (call->pump && event->stream == call->stream) {
            pump_event(call->pump, event);
        }
        break;
    }
}

static void on_tick(void *context)
{
    struct call *call = context;
    session_tell(call->session);
}

int verb_connect(const struct options *options, const struct settings *settings,
                 struct report *report)
{
    struct call call = {.stream = -1};
    eyelet_id id;
    if (options->argument_count != 1) {
        return report_usage(report, "connect takes one peer: eyelet connect ID|NAME");
    }
    int exit_code = session_peer(options->arguments[0], settings, report, &id);
    if (exit_code == 0) {
        exit_code = loop_open(&call.loop, options, settings, report);
    }
    if (exit_code != 0) {
        return exit_code;
    }
    exit_code = session_dial(&call.loop, &id, SESSION_LINK, &call.session);
    if (exit_code == 0) {
        exit_code = loop_run(&call.loop, on_event, on_tick, &call);
        pump_free(call.pump);
    }
    session_free(call.session);
    loop_close(&call.loop);
    return exit_code;
}
