/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/loop.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PROCESS_ROUNDS 16 /* before other handles get their turn */

static void log_line(void *context, enum eyelet_log_level level, const char *text)
{
    struct loop *loop = context;
    if (level <= EYELET_LOG_INFO || loop->report->verbose > 1) {
        report_story(loop->report, "%s", text);
    }
}

static double since_begin_ms(const struct loop *loop)
{
    return (double)(loop_now_us() - loop->began_us) / 1000;
}

static void on_registered(struct loop *loop)
{
    char id[EYELET_ID_TEXT_BYTES];
    eyelet_id_text(eyelet_own_id(loop->ep), id);
    loop->was_registered = true;
    if (loop->lost) {
        report_note(loop->report, "registered with the mediator again");
        loop->lost = false;
    }
    report_event(loop->report, "registered",
                 json_pack("{s:s,s:f}", "id", id, "ms", since_begin_ms(loop)));
    report_story(loop->report, "registered as %s after %.1f ms", id, since_begin_ms(loop));
}

/* Once registered or connected (which can come first), the library keeps trying; before, somebody
 * waits for an answer. */
static void on_mediator_lost(struct loop *loop, const eyelet_event *event)
{
    if ((loop->was_registered || loop->was_connected) && event->error != EYELET_ERR_MEDIATOR_KEY) {
        const char *why = eyelet_why(loop->ep, NULL);
        report_event(loop->report, "mediator_lost", json_pack("{s:s}", "text", why));
        report_note(loop->report, "lost the mediator, trying again: %s", why);
        loop->lost = true;
    } else {
        loop_fail(loop, event->error, NULL);
    }
}

static void drain_events(struct loop *loop)
{
    eyelet_event event;
    while (!loop->ended && eyelet_poll_event(loop->ep, &event)) {
        if (event.kind == EYELET_EVENT_REGISTERED) {
            on_registered(loop);
        } else if (event.kind == EYELET_EVENT_MEDIATOR_LOST) {
            on_mediator_lost(loop, &event);
        } else if (event.kind == EYELET_EVENT_CONNECTED) {
            loop->was_connected = true;
        }
        if (!loop->ended) {
            loop->on_event(loop->context, &event);
        }
    }
}

static void on_socket(uv_poll_t *handle, int status, int events)
{
    (void)handle;
    (void)status;
    (void)events;
}

static void on_timer(uv_timer_t *handle)
{
    (void)handle;
}

/* Before every wait: whatever woke us, and whatever the handlers did since, gets processed here. */
static void on_prepare(uv_prepare_t *handle)
{
    struct loop *loop = handle->data;
    int timeout_ms = 0;
    for (int round = 0; round < PROCESS_ROUNDS && timeout_ms == 0 && !loop->ended; round++) {
        int error = eyelet_process(loop->ep);
        if (error != EYELET_OK) {
            loop_fail(loop, error, NULL);
            return;
        }
        drain_events(loop);
        if (loop->on_tick) {
            loop->on_tick(loop->context);
        }
        timeout_ms = loop->ended ? 0 : eyelet_timeout_ms(loop->ep);
    }
    if (timeout_ms < 0) {
        uv_timer_stop(&loop->timer);
    } else {
        uv_update_time(&loop->uv);
        uv_timer_start(&loop->timer, on_timer, (uint64_t)timeout_ms, 0);
    }
}

static void on_signal(uv_signal_t *handle, int signal)
{
    struct loop *loop = handle->data;
    struct outcome outcome = {(enum outcome_exit)(OUTCOME_SIGNAL + signal), "interrupted", ""};
    if (signal == SIGINT && loop->report->is_live && !loop->report->line_open) {
        fputc('\n', stderr); /* after the terminal's ^C */
    }
    if (loop->on_stop && loop->on_stop(loop->context)) {
        return;
    }
    report_error(loop->report, &outcome,
                 signal == SIGINT    ? "interrupted"
                 : signal == SIGTERM ? "stopped by SIGTERM"
                                     : "stopped by SIGHUP: the terminal is gone");
    loop_end(loop, (int)outcome.exit_code);
}

static void on_deadline(uv_timer_t *handle)
{
    struct loop *loop = handle->data;
    struct outcome outcome =
        outcome_of_error(loop->was_registered ? EYELET_ERR_TIMEOUT : EYELET_ERR_MEDIATOR);
    char text[160];
    uint32_t seconds = loop->options->timeout_s;
    snprintf(text, sizeof(text), "%s within %u second%s",
             loop->was_registered ? loop->late : "not registered with the mediator", seconds,
             seconds == 1 ? "" : "s");
    loop_end(loop, report_error(loop->report, &outcome, text));
}

