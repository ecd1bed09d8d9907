/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/session.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer/endpoint.h"
#include "peer/interfaces.h"
#include "peer/warm.h"

#define CONNECT_US      3000000u /* for one address; then the next is tried */
#define HANDSHAKE_US    10000000u
#define FIRST_RETRY_US  100000u
#define LAST_RETRY_US   10000000u
#define PING_US         30000000u
#define PONG_US         10000000u
#define QUEUE_MAX_BYTES (256 * 1024)
#define USER_TIMEOUT_MS 20000

static void say(struct session *s, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct session *s, int error, const char *format, ...)
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
    if (s->channel != NULL) {
        endpoint_unwatch(ep, channel_fd(s->channel));
        channel_free(s->channel);
        s->channel = NULL;
    }
    s->pong_due_us = 0;
    s->announced = false;
    warm_stop(s);
}

static void tell_lost(struct eyelet_endpoint *ep)
{
    struct session *s = &ep->session;
    ep->news_lost = true;
    ep->news_registered = false;
    ep->lost_error = s->error;
    snprintf(ep->why, sizeof ep->why, "%s", s->why);
    endpoint_log(ep, EYELET_LOG_WARN, "%s", s->why);
}

/* Call say() first. */
static void fail(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    drop(ep);
    s->state = s->error == EYELET_ERR_MEDIATOR_KEY ? SESSION_STOPPED : SESSION_WAITING;
    uint64_t wait = FIRST_RETRY_US << (s->failures < 7 ? s->failures : 7);
    if (wait > LAST_RETRY_US) {
        wait = LAST_RETRY_US;
    }
    uint32_t jitter;
    identity_random(NULL, (uint8_t *)&jitter, sizeof jitter);
    s->retry_us =
        now_us + wait / 2 + jitter % (wait / 2 + 1); /* a restarted mediator is not stormed */
    s->failures++;
    tell_lost(ep);
}

static void connect_next(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    char name[LOCATOR_NAME_BYTES];
    while (s->address_next < s->address_count) {
        const struct stun_addr *addr = &s->addresses[s->address_next++];
        struct sockaddr_storage sa;
        socklen_t sa_bytes = udp_sockaddr(addr, &sa);
        int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            say(s, EYELET_ERR_MEDIATOR, "no TCP socket for the mediator %s: %s", name_of(s, name),
                strerror(errno));
            continue;
        }
        int one = 1;
        unsigned user_timeout_ms = USER_TIMEOUT_MS;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
                         sizeof user_timeout_ms);
        if (connect(fd, (struct sockaddr *)&sa, sa_bytes) != 0 && errno != EINPROGRESS) {
            say(s, EYELET_ERR_MEDIATOR, "the mediator %s cannot be reached: %s", name_of(s, name),
                strerror(errno));
            close(fd);
            continue;
        }
        struct channel_config config = {.server = false,
                                        .fd = fd,
                                        .credentials = s->credentials,
                                        .max_queue_bytes = QUEUE_MAX_BYTES};
        if (channel_new(&s->channel, &config) != CHANNEL_OK) {
            s->channel = NULL;
            say(s, EYELET_ERR_MEDIATOR, "no TLS session for the mediator %s", name_of(s, name));
            continue;
        }
        s->state = SESSION_CONNECTING;
        s->was_told = false;
        s->deadline_us = now_us + CONNECT_US;
        (void)endpoint_watch(ep, fd, true, s);
        return;
    }
    fail(ep, now_us);
}

static void start(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    char name[LOCATOR_NAME_BYTES];
    s->resolve = resolve_start(s->where.host, s->where.port);
    if (s->resolve == NULL) {
        say(s, EYELET_ERR_MEDIATOR, "cannot look up the mediator %s: out of resources",
            name_of(s, name));
        fail(ep, now_us);
        return;
    }
    s->state = SESSION_RESOLVING;
    s->deadline_us = now_us + HANDSHAKE_US;
    (void)endpoint_watch(ep, resolve_fd(s->resolve), false, s);
}

static void resolved(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    char name[LOCATOR_NAME_BYTES];
    endpoint_unwatch(ep, resolve_fd(s->resolve));
    int error = resolve_finish(s->resolve, s->addresses, &s->address_count);
    s->resolve = NULL;
    s->address_next = 0;
    say(s, EYELET_ERR_MEDIATOR, "the mediator's name %s cannot be resolved: %s", name_of(s, name),
        error != 0 ? gai_strerror(error) : "it has no address");
    connect_next(ep, now_us);
}

