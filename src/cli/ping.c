/* SPDX-License-Identifier: BSD-2-Clause */
/* Round trips to a peer, and the path that each of them took. */
#include <stdio.h>
#include <string.h>

#include "cli/echo.h"
#include "cli/path.h"
#include "cli/roundtrips.h"
#include "cli/verbs.h"

#define INTERVAL_MS   1000
#define LOOK_EVERY_MS 50
#define PATIENCE_US   2000000 /* then a message counts as lost, unless its answer comes after all */
#define SHORT_ID      8

struct ping {
    struct loop loop;
    struct session *session;
    struct echo echo;
    eyelet_path path; /* the last that there was */
    struct roundtrips all;
    struct roundtrips direct;
    struct roundtrips relay;
    uint32_t missed; /* messages up to this number have been answered or called lost */
    uint64_t began_us;
    uv_timer_t sender;
    uv_timer_t watch;
};

static bool speaks(const struct ping *ping)
{
    return !ping->loop.report->json && !ping->loop.report->quiet;
}

/* "ping | head" ends with its reader. */
static void check_output(struct ping *ping)
{
    if (fflush(stdout) != 0 && !ping->loop.ended) {
        loop_end(&ping->loop, OUTCOME_OTHER);
    }
}

static void print_statistics(const struct ping *ping)
{
    const struct {
        const char *name;
        const struct roundtrips *trips;
    } kinds[] = {{"direct", &ping->direct}, {"relay", &ping->relay}};
    char text[ROUNDTRIPS_TEXT_BYTES];
    uint32_t lost = ping->echo.sent - ping->echo.received;
    printf("--- %.*s: %u sent, %u answered, %.0f%% lost, %.1f s\n", SHORT_ID, ping->session->peer,
           ping->echo.sent, ping->echo.received,
           100.0 * lost / (ping->echo.sent ? ping->echo.sent : 1),
           (double)(loop_now_us() - ping->began_us) / 1e6);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].trips->count > 0) {
            printf("%-6s %zu answered, min/avg/max/mdev %s\n", kinds[i].name, kinds[i].trips->count,
                   roundtrips_text(kinds[i].trips, text));
        }
    }
}

static json_t *kind_json(const struct roundtrips *trips)
{
    return json_pack("{s:I,s:o}", "answered", (json_int_t)trips->count, "rtt_ms",
                     roundtrips_json(trips));
}

/* Statistics, once, as the last thing. */
static void finish(struct ping *ping)
{
    if (ping->loop.report->json) {
        report_answer(ping->loop.report, "statistics",
                      json_pack("{s:s,s:I,s:I,s:o,s:o,s:o,s:f}", "peer", ping->session->peer,
                                "sent", (json_int_t)ping->echo.sent, "answered",
                                (json_int_t)ping->echo.received, "rtt_ms",
                                roundtrips_json(&ping->all), "direct", kind_json(&ping->direct),
                                "relay", kind_json(&ping->relay), "ms",
                                (double)(loop_now_us() - ping->began_us) / 1000));
    } else {
        print_statistics(ping);
    }
    (void)fflush(stdout);
}

static void end(struct ping *ping)
{
    finish(ping);
    loop_end(&ping->loop, ping->echo.received > 0 ? OUTCOME_DONE : OUTCOME_OTHER);
}

static void say_missed(struct ping *ping, uint32_t number)
{
    report_event(ping->loop.report, "no_reply",
                 json_pack("{s:I,s:s}", "number", (json_int_t)number, "peer", ping->session->peer));
    if (speaks(ping)) {
        printf("no reply from %.*s to number %u\n", SHORT_ID, ping->session->peer, number);
    }
    check_output(ping);
}

static void on_sender(uv_timer_t *timer)
{
    struct ping *ping = timer->data;
    uint32_t count = ping->loop.options->count;
    if (ping->loop.ended || (count > 0 && ping->echo.sent >= count)) {
        uv_timer_stop(timer);
        return;
    }
    (void)echo_send(&ping->echo, loop_now_us());
}

static void on_watch(uv_timer_t *timer)
{
    struct ping *ping = timer->data;
    uint64_t now_us = loop_now_us();
    uint32_t count = ping->loop.options->count;
    uint64_t sent_us;
    while (!ping->loop.ended && ping->missed < ping->echo.sent) {
        if (echo_is_waiting(&ping->echo, ping->missed + 1, &sent_us)) {
            if (now_us - sent_us < PATIENCE_US) {
                break;
            }
            say_missed(ping, ping->missed + 1);
        }
        ping->missed++;
    }
    if (!ping->loop.ended && count > 0 && ping->echo.sent >= count &&
        ping->missed == ping->echo.sent) {
        end(ping);
    }
}

