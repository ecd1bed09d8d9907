/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/session.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer/endpoint.h"
#include "peer/mediator_key.h"
#include "peer/tcp.h"
#include "peer/warm.h"

#define HANDSHAKE_US 10000000u
#define PONG_US      10000000u
#define CHECK_US     1000000u

void session_say(struct session *s, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->why, sizeof s->why, format, args);
    va_end(args);
    s->error = error;
}

static const char *name_of(const struct session *s, char text[static LOCATOR_NAME_BYTES])
{
    return locator_name(&s->where, text);
}

static void drop(struct eyelet_endpoint *ep)
{
    struct session *s = &ep->session;
    if (s->resolve != NULL) {
        endpoint_unwatch(ep, resolve_fd(s->resolve));
        resolve_cancel(s->resolve);
        s->resolve = NULL;
    }
    reach_stop(ep);
    if (s->channel != NULL) {
        endpoint_unwatch(ep, channel_fd(s->channel));
        channel_free(s->channel);
        s->channel = NULL;
    }
    s->pong_due_us = s->answer_due_us = 0;
    s->announced = false;
    warm_stop(s);
}

static void tell_lost(struct eyelet_endpoint *ep)
{
    struct session *s = &ep->session;
    bool known = ep->lost_error == s->error; /* the next tries fail likewise: that is no news */
    ep->news_lost = ep->news_lost || !known;
    ep->news_registered = false;
    ep->lost_error = s->error;
    snprintf(ep->why, sizeof ep->why, "%s", s->why);
    endpoint_log(ep, known ? EYELET_LOG_DEBUG : EYELET_LOG_WARN, "%s", s->why);
}

/* Call session_say() first. */
static void fail(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    /* In silence, maybe: that was waiting enough. */
    uint64_t spent = s->state == SESSION_UP ? 0 : now_us - s->tried_us;
    drop(ep);
    s->state = s->error == EYELET_ERR_MEDIATOR_KEY ? SESSION_STOPPED : SESSION_WAITING;
    if (s->lost_us == 0) {
        s->lost_us = now_us;
    }
    bool eager = !s->was_replaced && (s->was_up || ep->conn_count > 0);
    uint32_t chance;
    identity_random(NULL, (uint8_t *)&chance, sizeof chance);
    uint64_t wait = reach_retry_us(s->failures, now_us - s->lost_us, eager, chance);
    s->retry_us = now_us + (wait > spent ? wait - spent : reach_retry_us(0, 0, eager, chance));
    s->failures++;
    tell_lost(ep);
}

static void start(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    char name[LOCATOR_NAME_BYTES];
    s->tried_us = now_us;
    s->resolve = resolve_start(s->where.host, s->where.port);
    if (s->resolve == NULL) {
        session_say(s, EYELET_ERR_MEDIATOR, "cannot look up the mediator %s: out of resources",
                    name_of(s, name));
        fail(ep, now_us);
        return;
    }
    s->state = SESSION_RESOLVING;
    s->deadline_us = now_us + HANDSHAKE_US;
    (void)endpoint_watch(ep, resolve_fd(s->resolve), false, s);
}

void session_measure(struct session *s)
{
    uint64_t round_trip_us = tcp_round_trip_us(channel_fd(s->channel));
    s->round_trip_us = round_trip_us != 0 ? round_trip_us : s->round_trip_us;
}

static void channel_failed(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    char name[LOCATOR_NAME_BYTES];
    if (s->was_told) { /* the mediator has said why it hangs up */
        fail(ep, now_us);
        return;
    }
    session_say(s, EYELET_ERR_MEDIATOR, "the session with mediator %s ended: %s", name_of(s, name),
                channel_why(s->channel));
    fail(ep, now_us);
}

static void channel_ready(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    if (channel_process(s->channel) != CHANNEL_OK) {
        channel_failed(ep, now_us);
        return;
    }
    for (;;) {
        const uint8_t *frame;
        size_t size;
        int got = channel_receive(s->channel, &frame, &size);
        if (got == 0) {
            break;
        }
        if (got < 0) {
            channel_failed(ep, now_us);
            return;
        }
        s->answer_due_us = 0;
        if (!session_take(ep, now_us, frame, size)) {
            fail(ep, now_us);
            return;
        }
        if (s->channel == NULL) {
            return;
        }
    }
    endpoint_rewatch(ep, channel_fd(s->channel), channel_wants_write(s->channel), s);
}

