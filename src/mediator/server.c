/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "identity/rawkey.h"
#include "mediator/introduce.h"
#include "mediator/notify.h"
#include "mediator/session.h"
#include "mediator/sockets.h"

#define SERVER_TICK_MS             250
#define SERVER_ENDING_US           (2u * 1000000u)
#define SERVER_ACCEPTS             64 /* a turn */
#define SERVER_FD_WARNING_EVERY_US (10u * 1000000u)
#define SERVER_LIMIT_SLOTS         4096
#define SERVER_FDS_OF_ITS_OWN      64
#define SERVER_READY_LINE_BYTES    1024

static struct attested *server_find_attested(void *context, uint64_t session_id)
{
    struct server *server = context;
    struct session *session = session_of_entry(registry_by_session(server->registry, session_id));

    return session != NULL ? &session->attested : NULL;
}

static void server_finish_if_drained(struct server *server)
{
    if (server->draining && server->session_count == 0)
        uv_stop(&server->loop);
}

static void server_on_tick(uv_timer_t *timer)
{
    struct server *server = timer->data;
    uint64_t now_us = server_now_us();
    struct deadline *due;
    char name[SESSION_SHORT_ID_BYTES];

    while ((due = deadlines_due(&server->young, now_us)) != NULL)
        session_drop(session_of_deadline(due));
    while ((due = deadlines_due(&server->active, now_us)) != NULL) {
        log_debug(&server->log, "%s: silent, dropped",
                  session_short_id(session_of_deadline(due), name));
        session_drop(session_of_deadline(due));
    }
    while ((due = deadlines_due(&server->ending, now_us)) != NULL)
        session_drop(session_of_deadline(due));
    dials_expire(server->dials, now_us);
    server_finish_if_drained(server);
}

static void server_on_refusals(uv_timer_t *timer)
{
    struct server *server = timer->data;

    introduce_refuse_due(server, server_now_us());
    server_schedule_refusals(server);
}

/* Without a free descriptor the connection would stay in the backlog and wake us for ever. */
static void server_turn_away(struct server *server, int listener)
{
    struct stun_addr from, local;

    if (limit_take_every(&server->fd_warnings, SERVER_FD_WARNING_EVERY_US, 1, server_now_us()))
        log_warn(&server->log, "out of file descriptors, connections are turned away");
    close(server->spare_fd);
    int fd = sockets_accept(listener, &from, &local);
    if (fd >= 0)
        close(fd);
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    server->counters.turned_away++;
}

static void server_admit(struct server *server, int fd, const struct stun_addr *from,
                         const struct stun_addr *local)
{
    const struct config_limits *limits = &server->config->limits;
    const char *which = NULL;
    char text[STUN_ADDR_TEXT_BYTES];

    if (server->session_count >= limits->sessions)
        which = "sessions";
    else if (!limits_take(server->connections, from, server_now_us()))
        which = "connection-rate";
    else if (!occupancy_enter(server->occupancy, from, limits->sessions_per_prefix))
        which = "sessions-per-prefix";
    if (which != NULL) {
        log_debug(&server->log, "%s: turned away by the limit %s", stun_addr_text(from, text),
                  which);
        server->counters.turned_away++;
        close(fd);
        return;
    }
    server->counters.accepted++;
    session_open(server, fd, from, local);
}

static void server_on_connection(uv_poll_t *handle, int status, int events)
{
    struct server_listener *listener = handle->data;
    struct stun_addr from, local;

    (void)events;
    for (int i = 0; status == 0 && i < SERVER_ACCEPTS; i++) {
        int fd = sockets_accept(listener->fd, &from, &local);
        if (fd >= 0) {
            server_admit(listener->server, fd, &from, &local);
        } else if (errno == EMFILE || errno == ENFILE) {
            server_turn_away(listener->server, listener->fd);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } /* else: this one connection is gone; the next may not be */
    }
}

static void server_close_listeners(struct server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        uv_close((uv_handle_t *)&server->listeners[i].poll, NULL);
        close(server->listeners[i].fd);
    }
    server->listener_count = 0;
}

