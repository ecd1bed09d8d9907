/* SPDX-License-Identifier: BSD-2-Clause */
/* Events to the application, and waiting for them. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "peer/endpoint.h"

static bool take(struct eyelet_conn *conn, unsigned news)
{
    bool was = (conn->news & news) != 0;
    conn->news &= ~news;
    return was;
}

static bool from_link(struct eyelet_conn *conn, eyelet_event *event)
{
    static const enum eyelet_event_kind kinds[] = {
        [LINK_EVENT_STREAM_OPENED] = EYELET_EVENT_STREAM_OPENED,
        [LINK_EVENT_READABLE] = EYELET_EVENT_READABLE,
        [LINK_EVENT_WRITABLE] = EYELET_EVENT_WRITABLE,
        [LINK_EVENT_STREAM_RESET] = EYELET_EVENT_STREAM_RESET,
        [LINK_EVENT_STREAM_CLOSED] = EYELET_EVENT_STREAM_CLOSED,
        [LINK_EVENT_MESSAGE] = EYELET_EVENT_MESSAGE,
        [LINK_EVENT_CLOSED] = EYELET_EVENT_NONE, /* conn_end says it */
    };
    struct link_event e;
    while (conn->link != NULL && link_poll_event(conn->link, &e)) {
        if (kinds[e.kind] != EYELET_EVENT_NONE) {
            *event = (eyelet_event){.kind = kinds[e.kind],
                                    .conn = conn,
                                    .stream = e.stream,
                                    .code = e.code,
                                    .data = e.data,
                                    .bytes = e.bytes};
            return true;
        }
    }
    return false;
}

static bool from_conn(struct eyelet_conn *conn, eyelet_event *event)
{
    *event = (eyelet_event){.conn = conn};
    if (conn_is_echo(conn)) {
        return false;
    }
    if (take(conn, CONN_NEWS_INCOMING)) {
        event->kind = EYELET_EVENT_INCOMING;
        conn->shown = true;
        endpoint_wake(conn->ep); /* now its first flight may go */
    } else if (take(conn, CONN_NEWS_PATH)) {
        event->kind = EYELET_EVENT_PATH;
    } else if (take(conn, CONN_NEWS_CONNECTED)) {
        event->kind = EYELET_EVENT_CONNECTED;
    } else if (conn->was_open && from_link(conn, event)) {
        return true;
    } else if (take(conn, CONN_NEWS_CLOSED)) {
        event->kind = EYELET_EVENT_CLOSED;
        event->error = conn->error;
        event->code = conn->code;
    }
    return event->kind != EYELET_EVENT_NONE;
}

bool eyelet_poll_event(eyelet_endpoint *ep, eyelet_event *event)
{
    *event = (eyelet_event){0};
    if (ep->news_lost) {
        ep->news_lost = false;
        event->kind = EYELET_EVENT_MEDIATOR_LOST;
        event->error = ep->lost_error;
        return true;
    }
    if (ep->news_registered) {
        ep->news_registered = false;
        event->kind = EYELET_EVENT_REGISTERED;
        return true;
    }
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        if (from_conn(c, event)) {
            return true;
        }
    }
    return false;
}

/* Sleeps until there is something to process, at most until deadline_us; processes. */
static int sleep_and_process(eyelet_endpoint *ep, uint64_t deadline_us)
{
    int wait_ms = eyelet_timeout_ms(ep);
    if (deadline_us != UINT64_MAX) {
        uint64_t now_us = endpoint_now_us();
        uint64_t left_ms = now_us < deadline_us ? (deadline_us - now_us + 999) / 1000 : 0;
        if (wait_ms < 0 || left_ms < (uint64_t)wait_ms) {
            wait_ms = (int)left_ms;
        }
    }
    struct pollfd p = {.fd = ep->epoll_fd, .events = POLLIN};
    if (poll(&p, 1, wait_ms) < 0 && errno != EINTR) {
        snprintf(ep->why, sizeof ep->why, "poll: %s", strerror(errno));
        return EYELET_ERR_SYSTEM;
    }
    return eyelet_process(ep);
}

static uint64_t deadline(int timeout_ms)
{
    return timeout_ms < 0 ? UINT64_MAX : endpoint_now_us() + (uint64_t)timeout_ms * 1000u;
}

int eyelet_wait(eyelet_endpoint *ep, int timeout_ms, eyelet_event *event)
{
    if (ep == NULL || event == NULL) {
        return EYELET_ERR_ARGUMENT;
    }
    uint64_t until_us = deadline(timeout_ms);
    for (;;) {
        if (eyelet_poll_event(ep, event)) {
            return EYELET_OK;
        }
        if (endpoint_now_us() >= until_us && timeout_ms != 0) {
            return EYELET_ERR_TIMEOUT;
        }
        int error = sleep_and_process(ep, until_us);
        if (error != EYELET_OK) {
            return error;
        }
        if (timeout_ms == 0) {
            return eyelet_poll_event(ep, event) ? EYELET_OK : EYELET_ERR_TIMEOUT;
        }
    }
}

/* ---- blocking convenience ---- */

/* Waits until the connection is open, or has ended: then frees it and returns its error. */
static int wait_open(eyelet_conn *conn, uint64_t until_us)
{
    eyelet_endpoint *ep = conn->ep;
    while (!conn->was_open && conn->state != CONN_ENDED) {
        int error =
            endpoint_now_us() >= until_us ? EYELET_ERR_TIMEOUT : sleep_and_process(ep, until_us);
        if (error != EYELET_OK) {
            eyelet_conn_free(conn);
            return error;
        }
    }
    if (conn->was_open) {
        (void)take(conn, CONN_NEWS_INCOMING | CONN_NEWS_CONNECTED | CONN_NEWS_PATH);
        return EYELET_OK;
    }
    int error = conn->error != EYELET_OK ? conn->error : EYELET_ERR_CLOSED;
    memcpy(ep->why, conn->why, sizeof conn->why);
    conn_destroy(conn);
    return error;
}

