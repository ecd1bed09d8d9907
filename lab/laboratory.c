/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/laboratory.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lab/carrier.h"
#include "lab/netfilter.h"
#include "lab/pcap.h"
#include "lab/programs.h"
#include "lab/space.h"
#include "lab/tun.h"

enum { TIMED_OUT = 124, NOT_MADE = 125, GRACE_MS = 2000 };

/* What an epoll event is about: a kind, and a number. */
enum mark { MARK_SIGNAL, MARK_TIMER, MARK_LIMIT, MARK_TUN, MARK_WAN, MARK_OUTPUT, MARK_ERRORS };

struct laboratory {
    const struct topology *topology;
    const struct laboratory_options *options;
    struct carrier carrier;
    struct programs programs;
    int space[TOPOLOGY_NODES], home;
    int poll, timer, limit, signals;
    bool ending;
    int status;
};

static int complain(const char *what, const char *where, int error)
{
    fprintf(stderr, "eyelet-lab: %s: cannot %s: %s\n", where, what,
            strerror(error < 0 ? -error : error));
    return NOT_MADE;
}

static bool watch(const struct laboratory *l, int fd, enum mark mark, unsigned number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)mark << 16 | number};
    return epoll_ctl(l->poll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* ---- namespaces ---- */

static int set_up_ipv6(bool used, bool router)
{
    if (!used) {
        space_set("ipv6/conf/all/disable_ipv6", "1"); /* there may be none at all */
        return 0;
    }
    space_set("ipv6/conf/all/router_solicitations", "0");
    space_set("ipv6/conf/default/router_solicitations", "0");
    return router ? space_set("ipv6/conf/all/forwarding", "1") : 0;
}

static int open_device(struct laboratory *l, unsigned node, const char *device, bool wan)
{
    const char *step;
    int fd = tun_open_here(device, &step);
    if (fd < 0)
        return complain(step, l->topology->node[node].name, fd);
    *(wan ? &l->carrier.node[node].wan : &l->carrier.node[node].tun) = fd;
    return watch(l, fd, wan ? MARK_WAN : MARK_TUN, node) ? 0 : complain("watch", device, errno);
}

static int set_up_host(struct laboratory *l, unsigned index)
{
    const struct topology_node *node = &l->topology->node[index];
    int error = set_up_ipv6(node->ipv6, false);
    if (open_device(l, index, "wan", false) != 0)
        return NOT_MADE;
    for (unsigned i = 0; !error && i < node->addresses; i++)
        error = space_add_address("wan", &node->address[i], 32);
    if (!error)
        error = space_add_default_route("wan", STUN_IPV4);
    if (!error && node->ipv6)
        error = space_add_address("wan", &node->address6, 128);
    if (!error && node->second6.family != STUN_NO_FAMILY)
        error = space_add_address("wan", &node->second6, 128);
    if (!error && node->ipv6)
        error = space_add_default_route("wan", STUN_IPV6);
    return error ? complain("set addresses", node->name, error) : 0;
}

static const char *first_host_of(const struct topology *t, unsigned network,
                                 char text[static STUN_ADDR_TEXT_BYTES])
{
    for (unsigned i = 1; i < t->nodes; i++)
        if (t->node[i].host && t->node[i].parent == network) {
            stun_addr_text(&t->node[i].address[0], text);
            text[strcspn(text, ":")] = 0;
            return text;
        }
    return "127.0.0.2";
}

static int set_up_router(struct laboratory *l, unsigned index)
{
    const struct topology_node *node = &l->topology->node[index];
    const struct netfilter_kind *kind = netfilter_kind_named(node->netfilter);
    char host[STUN_ADDR_TEXT_BYTES];
    if (!kind) {
        fprintf(stderr, "eyelet-lab: no such kind of NAT: %s (eyelet-lab kinds)\n",
                node->netfilter);
        return NOT_MADE;
    }
    if (open_device(l, index, "lan", false) != 0 || open_device(l, index, "wan", true) != 0)
        return NOT_MADE;
    int error = set_up_ipv6(node->ipv6, true);
    if (!error)
        error = space_set("ipv4/ip_forward", "1");
    space_set("ipv4/conf/all/rp_filter", "0");
    space_set("ipv4/conf/lan/rp_filter", "0");
    space_set("ipv4/conf/wan/rp_filter", "0");
    if (!error)
        error = space_add_address("lan", &node->router, node->lan.bits);
    if (!error)
        error = space_add_address("wan", &node->outside, 32);
    if (!error)
        error = space_add_default_route("wan", STUN_IPV4);
    if (!error && node->ipv6)
        error = space_add_address("lan", &node->address6, 64);
    if (!error && node->ipv6)
        error = space_add_default_route("wan", STUN_IPV6);
    if (error)
        return complain("set addresses", node->name, error);
    return netfilter_apply(kind, node->ipv6, first_host_of(l->topology, index, host)) ? 0
                                                                                      : NOT_MADE;
}

static int make_spaces(struct laboratory *l)
{
    const struct topology *t = l->topology;
    l->home = space_here();
    for (unsigned i = 1; i < t->nodes; i++) {
        const struct topology_node *node = &t->node[i];
        if (!node->host && node->gateway == TOPOLOGY_MODEL)
            continue;
        l->space[i] = space_make();
        if (l->space[i] < 0)
            return complain("make a network namespace", node->name, l->space[i]);
        int status = node->host ? set_up_host(l, i) : set_up_router(l, i);
        if (status)
            return status;
    }
    int error = space_enter(l->home);
    return error ? complain("come back", "namespaces", error) : 0;
}

static int open_captures(struct laboratory *l)
{
    for (unsigned i = 1; l->options->capture_directory && i < l->topology->nodes; i++) {
        const char *name = l->topology->node[i].name;
        l->carrier.node[i].capture = pcap_open(l->options->capture_directory, name);
        if (!l->carrier.node[i].capture)
            return complain("capture into this folder", l->options->capture_directory, errno);
    }
    return 0;
}

/* ---- the loop ---- */

static void set_timer(int timer, uint64_t due_ns)
{
    struct itimerspec when = {0};
    if (due_ns != UINT64_MAX) {
        when.it_value.tv_sec = (time_t)(due_ns / 1000000000u);
        when.it_value.tv_nsec = (long)(due_ns % 1000000000u);
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void set_limit(const struct laboratory *l, double seconds)
{
    struct itimerspec when = {0};
    when.it_value.tv_sec = (time_t)seconds;
    when.it_value.tv_nsec = (long)((seconds - (double)when.it_value.tv_sec) * 1e9);
    timerfd_settime(l->limit, 0, &when, NULL);
}

/* Programs may say their last words; whatever is left then dies with this process. */
static void end(struct laboratory *l, int status)
{
    if (l->ending)
        return;
    l->ending = true;
    l->status = status;
    kill(-1, SIGTERM);
    set_limit(l, (double)GRACE_MS / 1000);
}

static bool begin_due(struct laboratory *l)
{
    const struct topology *t = l->topology;
    for (unsigned i = 0; i < t->programs && !l->ending; i++) {
        if (!programs_due(&l->programs, i))
            continue;
        struct programs_one *one = &l->programs.one[i];
        if (!programs_begin(&l->programs, i, l->space[t->program[i].node]))
            return false;
        for (int what = 0; what < 2; what++)
            if (one->from[what] >= 0)
                watch(l, one->from[what], what ? MARK_ERRORS : MARK_OUTPUT, i);
    }
    return true;
}

static int exit_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Ends when the programs that were to be waited for have ended, or one cannot begin any more. */
static void look_for_the_end(struct laboratory *l)
{
    const struct topology *t = l->topology;
    bool waits = false;
    int status = 0;
    for (unsigned i = 0; i < t->programs; i++) {
        const struct programs_one *one = &l->programs.one[i];
        bool matters =
            l->options->until == TOPOLOGY_INTERNET || t->program[i].node == l->options->until;
        waits |= matters && !one->ended && (one->begun || programs_running(&l->programs) > 0);
        if (matters && one->ended && status == 0)
            status = exit_status(one->status);
        if (matters && !one->begun && programs_running(&l->programs) == 0) {
            fprintf(stderr, "eyelet-lab: %s never said \"%s\"\n", t->node[t->program[i].after].name,
                    t->program[i].text);
            status = NOT_MADE;
        }
    }
    if (!waits)
        end(l, status);
}

static void on_signal(struct laboratory *l)
{
    struct signalfd_siginfo info;
    while (read(l->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGCHLD) {
            end(l, 128 + (int)info.ssi_signo);
            continue;
        }
        programs_reap(&l->programs);
        look_for_the_end(l);
    }
}

static bool on_event(struct laboratory *l, uint32_t data)
{
    unsigned number = data & 0xffff;
    switch ((enum mark)(data >> 16)) {
    case MARK_SIGNAL:
        on_signal(l);
        break;
    case MARK_TIMER:
        break;
    case MARK_LIMIT:
        if (l->ending)
            return false;
        fprintf(stderr, "eyelet-lab: not done after %g s\n", l->options->timeout_s);
        end(l, TIMED_OUT);
        break;
    case MARK_TUN:
    case MARK_WAN:
        carrier_read(&l->carrier, number, (enum mark)(data >> 16) == MARK_WAN);
        break;
    case MARK_OUTPUT:
        programs_copy(&l->programs, number, 0);
        break;
    case MARK_ERRORS:
        programs_copy(&l->programs, number, 1);
        break;
    }
    return true;
}

static void copy_the_rest(struct laboratory *l)
{
    for (unsigned i = 0; i < l->topology->programs; i++)
        for (int what = 0; what < 2; what++)
            if (l->programs.one[i].from[what] >= 0)
                programs_copy(&l->programs, i, what);
}

static int loop(struct laboratory *l)
{
    bool going = true;
    while (going && !(l->ending && programs_running(&l->programs) == 0)) {
        if (!begin_due(l))
            end(l, NOT_MADE);
        struct epoll_event event[16];
        int count = epoll_wait(l->poll, event, 16, -1);
        carrier_deliver(&l->carrier);
        for (int i = 0; i < count; i++)
            going &= on_event(l, event[i].data.u32);
        set_timer(l->timer, carrier_deliver(&l->carrier));
    }
    copy_the_rest(l);
    return l->status;
}

static int open_loop(struct laboratory *l)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->limit = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->poll = epoll_create1(EPOLL_CLOEXEC);
    if (!watch(l, l->signals, MARK_SIGNAL, 0) || !watch(l, l->timer, MARK_TIMER, 0) ||
        !watch(l, l->limit, MARK_LIMIT, 0))
        return complain("wait for packets", "lab", errno);
    if (l->options->timeout_s > 0)
        set_limit(l, l->options->timeout_s);
    return 0;
}

static void tell_counts(const struct laboratory *l)
{
    const struct carrier_counts *n = &l->carrier.count;
    if (l->options->talkative)
        fprintf(stderr,
                "lab: %" PRIu64 " delivered, %" PRIu64 " stopped, %" PRIu64 " lost, %" PRIu64
                " duplicated, %" PRIu64 " expired, %" PRIu64 " unroutable, %" PRIu64 " refused\n",
                n->delivered, n->stopped, n->lost, n->duplicated, n->expired, n->unroutable,
                n->refused);
}

int laboratory_run(const struct topology *t, const struct laboratory_options *options)
{
    struct laboratory *l = calloc(1, sizeof(*l));
    if (!l || !carrier_init(&l->carrier, t))
        return complain("begin", "lab", ENOMEM);
    l->topology = t;
    l->options = options;
    l->carrier.talkative = options->talkative;
    programs_init(&l->programs, t, options->log_directory);
    int status = open_loop(l);
    if (!status)
        status = open_captures(l);
    if (!status)
        status = make_spaces(l);
    if (!status) {
        /* The Internet does not wait for a processor; without the right to this it is only less
         * exact. Programs do not inherit it. */
        sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK,
                           &(struct sched_param){.sched_priority = 1});
        status = loop(l);
        tell_counts(l);
    }
    carrier_close(&l->carrier);
    free(l);
    return status;
}