static void opened(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    char why[SESSION_WHY_BYTES];
    if (!mediator_key_is_right(ep, channel_peer(s->channel), why)) {
        session_say(s, EYELET_ERR_MEDIATOR_KEY, "%s", why);
        fail(ep, now_us);
        return;
    }
    s->state = SESSION_REGISTERING;
    s->deadline_us = now_us + HANDSHAKE_US;
    session_publish(ep);
    channel_ready(ep, now_us);
}

static void reach(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    switch (reach_step(ep, now_us, &s->channel, &s->mediator)) {
    case REACH_TRYING:
        break;
    case REACH_OPEN:
        s->port_worked = s->mediator.port;
        opened(ep, now_us);
        break;
    case REACH_FAILED:
        s->port_worked = 0;
        if (s->reach.why[0] != '\0') {
            session_say(s, EYELET_ERR_MEDIATOR, "%s", s->reach.why);
        }
        fail(ep, now_us);
        break;
    }
}

static void resolved(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    struct stun_addr addresses[RESOLVE_MAX_ADDRESSES];
    size_t count;
    char name[LOCATOR_NAME_BYTES];
    endpoint_unwatch(ep, resolve_fd(s->resolve));
    int error = resolve_finish(s->resolve, addresses, &count);
    s->resolve = NULL;
    if (error != 0 || count == 0) {
        session_say(s, EYELET_ERR_MEDIATOR, "the mediator's name %s cannot be resolved: %s",
                    name_of(s, name), error != 0 ? gai_strerror(error) : "it has no address");
    } else {
        session_say(s, EYELET_ERR_MEDIATOR, "the mediator %s does not answer", name_of(s, name));
    }
    uint16_t port = s->where.port, other = s->where.has_port ? 0 : REACH_OTHER_PORT;
    if (other != 0 && s->port_worked == other) {
        other = port;
        port = s->port_worked;
    }
    reach_plan(&s->reach, addresses, count, port, other);
    s->state = SESSION_CONNECTING;
    s->was_told = false;
    reach(ep, now_us);
}

void session_ready(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    if (s->state == SESSION_RESOLVING) {
        resolved(ep, now_us);
    } else if (s->state == SESSION_CONNECTING) {
        reach(ep, now_us);
    } else if (s->channel != NULL) {
        channel_ready(ep, now_us);
    }
}

static void ping(struct eyelet_endpoint *ep, uint64_t now_us, uint64_t patience_us)
{
    struct session *s = &ep->session;
    wire_ToMediator msg = {.which_body = wire_ToMediator_ping_tag};
    msg.body.ping.token = now_us;
    s->ping_us = now_us + SESSION_PING_US;
    if (s->pong_due_us == 0 || now_us + patience_us < s->pong_due_us) {
        s->pong_due_us = now_us + patience_us;
    }
    session_measure(s);
    (void)session_send(ep, &msg);
}

void session_check(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    uint64_t patience_us = CHECK_US > 4 * s->round_trip_us ? CHECK_US : 4 * s->round_trip_us;
    if (s->state == SESSION_UP && (s->pong_due_us == 0 || now_us + patience_us < s->pong_due_us)) {
        ping(ep, now_us, patience_us);
    }
}

/* The address that the control connection comes from is gone, or what we send now leaves by another
 * one: then TCP would only find out slowly, if ever. */
static bool is_stranded(const struct session *s)
{
    struct stun_addr own = tcp_own_address(channel_fd(s->channel));
    struct stun_addr now = interfaces_source_to(&s->mediator);
    return own.family == STUN_NO_FAMILY || !interfaces_has(&own) ||
           (now.family != STUN_NO_FAMILY && !stun_addr_same_ip(&now, &own));
}

