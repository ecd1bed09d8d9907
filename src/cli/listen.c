/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/peers.h"
#include "cli/pump.h"
#include "cli/service.h"
#include "cli/verbs.h"

#define MAX_CHANNELS 1024

/* One stream of a caller, and what it is joined to. */
struct channel {
    struct channel *next;
    struct listener *listener;
    struct session *session;
    int64_t stream;
    struct service *service; /* NULL: our stdin and stdout */
    struct pump *pump;       /* NULL: the service is not ready yet */
    bool input_over;         /* the command says no more */
    bool exited;             /* and this is how it ended */
    struct outcome_command command;
    bool complete;
    bool over; /* freed at the next tick */
};

struct listener {
    struct loop loop;
    struct peers allowed;
    bool serves; /* many at once, by --exec or --to */
    bool announced;
    struct session *sessions;
    struct session *only; /* the one caller otherwise */
    struct channel *channels;
    size_t channel_count;
    bool served; /* the one caller's stream was there */
    int exit_code;
};

static void on_pump_ended(void *context, struct pump *pump, enum pump_end end, const char *text)
{
    struct channel *channel = context;
    struct listener *listener = channel->listener;
    struct outcome outcome = {OUTCOME_OTHER, end == PUMP_STREAM_LOST ? "closed" : "file", ""};
    (void)pump;
    channel->over = true;
    channel->complete = end == PUMP_COMPLETE;
    if (channel->complete || channel->exited) {
        return;
    }
    if (listener->serves) {
        report_story(listener->loop.report, "stream of %s: %s", channel->session->peer, text);
    } else {
        listener->exit_code = report_error(listener->loop.report, &outcome, text);
        session_goodbye(channel->session);
    }
}

/* The stream has an end only where the command has succeeded: then nobody takes half of its output
 * for all of it. */
static void finish_if_succeeded(struct channel *channel)
{
    if (channel->input_over && channel->exited && !outcome_command_failed(&channel->command)) {
        pump_finish(channel->pump);
    }
}

static void on_input_over(void *context)
{
    struct channel *channel = context;
    channel->input_over = true;
    finish_if_succeeded(channel);
}

static void on_exited(void *context, const struct outcome_command *command)
{
    struct channel *channel = context;
    channel->exited = true;
    channel->command = *command;
    finish_if_succeeded(channel);
}

static void start_pump(struct channel *channel, int input, int output)
{
    bool is_command = channel->listener->loop.options->command != NULL;
    struct pump_config config = {
        .session = channel->session,
        .stream = channel->stream,
        .input = input,
        .output = output,
        .standard = !channel->listener->serves,
        .drop_when_gone = is_command,
        .ended = on_pump_ended,
        .input_over = is_command ? on_input_over : NULL,
        .context = channel,
    };
    channel->pump = pump_new(&config);
    if (channel->pump) {
        pump_start(channel->pump);
    } else {
        eyelet_stream_reset(channel->session->conn, channel->stream, OUTCOME_RESET_OTHER);
        on_pump_ended(channel, NULL, PUMP_OUTPUT_FAILED, strerror(errno));
    }
}

static void on_service_ready(void *context, struct service *service, int input, int output)
{
    struct channel *channel = context;
    channel->service = service;
    if (input >= 0) {
        start_pump(channel, input, output);
    } else {
        eyelet_stream_reset(channel->session->conn, channel->stream, OUTCOME_RESET_TARGET);
        channel->over = true;
    }
}

static void free_channel(struct channel *channel)
{
    pump_free(channel->pump);
    service_end(channel->service, !channel->complete);
    free(channel);
}

static bool has_channels(const struct listener *listener, const struct session *session)
{
    for (const struct channel *c = listener->channels; c; c = c->next) {
        if (c->session == session) {
            return true;
        }
    }
    return false;
}

static void on_stream(struct listener *listener, struct session *session, int64_t stream)
{
    bool busy = listener->serves ? listener->channel_count >= MAX_CHANNELS : listener->served;
    struct channel *channel = busy ? NULL : calloc(1, sizeof(*channel));
    if (!channel) {
        eyelet_stream_reset(session->conn, stream, OUTCOME_RESET_BUSY);
        return;
    }
    *channel = (struct channel){
        .next = listener->channels, .listener = listener, .session = session, .stream = stream};
    listener->channels = channel;
    listener->channel_count++;
    if (!listener->serves) {
        listener->served = true;
        start_pump(channel, STDIN_FILENO, STDOUT_FILENO);
        return;
    }
    struct service *service = service_start(session, on_service_ready, on_exited, channel);
    if (service) {
        channel->service = service;
    } else {
        eyelet_stream_reset(session->conn, stream, OUTCOME_RESET_TARGET);
        channel->over = true;
    }
}

