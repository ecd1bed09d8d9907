/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/receiver.h"
#include "cli/session.h"
#include "cli/verbs.h"

struct inbound {
    struct loop loop;
    struct session *session; /* the one sender; NULL: not yet */
    eyelet_id peer;
    struct folder folder;
    struct receiver *receiver;
    struct progress progress;
    int64_t stream;
    uint64_t began_us;
    bool announced;
    bool over; /* the outcome is decided */
    int exit_code;
};

static void on_file(void *context, const char *name, size_t name_bytes, uint64_t size_bytes,
                    enum transfer_code code, const char *text)
{
    struct inbound *in = context;
    char shown[256];
    char story[512];
    const char *result = transfer_code_name(code);
    names_show(name, name_bytes, shown, sizeof(shown));
    report_event(in->loop.report, "file",
                 json_pack("{s:s,s:I,s:s}", "name", shown, "bytes", (json_int_t)size_bytes,
                           "result", result));
    if (code == TRANSFER_OK) {
        report_story(in->loop.report, "received %s", shown);
        return;
    }
    struct outcome outcome = {code == TRANSFER_INTEGRITY ? OUTCOME_INTEGRITY : OUTCOME_OTHER,
                              result, ""};
    snprintf(story, sizeof(story), "%s was not received: %s%s", shown,
             code == TRANSFER_NAME_REFUSED ? "its name " : "", text);
    report_error(in->loop.report, &outcome, story);
}

static void give_up(struct inbound *in, const char *code, const char *text)
{
    struct outcome outcome = {OUTCOME_OTHER, code, ""};
    if (!in->over) {
        in->over = true;
        in->exit_code = report_error(in->loop.report, &outcome, text);
        if (in->stream >= 0) {
            eyelet_stream_reset(in->session->conn, in->stream, OUTCOME_RESET_PROTOCOL);
        }
        session_goodbye(in->session);
    }
}

static void finish(struct inbound *in)
{
    struct receiver_progress p = receiver_progress(in->receiver);
    char size[16];
    in->over = true;
    in->exit_code = p.integrity_failed ? OUTCOME_INTEGRITY
                    : p.failed > 0     ? OUTCOME_OTHER
                                       : OUTCOME_DONE;
    double seconds = (double)(loop_now_us() - in->began_us) / 1e6;
    report_note(in->loop.report, "received %u of %u, %s in %.1f s (%.2f Gbit/s)", p.succeeded,
                p.succeeded + p.failed, progress_size(p.bytes, size), seconds,
                seconds > 0 ? (double)p.bytes * 8e-9 / seconds : 0.0);
    (void)eyelet_stream_finish(in->session->conn, in->stream);
    session_goodbye(in->session); /* waits until the sender has the last answer */
}

static void write_answers(struct inbound *in)
{
    const uint8_t *data;
    size_t bytes;
    while (!in->over && (bytes = receiver_output(in->receiver, &data)) > 0) {
        ssize_t taken = eyelet_stream_write(in->session->conn, in->stream, data, bytes);
        if (taken <= 0) {
            return; /* WRITABLE or CLOSED follows */
        }
        receiver_sent(in->receiver, (size_t)taken);
        in->session->bytes_out += (uint64_t)taken;
    }
    if (!in->over && receiver_progress(in->receiver).done) {
        finish(in);
    }
}

static void read_records(struct inbound *in)
{
    const uint8_t *data;
    ssize_t n;
    while (!in->over &&
           (n = eyelet_stream_peek(in->session->conn, in->stream, &data)) != EYELET_ERR_AGAIN) {
        if (n <= 0) {
            give_up(in, "closed",
                    "the sender ended the transfer early; the incomplete file is removed");
            return;
        }
        session_received(in->session, (size_t)n);
        bool ok = receiver_input(in->receiver, data, (size_t)n);
        eyelet_stream_consume(in->session->conn, in->stream, (size_t)n);
        if (!ok) {
            char text[200];
            snprintf(text, sizeof(text), "the sender broke the transfer protocol: %s",
                     receiver_why(in->receiver));
            give_up(in, "protocol", text);
            return;
        }
        write_answers(in);
    }
}

static void on_registered(struct inbound *in)
{
    char id[EYELET_ID_TEXT_BYTES];
    if (!in->announced) {
        in->announced = true;
        eyelet_id_text(eyelet_own_id(in->loop.ep), id);
        report_event(in->loop.report, "listening", json_pack("{s:s}", "id", id));
        report_note(in->loop.report, "waiting for files as %s", id);
    }
}

static void on_incoming(struct inbound *in, eyelet_conn *conn)
{
    if (memcmp(eyelet_conn_peer(conn), &in->peer, sizeof(in->peer)) != 0) {
        eyelet_refuse(conn, "waiting for files of somebody else");
        return;
    }
    if (in->session) {
        eyelet_refuse(conn, "busy with another transfer");
        return;
    }
    in->session = session_new(&in->loop, conn);
    if (!in->session) {
        eyelet_refuse(conn, "out of memory");
    } else {
        report_event(in->loop.report, "incoming", json_pack("{s:s}", "peer", in->session->peer));
    }
}

