/* SPDX-License-Identifier: BSD-2-Clause */
#include "portmap/portmap.h"

#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "portmap/ask.h"
#include "portmap/igd.h"
#include "portmap/ssdp.h"

enum {
    DEFAULT_LIFETIME_S = 7200, /* RFC 6886, 3.3 */
    CHECK_S = 60,
    CHECK_UPNP_S = 600, /* two TCP connections each time, and many a router's UPnP is feeble */
    TRY_MS = 4900,
    GIVE_BACK_MS = 1200,
    GIVE_BACK_UNHEARD_MS = 200, /* to a router that has not said a word so far */
    MOVES_APART_MS = 2000,
    GAP_AFTER_LOSS_S = 5,
    FIRST_GAP_S = 60,
    LONGEST_GAP_S = 3600,
};

struct portmap {
    pthread_t thread;
    int event_fd, stop_fd, moved_fd;
    uint32_t lifetime_s, check_s;
    unsigned int protocols;
    char interface[IF_NAMESIZE];

    pthread_mutex_t lock; /* of these three */
    struct portmap_state state;
    uint16_t internal_port;
    bool changed; /* since the last poll */

    /* The thread's own. */
    struct lease lease;
    uint16_t asked_port; /* of the configuration; 0: random */
    uint32_t generation;
    uint32_t gap_s; /* after a failure */
};

static void ring(int event_fd)
{
    uint64_t one = 1;
    if (write(event_fd, &one, sizeof one) < 0) {
        return; /* it is readable already */
    }
}

static void silence(int event_fd)
{
    uint64_t value;
    if (read(event_fd, &value, sizeof value) < 0) {
        return; /* nobody rang */
    }
}

static void publish(struct portmap *pm, const struct portmap_state *now)
{
    pthread_mutex_lock(&pm->lock);
    bool differs = memcmp(&pm->state, now, sizeof *now) != 0;
    if (differs) {
        memcpy(&pm->state, now, sizeof *now);
        pm->changed = true;
    }
    pthread_mutex_unlock(&pm->lock);
    if (differs) {
        ring(pm->event_fd);
    }
}

static void publish_none(struct portmap *pm, const char *reason)
{
    struct portmap_state s;
    const struct lease *l = &pm->lease;
    memset(&s, 0, sizeof s);
    s.status = PORTMAP_NONE;
    s.protocol = l->spoken;
    s.router = l->router;
    s.behind_nat = stun_addr_is_private(&s.router);
    s.gateway = l->gateway.router;
    s.generation = pm->generation;
    snprintf(s.reason, sizeof s.reason, "%s", reason);
    publish(pm, &s);
}

static void publish_lease(struct portmap *pm)
{
    struct portmap_state s;
    char text[LEASE_IP_TEXT_BYTES];
    const struct lease *l = &pm->lease;
    memset(&s, 0, sizeof s);
    s.protocol = l->protocol;
    s.mapped = l->external;
    s.router = l->router;
    s.behind_nat = stun_addr_is_private(&s.router);
    s.status = s.behind_nat ? PORTMAP_INNER : PORTMAP_MAPPED;
    s.gateway = l->gateway.router;
    s.internal = l->gateway.local;
    s.internal.port = l->internal_port;
    s.lifetime_s = l->lifetime_s;
    s.generation = pm->generation;
    if (s.behind_nat) {
        snprintf(s.reason, sizeof s.reason,
                 "the router's own outer address, %s, is not public: another NAT is above it",
                 lease_ip_text(&s.router, text));
    }
    publish(pm, &s);
}

static void random_bytes(void *to, size_t count)
{
    /* So few never block once the machine is up, and cannot be interrupted. */
    if (getrandom(to, count, 0) != (ssize_t)count) {
        memset(to, 0, count);
    }
}

static uint16_t random_port(uint16_t other_than)
{
    uint16_t port;
    do {
        random_bytes(&port, sizeof port);
        port = (uint16_t)(20001 + port % 40000);
    } while (port == other_than);
    return port;
}

/* What to ask a router that has given nothing yet. */
static void begin_lease(struct portmap *pm, const struct gateway *gateway, uint16_t internal_port)
{
    struct lease *l = &pm->lease;
    memset(l, 0, sizeof *l);
    l->gateway = *gateway;
    l->internal_port = internal_port;
    l->wanted_port = pm->asked_port != 0 ? pm->asked_port : random_port(internal_port);
    l->wanted_s = pm->lifetime_s;
    random_bytes(l->nonce, sizeof l->nonce);
}

/* Removes what the router gave or may have given; told to stop, leaves it to the last call. */
static void give_back(const struct patience *p, struct lease *l)
{
    enum portmap_protocol held = l->protocol != PORTMAP_NO_PROTOCOL ? l->protocol : l->unanswered;
    if (held == PORTMAP_UPNP) {
        igd_unmap(p, l);
    } else if (held != PORTMAP_NO_PROTOCOL) {
        ask_unmap(p, l, held);
    }
    if (!patience_is_stopped(p)) {
        l->protocol = l->unanswered = PORTMAP_NO_PROTOCOL;
    }
}

