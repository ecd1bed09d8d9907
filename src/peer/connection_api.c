/* SPDX-License-Identifier: BSD-2-Clause */
/* The public calls on keys, connections, streams and messages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer/endpoint.h"

_Static_assert(sizeof(eyelet_id) == sizeof(struct identity_id), "one layout for IDs");
_Static_assert(EYELET_ID_TEXT_BYTES == IDENTITY_TEXT_BYTES, "one text form for IDs");

const char *eyelet_id_text(const eyelet_id *id, char text[EYELET_ID_TEXT_BYTES])
{
    return identity_text((const struct identity_id *)id, text);
}

int eyelet_id_parse(const char *text, eyelet_id *id)
{
    if (text == NULL || !identity_parse(text, strlen(text), (struct identity_id *)id)) {
        return EYELET_ERR_ARGUMENT;
    }
    return EYELET_OK;
}

int eyelet_id_of_key_file(const char *path, eyelet_id *id)
{
    struct identity self;
    int error = identity_load_or_create(path, &self);
    if (error == IDENTITY_OK) {
        memcpy(id->bytes, self.id.bytes, sizeof id->bytes);
        identity_wipe(&self);
        return EYELET_OK;
    }
    return error == IDENTITY_ERR_CRYPTO ? EYELET_ERR_SYSTEM : EYELET_ERR_KEY_FILE;
}

const char *eyelet_why(const eyelet_endpoint *ep, const eyelet_conn *conn)
{
    if (conn != NULL) {
        return conn->why;
    }
    return ep != NULL ? ep->why : "";
}

/* ---- connections ---- */

static bool read_options(const eyelet_dial_options *from, eyelet_dial_options *to)
{
    *to = (eyelet_dial_options){0};
    if (from != NULL) {
        if (from->size < offsetof(eyelet_dial_options, timeout_us)) {
            return false;
        }
        memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    }
    return !(to->bare_socket && (to->probe || to->policy == EYELET_RELAY_ONLY)) &&
           to->policy >= EYELET_ANY_PATH && to->policy <= EYELET_RELAY_ONLY;
}

/* One of this kind that is being made with the peer. */
static struct eyelet_conn *find_unfinished(eyelet_endpoint *ep, const eyelet_id *peer,
                                           const eyelet_dial_options *o)
{
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        if (c->state < CONN_OPEN && c->probe == o->probe && c->bare == o->bare_socket &&
            !conn_is_echo(c) && memcmp(c->peer.bytes, peer->bytes, sizeof peer->bytes) == 0) {
            return c;
        }
    }
    return NULL;
}

int eyelet_dial(eyelet_endpoint *ep, const eyelet_id *peer, const eyelet_dial_options *options,
                eyelet_conn **out)
{
    eyelet_dial_options o;
    if (ep == NULL || peer == NULL || out == NULL || !read_options(options, &o)) {
        return EYELET_ERR_ARGUMENT;
    }
    struct eyelet_conn *conn = find_unfinished(ep, peer, &o);
    if (conn != NULL) {
        if ((conn->news & CONN_NEWS_INCOMING) == 0 ||
            (o.policy != EYELET_ANY_PATH && o.policy != conn->policy)) {
            return EYELET_ERR_STATE;
        }
        /* The peer was faster, and nobody has been told yet: this is the one. */
        conn->incoming = false;
        conn->news &= ~(unsigned)CONN_NEWS_INCOMING;
        *out = conn;
        return EYELET_OK;
    }
    uint64_t now_us = endpoint_now_us();
    conn = conn_new(ep, (const struct identity_id *)peer, now_us);
    if (conn == NULL) {
        return EYELET_ERR_MEMORY;
    }
    conn->bare = o.bare_socket;
    conn->probe = o.probe;
    if (o.policy != EYELET_ANY_PATH) {
        conn->policy = o.policy;
    }
    if (o.timeout_us != 0) {
        conn->timeout_us = o.timeout_us;
        conn->timeout_at_us = now_us + o.timeout_us;
    }
    int error = calls_dial(conn, now_us);
    if (error != EYELET_OK) {
        conn_destroy(conn);
        return error;
    }
    endpoint_wake(ep);
    *out = conn;
    return EYELET_OK;
}

void eyelet_conn_close(eyelet_conn *conn, uint64_t code, const char *text)
{
    if (conn->state >= CONN_ENDING) {
        return;
    }
    conn->goodbye_code = code;
    snprintf(conn->goodbye, sizeof conn->goodbye, "%s", text != NULL ? text : "");
    calls_give_up(conn);
    conn->goodbye_us = conn->state == CONN_OPEN ? endpoint_now_us() + CONN_GOODBYE_US : 0;
    conn->state = CONN_ENDING;
    endpoint_wake(conn->ep);
}

void eyelet_conn_free(eyelet_conn *conn)
{
    if (conn == NULL) {
        return;
    }
    if (conn->state < CONN_ENDED) {
        calls_give_up(conn);
        traffic_close(conn, endpoint_now_us(), conn->goodbye_code, conn->goodbye);
    }
    conn_destroy(conn);
}

const eyelet_id *eyelet_conn_peer(const eyelet_conn *conn)
{
    return (const eyelet_id *)&conn->peer;
}

bool eyelet_conn_is_incoming(const eyelet_conn *conn)
{
    return conn->incoming;
}

bool eyelet_conn_is_bare(const eyelet_conn *conn)
{
    return conn->bare;
}

bool eyelet_conn_is_connected(const eyelet_conn *conn)
{
    return conn->was_open && conn->state < CONN_ENDED;
}

