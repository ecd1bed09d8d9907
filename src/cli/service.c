/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct service {
    struct session *session;
    service_ready *ready;
    service_exited *exited;
    void *context;
    bool ended; /* freed when libuv has let go of everything */
    uv_process_t process;
    bool runs;
    uv_getaddrinfo_t lookup;
    bool looks_up;
    struct addrinfo *addresses;
    struct addrinfo *next;
    uv_poll_t poll;
    bool connects;
    int fd;
};

static void say(struct service *service, const char *text)
{
    struct outcome outcome = {OUTCOME_OTHER, "target", ""};
    report_error(service->session->loop->report, &outcome, text);
}

static void free_if_idle(struct service *service)
{
    if (service->ended && !service->runs && !service->looks_up && !service->connects) {
        if (service->addresses) {
            uv_freeaddrinfo(service->addresses);
        }
        free(service);
    }
}

/* ---- a command ---- */

static void on_process_closed(uv_handle_t *handle)
{
    struct service *service = handle->data;
    service->runs = false;
    free_if_idle(service);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    struct service *service = process->data;
    struct outcome_command command = {.status = (int)status, .signal = signal};
    uv_close((uv_handle_t *)process, on_process_closed);
    if (service->ended) {
        return;
    }
    if (outcome_command_failed(&command)) {
        char how[OUTCOME_COMMAND_TEXT_BYTES];
        report_note(service->session->loop->report, "the command for %s ended with %s",
                    service->session->peer, outcome_command_text(&command, how));
        session_command_failed(service->session, &command);
    }
    service->exited(service->context, &command);
}

static char **child_environment(char *peer_setting)
{
    size_t count = 0;
    while (environ[count]) {
        count++;
    }
    char **copy = calloc(count + 2, sizeof(*copy));
    size_t used = 0;
    for (size_t i = 0; copy && i < count; i++) {
        if (strncmp(environ[i], "EYELET_PEER=", 12) != 0) {
            copy[used++] = environ[i];
        }
    }
    if (copy) {
        copy[used] = peer_setting;
    }
    return copy;
}

static int spawn(struct service *service, int child_input, int child_output)
{
    char setting[sizeof("EYELET_PEER=") + EYELET_ID_TEXT_BYTES];
    char shell[] = "/bin/sh";
    char dash_c[] = "-c";
    char *command = strdup(service->session->loop->options->command);
    snprintf(setting, sizeof(setting), "EYELET_PEER=%s", service->session->peer);
    char **environment = child_environment(setting);
    char *arguments[] = {shell, dash_c, command, NULL};
    uv_stdio_container_t stdio[] = {
        {.flags = UV_INHERIT_FD, .data.fd = child_input},
        {.flags = UV_INHERIT_FD, .data.fd = child_output},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
    };
    uv_process_options_t options = {
        .exit_cb = on_exit_status,
        .file = shell,
        .args = arguments,
        .env = environment,
        .flags = UV_PROCESS_DETACHED, /* a group of its own, to hang up all of it */
        .stdio_count = 3,
        .stdio = stdio,
    };
    int error = UV_ENOMEM;
    if (command && environment) {
        error = uv_spawn(&service->session->loop->uv, &service->process, &options);
        service->runs = true;
        service->process.data = service;
        if (error != 0) {
            uv_close((uv_handle_t *)&service->process, on_process_closed);
        }
    }
    free(environment);
    free(command);
    return error;
}

static bool start_command(struct service *service)
{
    int to_child[2];
    int from_child[2];
    if (pipe2(to_child, O_CLOEXEC) != 0) {
        return false;
    }
    if (pipe2(from_child, O_CLOEXEC) != 0) {
        close(to_child[0]);
        close(to_child[1]);
        return false;
    }
    int error = spawn(service, to_child[0], from_child[1]);
    close(to_child[0]);
    close(from_child[1]);
    if (error != 0) {
        char text[160];
        close(to_child[1]);
        close(from_child[0]);
        snprintf(text, sizeof(text), "cannot run /bin/sh: %s", uv_strerror(error));
        say(service, text);
        return false;
    }
    service->ready(service->context, service, from_child[0], to_child[1]);
    return true;
}