/* A mapping from a router that has given none. */
static enum lease_result obtain(struct portmap *pm, const struct patience *p)
{
    struct lease *l = &pm->lease;
    bool upnp = (pm->protocols & 1U << PORTMAP_UPNP) != 0;
    int search_fd = upnp ? ssdp_open(&l->gateway) : -1; /* it gathers answers meanwhile */
    enum lease_result asked = ask_map(p, l, pm->protocols), found = LEASE_SILENT;
    if (asked != LEASE_MADE && asked != LEASE_STOPPED && search_fd >= 0) {
        found = igd_map(p, l, search_fd);
    }
    if (search_fd >= 0) {
        close(search_fd);
    }
    if (asked == LEASE_MADE || asked == LEASE_STOPPED || found == LEASE_SILENT) {
        return asked;
    }
    return found;
}

/* What the router gave, again; or only a look whether it is still there. */
static enum lease_result renew(const struct patience *p, struct lease *l, bool look)
{
    l->why[0] = '\0';
    if (l->protocol != PORTMAP_UPNP) {
        return ask_map(p, l, 1U << l->protocol);
    }
    l->forgot = look && igd_check(p, l) != LEASE_MADE;
    enum lease_result result = look && !l->forgot ? LEASE_MADE : igd_map(p, l, -1);
    if (result == LEASE_REFUSED) {
        give_back(p, l);
    }
    return result;
}

static uint32_t next_gap(struct portmap *pm, uint32_t first_s)
{
    uint32_t gap_s = pm->gap_s == 0 ? first_s : pm->gap_s;
    pm->gap_s = gap_s < LONGEST_GAP_S / 2 ? gap_s * 2 : LONGEST_GAP_S;
    return gap_s;
}

/* Whether what we hold still fits the network and the socket; gives back what does not. */
static bool still_holds(struct portmap *pm, const struct patience *p, const struct gateway *gateway,
                        uint16_t internal_port)
{
    struct lease *l = &pm->lease;
    if (l->protocol == PORTMAP_NO_PROTOCOL) {
        return false;
    }
    bool same_way = memcmp(&l->gateway, gateway, sizeof *gateway) == 0;
    if (same_way && l->internal_port == internal_port) {
        return true;
    }
    pm->generation++;
    if (same_way) {
        give_back(p, l);
    } else { /* a router that is out of reach keeps it until its end */
        l->protocol = PORTMAP_NO_PROTOCOL;
    }
    return false;
}

/* One try. Returns in how many seconds the next is due. */
static uint32_t attempt(struct portmap *pm, bool moved, bool half_life)
{
    struct patience p = {.deadline_us = patience_now_us() + TRY_MS * 1000ULL,
                         .stop_fd = pm->stop_fd};
    struct lease *l = &pm->lease;
    struct gateway gateway;
    pthread_mutex_lock(&pm->lock);
    uint16_t internal_port = pm->internal_port;
    pthread_mutex_unlock(&pm->lock);

    enum gateway_result way =
        gateway_find(pm->interface[0] != '\0' ? pm->interface : NULL, &gateway);
    if (way != GATEWAY_FOUND) {
        pm->generation += l->protocol != PORTMAP_NO_PROTOCOL;
        memset(l, 0, sizeof *l);
        publish_none(pm, way == GATEWAY_ON_LINK
                             ? "the default route leads to a device without a router"
                             : "there is no default route by IPv4");
        return next_gap(pm, FIRST_GAP_S);
    }
    bool held = l->protocol != PORTMAP_NO_PROTOCOL;
    enum lease_result result = LEASE_SILENT;
    if (still_holds(pm, &p, &gateway, internal_port)) {
        struct stun_addr before = l->external;
        result = renew(&p, l, !moved && !half_life);
        pm->generation +=
            result == LEASE_MADE && (l->forgot || !stun_addr_equal(&before, &l->external));
    }
    if (result != LEASE_MADE && !patience_is_stopped(&p)) {
        pm->generation += l->protocol != PORTMAP_NO_PROTOCOL;
        begin_lease(pm, &gateway, internal_port);
        result = obtain(pm, &p);
        pm->generation += result == LEASE_MADE;
    }
    if (result == LEASE_MADE) {
        pm->gap_s = 0;
        publish_lease(pm);
        return 0;
    }
    if (!patience_is_stopped(&p)) {
        char none[PORTMAP_REASON_BYTES], text[LEASE_IP_TEXT_BYTES];
        snprintf(none, sizeof none, "the router %s speaks neither PCP nor NAT-PMP nor UPnP",
                 lease_ip_text(&gateway.router, text));
        publish_none(pm, l->why[0] != '\0' ? l->why : none);
    }
    return next_gap(pm, held ? GAP_AFTER_LOSS_S : FIRST_GAP_S);
}

static uint32_t lease_time(const struct lease *l)
{
    return l->lifetime_s == 0 || l->lifetime_s > LEASE_LONGEST_S ? LEASE_LONGEST_S : l->lifetime_s;
}