static void on_stream(struct inbound *in, int64_t stream)
{
    if (in->stream >= 0) {
        eyelet_stream_reset(in->session->conn, stream, OUTCOME_RESET_BUSY);
        return;
    }
    in->stream = stream;
    in->began_us = loop_now_us();
}

static void on_closed(struct inbound *in, int exit_code)
{
    if (!in->session->connected) {
        session_free(in->session); /* it never came about: the next call may */
        in->session = NULL;
        return;
    }
    if (!in->over && in->stream >= 0) {
        read_records(in); /* what has arrived can still be read */
    }
    if (!in->over && exit_code == 0) {
        give_up(in, "closed",
                "the sender closed the connection before the transfer was complete; the incomplete "
                "file is removed");
    }
    if (!in->loop.ended) {
        loop_end(&in->loop, in->over ? in->exit_code : exit_code);
    }
}

static void on_event(void *context, const eyelet_event *event)
{
    struct inbound *in = context;
    if (event->kind == EYELET_EVENT_REGISTERED) {
        on_registered(in);
    } else if (event->kind == EYELET_EVENT_INCOMING) {
        on_incoming(in, event->conn);
    }
    if (!in->session || event->conn != in->session->conn) {
        return;
    }
    int exit_code = session_event(in->session, event);
    if (event->kind == EYELET_EVENT_CONNECTED) {
        loop_cancel_deadline(&in->loop);
        (void)eyelet_listen(in->loop.ep, EYELET_LISTEN_NOBODY, NULL, 0);
    } else if (event->kind == EYELET_EVENT_CLOSED) {
        on_closed(in, exit_code);
    } else if (event->kind == EYELET_EVENT_STREAM_OPENED) {
        on_stream(in, event->stream);
    } else if (in->over || event->stream != in->stream) {
        return;
    } else if (event->kind == EYELET_EVENT_READABLE) {
        read_records(in);
    } else if (event->kind == EYELET_EVENT_WRITABLE) {
        write_answers(in);
    } else if (event->kind == EYELET_EVENT_STREAM_RESET) {
        give_up(in, "closed", outcome_reset_text(event->code));
    }
}

static void on_tick(void *context)
{
    struct inbound *in = context;
    if (in->session) {
        session_tell(in->session);
    }
    if (in->loop.report->is_live && !in->over && in->stream >= 0) {
        struct receiver_progress p = receiver_progress(in->receiver);
        progress_update(&in->progress, loop_now_us(), p.name, p.bytes, p.total_bytes);
    }
}

/* After a signal, or when the connection was lost. */
static void say_what_is_left(struct inbound *in)
{
    struct receiver_progress p = receiver_progress(in->receiver);
    if (*p.name) {
        report_note(in->loop.report, "%s is incomplete: what has come of it is removed", p.name);
    }
    if (p.succeeded > 0) {
        report_note(in->loop.report, "%u had arrived before, and stay", p.succeeded);
    }
}

static int open_folder(struct inbound *in, const struct options *options, struct report *report)
{
    const char *path = options->output ? options->output : ".";
    struct outcome outcome = {OUTCOME_OTHER, "file", ""};
    if (!folder_open(&in->folder, path, options->overwrite)) {
        char shown[256];
        char text[400];
        snprintf(text, sizeof(text), "cannot write to the folder %s: %s",
                 names_show(path, strlen(path), shown, sizeof(shown)), strerror(errno));
        return report_error(report, &outcome, text);
    }
    in->receiver = receiver_new(&in->folder, on_file, in);
    if (!in->receiver) {
        outcome.code = "memory";
        return report_error(report, &outcome, "out of memory");
    }
    return 0;
}

static int listen_and_receive(struct inbound *in, const struct options *options,
                              const struct settings *settings, struct report *report)
{
    int exit_code = loop_open(&in->loop, options, settings, report);
    if (exit_code != 0) {
        return exit_code;
    }
    progress_init(&in->progress, report);
    int error = eyelet_listen(in->loop.ep, EYELET_LISTEN_LISTED, &in->peer, 1);
    if (error != EYELET_OK) {
        loop_fail(&in->loop, error, NULL);
    } else {
        loop_set_deadline(&in->loop, "nobody has sent anything");
    }
    exit_code = loop_run(&in->loop, on_event, on_tick, in);
    if (!in->over) {
        say_what_is_left(in);
    }
    session_free(in->session);
    loop_close(&in->loop);
    return exit_code;
}

int verb_recv(const struct options *options, const struct settings *settings, struct report *report)
{
    struct inbound in = {.stream = -1, .folder.fd = -1};
    if (options->argument_count > 0 || !options->peer) {
        return report_usage(report, "recv takes a peer: eyelet recv --peer ID|NAME [-o FOLDER]");
    }
    int exit_code = session_peer(options->peer, settings, report, &in.peer);
    if (exit_code == 0) {
        exit_code = open_folder(&in, options, report);
    }
    if (exit_code == 0) {
        exit_code = listen_and_receive(&in, options, settings, report);
    }
    receiver_free(in.receiver);
    folder_close(&in.folder);
    return exit_code;
}