void session_moved(struct eyelet_endpoint *ep, uint64_t now_us,
                   const bool other_source[static SESSION_FAMILIES])
{
    struct session *s = &ep->session;
    s->failures = 0;
    switch (s->state) {
    case SESSION_WAITING:
        s->retry_us = now_us;
        break;
    case SESSION_RESOLVING:
    case SESSION_CONNECTING:
    case SESSION_REGISTERING:
        drop(ep);
        start(ep, now_us);
        break;
    case SESSION_UP:
        warm_moved(ep, now_us, other_source);
        if (is_stranded(s)) {
            drop(ep);
            start(ep, now_us);
        } else {
            session_publish(ep);
            session_check(ep, now_us);
        }
        break;
    case SESSION_STOPPED:
        break;
    }
    conns_moved(ep, now_us);
}

void session_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    char name[LOCATOR_NAME_BYTES];
    netwatch_handle_timeout(ep, now_us);
    switch (s->state) {
    case SESSION_WAITING:
        if (now_us >= s->retry_us) {
            start(ep, now_us);
        }
        break;
    case SESSION_RESOLVING:
    case SESSION_REGISTERING:
        if (now_us >= s->deadline_us) {
            session_say(s, EYELET_ERR_MEDIATOR, "the mediator %s does not answer",
                        name_of(s, name));
            fail(ep, now_us);
        }
        break;
    case SESSION_CONNECTING:
        reach(ep, now_us);
        break;
    case SESSION_UP:
        if (s->pong_due_us != 0 && now_us >= s->pong_due_us) {
            session_say(s, EYELET_ERR_MEDIATOR, "the mediator %s has fallen silent",
                        name_of(s, name));
            fail(ep, now_us);
            break;
        }
        if (s->answer_due_us != 0 && now_us >= s->answer_due_us) {
            s->answer_due_us = 0;
            session_check(ep, now_us);
        }
        if (now_us >= s->ping_us) {
            ping(ep, now_us, PONG_US);
        }
        warm_handle_timeout(ep, now_us);
        break;
    case SESSION_STOPPED:
        break;
    }
}

static uint64_t next_of_state(const struct eyelet_endpoint *ep)
{
    const struct session *s = &ep->session;
    switch (s->state) {
    case SESSION_WAITING:
        return s->retry_us;
    case SESSION_CONNECTING:
        return reach_next_timeout(&s->reach);
    case SESSION_RESOLVING:
    case SESSION_REGISTERING:
        return s->deadline_us;
    case SESSION_UP: {
        uint64_t next = warm_next_timeout(ep);
        next = s->ping_us < next ? s->ping_us : next;
        next = s->answer_due_us != 0 && s->answer_due_us < next ? s->answer_due_us : next;
        return s->pong_due_us != 0 && s->pong_due_us < next ? s->pong_due_us : next;
    }
    case SESSION_STOPPED:
        break;
    }
    return UINT64_MAX;
}

uint64_t session_next_timeout(const struct eyelet_endpoint *ep)
{
    uint64_t watch = netwatch_next_timeout(&ep->session.watch);
    uint64_t next = next_of_state(ep);
    return watch < next ? watch : next;
}

int session_init(struct eyelet_endpoint *ep, const char *mediator, const char *known_mediators)
{
    struct session *s = &ep->session;
    *s = (struct session){.state = SESSION_WAITING, .self = &ep->self};
    identity_random(NULL, s->instance, sizeof s->instance);
    netwatch_open(&s->watch, endpoint_now_us());
    warm_stop(s);
    if (!locator_parse(mediator, &s->where)) {
        return EYELET_ERR_ARGUMENT;
    }
    if (known_mediators != NULL) {
        s->known_mediators = strdup(known_mediators);
        if (s->known_mediators == NULL) {
            return EYELET_ERR_MEMORY;
        }
    } else if (!s->where.has_key) {
        return EYELET_ERR_ARGUMENT;
    }
    if (rawkey_credentials(s->self, &s->credentials) != IDENTITY_OK) {
        s->credentials = NULL;
        return EYELET_ERR_MEMORY;
    }
    return EYELET_OK;
}

void session_free(struct eyelet_endpoint *ep)
{
    struct session *s = &ep->session;
    drop(ep);
    netwatch_close(&s->watch);
    free(s->known_mediators);
    if (s->credentials != NULL) {
        gnutls_certificate_free_credentials(s->credentials);
    }
    gnutls_memset(s->session_key, 0, sizeof s->session_key);
}