static void server_log_counters(const struct server *server)
{
    const struct server_counters *counters = &server->counters;

    log_info(
        &server->log,
        "sessions now %zu, registered now %zu; since the start: connections %llu, turned away "
        "%llu, registrations %llu, dials %llu, refused %llu, direct %llu, relayed %llu, failed "
        "%llu, refused by the callee %llu",
        server->session_count, registry_count(server->registry),
        (unsigned long long)counters->accepted, (unsigned long long)counters->turned_away,
        (unsigned long long)counters->registered, (unsigned long long)counters->dials,
        (unsigned long long)counters->refused,
        (unsigned long long)counters->outcome[wire_Outcome_OUTCOME_DIRECT],
        (unsigned long long)counters->outcome[wire_Outcome_OUTCOME_RELAYED],
        (unsigned long long)counters->outcome[wire_Outcome_OUTCOME_FAILED],
        (unsigned long long)counters->outcome[wire_Outcome_OUTCOME_REFUSED]);
    if (server->relay == NULL)
        return;
    const struct relay_counters *relayed = relay_counters(server->relay);
    log_info(&server->log,
             "relay sessions now %zu; since the start: sessions %llu, refused %llu, resumed dials "
             "%llu, packets %llu, bytes %llu; packets dropped: over the rate of a dial %llu, of a "
             "peer %llu, of a network %llu, of all %llu, from addresses that are not attested "
             "%llu, by full queues %llu, with unknown tags %llu",
             relay_count(server->relay), (unsigned long long)relayed->pairs,
             (unsigned long long)relayed->refused, (unsigned long long)counters->resumed,
             (unsigned long long)relayed->packets, (unsigned long long)relayed->bytes,
             (unsigned long long)relayed->over_rate[RELAY_OF_PAIR],
             (unsigned long long)relayed->over_rate[RELAY_OF_PEER],
             (unsigned long long)relayed->over_rate[RELAY_OF_PREFIX],
             (unsigned long long)relayed->over_rate[RELAY_OF_ALL],
             (unsigned long long)relayed->unattested, (unsigned long long)server->streams.dropped,
             (unsigned long long)relayed->unknown);
}

static void server_on_signal(uv_signal_t *handle, int signal)
{
    struct server *server = handle->data;

    server_log_counters(server);
    if (signal == SIGUSR1 || server->draining)
        return;
    log_info(&server->log, "shutting down");
    notify_manager("STOPPING=1");
    server->draining = true;
    server_close_listeners(server);
    for (struct session *session = server->sessions, *next; session != NULL; session = next) {
        next = session->next;
        session_end(session, wire_ErrorCode_ERROR_SHUTTING_DOWN, NULL,
                    "this mediator is shutting down");
    }
    server_finish_if_drained(server);
}

static bool server_listen(struct server *server, const struct config_address *address,
                          uint16_t port)
{
    struct server_listener *listener = &server->listeners[server->listener_count];
    struct stun_addr bound = address->bound;

    bound.port = port;
    int fd = sockets_listen_tcp(&bound);
    if (fd < 0)
        return false;
    *listener = (struct server_listener){.server = server, .addr = address->outside, .fd = fd};
    listener->addr.port = bound.port;
    uv_poll_init(&server->loop, &listener->poll, fd);
    listener->poll.data = listener;
    uv_poll_start(&listener->poll, UV_READABLE, server_on_connection);
    server->listener_count++;
    return true;
}

