/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/relay.h"

#include <errno.h>
#include <string.h>

#include "peer/endpoint.h"
#include "peer/tcp.h"
#include "peer/warm.h"

#define CONNECT_US        5000000u
#define FIRST_RETRY_US    200000u
#define LAST_RETRY_US     5000000u
#define UDP_MARGIN_US     15000u
#define UDP_MOST_US       250000u
#define QUEUED_IN_TLS     4096 /* what waits there cannot be dropped any more */
#define MAX_BATCH_BYTES   65507
#define MAX_FRAME_BYTES   (WIRE_RELAY_TAG_BYTES + WIRE_MAX_RELAYED_BYTES)
#define QUEUE_LIMIT_BYTES (4 * QUEUED_IN_TLS)

/* ---- the TLS connection ---- */

static void close_channel(struct eyelet_endpoint *ep)
{
    struct relay_client *r = &ep->relay;
    if (r->channel != NULL) {
        endpoint_unwatch(ep, channel_fd(r->channel));
        channel_free(r->channel);
        r->channel = NULL;
    }
    backlog_clear(&r->backlog);
    r->is_ours = false;
    r->deadline_us = UINT64_MAX;
}

static bool is_open(const struct relay_client *r)
{
    return r->is_ours && channel_is_open(r->channel);
}

bool relay_is_open(const struct eyelet_endpoint *ep)
{
    return is_open(&ep->relay);
}

/* A try, since UDP or the TLS connection was last there. */
static bool has_failed(const struct relay_client *r)
{
    return r->retry_gap_us != FIRST_RETRY_US;
}

/* The family whose address the mediator knows as ours. */
static enum stun_family attested_family(const struct eyelet_endpoint *ep)
{
    if (session_is_attested(ep, STUN_IPV4)) {
        return STUN_IPV4;
    }
    return session_is_attested(ep, STUN_IPV6) ? STUN_IPV6 : STUN_NO_FAMILY;
}

static enum relay_way way_of_all(const struct eyelet_endpoint *ep)
{
    const struct relay_client *r = &ep->relay;
    if (ep->session.state != SESSION_UP) {
        return RELAY_NONE;
    }
    if (is_open(r)) {
        return RELAY_TLS;
    }
    if (attested_family(ep) != STUN_NO_FAMILY) {
        return RELAY_UDP;
    }
    return has_failed(r) ? RELAY_NONE : RELAY_SESSION;
}

static void tell_change(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct relay_client *r = &ep->relay;
    enum relay_way way = way_of_all(ep);
    if (way != r->way) {
        r->way = way;
        conns_relay_changed(ep, now_us);
    }
}

static void pump(struct eyelet_endpoint *ep)
{
    struct relay_client *r = &ep->relay;
    uint8_t frame[MAX_FRAME_BYTES];
    while (is_open(r) && !backlog_is_empty(&r->backlog) &&
           channel_queued_bytes(r->channel) < QUEUED_IN_TLS) {
        size_t size = backlog_take(&r->backlog, frame, sizeof frame);
        if (channel_send(r->channel, frame, size) != CHANNEL_OK) {
            break;
        }
    }
    endpoint_rewatch(ep, channel_fd(r->channel), channel_wants_write(r->channel), r);
}

static void fail(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct relay_client *r = &ep->relay;
    /* Further tries that fail likewise are no news. */
    endpoint_log(ep, has_failed(r) ? EYELET_LOG_DEBUG : EYELET_LOG_WARN,
                 "the relay connection to the mediator ended: %s",
                 r->channel != NULL ? channel_why(r->channel) : "no answer");
    close_channel(ep);
    r->retry_us = now_us + r->retry_gap_us;
    r->retry_gap_us = r->retry_gap_us * 2 < LAST_RETRY_US ? r->retry_gap_us * 2 : LAST_RETRY_US;
    tell_change(ep, now_us);
}

static void connect_channel(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct relay_client *r = &ep->relay;
    const struct session *s = &ep->session;
    r->retry_us = UINT64_MAX;
    int fd = tcp_connect(&s->mediator); /* so that both end at the same one */
    if (fd < 0) {
        fail(ep, now_us);
        return;
    }
    tcp_carry_datagrams(fd);
    struct channel_config config = {.for_relay = true,
                                    .fd = fd,
                                    .credentials = s->credentials,
                                    .max_queue_bytes = QUEUE_LIMIT_BYTES};
    if (channel_new(&r->channel, &config) != CHANNEL_OK) {
        r->channel = NULL;
        fail(ep, now_us);
        return;
    }
    r->deadline_us = now_us + CONNECT_US;
    if (endpoint_watch(ep, channel_fd(r->channel), true, r) != 0) {
        fail(ep, now_us);
    }
}