/* ---- a TCP port ---- */

static void try_next(struct service *service, int error);

static void on_poll_closed(uv_handle_t *handle)
{
    struct service *service = handle->data;
    service->connects = false;
    if (service->ended) {
        close(service->fd);
        free_if_idle(service);
        return;
    }
    int error = 0;
    socklen_t bytes = sizeof(error);
    if (getsockopt(service->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) {
        error = errno;
    }
    /* the two directions end on their own: each has its own descriptor */
    int second = error == 0 ? fcntl(service->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (error == 0 && second < 0) {
        error = errno;
    }
    if (error != 0) {
        close(service->fd);
        try_next(service, error);
        return;
    }
    service->ready(service->context, service, service->fd, second);
}

static void on_connected(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    uv_close((uv_handle_t *)handle, on_poll_closed);
}

static void try_next(struct service *service, int error)
{
    struct session *session = service->session;
    for (; service->next; service->next = service->next->ai_next) {
        const struct addrinfo *a = service->next;
        service->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (service->fd < 0) {
            error = errno;
            continue;
        }
        if ((connect(service->fd, a->ai_addr, a->ai_addrlen) == 0 || errno == EINPROGRESS) &&
            uv_poll_init(&session->loop->uv, &service->poll, service->fd) == 0) {
            service->next = a->ai_next;
            service->poll.data = service;
            service->connects = true;
            uv_poll_start(&service->poll, UV_WRITABLE, on_connected);
            return;
        }
        error = errno;
        close(service->fd);
    }
    char text[300];
    snprintf(text, sizeof(text), "cannot connect to %s for %s: %s", session->loop->options->target,
             session->peer, strerror(error));
    say(service, text);
    service->ready(service->context, service, -1, -1);
}

static void on_addresses(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct service *service = request->data;
    service->looks_up = false;
    service->addresses = found;
    service->next = found;
    if (service->ended) {
        free_if_idle(service);
        return;
    }
    if (status != 0) {
        char text[300];
        snprintf(text, sizeof(text), "cannot look up %s: %s",
                 service->session->loop->options->target, uv_strerror(status));
        say(service, text);
        service->ready(service->context, service, -1, -1);
        return;
    }
    try_next(service, 0);
}

/* "host:port" or "[v6]:port"; checked when the verb started. */
static bool start_lookup(struct service *service)
{
    char host[256];
    const char *target = service->session->loop->options->target;
    const char *colon = strrchr(target, ':');
    size_t bytes = (size_t)(colon - target);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (target[0] == '[') {
        target++;
        bytes -= 2;
        hints.ai_flags = AI_NUMERICHOST;
    }
    if (bytes >= sizeof(host)) {
        return false;
    }
    memcpy(host, target, bytes);
    host[bytes] = '\0';
    service->lookup.data = service;
    service->looks_up = uv_getaddrinfo(&service->session->loop->uv, &service->lookup, on_addresses,
                                       host, colon + 1, &hints) == 0;
    return service->looks_up;
}

struct service *service_start(struct session *session, service_ready *ready, service_exited *exited,
                              void *context)
{
    struct service *service = calloc(1, sizeof(*service));
    if (!service) {
        return NULL;
    }
    service->session = session;
    service->ready = ready;
    service->exited = exited;
    service->context = context;
    bool ok = session->loop->options->command ? start_command(service) : start_lookup(service);
    if (!ok) {
        service_end(service, true);
        return NULL;
    }
    return service;
}

void service_end(struct service *service, bool hang_up)
{
    if (!service) {
        return;
    }
    service->ended = true;
    if (service->runs && uv_is_active((uv_handle_t *)&service->process)) {
        if (hang_up) {
            (void)kill(-uv_process_get_pid(&service->process), SIGHUP);
        }
        if (service->session->loop->ended) {
            uv_close((uv_handle_t *)&service->process, on_process_closed);
        }
    }
    if (service->connects && !uv_is_closing((uv_handle_t *)&service->poll)) {
        uv_close((uv_handle_t *)&service->poll, on_poll_closed);
    }
    if (service->looks_up) {
        (void)uv_cancel((uv_req_t *)&service->lookup);
    }
    free_if_idle(service);
}