static uint32_t check_interval(const struct portmap *pm)
{
    uint32_t usual_s = pm->lease.protocol == PORTMAP_UPNP ? CHECK_UPNP_S : CHECK_S;
    return pm->check_s != 0 ? pm->check_s : usual_s;
}

static void *work(void *argument)
{
    struct portmap *pm = argument;
    bool moved = false;
    uint64_t renew_at_us = 0;
    for (;;) {
        uint64_t began = patience_now_us();
        bool half_life = began >= renew_at_us;
        uint32_t gap_s = attempt(pm, moved, half_life);
        if (gap_s == 0) {
            uint32_t half_s = lease_time(&pm->lease) / 2;
            if (half_life || moved || pm->lease.protocol != PORTMAP_UPNP) {
                renew_at_us = patience_now_us() + half_s * 1000000ULL;
            }
            gap_s = check_interval(pm) < half_s ? check_interval(pm) : half_s;
        } else {
            renew_at_us = 0;
        }
        struct patience p = {.deadline_us = began + MOVES_APART_MS * 1000, .stop_fd = pm->stop_fd};
        if (patience_wait(&p, -1, 0, 0) == PATIENCE_STOPPED) {
            break;
        }
        p.deadline_us = began + gap_s * 1000000ULL;
        enum patience_end end = patience_wait(&p, pm->moved_fd, POLLIN, 0);
        if (end == PATIENCE_STOPPED) {
            break;
        }
        moved = end == PATIENCE_READY;
        if (moved) {
            silence(pm->moved_fd);
            pm->gap_s = 0;
        }
    }
    uint64_t give_back_ms =
        pm->lease.spoken == PORTMAP_NO_PROTOCOL ? GIVE_BACK_UNHEARD_MS : GIVE_BACK_MS;
    struct patience last = {.deadline_us = patience_now_us() + give_back_ms * 1000, .stop_fd = -1};
    give_back(&last, &pm->lease);
    return NULL;
}

static void free_all(struct portmap *pm)
{
    int fds[3] = {pm->event_fd, pm->stop_fd, pm->moved_fd};
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    pthread_mutex_destroy(&pm->lock);
    free(pm);
}

struct portmap *portmap_start(const struct portmap_config *config)
{
    struct portmap *pm = config->internal_port != 0 ? calloc(1, sizeof *pm) : NULL;
    if (pm == NULL) {
        return NULL;
    }
    pthread_mutex_init(&pm->lock, NULL);
    pm->internal_port = config->internal_port;
    pm->asked_port = config->external_port;
    pm->lifetime_s = config->lifetime_s != 0 ? config->lifetime_s : DEFAULT_LIFETIME_S;
    pm->check_s = config->check_s;
    pm->protocols = config->protocols != 0 ? config->protocols : 0xff;
    if (config->interface != NULL) {
        snprintf(pm->interface, sizeof pm->interface, "%s", config->interface);
    }
    pm->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pm->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pm->moved_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    sigset_t all, before; /* the application's signals are not for this thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pm->event_fd >= 0 && pm->stop_fd >= 0 && pm->moved_fd >= 0 &&
                   pthread_create(&pm->thread, NULL, work, pm) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!started) {
        free_all(pm);
        return NULL;
    }
    return pm;
}

int portmap_fd(const struct portmap *pm)
{
    return pm->event_fd;
}

bool portmap_poll(struct portmap *pm, struct portmap_state *state)
{
    silence(pm->event_fd);
    pthread_mutex_lock(&pm->lock);
    *state = pm->state;
    bool changed = pm->changed;
    pm->changed = false;
    pthread_mutex_unlock(&pm->lock);
    return changed;
}

void portmap_moved(struct portmap *pm, uint16_t internal_port)
{
    pthread_mutex_lock(&pm->lock);
    if (internal_port != 0) {
        pm->internal_port = internal_port;
    }
    pthread_mutex_unlock(&pm->lock);
    ring(pm->moved_fd);
}

void portmap_stop(struct portmap *pm)
{
    if (pm == NULL) {
        return;
    }
    ring(pm->stop_fd);
    pthread_join(pm->thread, NULL);
    free_all(pm);
}

enum portmap_proof portmap_proof(const struct portmap_state *state, const struct stun_addr *seen)
{
    if (state->status != PORTMAP_MAPPED || !stun_addr_same_ip(&state->mapped, seen)) {
        return PORTMAP_NOT_PROVABLE;
    }
    return state->mapped.port != seen->port ? PORTMAP_BY_RESPONSE_PORT : PORTMAP_BY_CHANGE_REQUEST;
}

const char *portmap_protocol_name(enum portmap_protocol protocol)
{
    switch (protocol) {
    case PORTMAP_PCP:
        return "PCP";
    case PORTMAP_NAT_PMP:
        return "NAT-PMP";
    case PORTMAP_UPNP:
        return "UPnP";
    case PORTMAP_NO_PROTOCOL:
        break;
    }
    return "none";
}