/* So long UDP has time to answer. */
static uint64_t begin_us(const struct eyelet_endpoint *ep)
{
    const struct session *s = &ep->session;
    uint64_t wait_us = s->round_trip_us + s->round_trip_us / 4 + UDP_MARGIN_US;
    return s->survey_began_us + (wait_us < UDP_MOST_US ? wait_us : UDP_MOST_US);
}

/* The mediator relays, and UDP does not reach it (yet). */
static bool lacks_udp(const struct eyelet_endpoint *ep)
{
    const struct session *s = &ep->session;
    return s->state == SESSION_UP && s->relay_offered && ep->policy != EYELET_DIRECT_ONLY &&
           attested_family(ep) == STUN_NO_FAMILY;
}

void relay_follow(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct relay_client *r = &ep->relay;
    if (ep->session.state != SESSION_UP) {
        r->by_session_left = WIRE_RELAYED_AT_ONCE;
    }
    if (!lacks_udp(ep)) {
        close_channel(ep);
        r->wanted = false;
        r->retry_us = UINT64_MAX;
        r->retry_gap_us = FIRST_RETRY_US;
    } else if (!r->wanted && now_us >= begin_us(ep)) {
        r->wanted = true;
        connect_channel(ep, now_us);
    }
    tell_change(ep, now_us);
}

void relay_init(struct relay_client *r)
{
    *r = (struct relay_client){
        .retry_us = UINT64_MAX, .retry_gap_us = FIRST_RETRY_US, .deadline_us = UINT64_MAX};
}

void relay_free(struct eyelet_endpoint *ep)
{
    close_channel(ep);
}

void relay_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct relay_client *r = &ep->relay;
    if (r->channel != NULL && now_us >= r->deadline_us) {
        fail(ep, now_us);
    }
    if (r->wanted && r->channel == NULL && now_us >= r->retry_us) {
        connect_channel(ep, now_us);
    }
}

uint64_t relay_next_timeout(const struct eyelet_endpoint *ep)
{
    const struct relay_client *r = &ep->relay;
    if (r->channel != NULL) {
        return r->deadline_us;
    }
    if (r->wanted) {
        return r->retry_us;
    }
    return lacks_udp(ep) ? begin_us(ep) : UINT64_MAX;
}

static bool opened(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct relay_client *r = &ep->relay;
    if (ep->session.channel == NULL ||
        !identity_equal(channel_peer(r->channel), channel_peer(ep->session.channel))) {
        return false;
    }
    if (channel_send(r->channel, ep->session.session_id, sizeof ep->session.session_id) !=
        CHANNEL_OK) {
        return false;
    }
    r->is_ours = true;
    r->deadline_us = UINT64_MAX;
    r->retry_gap_us = FIRST_RETRY_US;
    tell_change(ep, now_us);
    warm_handle_timeout(ep, now_us); /* who waits for UDP in vain need not wait longer */
    return true;
}

/* ---- tags ---- */

static struct eyelet_conn *find_tag(struct eyelet_endpoint *ep, const uint8_t *tag)
{
    struct eyelet_conn *last = ep->last_heard;
    if (last != NULL && last->relay_open &&
        memcmp(last->relay_tag, tag, sizeof last->relay_tag) == 0) {
        return last;
    }
    for (struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        if (c->relay_open && memcmp(c->relay_tag, tag, sizeof c->relay_tag) == 0) {
            return c;
        }
    }
    return NULL;
}

void relay_take(struct eyelet_endpoint *ep, uint64_t now_us, const uint8_t *bytes, size_t size)
{
    struct eyelet_conn *conn = size > WIRE_RELAY_TAG_BYTES ? find_tag(ep, bytes) : NULL;
    if (conn != NULL) {
        traffic_relayed(conn, now_us, bytes + WIRE_RELAY_TAG_BYTES, size - WIRE_RELAY_TAG_BYTES);
    }
}

void relay_ready(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct relay_client *r = &ep->relay;
    if (r->channel == NULL) {
        return;
    }
    if (channel_process(r->channel) != CHANNEL_OK) {
        fail(ep, now_us);
        return;
    }
    if (!r->is_ours && channel_is_open(r->channel) && !opened(ep, now_us)) {
        fail(ep, now_us);
        return;
    }
    for (;;) {
        const uint8_t *frame;
        size_t size;
        int got = r->channel != NULL ? channel_receive(r->channel, &frame, &size) : 0;
        if (got == 0) {
            break;
        }
        if (got < 0) {
            fail(ep, now_us);
            return;
        }
        relay_take(ep, now_us, frame, size);
    }
    if (r->channel != NULL) {
        pump(ep);
    }
}

