/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/sender.h"

#include "cli/progress.h"
#include "cli/session.h"
#include "cli/verbs.h"

struct outbound {
    struct loop loop;
    struct session *session;
    struct tree tree;
    struct sender *sender;
    struct progress progress;
    int64_t stream;
    uint64_t began_us;
    bool over; /* the outcome is decided */
    int exit_code;
};

static void on_file(void *context, const char *shown, uint64_t size_bytes, enum transfer_code code,
                    const char *text)
{
    struct outbound *out = context;
    const char *name = transfer_code_name(code);
    report_event(
        out->loop.report, "file",
        json_pack("{s:s,s:I,s:s}", "name", shown, "bytes", (json_int_t)size_bytes, "result", name));
    if (code == TRANSFER_OK) {
        report_story(out->loop.report, "sent %s", shown);
        return;
    }
    struct outcome outcome = {code == TRANSFER_INTEGRITY ? OUTCOME_INTEGRITY : OUTCOME_OTHER, name,
                              ""};
    char story[512];
    snprintf(story, sizeof(story), "%s was not received: %s", shown, text);
    report_error(out->loop.report, &outcome, story);
}

static void on_warning(void *context, const char *shown, const char *text)
{
    struct outbound *out = context;
    report_event(out->loop.report, "warning", json_pack("{s:s,s:s}", "name", shown, "text", text));
    report_note(out->loop.report, "%s %s", shown, text);
}

static void give_up(struct outbound *out, const char *code, const char *text)
{
    struct outcome outcome = {OUTCOME_OTHER, code, ""};
    if (!out->over) {
        out->over = true;
        out->exit_code = report_error(out->loop.report, &outcome, text);
        eyelet_stream_reset(out->session->conn, out->stream, OUTCOME_RESET_PROTOCOL);
        session_goodbye(out->session);
    }
}

static void write_out(struct outbound *out)
{
    const uint8_t *data;
    size_t bytes;
    while (!out->over && (bytes = sender_output(out->sender, &data)) > 0) {
        ssize_t taken = eyelet_stream_write(out->session->conn, out->stream, data, bytes);
        if (taken <= 0) {
            return; /* WRITABLE or CLOSED follows */
        }
        sender_sent(out->sender, (size_t)taken);
        out->session->bytes_out += (uint64_t)taken;
        if ((size_t)taken < bytes) {
            return;
        }
    }
}

static void finish(struct outbound *out)
{
    struct sender_progress p = sender_progress(out->sender);
    char size[16];
    out->over = true;
    out->exit_code = p.integrity_failed ? OUTCOME_INTEGRITY
                     : p.failed > 0     ? OUTCOME_OTHER
                                        : OUTCOME_DONE;
    double seconds = (double)(loop_now_us() - out->began_us) / 1e6;
    report_note(out->loop.report, "sent %u of %zu, %s in %.1f s (%.2f Gbit/s)", p.succeeded,
                out->tree.count, progress_size(p.bytes, size), seconds,
                seconds > 0 ? (double)p.bytes * 8e-9 / seconds : 0.0);
    (void)eyelet_stream_finish(out->session->conn, out->stream);
    session_goodbye(out->session);
}

static void read_answers(struct outbound *out)
{
    const uint8_t *data;
    ssize_t n;
    while (!out->over &&
           (n = eyelet_stream_peek(out->session->conn, out->stream, &data)) != EYELET_ERR_AGAIN) {
        if (n <= 0) {
            give_up(out, "closed", "the receiver ended the transfer early");
            return;
        }
        session_received(out->session, (size_t)n);
        bool ok = sender_input(out->sender, data, (size_t)n);
        eyelet_stream_consume(out->session->conn, out->stream, (size_t)n);
        if (!ok) {
            char text[200];
            snprintf(text, sizeof(text), "the receiver does not speak our protocol: %s",
                     sender_why(out->sender));
            give_up(out, "protocol", text);
        } else if (sender_progress(out->sender).done) {
            finish(out);
        }
    }
    write_out(out);
}

