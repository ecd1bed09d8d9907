/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/path.h"
#include "cli/peers.h"

#define SESSION_TEXT_BYTES 512

static double age_ms(const struct session *session)
{
    return (double)(loop_now_us() - session->began_us) / 1000;
}

static void on_path(struct session *session)
{
    eyelet_path path;
    json_t *fields;
    if (eyelet_conn_path(session->conn, &path) == EYELET_OK) {
        fields = path_json(&path);
    } else {
        fields = json_pack("{s:s,s:f}", "kind", "none", "ms", age_ms(session));
    }
    if (fields) {
        json_object_set_new(fields, "peer", json_string(session->peer));
    }
    report_event(session->loop->report, "path", fields);
}

/* The link's packets may arrive before a check has shown which path it is: then PATH follows. NULL:
 * not known yet. */
static const char *kind_now(const struct session *session)
{
    eyelet_path path;
    if (eyelet_conn_path(session->conn, &path) == EYELET_OK) {
        return path_kind(&path);
    }
    switch (session->loop->settings->policy) {
    case EYELET_DIRECT_ONLY:
        return "direct";
    case EYELET_RELAY_ONLY:
        return "relay";
    default:
        return NULL;
    }
}

static void on_connected(struct session *session)
{
    const char *kind = kind_now(session);
    session->connected = true;
    report_event(
        session->loop->report, "connected",
        json_pack("{s:s?,s:f,s:s}", "kind", kind, "ms", age_ms(session), "peer", session->peer));
    report_story(session->loop->report, "connected to %s after %.1f ms", session->peer,
                 age_ms(session));
}

/* Without a path, what would make one is worth more than a general hint, unless it was just said.
 */
static int say_failed(struct session *session, int error)
{
    struct outcome outcome = outcome_of_error(error);
    eyelet_diagnosis diagnosis;
    const char *why = eyelet_why(session->loop->ep, session->conn);
    char text[SESSION_TEXT_BYTES];
    snprintf(text, sizeof(text), "%s", *why ? why : eyelet_strerror(error));
    if ((error == EYELET_ERR_NO_PATH || error == EYELET_ERR_RELAY) &&
        session_diagnose(session, &diagnosis) && *diagnosis.remedy &&
        !strstr(text, diagnosis.remedy)) {
        outcome.hint = diagnosis.remedy;
    }
    return report_error(session->loop->report, &outcome, text);
}

static int on_closed(struct session *session, int error)
{
    int exit_code = 0;
    session_tell(session);
    session->closed = true;
    if (error != EYELET_OK && !session->closing) {
        exit_code = say_failed(session, error);
    }
    report_event(session->loop->report, "closed",
                 json_pack("{s:I,s:I,s:f,s:s}", "bytes_in", (json_int_t)session->bytes_in,
                           "bytes_out", (json_int_t)session->bytes_out, "ms", age_ms(session),
                           "peer", session->peer));
    report_story(session->loop->report, "closed: %llu bytes in, %llu bytes out",
                 (unsigned long long)session->bytes_in, (unsigned long long)session->bytes_out);
    return exit_code;
}

static void tell_step(struct session *session, const eyelet_step *step)
{
    struct report *report = session->loop->report;
    if (report->verbose == 0) {
        if (session->connected && strcmp(step->what, "lost") == 0) {
            report_note(report, "%.8s... has fallen silent: waiting for it (--patience)",
                        session->peer);
        }
        return;
    }
    if (report->json) {
        json_t *fields = step_json(step);
        if (fields) {
            json_object_set_new(fields, "peer", json_string(session->peer));
        }
        report_log(report, "step", fields);
    } else {
        report_story(report, "%8.1f ms  %-7s %s", (double)step->at_us / 1000, step->what,
                     step->text);
    }
}

/* Nobody has to ask why it is slow; who has asked for the relay knows. */
static void explain(struct session *session)
{
    struct report *report = session->loop->report;
    eyelet_diagnosis diagnosis;
    if (session->explained || !session->connected ||
        session->loop->settings->policy == EYELET_RELAY_ONLY ||
        !session_diagnose(session, &diagnosis) || strcmp(diagnosis.outcome, "relayed") != 0 ||
        *diagnosis.reason == '\0') {
        return;
    }
    session->explained = true;
    report_event(report, "relayed",
                 json_pack("{s:s,s:s,s:s}", "reason", diagnosis.reason, "remedy", diagnosis.remedy,
                           "peer", session->peer));
    report_note(report, "relayed: %s%s%s", diagnosis.reason, *diagnosis.remedy ? "; " : "",
                diagnosis.remedy);
}

