/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "peer/udp.h"

/* Shared by the thread and its owner; whoever lets go last frees it. */
struct resolve {
    atomic_int holders;
    int event_fd;
    char host[256];
    char service[8];
    int error;
    size_t count;
    struct stun_addr addresses[RESOLVE_MAX_ADDRESSES];
};

static void let_go(struct resolve *r)
{
    if (atomic_fetch_sub(&r->holders, 1) == 1) {
        close(r->event_fd);
        free(r);
    }
}

static void *look_up(void *argument)
{
    struct resolve *r = argument;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    r->error = getaddrinfo(r->host, r->service, &hints, &list);
    for (struct addrinfo *a = list; a != NULL && r->count < RESOLVE_MAX_ADDRESSES; a = a->ai_next) {
        struct stun_addr addr = udp_stun_addr(a->ai_addr);
        if (addr.family != STUN_NO_FAMILY) {
            r->addresses[r->count++] = addr;
        }
    }
    if (list != NULL) {
        freeaddrinfo(list);
    }
    uint64_t one = 1;
    if (write(r->event_fd, &one, sizeof one) < 0) {
        r->error =
            EAI_SYSTEM; /* an eventfd takes its first write; nothing else could be done here */
    }
    let_go(r);
    return NULL;
}

struct resolve *resolve_start(const char *host, uint16_t port)
{
    struct resolve *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    snprintf(r->host, sizeof r->host, "%s", host);
    snprintf(r->service, sizeof r->service, "%u", port);
    atomic_init(&r->holders, 2);
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigset_t all, before; /* the application's signals are not for this thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = r->event_fd < 0 ? -1 : pthread_create(&thread, &detached, look_up, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    if (error != 0) {
        if (r->event_fd >= 0) {
            close(r->event_fd);
        }
        free(r);
        return NULL;
    }
    return r;
}

int resolve_fd(const struct resolve *r)
{
    return r->event_fd;
}

int resolve_finish(struct resolve *r, struct stun_addr out[static RESOLVE_MAX_ADDRESSES],
                   size_t *count)
{
    uint64_t value;
    int error = read(r->event_fd, &value, sizeof value) == sizeof value ? r->error : EAI_AGAIN;
    *count = error == 0 ? r->count : 0;
    memcpy(out, r->addresses, *count * sizeof *out);
    let_go(r);
    return error;
}

void resolve_cancel(struct resolve *r)
{
    let_go(r);
}