/* ---- datagrams ---- */

enum relay_way relay_way(const struct eyelet_conn *conn)
{
    return conn->relay_open ? way_of_all(conn->ep) : RELAY_NONE;
}

struct stun_addr relay_address(const struct eyelet_conn *conn)
{
    const struct session *s = &conn->ep->session;
    return relay_way(conn) == RELAY_UDP ? s->bounce_answered[attested_family(conn->ep)]
                                        : s->mediator;
}

static int send_udp(struct eyelet_conn *conn, const uint8_t *bytes, size_t size, size_t segment)
{
    struct eyelet_endpoint *ep = conn->ep;
    enum stun_family family = attested_family(ep);
    struct udp_socket *s = &ep->warm[family == STUN_IPV6 ? SESSION_IPV6 : PUNCH_DATA_SOCKET];
    const struct stun_addr *to = &ep->session.bounce_answered[family];
    size_t used = 0;
    for (size_t at = 0; at < size; at += segment) {
        size_t part = size - at < segment ? size - at : segment;
        if (used + WIRE_RELAY_TAG_BYTES + part > MAX_BATCH_BYTES) {
            break;
        }
        memcpy(ep->relay_tx + used, conn->relay_tag, WIRE_RELAY_TAG_BYTES);
        memcpy(ep->relay_tx + used + WIRE_RELAY_TAG_BYTES, bytes + at, part);
        used += WIRE_RELAY_TAG_BYTES + part;
    }
    return udp_send(s, to, 0, ep->relay_tx, used, segment + WIRE_RELAY_TAG_BYTES);
}

static bool send_by_session(struct eyelet_endpoint *ep, const uint8_t *frame, size_t size)
{
    struct relay_client *r = &ep->relay;
    wire_ToMediator msg = {.which_body = wire_ToMediator_relayed_tag};
    if (r->by_session_left == 0) {
        return false;
    }
    msg.body.relayed.datagram.size = (pb_size_t)size;
    memcpy(msg.body.relayed.datagram.bytes, frame, size);
    if (session_send(ep, &msg) != EYELET_OK) {
        return false;
    }
    r->by_session_left--;
    return true;
}

/* What does not go over the control session waits for the TLS connection. */
static void send_framed(struct eyelet_conn *conn, enum relay_way way, const uint8_t *bytes,
                        size_t size, size_t segment)
{
    struct eyelet_endpoint *ep = conn->ep;
    uint8_t frame[MAX_FRAME_BYTES];
    memcpy(frame, conn->relay_tag, WIRE_RELAY_TAG_BYTES);
    for (size_t at = 0; at < size; at += segment) {
        size_t part = size - at < segment ? size - at : segment;
        memcpy(frame + WIRE_RELAY_TAG_BYTES, bytes + at, part);
        if (way != RELAY_SESSION || !send_by_session(ep, frame, WIRE_RELAY_TAG_BYTES + part)) {
            (void)backlog_put(&ep->relay.backlog, frame, WIRE_RELAY_TAG_BYTES + part);
        }
    }
    if (way == RELAY_TLS) {
        pump(ep);
    }
}

int relay_send(struct eyelet_conn *conn, const uint8_t *bytes, size_t size, size_t segment)
{
    segment = segment == 0 || segment > size ? size : segment;
    if (segment > WIRE_MAX_RELAYED_BYTES) {
        return EMSGSIZE;
    }
    enum relay_way way = relay_way(conn);
    switch (way) {
    case RELAY_UDP:
        return send_udp(conn, bytes, size, segment);
    case RELAY_TLS:
    case RELAY_SESSION:
        send_framed(conn, way, bytes, size, segment);
        return 0;
    case RELAY_NONE:
        break;
    }
    return ENETUNREACH;
}

bool relay_receive(struct eyelet_endpoint *ep, uint64_t now_us, const struct stun_addr *from,
                   const uint8_t *bytes, size_t size, struct eyelet_conn **conn)
{
    if (size < WIRE_RELAY_TAG_BYTES || bytes[0] != WIRE_RELAY_TAG_FIRST ||
        !session_is_bounce(&ep->session, from)) {
        return false;
    }
    *conn = find_tag(ep, bytes);
    if (size == WIRE_RELAY_TAG_BYTES) {
        if (*conn != NULL) {
            session_touch(ep, now_us);
        }
        *conn = NULL;
    }
    return true;
}