static void goodbye(struct session *session, unsigned long long code)
{
    if (!session->closing) {
        session->closing = true;
        eyelet_conn_close(session->conn, code, NULL);
    }
}

struct session *session_new(struct loop *loop, eyelet_conn *conn)
{
    struct session *session = calloc(1, sizeof(*session));
    if (session) {
        session->loop = loop;
        session->conn = conn;
        session->began_us = loop_now_us();
        eyelet_id_text(eyelet_conn_peer(conn), session->peer);
        eyelet_conn_set_context(conn, session);
    }
    return session;
}

void session_free(struct session *session)
{
    if (session) {
        eyelet_conn_free(session->conn);
        free(session);
    }
}

void session_tell(struct session *session)
{
    eyelet_step step;
    bool news = false;
    if (session->closed) {
        return;
    }
    while (step_next(session->conn, &session->next_step, &step)) {
        news = true;
        tell_step(session, &step);
    }
    if (news) {
        explain(session);
    }
}

bool session_diagnose(const struct session *session, eyelet_diagnosis *diagnosis)
{
    *diagnosis = (eyelet_diagnosis){.size = sizeof(*diagnosis)};
    diagnosis->mine.size = diagnosis->theirs.size = sizeof(eyelet_nat);
    return eyelet_conn_diagnose(session->conn, diagnosis) == EYELET_OK;
}

int session_event(struct session *session, const eyelet_event *event)
{
    switch (event->kind) {
    case EYELET_EVENT_PATH:
        on_path(session);
        session_tell(session);
        explain(session);
        return 0;
    case EYELET_EVENT_CONNECTED:
        on_connected(session);
        explain(session);
        return 0;
    case EYELET_EVENT_CLOSED:
        return on_closed(session, event->error);
    default:
        return 0;
    }
}

void session_received(struct session *session, size_t bytes)
{
    session->bytes_in += bytes;
    if (!session->got_byte) {
        session->got_byte = true;
        report_event(session->loop->report, "first_byte",
                     json_pack("{s:f,s:s}", "ms", age_ms(session), "peer", session->peer));
    }
}

void session_goodbye(struct session *session)
{
    goodbye(session, 0);
}

void session_goodbye_command(struct session *session, const struct outcome_command *command)
{
    goodbye(session, outcome_command_code(command));
}

void session_command_failed(struct session *session, const struct outcome_command *command)
{
    report_event(session->loop->report, "command_failed",
                 json_pack("{s:o,s:o,s:s}", "status",
                           command->signal ? json_null() : json_integer(command->status), "signal",
                           command->signal ? json_integer(command->signal) : json_null(), "peer",
                           session->peer));
}

int session_peer(const char *text, const struct settings *settings, struct report *report,
                 eyelet_id *id)
{
    char why[PEERS_WHY_BYTES];
    if (!peers_resolve(text, settings->known_peers, id, why)) {
        return report_usage(report, "%s", why);
    }
    return 0;
}

int session_dial(struct loop *loop, const eyelet_id *peer, enum session_kind kind,
                 struct session **out)
{
    eyelet_conn *conn;
    eyelet_dial_options dial = {.size = sizeof(dial),
                                .probe = kind == SESSION_PROBE,
                                .timeout_us = (uint64_t)loop->options->timeout_s * 1000000};
    int error = eyelet_dial(loop->ep, peer, &dial, &conn);
    if (error == EYELET_OK) {
        *out = session_new(loop, conn);
        if (*out) {
            return 0;
        }
        eyelet_conn_free(conn);
        error = EYELET_ERR_MEMORY;
    }
    struct outcome outcome = outcome_of_error(error);
    const char *why = eyelet_why(loop->ep, NULL);
    return report_error(loop->report, &outcome, *why ? why : eyelet_strerror(error));
}