static bool server_listen_all(struct server *server)
{
    static const struct config_address everywhere[] = {
        {.bound = {.family = STUN_IPV4}, .outside = {.family = STUN_IPV4}},
        {.bound = {.family = STUN_IPV6}, .outside = {.family = STUN_IPV6}},
    };
    static const uint16_t default_port[] = {WIRE_DEFAULT_PORT};
    const struct config *config = server->config;
    bool chosen = config->address_count > 0;
    const struct config_address *address = chosen ? config->address : everywhere;
    size_t address_count = chosen ? config->address_count : 2;
    const uint16_t *port = config->port_count > 0 ? config->port : default_port;
    size_t port_count = config->port_count > 0 ? config->port_count : 1;

    for (size_t i = 0; i < address_count; i++) {
        for (size_t j = 0; j < port_count; j++) {
            if (server_listen(server, &address[i], port[j]))
                continue;
            if (!chosen && i > 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
                break;
            char text[STUN_ADDR_TEXT_BYTES];
            struct stun_addr addr = address[i].bound;
            int error = errno;
            addr.port = port[j];
            log_error(&server->log, "cannot listen on TCP %s: %s%s", stun_addr_text(&addr, text),
                      strerror(error), error == EADDRINUSE ? " (is another eyeletd running?)" : "");
            return false;
        }
    }
    return true;
}

static bool server_load_key(struct server *server)
{
    char path[PATH_MAX + sizeof "/key"];
    struct identity identity;

    snprintf(path, sizeof path, "%s/key", server->config->state);
    int error = identity_load_or_create(path, &identity);
    if (error != IDENTITY_OK) {
        log_error(&server->log, "%s: %s", path,
                  error == IDENTITY_ERR_IO         ? strerror(errno)
                  : error == IDENTITY_ERR_BAD_FILE ? "this is not a key file"
                  : error == IDENTITY_ERR_PERMISSIONS
                      ? "this key can be read by others: change its mode to 0600, or make a new one"
                      : "the cryptographic library failed");
        return false;
    }
    server->id = identity.id;
    error = rawkey_credentials(&identity, &server->credentials);
    identity_wipe(&identity);
    if (error != IDENTITY_OK)
        log_error(&server->log, "TLS credentials could not be made");
    return error == IDENTITY_OK;
}

/* One descriptor a session: take what the system gives, and say so if it is too little. */
static void server_raise_fd_limit(const struct server *server)
{
    struct rlimit limit;
    rlim_t wanted = server->config->limits.sessions + SERVER_FDS_OF_ITS_OWN;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted)
        log_warn(&server->log, "only %llu file descriptors for up to %u sessions (LimitNOFILE=)",
                 (unsigned long long)limit.rlim_cur, server->config->limits.sessions);
}

static bool server_make_tables(struct server *server)
{
    const struct config_limits *limits = &server->config->limits;

    server->registry = registry_new();
    server->dials = dials_new(limits->dials, limits->dials_per_prefix,
                              (struct limit_rate){limits->note_rate, limits->notes});
    if (server->config->relay)
        server->relay =
            relay_new(&(struct relay_limits){.rate = {[RELAY_OF_PAIR] = limits->relay_rate,
                                                      [RELAY_OF_PEER] = limits->relay_peer_rate,
                                                      [RELAY_OF_PREFIX] = limits->relay_prefix_rate,
                                                      [RELAY_OF_ALL] = limits->relay_total},
                                             .datagram_bytes = limits->relay_datagram_bytes,
                                             .peer_pairs = limits->relay_sessions,
                                             .prefix_pairs = limits->relay_sessions_per_prefix});
    server->refusals = refusals_new(limits->refusals);
    server->occupancy = occupancy_new();
    server->streams.prefixes = occupancy_new();
    server->connections = limits_new(
        SERVER_LIMIT_SLOTS, (struct limit_rate){limits->connection_rate, limits->connection_burst});
    server->prefix_dials =
        limits_new(SERVER_LIMIT_SLOTS,
                   (struct limit_rate){limits->prefix_dial_rate, limits->prefix_dial_burst});
    server->asks = limits_new(SERVER_LIMIT_SLOTS, (struct limit_rate){limits->prefix_call_rate,
                                                                      limits->prefix_call_burst});
    deadlines_init(&server->young, (uint64_t)limits->handshake_seconds * 1000000u);
    deadlines_init(&server->active, (uint64_t)limits->silence_seconds * 1000000u);
    deadlines_init(&server->ending, SERVER_ENDING_US);
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (channel_priority(&server->priority) != CHANNEL_OK || server->registry == NULL ||
        server->dials == NULL || server->refusals == NULL || server->occupancy == NULL ||
        server->streams.prefixes == NULL || server->connections == NULL ||
        server->prefix_dials == NULL || server->asks == NULL ||
        (server->relay == NULL && server->config->relay)) {
        log_error(&server->log, "out of memory");
        return false;
    }
    return true;
}