static void on_incoming(struct listener *listener, eyelet_conn *conn)
{
    if (!peers_has(&listener->allowed, eyelet_conn_peer(conn))) {
        eyelet_refuse(conn, "not on the list of this peer");
        return;
    }
    if (!listener->serves && listener->only) {
        eyelet_refuse(conn, "busy with another caller");
        return;
    }
    struct session *session = session_new(&listener->loop, conn);
    if (!session) {
        eyelet_refuse(conn, "out of memory");
        return;
    }
    session->next = listener->sessions;
    listener->sessions = session;
    report_event(listener->loop.report, "incoming", json_pack("{s:s}", "peer", session->peer));
    report_story(listener->loop.report, "call of %s", session->peer);
    if (!listener->serves) {
        listener->only = session;
    }
}

static void on_connected(struct listener *listener)
{
    if (!listener->serves) {
        loop_cancel_deadline(&listener->loop);
        (void)eyelet_listen(listener->loop.ep, EYELET_LISTEN_NOBODY, NULL, 0);
    }
}

/* Its channels may still have to write what has arrived: the tick frees it after them. */
static void on_closed(struct listener *listener, struct session *session, const eyelet_event *event,
                      int exit_code)
{
    for (struct channel *c = listener->channels; c; c = c->next) {
        if (c->session != session || c->over) {
            continue;
        }
        if (c->pump) {
            pump_event(c->pump, event);
        } else {
            c->over = true;
        }
    }
    if (session == listener->only && session->connected && exit_code != 0) {
        listener->exit_code = exit_code;
    }
}

static void on_stream_event(struct listener *listener, const eyelet_event *event)
{
    for (struct channel *c = listener->channels; c; c = c->next) {
        if (c->session->conn == event->conn && c->stream == event->stream && c->pump && !c->over) {
            pump_event(c->pump, event);
            return;
        }
    }
}

static void on_registered(struct listener *listener)
{
    char id[EYELET_ID_TEXT_BYTES];
    if (!listener->announced) {
        listener->announced = true;
        eyelet_id_text(eyelet_own_id(listener->loop.ep), id);
        report_event(listener->loop.report, "listening", json_pack("{s:s}", "id", id));
        report_note(listener->loop.report, "listening as %s", id);
        if (listener->serves) {
            loop_cancel_deadline(&listener->loop);
        }
    }
}

static void on_event(void *context, const eyelet_event *event)
{
    struct listener *listener = context;
    struct session *session = event->conn ? eyelet_conn_context(event->conn) : NULL;
    int exit_code = session ? session_event(session, event) : 0;
    if (event->kind == EYELET_EVENT_REGISTERED) {
        on_registered(listener);
    } else if (event->kind == EYELET_EVENT_INCOMING) {
        on_incoming(listener, event->conn);
    } else if (!session) {
        return;
    } else if (event->kind == EYELET_EVENT_CONNECTED) {
        on_connected(listener);
    } else if (event->kind == EYELET_EVENT_STREAM_OPENED) {
        on_stream(listener, session, event->stream);
    } else if (event->kind == EYELET_EVENT_STREAM_CLOSED) {
        if (session == listener->only) {
            session_goodbye(session);
        }
    } else if (event->kind == EYELET_EVENT_CLOSED) {
        on_closed(listener, session, event, exit_code);
    } else {
        on_stream_event(listener, event);
    }
}

static bool is_alone(const struct listener *listener, const struct channel *channel)
{
    for (const struct channel *c = listener->channels; c; c = c->next) {
        if (c->session == channel->session && c != channel) {
            return false;
        }
    }
    return true;
}

/* A command that has ended, and all of whose output has arrived, has nothing more to do with its
 * caller, who may have input left that nobody wants. */
static void dismiss_callers(struct listener *listener)
{
    for (struct channel *c = listener->channels; c; c = c->next) {
        if (c->over || !c->input_over || !c->exited || c->session->closed ||
            eyelet_stream_unacked(c->session->conn, c->stream) > 0) {
            continue;
        }
        if (is_alone(listener, c)) {
            session_goodbye_command(c->session, &c->command);
        } else if (outcome_command_failed(&c->command)) {
            eyelet_stream_reset(c->session->conn, c->stream, OUTCOME_RESET_COMMAND);
            c->over = true;
        }
    }
}

