/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/endpoint.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define READY_MAX  16
#define LONGEST_US (UINT64_C(365) * 24 * 3600 * 1000000) /* sums stay far from an overflow */

uint64_t endpoint_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

uint64_t endpoint_unix_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

void endpoint_log(const struct eyelet_endpoint *ep, enum eyelet_log_level level, const char *format,
                  ...)
{
    char text[512];
    if (ep->log == NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ep->log(ep->log_context, level, text);
}

int endpoint_watch(struct eyelet_endpoint *ep, int fd, bool writing, void *whom)
{
    struct epoll_event e = {.events = EPOLLIN | (writing ? (uint32_t)EPOLLOUT : 0u),
                            .data.ptr = whom};
    return epoll_ctl(ep->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : errno;
}

void endpoint_rewatch(struct eyelet_endpoint *ep, int fd, bool writing, void *whom)
{
    struct epoll_event e = {.events = EPOLLIN | (writing ? (uint32_t)EPOLLOUT : 0u),
                            .data.ptr = whom};
    (void)epoll_ctl(ep->epoll_fd, EPOLL_CTL_MOD, fd, &e);
}

void endpoint_unwatch(struct eyelet_endpoint *ep, int fd)
{
    (void)epoll_ctl(ep->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void set_timer(struct eyelet_endpoint *ep, uint64_t at_us)
{
    struct itimerspec when = {0};
    if (at_us != UINT64_MAX) {
        at_us = at_us == 0 ? 1 : at_us; /* zero would disarm the timer */
        when.it_value.tv_sec = (time_t)(at_us / 1000000u);
        when.it_value.tv_nsec = (long)(at_us % 1000000u) * 1000;
    }
    (void)timerfd_settime(ep->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    ep->armed_us = at_us;
}

void endpoint_wake(struct eyelet_endpoint *ep)
{
    if (!ep->dirty) {
        uint64_t one = 1;
        ep->dirty = true;
        (void)!write(ep->wake_fd, &one, sizeof one); /* fails only if it is readable already */
    }
}

static uint64_t next_deadline(const struct eyelet_endpoint *ep)
{
    uint64_t next = session_next_timeout(ep);
    uint64_t relay = relay_next_timeout(ep);
    next = relay < next ? relay : next;
    next = ep->mapping.next_us < next ? ep->mapping.next_us : next;
    for (const struct eyelet_conn *c = ep->conns; c != NULL; c = c->next) {
        uint64_t at = conn_next_timeout(c);
        next = at < next ? at : next;
    }
    return next;
}

int endpoint_open_warm(struct eyelet_endpoint *ep, unsigned socket)
{
    struct udp_socket *s = &ep->warm[socket];
    bool ipv6 = session_is_ipv6(socket);
    int error = udp_open(s, ipv6 ? STUN_IPV6 : STUN_IPV4);
    s->index = socket;
    if (error == 0) {
        return endpoint_watch(ep, s->fd, false, s);
    }
    return ipv6 ? 0 : error; /* many a machine has no IPv6 */
}

static int open_descriptors(struct eyelet_endpoint *ep)
{
    ep->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ep->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    ep->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (ep->epoll_fd < 0 || ep->timer_fd < 0 || ep->wake_fd < 0) {
        return errno;
    }
    int error = endpoint_watch(ep, ep->timer_fd, false, &ep->timer_fd);
    if (error == 0) {
        error = endpoint_watch(ep, ep->wake_fd, false, &ep->wake_fd);
    }
    if (error == 0) {
        error = netwatch_watch(ep);
    }
    for (unsigned i = 0; i < SESSION_SOCKETS && error == 0; i++) {
        error = endpoint_open_warm(ep, i);
    }
    return error;
}

static int load_key(struct eyelet_endpoint *ep, const eyelet_config *config)
{
    if (config->seed != NULL) {
        return identity_from_seed(config->seed, &ep->self) == IDENTITY_OK ? EYELET_OK
                                                                          : EYELET_ERR_ARGUMENT;
    }
    if (config->key_file == NULL) {
        return identity_generate(&ep->self) == IDENTITY_OK ? EYELET_OK : EYELET_ERR_SYSTEM;
    }
    switch (identity_load_or_create(config->key_file, &ep->self)) {
    case IDENTITY_OK:
        return EYELET_OK;
    case IDENTITY_ERR_CRYPTO:
        return EYELET_ERR_SYSTEM;
    default:
        return EYELET_ERR_KEY_FILE;
    }
}

/* Fields that the caller's version of the header does not have are zero. */
static bool read_config(const eyelet_config *from, eyelet_config *to)
{
    memset(to, 0, sizeof *to);
    if (from == NULL || from->size < offsetof(eyelet_config, known_mediators)) {
        return false;
    }
    memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    return to->mediator != NULL && to->policy >= EYELET_ANY_PATH && to->policy <= EYELET_RELAY_ONLY;
}

int eyelet_open(eyelet_endpoint **out, const eyelet_config *config)
{
    eyelet_config c;
    if (out == NULL || !read_config(config, &c)) {
        return EYELET_ERR_ARGUMENT;
    }
    *out = NULL;
    struct eyelet_endpoint *ep = calloc(1, sizeof *ep);
    if (ep == NULL) {
        return EYELET_ERR_MEMORY;
    }
    ep->epoll_fd = ep->timer_fd = ep->wake_fd = -1;
    ep->armed_us = UINT64_MAX;
    ep->log = c.log;
    ep->log_context = c.log_context;
    ep->no_search = c.no_search;
    ep->patience_us = c.patience_us != 0 ? c.patience_us : ENDPOINT_PATIENCE_US;
    if (ep->patience_us > LONGEST_US) {
        ep->patience_us = LONGEST_US;
    }
    ep->no_port_mapping = c.no_port_mapping;
    relay_init(&ep->relay);
    mapping_init(&ep->mapping);
    ep->policy = c.policy;
    ep->dial_timeout_us = c.dial_timeout_us != 0 ? c.dial_timeout_us : ENDPOINT_DIAL_US;
    for (size_t i = 0; i < SESSION_SOCKETS; i++) {
        ep->warm[i].fd = -1;
    }
    ep->session.watch.events_fd = ep->session.watch.clock_fd = -1;
    int error = load_key(ep, &c);
    if (error == EYELET_OK) {
        error = session_init(ep, c.mediator, c.known_mediators);
    }
    if (error == EYELET_OK) {
        ep->guard = dial_guard_new(endpoint_unix_now_us());
        error = ep->guard == NULL ? EYELET_ERR_MEMORY : EYELET_OK;
    }
    if (error == EYELET_OK) {
        int system_error = open_descriptors(ep);
        errno = system_error;
        error = system_error == 0 ? EYELET_OK : EYELET_ERR_SYSTEM;
    }
    if (error != EYELET_OK) {
        int saved = errno;
        eyelet_close(ep);
        errno = saved;
        return error;
    }
    endpoint_wake(ep);
    *out = ep;
    return EYELET_OK;
}

static void free_closed(struct eyelet_endpoint *ep)
{
    while (ep->closed != NULL) {
        struct udp_socket *s = ep->closed;
        ep->closed = s->next;
        free(s);
    }
}

void eyelet_close(eyelet_endpoint *ep)
{
    if (ep == NULL) {
        return;
    }
    uint64_t now_us = endpoint_now_us();
    for (struct eyelet_conn *c = ep->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->state != CONN_ENDED) {
            calls_give_up(c);
            traffic_close(c, now_us, c->goodbye_code, c->goodbye);
        }
        conn_destroy(c);
    }
    free_closed(ep);
    mapping_stop(ep);
    relay_free(ep);
    session_free(ep);
    for (size_t i = 0; i < SESSION_SOCKETS; i++) {
        udp_close(&ep->warm[i]);
    }
    if (ep->timer_fd >= 0) {
        close(ep->timer_fd);
    }
    if (ep->wake_fd >= 0) {
        close(ep->wake_fd);
    }
    if (ep->epoll_fd >= 0) {
        close(ep->epoll_fd);
    }
    dial_guard_free(ep->guard);
    free(ep->allowed);
    identity_wipe(&ep->self);
    free(ep);
}

const eyelet_id *eyelet_own_id(const eyelet_endpoint *ep)
{
    return (const eyelet_id *)&ep->self.id;
}

int eyelet_fd(const eyelet_endpoint *ep)
{
    return ep->epoll_fd;
}

int eyelet_timeout_ms(const eyelet_endpoint *ep)
{
    uint64_t next = ep->dirty ? 0 : next_deadline(ep);
    if (next == UINT64_MAX) {
        return -1;
    }
    uint64_t now_us = endpoint_now_us();
    uint64_t ms = next <= now_us ? 0 : (next - now_us + 999) / 1000;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* What is closed stays allocated until the batch of events is over. */
bool endpoint_has_socket(const struct udp_socket *s)
{
    return s->fd >= 0;
}

static void ready(struct eyelet_endpoint *ep, const struct epoll_event *e, uint64_t now_us)
{
    uint64_t count;
    if (e->data.ptr == &ep->wake_fd) {
        (void)!read(ep->wake_fd, &count, sizeof count);
    } else if (e->data.ptr == &ep->timer_fd) {
        if (read(ep->timer_fd, &count, sizeof count) > 0) { /* else it was set anew in between */
            ep->armed_us = UINT64_MAX;
        }
    } else if (e->data.ptr == &ep->session.watch) {
        netwatch_ready(&ep->session.watch, now_us);
    } else if (e->data.ptr == &ep->session) {
        session_ready(ep, now_us);
    } else if (e->data.ptr == &ep->relay) {
        relay_ready(ep, now_us);
    } else if (e->data.ptr == &ep->mapping) {
        mapping_ready(ep, now_us);
    } else if (explorer_owns(&ep->session.explorer, e->data.ptr)) {
        explorer_receive(ep, now_us, e->data.ptr);
    } else {
        struct udp_socket *s = e->data.ptr;
        if (!endpoint_has_socket(s)) {
            return; /* left over: an earlier event of the same batch has closed it */
        }
        if ((e->events & EPOLLOUT) != 0) {
            endpoint_rewatch(ep, s->fd, false, s);
            traffic_retry_unsent(ep);
        }
        traffic_receive(ep, now_us, s);
    }
}

int eyelet_process(eyelet_endpoint *ep)
{
    struct epoll_event events[READY_MAX];
    int count = epoll_wait(ep->epoll_fd, events, READY_MAX, 0);
    if (count < 0 && errno != EINTR) {
        snprintf(ep->why, sizeof ep->why, "epoll_wait: %s", strerror(errno));
        return EYELET_ERR_SYSTEM;
    }
    ep->dirty = false;
    for (int i = 0; i < count; i++) {
        ready(ep, &events[i], endpoint_now_us()); /* the time must not go back for any link */
    }
    uint64_t now_us = endpoint_now_us();
    if (session_next_timeout(ep) <= now_us) {
        session_handle_timeout(ep, now_us);
    }
    relay_follow(ep, now_us);
    relay_handle_timeout(ep, now_us);
    if (ep->session.announced) {
        mapping_start(ep);
    }
    mapping_handle_timeout(ep, now_us);
    conns_follow_addresses(ep, now_us);
    for (struct eyelet_conn *c = ep->conns, *next_conn; c != NULL; c = next_conn) {
        next_conn = c->next;
        conn_handle_timeout(c, now_us);
        traffic_flush(c, now_us);
        if (c->state == CONN_ENDED && conn_is_echo(c)) {
            conn_destroy(c);
        }
    }
    free_closed(ep);
    /* Setting a timer is dear, and deadlines mostly move away: one that fires too early is cheaper.
     */
    uint64_t next = next_deadline(ep);
    if (next < ep->armed_us) {
        set_timer(ep, next);
    }
    return EYELET_OK;
}

int eyelet_listen(eyelet_endpoint *ep, enum eyelet_listen_mode mode, const eyelet_id *allowed,
                  size_t allowed_count)
{
    if (mode < EYELET_LISTEN_NOBODY || mode > EYELET_LISTEN_ANYONE ||
        (mode == EYELET_LISTEN_LISTED && (allowed == NULL || allowed_count == 0))) {
        return EYELET_ERR_ARGUMENT;
    }
    struct eyelet_id *copy = NULL;
    if (mode == EYELET_LISTEN_LISTED) {
        copy = calloc(allowed_count, sizeof *copy);
        if (copy == NULL) {
            return EYELET_ERR_MEMORY;
        }
        memcpy(copy, allowed, allowed_count * sizeof *copy);
    } else {
        allowed_count = 0;
    }
    free(ep->allowed);
    ep->allowed = copy;
    ep->allowed_count = allowed_count;
    ep->listen_mode = mode;
    struct session *s = &ep->session;
    s->listed_count = 0;
    if (mode == EYELET_LISTEN_NOBODY) {
        s->visibility = wire_Visibility_VISIBLE_TO_NOBODY;
    } else if (mode == EYELET_LISTEN_ANYONE) {
        s->visibility = wire_Visibility_VISIBLE_TO_ANYONE;
    } else if (allowed_count > SESSION_MAX_LISTED) {
        s->visibility = wire_Visibility_VISIBLE_IF_ACCEPTED;
    } else {
        s->visibility = wire_Visibility_VISIBLE_TO_LISTED;
        s->listed_count = allowed_count;
        memcpy(s->listed, copy, allowed_count * sizeof *copy);
    }
    session_publish(ep);
    return EYELET_OK;
}