static void server_free_tables(struct server *server)
{
    registry_free(server->registry);
    dials_free(server->dials);
    relay_free(server->relay);
    refusals_free(server->refusals);
    occupancy_free(server->occupancy);
    occupancy_free(server->streams.prefixes);
    limits_free(server->connections);
    limits_free(server->prefix_dials);
    limits_free(server->asks);
    if (server->spare_fd >= 0)
        close(server->spare_fd);
    if (server->credentials != NULL)
        gnutls_certificate_free_credentials(server->credentials);
    if (server->priority != NULL)
        gnutls_priority_deinit(server->priority);
}

static void server_start_timers(struct server *server)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};

    uv_timer_init(&server->loop, &server->tick);
    server->tick.data = server;
    uv_timer_start(&server->tick, server_on_tick, SERVER_TICK_MS, SERVER_TICK_MS);
    uv_timer_init(&server->loop, &server->refusal_timer);
    server->refusal_timer.data = server;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uv_signal_init(&server->loop, &server->signals[i]);
        server->signals[i].data = server;
        uv_signal_start(&server->signals[i], server_on_signal, numbers[i]);
    }
}

static void server_announce(const struct server *server)
{
    const struct bounce *bounce = bounce_io_bounce(server->bounce);
    char line[SERVER_READY_LINE_BYTES];
    char text[STUN_ADDR_TEXT_BYTES];
    char id[IDENTITY_TEXT_BYTES];
    size_t used = (size_t)snprintf(line, sizeof line, "eyeletd ready: control");

    for (size_t i = 0; i < server->listener_count; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, " %s",
                                 stun_addr_text(&server->listeners[i].addr, text));
    used += (size_t)snprintf(line + used, sizeof line - used, ", bounce");
    for (size_t i = 0; i < bounce->socket_count; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, " %s",
                                 stun_addr_text(&bounce->sockets[i].outside, text));
    snprintf(line + used, sizeof line - used, ", id %s", identity_text(&server->id, id));
    puts(line);
    fflush(stdout);
    notify_manager("READY=1");
}

static void server_on_walk(uv_handle_t *handle, void *argument)
{
    (void)argument;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void server_close(struct server *server)
{
    while (server->sessions != NULL)
        session_drop(server->sessions);
    server_close_listeners(server);
    bounce_io_close(server->bounce);
    uv_walk(&server->loop, server_on_walk, NULL);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    server_free_tables(server);
}

int server_run(const struct config *config)
{
    struct server server = {.config = config, .spare_fd = -1};
    char why[CONFIG_WHY_BYTES];
    int status = 1;

    log_open(&server.log, config->log_level, config->syslog);
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&server.loop);
    server_raise_fd_limit(&server);
    if (!server_make_tables(&server) || !server_load_key(&server) || !server_listen_all(&server))
        goto out;
    struct bounce_io_owner owner = {.find = server_find_attested,
                                    .context = &server,
                                    .relay = server.relay,
                                    .streams = &server.streams};
    server.bounce = bounce_io_open(&server.loop, config, &owner, why);
    if (server.bounce == NULL) {
        log_error(&server.log, "%s", why);
        goto out;
    }
    server_start_timers(&server);
    server_announce(&server);
    uv_run(&server.loop, UV_RUN_DEFAULT);
    status = 0;
out:
    server_close(&server);
    return status;
}

uint64_t server_now_us(void)
{
    return uv_hrtime() / 1000;
}

void server_schedule_refusals(struct server *server)
{
    uint64_t due_us = refusals_next_due_us(server->refusals);
    uint64_t now_us = server_now_us();

    if (due_us == REFUSALS_NEVER)
        return;
    uv_update_time(&server->loop);
    uv_timer_start(&server->refusal_timer, server_on_refusals,
                   due_us > now_us ? (due_us - now_us + 999) / 1000 : 0, 0);
}