static void reap_channels(struct listener *listener)
{
    struct channel **at = &listener->channels;
    while (*at) {
        struct channel *channel = *at;
        if (channel->over) {
            *at = channel->next;
            listener->channel_count--;
            free_channel(channel);
        } else {
            at = &channel->next;
        }
    }
}

static void on_tick(void *context)
{
    struct listener *listener = context;
    dismiss_callers(listener);
    reap_channels(listener);
    struct session **at = &listener->sessions;
    while (*at) {
        struct session *session = *at;
        session_tell(session);
        if (!session->closed || has_channels(listener, session)) {
            at = &session->next;
            continue;
        }
        if (session == listener->only) {
            listener->only = NULL;
            if (session->connected && !listener->loop.ended) {
                loop_end(&listener->loop, listener->exit_code);
            }
        }
        *at = session->next;
        session_free(session);
    }
}

static bool is_target(const char *target)
{
    const char *colon = strrchr(target, ':');
    if (!colon || colon == target || colon[1] == '\0' || strspn(colon + 1, "0123456789") > 5 ||
        colon[1 + strspn(colon + 1, "0123456789")] != '\0') {
        return false;
    }
    long port = strtol(colon + 1, NULL, 10);
    bool bracketed = target[0] == '[';
    return port > 0 && port <= 65535 &&
           (bracketed ? colon[-1] == ']' && colon - target > 2
                      : memchr(target, ':', (size_t)(colon - target)) == NULL);
}

/* Who may call: --allow, or the file. 0, or an exit code after having said why. */
static int find_allowed(struct listener *listener, const struct options *options,
                        const struct settings *settings, struct report *report)
{
    char why[PEERS_WHY_BYTES];
    for (size_t i = 0; i < options->allow_count; i++) {
        if (!peers_allow(&listener->allowed, options->allow[i], settings->known_peers, why)) {
            return report_usage(report, "--allow: %s", why);
        }
    }
    if (options->allow_count == 0 &&
        !peers_allow_file(&listener->allowed, settings->authorized_peers, settings->known_peers,
                          why)) {
        if (errno != ENOENT) {
            return report_usage(report, "%s", why);
        }
        return report_usage(report,
                            "nobody is allowed to call: give --allow ID, --allow NAME or --allow "
                            "any, or write IDs to %s, one a line",
                            settings->authorized_peers);
    }
    if (!listener->allowed.anyone && listener->allowed.count == 0) {
        return report_usage(report, "nobody is allowed to call: %s is empty",
                            settings->authorized_peers);
    }
    return 0;
}

static int check_usage(const struct options *options, struct report *report)
{
    if (options->argument_count > 0) {
        return report_usage(report, "listen takes no arguments; who may call is --allow ID");
    }
    if (options->command && options->target) {
        return report_usage(report, "--exec and --to cannot be used together");
    }
    if (options->target && !is_target(options->target)) {
        return report_usage(report, "--to takes HOST:PORT or [V6]:PORT, not \"%s\"",
                            options->target);
    }
    return 0;
}

static void free_listener(struct listener *listener)
{
    for (struct channel *c = listener->channels; c; c = c->next) {
        c->over = true;
    }
    reap_channels(listener);
    while (listener->sessions) {
        struct session *session = listener->sessions;
        listener->sessions = session->next;
        session_free(session);
    }
    peers_free(&listener->allowed);
}

int verb_listen(const struct options *options, const struct settings *settings,
                struct report *report)
{
    struct listener listener = {.serves = options->command || options->target};
    int exit_code = check_usage(options, report);
    if (exit_code == 0) {
        exit_code = find_allowed(&listener, options, settings, report);
    }
    if (exit_code == 0) {
        exit_code = loop_open(&listener.loop, options, settings, report);
    }
    if (exit_code != 0) {
        peers_free(&listener.allowed);
        return exit_code;
    }
    int error = eyelet_listen(listener.loop.ep,
                              listener.allowed.anyone ? EYELET_LISTEN_ANYONE : EYELET_LISTEN_LISTED,
                              listener.allowed.ids, listener.allowed.count);
    if (error != EYELET_OK) {
        loop_fail(&listener.loop, error, NULL);
    } else {
        loop_set_deadline(&listener.loop, "nobody has called");
    }
    exit_code = loop_run(&listener.loop, on_event, on_tick, &listener);
    free_listener(&listener);
    loop_close(&listener.loop);
    return exit_code;
}