_Static_assert(CONN_WHY_BYTES <= SESSION_WHY_BYTES, "a connection's story outlives it");

int eyelet_connect(eyelet_endpoint *ep, const eyelet_id *peer, int timeout_ms, eyelet_conn **out)
{
    eyelet_dial_options options = {.size = sizeof options,
                                   .timeout_us = timeout_ms > 0 ? (uint64_t)timeout_ms * 1000u : 0};
    eyelet_conn *conn;
    if (out == NULL) {
        return EYELET_ERR_ARGUMENT;
    }
    int error = eyelet_dial(ep, peer, &options, &conn);
    if (error == EYELET_OK) {
        error = wait_open(conn, UINT64_MAX); /* the dial has its own timeout, and a better reason */
    }
    *out = error == EYELET_OK ? conn : NULL;
    return error;
}

int eyelet_accept(eyelet_endpoint *ep, int timeout_ms, eyelet_conn **out)
{
    if (ep == NULL || out == NULL) {
        return EYELET_ERR_ARGUMENT;
    }
    uint64_t until_us = deadline(timeout_ms);
    *out = NULL;
    for (;;) {
        for (struct eyelet_conn *c = ep->conns, *next; c != NULL; c = next) {
            next = c->next;
            if (!c->incoming || conn_is_echo(c) || (c->news & CONN_NEWS_INCOMING) == 0) {
                continue;
            }
            if (!c->shown) {
                c->shown = true;
                endpoint_wake(ep);
            }
            if (c->was_open) {
                (void)take(c, CONN_NEWS_INCOMING | CONN_NEWS_CONNECTED | CONN_NEWS_PATH);
                *out = c;
                return EYELET_OK;
            }
            if (c->state == CONN_ENDED && take(c, CONN_NEWS_INCOMING)) {
                conn_destroy(c); /* a call that came to nothing before anybody saw it */
            }
        }
        int error =
            endpoint_now_us() >= until_us ? EYELET_ERR_TIMEOUT : sleep_and_process(ep, until_us);
        if (error != EYELET_OK) {
            return error;
        }
    }
}

/* The connection's first stream: the calling side opens it, the other waits for it. Where two dials
 * have crossed, both applications have dialled, and the survivor says who calls. */
static int main_stream(eyelet_conn *conn)
{
    eyelet_event event;
    if (conn->main_stream < 0 && conn->caller) {
        int64_t stream = eyelet_stream_open(conn);
        if (stream < 0) {
            return (int)stream;
        }
        conn->main_stream = stream;
    }
    while (from_link(conn, &event)) { /* nobody else polls it; what matters is asked for directly */
        if (event.kind == EYELET_EVENT_STREAM_OPENED && conn->main_stream < 0) {
            conn->main_stream = event.stream;
        }
    }
    if (conn->main_stream >= 0) {
        return EYELET_OK;
    }
    return conn->state == CONN_ENDED ? EYELET_ERR_CLOSED : EYELET_ERR_AGAIN;
}

static int pause_until(eyelet_conn *conn, uint64_t until_us)
{
    if (conn->state == CONN_ENDED) {
        return conn->error != EYELET_OK ? conn->error : EYELET_ERR_CLOSED;
    }
    return endpoint_now_us() >= until_us ? EYELET_ERR_TIMEOUT
                                         : sleep_and_process(conn->ep, until_us);
}

int eyelet_send(eyelet_conn *conn, const void *data, size_t bytes, int timeout_ms)
{
    uint64_t until_us = deadline(timeout_ms);
    const uint8_t *from = data;
    while (bytes > 0) {
        ssize_t taken = main_stream(conn);
        if (taken == EYELET_OK) {
            taken = eyelet_stream_write(conn, conn->main_stream, from, bytes);
        }
        if (taken > 0) {
            from += taken;
            bytes -= (size_t)taken;
        } else if (taken != EYELET_ERR_AGAIN) {
            return (int)taken;
        }
        if (taken == EYELET_ERR_AGAIN || bytes == 0) {
            int error = bytes == 0 ? eyelet_process(conn->ep) : pause_until(conn, until_us);
            if (error != EYELET_OK) {
                return error;
            }
        }
    }
    return EYELET_OK;
}

ssize_t eyelet_recv(eyelet_conn *conn, void *data, size_t bytes, int timeout_ms)
{
    uint64_t until_us = deadline(timeout_ms);
    for (;;) {
        ssize_t got = main_stream(conn);
        if (got == EYELET_OK) {
            got = eyelet_stream_read(conn, conn->main_stream, data, bytes);
        }
        if (got != EYELET_ERR_AGAIN) {
            return got;
        }
        int error = pause_until(conn, until_us);
        if (error != EYELET_OK) {
            return error;
        }
    }
}

int eyelet_finish(eyelet_conn *conn, int timeout_ms)
{
    uint64_t until_us = deadline(timeout_ms);
    int error = main_stream(conn);
    if (error == EYELET_OK) {
        error = eyelet_stream_finish(conn, conn->main_stream);
    }
    while (error == EYELET_OK && eyelet_stream_unacked(conn, conn->main_stream) > 0) {
        error = pause_until(conn, until_us);
    }
    return error;
}
