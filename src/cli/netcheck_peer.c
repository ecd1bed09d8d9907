/* SPDX-License-Identifier: BSD-2-Clause */
/* Why the path to a peer is what it is: a probe dial, and its story. */
#include <stdio.h>
#include <string.h>

#include "cli/echo.h"
#include "cli/measure.h"
#include "cli/network.h"
#include "cli/page.h"
#include "cli/path.h"
#include "cli/roundtrips.h"
#include "cli/verbs.h"

#define TEXT_BYTES       400
#define PREFIX_BYTES     64
#define LOOK_EVERY_MS    50
#define WATCH_LIMIT_US   15000000 /* a search of all ports takes some seconds */
#define SETTLED_US       600000   /* a better direct path comes by then */
#define ECHOES           5
#define ECHO_EVERY_US    100000
#define ECHO_PATIENCE_US 1500000

enum phase { MEASURING, DIALLING, WATCHING, ECHOING };

struct probe {
    struct loop loop;
    struct measure measure;
    struct session *session;
    struct echo echo;
    struct roundtrips trips;
    uv_timer_t timer;
    enum phase phase;
    uint64_t connected_us;
    uint64_t direct_us; /* since when; 0: it is not */
    uint64_t echoed_us;
    eyelet_id peer;
};

static bool is(const char *text, const char *value)
{
    return text && strcmp(text, value) == 0;
}

static json_t *text_json(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

static json_t *steps_json(const eyelet_conn *conn)
{
    eyelet_step step;
    size_t number = 0;
    json_t *steps = json_array();
    while (step_next(conn, &number, &step)) {
        json_array_append_new(steps, step_json(&step));
    }
    return steps;
}

static void print_json(const struct probe *probe, const eyelet_diagnosis *d)
{
    const eyelet_conn *conn = probe->session->conn;
    eyelet_path path;
    bool has_path = eyelet_conn_path(conn, &path) == EYELET_OK;
    report_answer(probe->loop.report, "diagnosis",
                  json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "peer",
                            probe->session->peer, "mine", network_json(&d->mine, NETWORK_MINE),
                            "theirs", network_json(&d->theirs, NETWORK_THEIRS), "plan",
                            text_json(d->plan), "outcome", text_json(d->outcome), "reason",
                            text_json(d->reason), "remedy", text_json(d->remedy), "path",
                            has_path ? path_json(&path) : json_null(), "echo_ms",
                            roundtrips_json(&probe->trips), "steps", steps_json(conn)));
}

/* Both sides beside each other. */
static void print_sides(const eyelet_diagnosis *d)
{
    char mine[NETWORK_FIELDS][NETWORK_TEXT_BYTES];
    char theirs[NETWORK_FIELDS][NETWORK_TEXT_BYTES];
    size_t cells = strlen("this side");
    for (int i = 0; i < NETWORK_FIELDS; i++) {
        enum network_field field = (enum network_field)i;
        size_t bytes = strlen(network_text(&d->mine, NETWORK_MINE, field, mine[i]));
        (void)network_text(&d->theirs, NETWORK_THEIRS, field, theirs[i]);
        /* what nobody else knows of itself may be as long as it likes */
        cells = *theirs[i] && bytes > cells ? bytes : cells;
    }
    page_pair(stdout, "", "this side", cells, "the other side");
    for (int i = 0; i < NETWORK_FIELDS; i++) {
        if (*mine[i] || *theirs[i]) {
            page_pair(stdout, network_label((enum network_field)i), mine[i], cells, theirs[i]);
        }
    }
}

static void print_story(const eyelet_conn *conn, unsigned columns)
{
    eyelet_step step;
    size_t number = 0;
    const char *label = "What happened";
    char prefix[PREFIX_BYTES];
    while (step_next(conn, &number, &step)) {
        snprintf(prefix, sizeof(prefix), "%8.1f ms  %-7s ", (double)step.at_us / 1000, step.what);
        page_item(stdout, columns, label, prefix, step.text);
        label = "";
    }
}

static void print_path(const struct probe *probe, unsigned columns)
{
    eyelet_path path;
    char words[PATH_TEXT_BYTES];
    char trips[ROUNDTRIPS_TEXT_BYTES];
    char text[TEXT_BYTES];
    if (eyelet_conn_path(probe->session->conn, &path) != EYELET_OK) {
        page_row(stdout, columns, "Path", "none");
        return;
    }
    snprintf(text, sizeof(text), "%s, after %.1f ms", path_text(&path, words),
             (double)path.since_dial_us / 1000);
    page_row(stdout, columns, "Path", text);
    if (path.rtt_us > 0) {
        snprintf(text, sizeof(text), "%.1f ms", path.rtt_us / 1000.0);
        page_row(stdout, columns, "Round trip", text);
    }
    if (probe->trips.count > 0) {
        snprintf(text, sizeof(text), "min/avg/max/mdev %s", roundtrips_text(&probe->trips, trips));
        page_row(stdout, columns, "Echoes", text);
    }
}