/* True if the mediator is the one that it should be. */
static bool check_key(struct eyelet_endpoint *ep)
{
    struct session *s = &ep->session;
    const struct identity_id *key = channel_peer(s->channel);
    char name[LOCATOR_NAME_BYTES], is[IDENTITY_TEXT_BYTES], was[IDENTITY_TEXT_BYTES];
    struct identity_id expected;
    name_of(s, name);
    if (s->where.has_key) {
        if (identity_equal(key, &s->where.key)) {
            return true;
        }
        say(s, EYELET_ERR_MEDIATOR_KEY,
            "the mediator %s has the key %s, not %s as given: somebody else may be answering for "
            "it",
            name, identity_text(key, is), identity_text(&s->where.key, was));
        return false;
    }
    switch (locator_check_pin(s->known_mediators, &s->where, key, &expected)) {
    case PIN_MATCH:
        return true;
    case PIN_ADDED:
        endpoint_log(ep, EYELET_LOG_INFO, "the key of mediator %s is now pinned: %s", name,
                     identity_text(key, is));
        return true;
    case PIN_MISMATCH:
        say(s, EYELET_ERR_MEDIATOR_KEY,
            "the key of mediator %s has changed from %s to %s: if its operator confirms this, "
            "remove "
            "its line from %s",
            name, identity_text(&expected, was), identity_text(key, is), s->known_mediators);
        return false;
    case PIN_BAD_FILE:
        say(s, EYELET_ERR_MEDIATOR_KEY,
            "the line for mediator %s in %s is damaged: mend or remove it", name,
            s->known_mediators);
        return false;
    case PIN_IO_ERROR:
    default:
        say(s, EYELET_ERR_MEDIATOR_KEY,
            "the key of mediator %s cannot be pinned in %s: %s. Give it as %s#ID instead", name,
            s->known_mediators, strerror(errno), name);
        return false;
    }
}

static void measure_round_trip(struct session *s)
{
    struct tcp_info info;
    socklen_t bytes = sizeof info;
    if (getsockopt(channel_fd(s->channel), IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0) {
        s->round_trip_us = info.tcpi_rtt;
    }
}

static void take_bounce(struct session *s, const wire_Registered *msg, enum stun_family family)
{
    for (pb_size_t i = 0; i < msg->bounce_count; i++) {
        struct stun_addr addr = wire_to_addr(&msg->bounce[i]);
        if (addr.family == family && s->bounce_count < PUNCH_MAX_BOUNCE) {
            s->bounce[s->bounce_count++] = addr;
        }
    }
}

static void registered(struct eyelet_endpoint *ep, uint64_t now_us, const wire_Registered *msg)
{
    struct session *s = &ep->session;
    memcpy(s->session_id, msg->session_id.bytes, sizeof s->session_id);
    memcpy(s->session_key, msg->session_key.bytes, sizeof s->session_key);
    s->seen = msg->has_seen ? wire_to_addr(&msg->seen) : (struct stun_addr){0};
    if (s->state == SESSION_UP) {
        return;
    }
    s->bounce_count = 0;
    take_bounce(s, msg, STUN_IPV4);
    s->bounce_ipv4_count = s->bounce_count;
    take_bounce(s, msg, STUN_IPV6);
    s->relay_offered = msg->relay;
    s->state = SESSION_UP;
    s->failures = 0;
    s->ping_us = now_us + PING_US;
    measure_round_trip(s);
    warm_start(ep, now_us);
    calls_session_up(ep, now_us);
}

static bool handle(struct eyelet_endpoint *ep, uint64_t now_us, const uint8_t *frame, size_t size)
{
    struct session *s = &ep->session;
    const char *why = "";
    char name[LOCATOR_NAME_BYTES];
    static const char *const broke = "the mediator %s broke the protocol: %s";
    wire_FromMediator *msg = malloc(sizeof *msg);
    if (msg == NULL) {
        say(s, EYELET_ERR_MEMORY, "out of memory for a message of the mediator");
        return false;
    }
    bool ok = wire_decode_from_mediator(frame, size, msg, &why);
    if (!ok) {
        say(s, EYELET_ERR_MEDIATOR, broke, name_of(s, name), why);
    } else {
        switch (msg->which_body) {
        case wire_FromMediator_registered_tag:
            registered(ep, now_us, &msg->body.registered);
            break;
        case wire_FromMediator_peer_coord_tag:
            calls_peer_coord(ep, now_us, &msg->body.peer_coord);
            break;
        case wire_FromMediator_dial_note_tag:
            calls_note(ep, now_us, &msg->body.dial_note);
            break;
        case wire_FromMediator_resumed_tag:
            calls_resumed(ep, now_us, &msg->body.resumed);
            break;
        case wire_FromMediator_pong_tag:
            s->pong_due_us = 0;
            break;
        case wire_FromMediator_error_tag:
            if (msg->body.error.dial_id.size != 0) {
                calls_error(ep, now_us, &msg->body.error);
                break;
            }
            say(s, EYELET_ERR_MEDIATOR, "the mediator %s says: %s", name_of(s, name),
                msg->body.error.text);
            s->was_told = true;
            if (msg->body.error.code == wire_ErrorCode_ERROR_REPLACED) {
                /* Another program has our key; fighting over it would only starve both. */
                s->failures = 7;
            }
            ok = msg->body.error.code == wire_ErrorCode_ERROR_TOO_MANY;
            break;
        default:
            break;
        }
    }
    free(msg);
    return ok;
}

static void channel_failed(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    char name[LOCATOR_NAME_BYTES];
    bool connecting = s->state == SESSION_CONNECTING;
    if (s->was_told) { /* the mediator has said why it hangs up */
        fail(ep, now_us);
        return;
    }
    say(s, EYELET_ERR_MEDIATOR,
        connecting ? "the mediator %s cannot be reached: %s"
                   : "the session with mediator %s ended: %s",
        name_of(s, name), channel_why(s->channel));
    if (connecting && s->address_next < s->address_count) {
        endpoint_unwatch(ep, channel_fd(s->channel));
        channel_free(s->channel);
        s->channel = NULL;
        connect_next(ep, now_us);
        return;
    }
    fail(ep, now_us);
}

static void channel_ready(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    if (channel_process(s->channel) != CHANNEL_OK) {
        channel_failed(ep, now_us);
        return;
    }
    if (s->state == SESSION_CONNECTING && channel_is_open(s->channel)) {
        if (!check_key(ep)) {
            fail(ep, now_us);
            return;
        }
        s->state = SESSION_REGISTERING;
        s->deadline_us = now_us + HANDSHAKE_US;
        session_publish(ep);
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
        if (!handle(ep, now_us, frame, size)) {
            fail(ep, now_us);
            return;
        }
        if (s->channel == NULL) {
            return;
        }
    }
    endpoint_rewatch(ep, channel_fd(s->channel), channel_wants_write(s->channel), s);
}

void session_ready(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    if (s->state == SESSION_RESOLVING) {
        resolved(ep, now_us);
    } else if (s->channel != NULL) {
        channel_ready(ep, now_us);
    }
}

void session_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    char name[LOCATOR_NAME_BYTES];
    switch (s->state) {
    case SESSION_WAITING:
        if (now_us >= s->retry_us) {
            start(ep, now_us);
        }
        break;
    case SESSION_RESOLVING:
    case SESSION_REGISTERING:
        if (now_us >= s->deadline_us) {
            say(s, EYELET_ERR_MEDIATOR, "the mediator %s does not answer", name_of(s, name));
            fail(ep, now_us);
        }
        break;
    case SESSION_CONNECTING:
        if (now_us >= s->deadline_us) {
            say(s, EYELET_ERR_MEDIATOR, "the mediator %s does not answer", name_of(s, name));
            endpoint_unwatch(ep, channel_fd(s->channel));
            channel_free(s->channel);
            s->channel = NULL;
            connect_next(ep, now_us);
        }
        break;
    case SESSION_UP:
        if (s->pong_due_us != 0 && now_us >= s->pong_due_us) {
            say(s, EYELET_ERR_MEDIATOR, "the mediator %s has fallen silent", name_of(s, name));
            fail(ep, now_us);
            break;
        }
        if (now_us >= s->ping_us) {
            wire_ToMediator msg = {.which_body = wire_ToMediator_ping_tag};
            msg.body.ping.token = now_us;
            s->ping_us = now_us + PING_US;
            if (s->pong_due_us == 0) {
                s->pong_due_us = now_us + PONG_US;
            }
            measure_round_trip(s);
            (void)session_send(ep, &msg);
        }
        warm_handle_timeout(ep, now_us);
        break;
    case SESSION_STOPPED:
        break;
    }
}