static void close_if_open(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* By nohup(1), who means it. */
static bool is_ignored(int signal)
{
    struct sigaction action;
    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static bool start_handles(struct loop *loop)
{
    struct uv_handle_s *handles[] = {
        (uv_handle_t *)&loop->poll,      (uv_handle_t *)&loop->timer,
        (uv_handle_t *)&loop->prepare,   (uv_handle_t *)&loop->interrupt,
        (uv_handle_t *)&loop->terminate, (uv_handle_t *)&loop->hang_up,
        (uv_handle_t *)&loop->deadline,
    };
    if (uv_poll_init(&loop->uv, &loop->poll, eyelet_fd(loop->ep)) != 0) {
        return false;
    }
    uv_timer_init(&loop->uv, &loop->timer);
    uv_timer_init(&loop->uv, &loop->deadline);
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_signal_init(&loop->uv, &loop->interrupt);
    uv_signal_init(&loop->uv, &loop->terminate);
    uv_signal_init(&loop->uv, &loop->hang_up);
    for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
        handles[i]->data = loop;
    }
    return uv_poll_start(&loop->poll, UV_READABLE, on_socket) == 0 &&
           uv_prepare_start(&loop->prepare, on_prepare) == 0 &&
           uv_timer_start(&loop->timer, on_timer, 0, 0) == 0 &&
           uv_signal_start(&loop->interrupt, on_signal, SIGINT) == 0 &&
           uv_signal_start(&loop->terminate, on_signal, SIGTERM) == 0 &&
           (is_ignored(SIGHUP) || uv_signal_start(&loop->hang_up, on_signal, SIGHUP) == 0);
}

int loop_open(struct loop *loop, const struct options *options, const struct settings *settings,
              struct report *report)
{
    memset(loop, 0, sizeof(*loop));
    loop->options = options;
    loop->settings = settings;
    loop->report = report;
    loop->began_us = loop_now_us();
    if (!settings->mediator) {
        return report_usage(
            report,
            "no mediator: give --mediator HOST[:PORT][#ID], set EYELET_MEDIATOR, or "
            "write \"mediator = HOST\" to %s/config",
            settings->folder);
    }
    eyelet_config config = {
        .size = sizeof(config),
        .key_file = settings->key,
        .mediator = settings->mediator,
        .known_mediators = settings->known_mediators,
        .log = log_line,
        .log_context = loop,
        .policy = settings->policy,
        .patience_us = (uint64_t)settings->patience_s * 1000000,
        .no_port_mapping = settings->no_port_mapping,
    };
    int error = eyelet_open(&loop->ep, &config);
    if (error != EYELET_OK) {
        struct outcome outcome = outcome_of_error(error);
        char why[SETTINGS_WHY_BYTES];
        if (error == EYELET_ERR_ARGUMENT) {
            return report_usage(report, "the mediator \"%s\" is not of the form HOST[:PORT][#ID]",
                                settings->mediator);
        }
        return report_error(report, &outcome, settings_open_why(settings, error, why));
    }
    if (uv_loop_init(&loop->uv) != 0 || !start_handles(loop)) {
        struct outcome outcome = outcome_of_error(EYELET_ERR_SYSTEM);
        eyelet_close(loop->ep);
        return report_error(report, &outcome, "cannot start the event loop");
    }
    return 0;
}

int loop_run(struct loop *loop, loop_event *on_event, loop_tick *on_tick, void *context)
{
    loop->on_event = on_event;
    loop->on_tick = on_tick;
    loop->context = context;
    while (!loop->ended) {
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    }
    return loop->exit_code;
}

void loop_end(struct loop *loop, int exit_code)
{
    loop->exit_code = exit_code;
    loop->ended = true;
    uv_stop(&loop->uv);
}

void loop_fail(struct loop *loop, int error, const eyelet_conn *conn)
{
    struct outcome outcome = outcome_of_error(error);
    const char *why = eyelet_why(loop->ep, conn);
    loop_end(loop, report_error(loop->report, &outcome, *why ? why : eyelet_strerror(error)));
}

void loop_set_deadline(struct loop *loop, const char *late)
{
    if (loop->options->timeout_s > 0) {
        loop->late = late;
        uv_update_time(&loop->uv);
        uv_timer_start(&loop->deadline, on_deadline, (uint64_t)loop->options->timeout_s * 1000, 0);
    }
}

void loop_cancel_deadline(struct loop *loop)
{
    uv_timer_stop(&loop->deadline);
}

void loop_close(struct loop *loop)
{
    report_clear_line(loop->report);
    uv_walk(&loop->uv, close_if_open, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
    eyelet_close(loop->ep);
    loop->ep = NULL;
}

uint64_t loop_now_us(void)
{
    return uv_hrtime() / 1000;
}