static void on_connected(struct ping *ping)
{
    uint32_t interval_ms = ping->loop.options->interval_ms;
    interval_ms = interval_ms > 0 ? interval_ms : INTERVAL_MS;
    ping->began_us = loop_now_us();
    uv_update_time(&ping->loop.uv);
    uv_timer_start(&ping->sender, on_sender, 0, interval_ms);
    uv_timer_start(&ping->watch, on_watch, LOOK_EVERY_MS, LOOK_EVERY_MS);
}

static void on_path(struct ping *ping)
{
    char text[PATH_TEXT_BYTES];
    eyelet_path path;
    bool is_there = eyelet_conn_path(ping->session->conn, &path) == EYELET_OK;
    if (is_there) {
        ping->path = path;
    }
    if (!speaks(ping)) {
        return;
    }
    if (is_there) {
        printf("path to %.*s: %s, after %.1f ms\n", SHORT_ID, ping->session->peer,
               path_text(&path, text), (double)path.since_dial_us / 1000);
    } else {
        printf("path to %.*s: none, waiting until it comes back\n", SHORT_ID, ping->session->peer);
    }
    check_output(ping);
}

static void on_message(struct ping *ping, const eyelet_event *event)
{
    char text[PATH_TEXT_BYTES];
    uint32_t number;
    uint64_t rtt_us;
    if (!echo_receive(&ping->echo, loop_now_us(), event, &number, &rtt_us)) {
        return;
    }
    (void)eyelet_conn_path(ping->session->conn, &ping->path);
    roundtrips_add(&ping->all, rtt_us);
    roundtrips_add(ping->path.direct ? &ping->direct : &ping->relay, rtt_us);
    report_event(ping->loop.report, "reply",
                 json_pack("{s:I,s:f,s:s,s:s*,s:o,s:s}", "number", (json_int_t)number, "rtt_ms",
                           (double)rtt_us / 1000, "kind", path_kind(&ping->path), "local",
                           ping->path.local, "remote",
                           path_address_json(&ping->path.remote, ping->path.remote_bytes), "peer",
                           ping->session->peer));
    if (speaks(ping)) {
        printf("reply from %.*s: %s %.1f ms\n", SHORT_ID, ping->session->peer,
               path_text(&ping->path, text), (double)rtt_us / 1000);
    }
    check_output(ping);
}

static void on_event(void *context, const eyelet_event *event)
{
    struct ping *ping = context;
    if (event->conn != ping->session->conn) {
        return;
    }
    int exit_code = session_event(ping->session, event);
    if (event->kind == EYELET_EVENT_CONNECTED) {
        on_connected(ping);
    } else if (event->kind == EYELET_EVENT_PATH) {
        on_path(ping);
    } else if (event->kind == EYELET_EVENT_MESSAGE) {
        on_message(ping, event);
    } else if (event->kind == EYELET_EVENT_CLOSED) {
        if (ping->session->connected) {
            finish(ping);
        }
        loop_end(&ping->loop, exit_code != 0 ? exit_code : OUTCOME_OTHER);
    }
}

static void on_tick(void *context)
{
    struct ping *ping = context;
    session_tell(ping->session);
}

/* As with ping(8), that is how it usually ends. */
static bool on_stop(void *context)
{
    struct ping *ping = context;
    if (!ping->session->connected || ping->loop.ended) {
        return false;
    }
    end(ping);
    return true;
}

int verb_ping(const struct options *options, const struct settings *settings, struct report *report)
{
    struct ping ping;
    eyelet_id id;
    memset(&ping, 0, sizeof(ping));
    if (options->argument_count != 1) {
        return report_usage(report, "ping takes one peer: eyelet ping ID|NAME");
    }
    report->events = stdout;
    int exit_code = session_peer(options->arguments[0], settings, report, &id);
    if (exit_code == 0) {
        exit_code = loop_open(&ping.loop, options, settings, report);
    }
    if (exit_code != 0) {
        return exit_code;
    }
    uv_timer_init(&ping.loop.uv, &ping.sender);
    uv_timer_init(&ping.loop.uv, &ping.watch);
    ping.sender.data = ping.watch.data = &ping;
    ping.loop.on_stop = on_stop;
    exit_code = session_dial(&ping.loop, &id, SESSION_PROBE, &ping.session);
    if (exit_code == 0) {
        ping.echo.session = ping.session;
        exit_code = loop_run(&ping.loop, on_event, on_tick, &ping);
    }
    session_free(ping.session);
    loop_close(&ping.loop);
    return exit_code;
}
