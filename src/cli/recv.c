/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/scribe.h"
#include "cli/session.h"
#include "cli/verbs.h"

struct inbound {
    struct loop loop;
    struct session *session; /* the one sender; NULL: not yet */
    eyelet_id peer;
    struct folder folder;
    struct scribe *scribe;
    struct progress progress;
    int64_t stream;
    uint64_t began_us;
    bool announced;
    bool ended;  /* the sender says no more; what has arrived may still wait for the disk */
    bool closed; /* and the connection is gone, with this exit code */
    int close_exit_code;
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
    struct receiver_progress p = scribe_progress(in->scribe);
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
    while (!in->over && (bytes = scribe_output(in->scribe, &data)) > 0) {
        ssize_t taken = eyelet_stream_write(in->session->conn, in->stream, data, bytes);
        if (taken == EYELET_ERR_AGAIN && !in->closed) {
            return; /* WRITABLE or CLOSED follows */
        }
        if (taken < 0) {
            break; /* nobody hears it any more; the outcome is the same */
        }
        scribe_sent(in->scribe, (size_t)taken);
        in->session->bytes_out += (uint64_t)taken;
    }
    if (!in->over && scribe_progress(in->scribe).done) {
        finish(in);
    }
}

/* As much as the scribe has room for. */
static void read_records(struct inbound *in)
{
    const uint8_t *data;
    ssize_t n;
    while (!in->over && !in->ended &&
           (n = eyelet_stream_peek(in->session->conn, in->stream, &data)) != EYELET_ERR_AGAIN) {
        if (n <= 0) {
            in->ended = true;
            return;
        }
        size_t taken = scribe_input(in->scribe, data, (size_t)n);
        if (taken > 0) {
            session_received(in->session, taken);
            eyelet_stream_consume(in->session->conn, in->stream, taken);
        }
        if (taken < (size_t)n) {
            return;
        }
    }
}

static void check_fault(struct inbound *in)
{
    const char *fault = scribe_fault(in->scribe);
    if (fault && !in->over) {
        char text[200];
        snprintf(text, sizeof(text), "the sender broke the transfer protocol: %s", fault);
        give_up(in, "protocol", text);
    }
}

static void end_if_over(struct inbound *in)
{
    bool nothing_comes = in->ended || (in->closed && in->stream < 0);
    if (!in->over && nothing_comes && scribe_is_idle(in->scribe)) {
        write_answers(in);
        check_fault(in);
        if (!in->over && scribe_progress(in->scribe).done) {
            return; /* the last answer waits for room */
        }
        if (!in->over && in->closed && in->close_exit_code != 0) {
            in->over = true;
            in->exit_code = in->close_exit_code;
        } else if (!in->over) {
            give_up(in, "closed",
                    in->closed ? "the sender closed the connection before the transfer was "
                                 "complete; the incomplete file is removed"
                               : "the sender ended the transfer early; the incomplete file is "
                                 "removed");
        }
    }
    if (in->over && in->closed && !in->loop.ended) {
        loop_end(&in->loop, in->exit_code);
    }
}

static void go_on(struct inbound *in)
{
    write_answers(in);
    check_fault(in);
    read_records(in);
    end_if_over(in);
}

static void on_news(void *context)
{
    struct inbound *in = context;
    if (in->stream >= 0 && !in->loop.ended) {
        go_on(in);
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
    in->closed = true;
    in->close_exit_code = exit_code;
    if (!in->over && in->stream >= 0) {
        read_records(in); /* what has arrived can still be read */
    }
    end_if_over(in);
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
    } else if (event->kind == EYELET_EVENT_READABLE || event->kind == EYELET_EVENT_WRITABLE) {
        go_on(in);
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
        struct receiver_progress p = scribe_progress(in->scribe);
        progress_update(&in->progress, loop_now_us(), p.name, p.bytes, p.total_bytes);
    }
}

/* After a signal, or when the connection was lost. */
static void say_what_is_left(struct inbound *in)
{
    struct receiver_progress p = scribe_progress(in->scribe);
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
        outcome.hint = errno == ENOENT ? "only the last folder of a path is made by itself" : "";
        snprintf(text, sizeof(text), "cannot write to the folder %s: %s",
                 names_show(path, strlen(path), shown, sizeof(shown)), strerror(errno));
        return report_error(report, &outcome, text);
    }
    return 0;
}

static void listen_and_receive(struct inbound *in)
{
    int error = eyelet_listen(in->loop.ep, EYELET_LISTEN_LISTED, &in->peer, 1);
    if (error != EYELET_OK) {
        loop_fail(&in->loop, error, NULL);
    } else {
        loop_set_deadline(&in->loop, "nobody has sent anything");
    }
    (void)loop_run(&in->loop, on_event, on_tick, in);
    scribe_stop(in->scribe);
    if (!in->over || in->close_exit_code != 0) {
        say_what_is_left(in);
    }
    scribe_free(in->scribe);
}

static int open_and_receive(struct inbound *in, const struct options *options,
                            const struct settings *settings, struct report *report)
{
    int exit_code = loop_open(&in->loop, options, settings, report);
    if (exit_code != 0) {
        return exit_code;
    }
    progress_init(&in->progress, report);
    in->scribe = scribe_new(&in->loop.uv, &in->folder, on_file, on_news, in);
    if (in->scribe) {
        listen_and_receive(in);
        exit_code = in->loop.exit_code;
    } else {
        struct outcome outcome = outcome_of_error(EYELET_ERR_SYSTEM);
        exit_code = report_error(report, &outcome, strerror(errno));
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
        exit_code = open_and_receive(&in, options, settings, report);
    }
    folder_close(&in.folder);
    return exit_code;
}