static void on_connected(struct outbound *out)
{
    out->began_us = loop_now_us();
    out->stream = eyelet_stream_open(out->session->conn);
    if (out->stream < 0) {
        loop_fail(&out->loop, (int)out->stream, out->session->conn);
        return;
    }
    write_out(out);
}

static void on_closed(struct outbound *out, int exit_code)
{
    if (!out->over && out->stream >= 0) {
        read_answers(out); /* what has arrived can still be read */
    }
    if (!out->over && exit_code == 0) {
        give_up(out, "closed",
                "the receiver closed the connection before the transfer was complete");
    }
    if (!out->loop.ended) {
        loop_end(&out->loop, out->over ? out->exit_code : exit_code);
    }
}

static void on_event(void *context, const eyelet_event *event)
{
    struct outbound *out = context;
    if (event->conn != out->session->conn) {
        return;
    }
    int exit_code = session_event(out->session, event);
    if (event->kind == EYELET_EVENT_CONNECTED) {
        on_connected(out);
    } else if (event->kind == EYELET_EVENT_CLOSED) {
        on_closed(out, exit_code);
    } else if (event->kind == EYELET_EVENT_STREAM_OPENED) {
        eyelet_stream_reset(event->conn, event->stream, OUTCOME_RESET_PROTOCOL);
    } else if (out->over || event->stream != out->stream) {
        return;
    } else if (event->kind == EYELET_EVENT_READABLE) {
        read_answers(out);
    } else if (event->kind == EYELET_EVENT_WRITABLE) {
        write_out(out);
    } else if (event->kind == EYELET_EVENT_STREAM_RESET) {
        give_up(out, "closed", outcome_reset_text(event->code));
    }
}

static void on_tick(void *context)
{
    struct outbound *out = context;
    session_tell(out->session);
    if (out->loop.report->is_live && !out->over && out->stream >= 0) {
        struct sender_progress p = sender_progress(out->sender);
        uint64_t waiting = eyelet_stream_unacked(out->session->conn, out->stream);
        progress_update(&out->progress, loop_now_us(), p.name,
                        p.bytes > waiting ? p.bytes - waiting : 0, p.total_bytes);
    }
}

/* Everything that can be known to fail is found before anybody is called. */
static int collect(struct outbound *out, const struct options *options, struct report *report)
{
    struct outcome outcome = {OUTCOME_OTHER, "file", "nothing was sent"};
    if (options->argument_count == 0 || !options->peer) {
        return report_usage(report,
                            "send takes files and a peer: eyelet send PATH... --peer ID|NAME");
    }
    for (size_t i = 0; i < options->argument_count; i++) {
        if (!tree_add(&out->tree, options->arguments[i])) {
            return report_error(report, &outcome, out->tree.why);
        }
    }
    out->sender = sender_new(&out->tree, on_file, on_warning, out);
    if (!out->sender) {
        outcome.code = "memory";
        return report_error(report, &outcome, "out of memory");
    }
    return 0;
}

static int dial_and_send(struct outbound *out, const struct options *options,
                         const struct settings *settings, struct report *report)
{
    eyelet_id id;
    int exit_code = session_peer(options->peer, settings, report, &id);
    if (exit_code == 0) {
        exit_code = loop_open(&out->loop, options, settings, report);
    }
    if (exit_code != 0) {
        return exit_code;
    }
    progress_init(&out->progress, report);
    exit_code = session_dial(&out->loop, &id, SESSION_LINK, &out->session);
    if (exit_code == 0) {
        exit_code = loop_run(&out->loop, on_event, on_tick, out);
        if (!out->over && out->stream >= 0) {
            report_note(report, "%u of %zu had arrived before",
                        sender_progress(out->sender).succeeded, out->tree.count);
        }
    }
    session_free(out->session);
    loop_close(&out->loop);
    return exit_code;
}

int verb_send(const struct options *options, const struct settings *settings, struct report *report)
{
    struct outbound out = {.stream = -1};
    int exit_code = collect(&out, options, report);
    if (exit_code == 0) {
        exit_code = dial_and_send(&out, options, settings, report);
    }
    sender_free(out.sender);
    tree_free(&out.tree);
    return exit_code;
}