void eyelet_conn_set_context(eyelet_conn *conn, void *context)
{
    conn->context = context;
}

void *eyelet_conn_context(const eyelet_conn *conn)
{
    return conn->context;
}

int eyelet_conn_path(const eyelet_conn *conn, eyelet_path *path)
{
    if (conn->carrier == CONN_NO_CARRIER) {
        return EYELET_ERR_AGAIN;
    }
    *path = conn->path;
    if (conn->link != NULL && link_is_confirmed(conn->link)) {
        path->rtt_us = (uint32_t)link_rtt_us(conn->link);
    }
    return EYELET_OK;
}

int eyelet_take_socket(eyelet_conn *conn, struct sockaddr_storage *peer, socklen_t *peer_bytes)
{
    if (!conn->bare || conn->state >= CONN_ENDING) {
        return EYELET_ERR_STATE;
    }
    if (conn->state != CONN_OPEN) {
        return EYELET_ERR_AGAIN;
    }
    struct udp_socket *s = conn_socket(conn, conn->pair.socket);
    if (s == NULL || s->fd < 0) {
        return EYELET_ERR_STATE;
    }
    int fd = s->fd;
    endpoint_unwatch(conn->ep, fd);
    udp_make_plain(s);
    s->fd = -1;
    *peer_bytes = udp_sockaddr(&conn->pair.remote, peer);
    conn_end(conn);
    conn->news = 0; /* it is the caller's now: nothing more will be said of it */
    return fd;
}

/* ---- streams and messages ---- */

static ssize_t from_link(ssize_t result)
{
    switch (result) {
    case LINK_ERR_BLOCKED:
        return EYELET_ERR_AGAIN;
    case LINK_ERR_TOO_LARGE:
        return EYELET_ERR_TOO_LARGE;
    case LINK_ERR_MEMORY:
        return EYELET_ERR_MEMORY;
    default:
        return result < 0 ? EYELET_ERR_CLOSED : result;
    }
}

/* Whoever dialled may still become the one who is dialled (crossing dials), with another link. */
static bool is_settled(const struct eyelet_conn *conn)
{
    return conn->link != NULL && (conn->incoming || conn->was_open);
}

int64_t eyelet_stream_open(eyelet_conn *conn)
{
    if (conn->state >= CONN_ENDING || conn->bare) {
        return EYELET_ERR_CLOSED;
    }
    return is_settled(conn) ? from_link(link_stream_open(conn->link)) : EYELET_ERR_AGAIN;
}

ssize_t eyelet_stream_write(eyelet_conn *conn, int64_t stream, const void *data, size_t bytes)
{
    if (!is_settled(conn) || conn->state >= CONN_ENDING) {
        return EYELET_ERR_CLOSED;
    }
    ssize_t taken = link_stream_write(conn->link, stream, data, bytes, false);
    if (taken == 0 && bytes > 0) {
        return EYELET_ERR_AGAIN;
    }
    if (taken > 0) {
        endpoint_wake(conn->ep);
    }
    return from_link(taken);
}

int eyelet_stream_finish(eyelet_conn *conn, int64_t stream)
{
    if (!is_settled(conn) || conn->state >= CONN_ENDING) {
        return EYELET_ERR_CLOSED;
    }
    ssize_t result = from_link(link_stream_write(conn->link, stream, (const uint8_t *)"", 0, true));
    endpoint_wake(conn->ep);
    return result < 0 ? (int)result : EYELET_OK;
}

ssize_t eyelet_stream_peek(eyelet_conn *conn, int64_t stream, const uint8_t **data)
{
    bool fin = false;
    if (!is_settled(conn)) {
        return EYELET_ERR_CLOSED;
    }
    ssize_t bytes = link_stream_peek(conn->link, stream, data, &fin);
    if (bytes == 0 && !fin) {
        bool over =
            conn->state == CONN_ENDED || link_close_reason(conn->link)->kind != LINK_CLOSE_NONE;
        return over ? EYELET_ERR_CLOSED : EYELET_ERR_AGAIN;
    }
    return from_link(bytes);
}

void eyelet_stream_consume(eyelet_conn *conn, int64_t stream, size_t bytes)
{
    if (is_settled(conn)) {
        link_stream_consume(conn->link, stream, bytes);
        endpoint_wake(conn->ep);
    }
}

ssize_t eyelet_stream_read(eyelet_conn *conn, int64_t stream, void *data, size_t bytes)
{
    const uint8_t *from;
    ssize_t there = eyelet_stream_peek(conn, stream, &from);
    if (there <= 0) {
        return there;
    }
    size_t take = (size_t)there < bytes ? (size_t)there : bytes;
    memcpy(data, from, take);
    eyelet_stream_consume(conn, stream, take);
    return (ssize_t)take;
}

void eyelet_stream_reset(eyelet_conn *conn, int64_t stream, uint64_t code)
{
    if (is_settled(conn)) {
        link_stream_reset(conn->link, stream, code);
        endpoint_wake(conn->ep);
    }
}

size_t eyelet_stream_unacked(const eyelet_conn *conn, int64_t stream)
{
    return conn->link != NULL ? link_stream_unacked(conn->link, stream) : 0;
}

int eyelet_message_send(eyelet_conn *conn, const void *data, size_t bytes)
{
    if (!is_settled(conn) || conn->state >= CONN_ENDING) {
        return EYELET_ERR_CLOSED;
    }
    int result = (int)from_link(link_send_message(conn->link, data, bytes));
    endpoint_wake(conn->ep);
    return result;
}

size_t eyelet_message_max(const eyelet_conn *conn)
{
    return conn->link != NULL ? link_max_message(conn->link) : 0;
}
