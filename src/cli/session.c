/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/session.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/peers.h"

#define ADDRESS_BYTES 64

static double age_ms(const struct session *session)
{
    return (double)(loop_now_us() - session->began_us) / 1000;
}

static const char *show_address(const eyelet_path *path, char text[static ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN + 16];
    char port[8];
    if (getnameinfo((const struct sockaddr *)&path->remote, path->remote_bytes, host, sizeof(host),
                    port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return "?";
    }
    snprintf(text, ADDRESS_BYTES, path->remote.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
             port);
    return text;
}

static void on_path(struct session *session)
{
    eyelet_path path;
    char text[ADDRESS_BYTES];
    if (eyelet_conn_path(session->conn, &path) != EYELET_OK) {
        return;
    }
    const char *kind = path.direct ? "direct" : "relay";
    const char *remote = show_address(&path, text);
    double rtt_ms = path.rtt_us / 1000.0;
    report_event(session->loop->report, "path",
                 json_pack("{s:s,s:s,s:s,s:f,s:f,s:s}", "kind", kind, "local", path.local, "remote",
                           remote, "rtt_ms", rtt_ms, "ms", (double)path.since_dial_us / 1000.0,
                           "peer", session->peer));
    report_story(session->loop->report, "%s path to %s (%s), round trip %.1f ms, after %.1f ms",
                 kind, remote, path.local, rtt_ms, (double)path.since_dial_us / 1000.0);
}

static void on_connected(struct session *session)
{
    session->connected = true;
    report_event(
        session->loop->report, "connected",
        json_pack("{s:s,s:f,s:s}", "kind", "direct", "ms", age_ms(session), "peer", session->peer));
    report_story(session->loop->report, "connected to %s after %.1f ms", session->peer,
                 age_ms(session));
}

static int on_closed(struct session *session, int error)
{
    int exit_code = 0;
    session->closed = true;
    if (error != EYELET_OK && !session->closing) {
        struct outcome outcome = outcome_of_error(error);
        const char *why = eyelet_why(session->loop->ep, session->conn);
        exit_code =
            report_error(session->loop->report, &outcome, *why ? why : eyelet_strerror(error));
    }
    report_event(session->loop->report, "closed",
                 json_pack("{s:I,s:I,s:f,s:s}", "bytes_in", (json_int_t)session->bytes_in,
                           "bytes_out", (json_int_t)session->bytes_out, "ms", age_ms(session),
                           "peer", session->peer));
    report_story(session->loop->report, "closed: %llu bytes in, %llu bytes out",
                 (unsigned long long)session->bytes_in, (unsigned long long)session->bytes_out);
    return exit_code;
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

int session_event(struct session *session, const eyelet_event *event)
{
    switch (event->kind) {
    case EYELET_EVENT_PATH:
        on_path(session);
        return 0;
    case EYELET_EVENT_CONNECTED:
        on_connected(session);
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
    if (!session->closing) {
        session->closing = true;
        eyelet_conn_close(session->conn, 0, NULL);
    }
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

int session_dial(struct loop *loop, const eyelet_id *peer, struct session **out)
{
    eyelet_conn *conn;
    eyelet_dial_options dial = {.size = sizeof(dial),
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