uint64_t session_next_timeout(const struct eyelet_endpoint *ep)
{
    const struct session *s = &ep->session;
    switch (s->state) {
    case SESSION_WAITING:
        return s->retry_us;
    case SESSION_RESOLVING:
    case SESSION_CONNECTING:
    case SESSION_REGISTERING:
        return s->deadline_us;
    case SESSION_UP: {
        uint64_t next = warm_next_timeout(ep);
        next = s->ping_us < next ? s->ping_us : next;
        return s->pong_due_us != 0 && s->pong_due_us < next ? s->pong_due_us : next;
    }
    case SESSION_STOPPED:
        break;
    }
    return UINT64_MAX;
}

int session_send(struct eyelet_endpoint *ep, const wire_ToMediator *msg)
{
    struct session *s = &ep->session;
    uint8_t frame[CHANNEL_MAX_FRAME_BYTES];
    if (s->channel == NULL || !channel_is_open(s->channel)) {
        return EYELET_ERR_MEDIATOR;
    }
    size_t size = wire_encode_to_mediator(msg, frame, sizeof frame);
    int error = size != 0 ? channel_send(s->channel, frame, size) : CHANNEL_ERR_FRAME;
    if (error != CHANNEL_OK) {
        return error == CHANNEL_ERR_QUEUE_FULL ? EYELET_ERR_LIMIT : EYELET_ERR_MEDIATOR;
    }
    endpoint_rewatch(ep, channel_fd(s->channel), channel_wants_write(s->channel), s);
    return EYELET_OK;
}

int session_init(struct eyelet_endpoint *ep, const char *mediator, const char *known_mediators)
{
    struct session *s = &ep->session;
    *s = (struct session){.state = SESSION_WAITING, .self = &ep->self};
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
    free(s->known_mediators);
    if (s->credentials != NULL) {
        gnutls_certificate_free_credentials(s->credentials);
    }
    gnutls_memset(s->session_key, 0, sizeof s->session_key);
}