static void print_if_any(unsigned columns, const char *label, const char *text)
{
    if (text && *text) {
        page_row(stdout, columns, label, text);
    }
}

static void print_page(const struct probe *probe, const eyelet_diagnosis *d)
{
    unsigned columns = page_columns(stdout);
    page_row(stdout, columns, "Peer", probe->session->peer);
    print_sides(d);
    printf("\n");
    print_if_any(columns, "Planned", d->plan);
    print_story(probe->session->conn, columns);
    printf("\n");
    print_path(probe, columns);
    print_if_any(columns, "Outcome", d->outcome);
    print_if_any(columns, "Reason", d->reason);
    print_if_any(columns, "Remedy", d->remedy);
}

static void print(const struct probe *probe)
{
    eyelet_diagnosis diagnosis;
    if (!session_diagnose(probe->session, &diagnosis)) {
        return;
    }
    if (probe->loop.report->json) {
        print_json(probe, &diagnosis);
    } else {
        report_clear_line(probe->loop.report);
        print_page(probe, &diagnosis);
    }
    (void)fflush(stdout);
}

/* Whether the path is as good as it will get. */
static bool is_decided(struct probe *probe, uint64_t now_us)
{
    eyelet_diagnosis diagnosis;
    if (!session_diagnose(probe->session, &diagnosis) ||
        now_us - probe->connected_us >= WATCH_LIMIT_US) {
        return true;
    }
    if (!is(diagnosis.outcome, "direct")) {
        probe->direct_us = 0;
        return is(diagnosis.outcome, "relayed");
    }
    if (probe->direct_us == 0) {
        probe->direct_us = now_us;
    }
    return now_us - probe->direct_us >= SETTLED_US;
}

static void on_timer(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    uint64_t now_us = loop_now_us();
    if (probe->loop.ended) {
        return;
    }
    if (probe->phase == WATCHING) {
        measure_show(&probe->loop, "watching which path it takes", now_us - probe->connected_us);
        if (is_decided(probe, now_us)) {
            probe->phase = ECHOING;
        }
    }
    if (probe->phase != ECHOING) {
        return;
    }
    if (probe->echo.sent < ECHOES && now_us - probe->echoed_us >= ECHO_EVERY_US) {
        probe->echoed_us = now_us;
        (void)echo_send(&probe->echo, now_us);
    } else if (probe->echo.received >= ECHOES || now_us - probe->echoed_us >= ECHO_PATIENCE_US) {
        print(probe);
        loop_end(&probe->loop, report_answered(probe->loop.report));
    }
}

static void on_measured(void *context)
{
    struct probe *probe = context;
    int exit_code = session_dial(&probe->loop, &probe->peer, SESSION_PROBE, &probe->session);
    if (exit_code != 0) {
        loop_end(&probe->loop, exit_code);
        return;
    }
    probe->phase = DIALLING;
    probe->session->explained = true; /* the page does that */
    probe->echo.session = probe->session;
}

/* Of a call that never left, or was turned away, there is no more to say than the error. */
static bool has_story(int error)
{
    return error == EYELET_ERR_NO_PATH || error == EYELET_ERR_RELAY ||
           error == EYELET_ERR_TIMEOUT || error == EYELET_ERR_CLOSED;
}

static void on_event(void *context, const eyelet_event *event)
{
    struct probe *probe = context;
    uint32_t number;
    uint64_t rtt_us;
    if (!probe->session || event->conn != probe->session->conn) {
        return;
    }
    int exit_code = session_event(probe->session, event);
    if (event->kind == EYELET_EVENT_CONNECTED) {
        probe->phase = WATCHING;
        probe->connected_us = loop_now_us();
        uv_timer_start(&probe->timer, on_timer, 0, LOOK_EVERY_MS);
    } else if (event->kind == EYELET_EVENT_MESSAGE) {
        if (echo_receive(&probe->echo, loop_now_us(), event, &number, &rtt_us)) {
            roundtrips_add(&probe->trips, rtt_us);
        }
    } else if (event->kind == EYELET_EVENT_CLOSED) {
        if (probe->session->connected || has_story(event->error)) {
            print(probe);
        }
        loop_end(&probe->loop, exit_code);
    }
}

static void on_tick(void *context)
{
    struct probe *probe = context;
    if (probe->session) {
        session_tell(probe->session);
    }
}

int verb_netcheck_peer(const struct options *options, const struct settings *settings,
                       struct report *report)
{
    struct probe probe;
    memset(&probe, 0, sizeof(probe));
    int exit_code = session_peer(options->arguments[0], settings, report, &probe.peer);
    if (exit_code == 0) {
        exit_code = loop_open(&probe.loop, options, settings, report);
    }
    if (exit_code != 0) {
        return exit_code;
    }
    uv_timer_init(&probe.loop.uv, &probe.timer);
    probe.timer.data = &probe;
    measure_start(&probe.measure, &probe.loop, MEASURE_LIMIT_S, on_measured, &probe);
    exit_code = loop_run(&probe.loop, on_event, on_tick, &probe);
    session_free(probe.session);
    loop_close(&probe.loop);
    return exit_code;
}
