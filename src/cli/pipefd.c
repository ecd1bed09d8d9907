/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/pipefd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_BYTES (1 << 20)

struct pipefd {
    union {
        uv_handle_t handle;
        uv_poll_t poll;
        uv_idle_t idle; /* of a file: whenever everybody else has had a turn */
    } uv;
    int fd;
    bool writing;
    bool standard;
    bool is_socket;
    bool is_polled; /* not a file */
    bool waiting;
    int old_flags; /* to restore on a shared description; -1: nothing to restore */
    void (*ready)(void *context);
    void *context;
};

/* O_NONBLOCK belongs to the open file description, which we may share with a shell. A second one of
 * the same pipe or terminal is ours alone. */
static bool reopen(struct pipefd *p)
{
    char path[32];
    int mode = fcntl(p->fd, F_GETFL) & O_ACCMODE;
    if (mode != O_RDWR && mode != (p->writing ? O_WRONLY : O_RDONLY)) {
        return false; /* reading or writing it will say what is wrong */
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", p->fd);
    int own = open(path, (p->writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own < 0) {
        return false;
    }
    bool ok = dup2(own, p->fd) >= 0;
    close(own);
    return ok;
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    struct pipefd *p = handle->data;
    (void)status; /* the next read or write says what is wrong */
    (void)events;
    p->ready(p->context);
}

static void on_turn(uv_idle_t *handle)
{
    struct pipefd *p = handle->data;
    p->ready(p->context);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void release_fd(struct pipefd *p)
{
    if (p->old_flags >= 0) {
        (void)fcntl(p->fd, F_SETFL, p->old_flags);
    }
    if (p->is_socket) {
        (void)shutdown(p->fd, p->writing ? SHUT_WR : SHUT_RD);
    }
    int null = p->standard ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
    if (null < 0) {
        close(p->fd);
    } else {
        dup2(null, p->fd);
        close(null);
    }
}

struct pipefd *pipefd_new(uv_loop_t *loop, int fd, bool writing, bool standard,
                          void (*ready)(void *context), void *context)
{
    struct stat st;
    struct pipefd *p = calloc(1, sizeof(*p));
    if (!p || fstat(fd, &st) != 0) {
        free(p);
        return NULL;
    }
    p->fd = fd;
    p->writing = writing;
    p->standard = standard;
    p->is_socket = S_ISSOCK(st.st_mode);
    p->is_polled = !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
    p->old_flags = -1;
    p->ready = ready;
    p->context = context;
    if (S_ISFIFO(st.st_mode)) {
        (void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
    }
    if (p->is_polled && standard && (p->is_socket || !reopen(p))) {
        p->old_flags = fcntl(fd, F_GETFL);
    }
    if (p->is_polled) {
        int error = uv_poll_init(loop, &p->uv.poll, fd); /* makes it non-blocking */
        p->is_polled = error == 0;
        if (error != 0 && error != UV_EPERM) {
            free(p);
            errno = -error;
            return NULL;
        }
    }
    if (!p->is_polled) {
        uv_idle_init(loop, &p->uv.idle);
    }
    p->uv.handle.data = p;
    return p;
}

ssize_t pipefd_read(struct pipefd *p, void *data, size_t bytes)
{
    ssize_t n;
    do {
        n = p->is_socket ? recv(p->fd, data, bytes, MSG_DONTWAIT) : read(p->fd, data, bytes);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t pipefd_write(struct pipefd *p, const void *data, size_t bytes)
{
    ssize_t n;
    do {
        n = p->is_socket ? send(p->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL)
                         : write(p->fd, data, bytes);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

void pipefd_wait(struct pipefd *p, bool on)
{
    if (!p || p->waiting == on) {
        return;
    }
    p->waiting = on;
    if (!p->is_polled) {
        (void)(on ? uv_idle_start(&p->uv.idle, on_turn) : uv_idle_stop(&p->uv.idle));
    } else if (on) {
        uv_poll_start(&p->uv.poll, p->writing ? UV_WRITABLE : UV_READABLE, on_ready);
    } else {
        uv_poll_stop(&p->uv.poll);
    }
}

void pipefd_close(struct pipefd *p)
{
    if (!p) {
        return;
    }
    pipefd_wait(p, false);
    uv_close(&p->uv.handle, on_closed);
    /* libuv has forgotten the fd by now; only the handle lives on until the callback */
    release_fd(p);
}
