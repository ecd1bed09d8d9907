/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-delay: one router with chosen delays, jitter and loss between the namespaces at its links.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "lab/hop.h"
#include "lab/queue.h"
#include "lab/tun.h"

#define MAX_LINKS        16
#define MAX_PREFIXES     8
#define MAX_PACKET_BYTES 65536
#define READS_A_TURN     64 /* of one link, so that a busy one does not starve the clock */

struct link {
    char name[32], netns[200], device[16];
    struct hop_prefix prefix[MAX_PREFIXES];
    size_t prefixes;
    int fd;
};

struct way { /* from one link to another */
    uint64_t delay_ns, jitter_ns;
    uint64_t late_ns; /* more, of TCP alone, while relay.late */
    double loss;
};

struct relay {
    struct link link[MAX_LINKS];
    unsigned links;
    struct way way[MAX_LINKS][MAX_LINKS];
    struct hop_addr router4, router6;
    struct queue queue;
    bool late;
    uint64_t random;
    uint64_t forwarded, lost, unroutable, expired, refused, latest_ns;
    uint8_t packet[MAX_PACKET_BYTES];
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64: the same seed gives the same losses. In [0, 1). */
static double draw(struct relay *r)
{
    uint64_t z = r->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static struct link *link_towards(struct relay *r, const struct hop_addr *to)
{
    struct link *best = NULL;
    unsigned bits = 0;
    for (unsigned i = 0; i < r->links; i++)
        for (size_t k = 0; k < r->link[i].prefixes; k++) {
            const struct hop_prefix *p = &r->link[i].prefix[k];
            if (hop_prefix_has(p, to) && (!best || p->bits > bits)) {
                best = &r->link[i];
                bits = p->bits;
            }
        }
    return best;
}

static void deliver(struct relay *r, unsigned link, const uint8_t *bytes, size_t size)
{
    if (write(r->link[link].fd, bytes, size) == (ssize_t)size)
        r->forwarded++;
    else
        r->refused++;
}

static bool is_tcp(const uint8_t *packet)
{
    return packet[packet[0] >> 4 == 4 ? 9 : 6] == IPPROTO_TCP;
}

static void carry(struct relay *r, unsigned from, unsigned to, uint8_t *bytes, size_t size)
{
    const struct way *way = &r->way[from][to];
    if (way->loss > 0 && draw(r) < way->loss) {
        r->lost++;
        return;
    }
    uint64_t delay = way->delay_ns;
    if (way->jitter_ns)
        delay += (uint64_t)(draw(r) * (double)way->jitter_ns);
    if (r->late && is_tcp(bytes))
        delay += way->late_ns;
    if (delay == 0)
        deliver(r, to, bytes, size);
    else if (!queue_put(&r->queue, now_ns() + delay, to, bytes, size))
        r->refused++;
}

static void route(struct relay *r, unsigned from, uint8_t *bytes, size_t size)
{
    struct hop_addr to;
    if (!hop_destination(bytes, size, &to))
        return;
    struct link *out = link_towards(r, &to);
    if (!out) {
        r->unroutable++;
        return;
    }
    if (!hop_age(bytes)) {
        uint8_t reply[HOP_REPLY_BYTES];
        r->expired++;
        size_t reply_size =
            hop_time_exceeded(reply, bytes, size, to.bytes == 4 ? &r->router4 : &r->router6);
        if (reply_size)
            carry(r, from, from, reply, reply_size);
        return;
    }
    carry(r, from, (unsigned)(out - r->link), bytes, size);
}

static void read_link(struct relay *r, unsigned from)
{
    for (int i = 0; i < READS_A_TURN; i++) {
        ssize_t size = read(r->link[from].fd, r->packet, sizeof(r->packet));
        if (size <= 0)
            return;
        route(r, from, r->packet, (size_t)size);
    }
}

static void deliver_due(struct relay *r)
{
    struct queue_packet packet;
    for (uint64_t now = now_ns(); queue_take(&r->queue, now, &packet); now = now_ns()) {
        if (now - packet.due_ns > r->latest_ns)
            r->latest_ns = now - packet.due_ns;
        deliver(r, packet.link, packet.bytes, packet.size);
        free(packet.bytes);
    }
}

static void set_timer(int timer, uint64_t due_ns)
{
    struct itimerspec when = {0};
    if (due_ns != UINT64_MAX) {
        when.it_value.tv_sec = (time_t)(due_ns / 1000000000u);
        when.it_value.tv_nsec = (long)(due_ns % 1000000000u);
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static bool watch(int poll, int fd, unsigned mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = mark};
    return fd >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Whether to go on. */
static bool take_signal(struct relay *r, int signals)
{
    struct signalfd_siginfo info;
    if (read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info) || info.ssi_signo != SIGUSR1)
        return false;
    r->late = !r->late;
    printf("%s\n", r->late ? "late" : "in time");
    fflush(stdout);
    return true;
}

/* Until SIGINT or SIGTERM. */
static bool run(struct relay *r)
{
    enum { TIMER = MAX_LINKS, SIGNALS };
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    bool ok = watch(poll, signals, SIGNALS) && watch(poll, timer, TIMER);
    for (unsigned i = 0; i < r->links; i++)
        ok = ok && watch(poll, r->link[i].fd, i);
    if (ok) {
        printf("ready\n");
        fflush(stdout);
    } else {
        fprintf(stderr, "eyelet-delay: cannot wait for packets: %s\n", strerror(errno));
    }
    bool running = ok;
    while (running) {
        struct epoll_event event[MAX_LINKS + 2];
        int count = epoll_wait(poll, event, MAX_LINKS + 2, -1);
        deliver_due(r);
        for (int i = 0; i < count; i++) {
            unsigned mark = event[i].data.u32;
            if (mark == SIGNALS)
                running = take_signal(r, signals);
            else if (mark < MAX_LINKS)
                read_link(r, mark);
        }
        deliver_due(r);
        set_timer(timer, queue_next_due(&r->queue));
    }
    close(poll);
    close(timer);
    close(signals);
    return ok;
}

/* ---- options ---- */

static int link_named(const struct relay *r, const char *name, size_t length)
{
    for (unsigned i = 0; i < r->links; i++)
        if (strlen(r->link[i].name) == length && memcmp(r->link[i].name, name, length) == 0)
            return (int)i;
    return -1;
}

/* NAME=NETNS,DEVICE,PREFIX[,PREFIX...] */
static bool parse_link(struct relay *r, const char *text)
{
    if (r->links == MAX_LINKS)
        return false;
    struct link *link = &r->link[r->links];
    int used = 0;
    if (sscanf(text, "%31[^=]=%199[^,],%15[^,]%n", link->name, link->netns, link->device, &used) !=
        3)
        return false;
    const char *at = text + used;
    while (*at == ',') {
        char prefix[64];
        if (link->prefixes == MAX_PREFIXES || sscanf(at, ",%63[^,]%n", prefix, &used) != 1 ||
            !hop_prefix_parse(prefix, &link->prefix[link->prefixes]))
            return false;
        link->prefixes++;
        at += used;
    }
    if (*at || link->prefixes == 0 || link_named(r, link->name, strlen(link->name)) >= 0)
        return false;
    r->links++;
    return true;
}

/* FROM:TO=NUMBER, both links given before. */
static bool parse_way(const struct relay *r, const char *text, int *from, int *to, double *value)
{
    size_t first = strcspn(text, ":");
    if (text[first] != ':')
        return false;
    const char *second = text + first + 1;
    size_t length = strcspn(second, "=");
    if (second[length] != '=')
        return false;
    char *end;
    *value = strtod(second + length + 1, &end);
    *from = link_named(r, text, first);
    *to = link_named(r, second, length);
    return end != second + length + 1 && !*end && *from >= 0 && *to >= 0 && *value >= 0 &&
           *value <= 1e6;
}

static bool parse_router(struct relay *r, const char *text)
{
    struct hop_prefix prefix;
    if (!hop_prefix_parse(text, &prefix))
        return false;
    *(prefix.addr.bytes == 4 ? &r->router4 : &r->router6) = prefix.addr;
    return true;
}

static bool parse_option(struct relay *r, int option, const char *text)
{
    int from, to;
    double value;
    if (option == 'L')
        return parse_link(r, text);
    if (option == 'R')
        return parse_router(r, text);
    if (option == 's') {
        char *end;
        r->random = strtoull(text, &end, 0);
        return end != text && !*end;
    }
    if (!parse_way(r, text, &from, &to, &value))
        return false;
    struct way *there = &r->way[from][to], *back = &r->way[to][from];
    switch (option) {
    case 'd':
        there->delay_ns = (uint64_t)(value * 1e6);
        return true;
    case 'r':
        there->delay_ns = back->delay_ns = (uint64_t)(value * 0.5e6);
        return true;
    case 'j':
        there->jitter_ns = (uint64_t)(value * 1e6);
        return true;
    case 't':
        there->late_ns = (uint64_t)(value * 1e6);
        return true;
    default:
        there->loss = value / 100;
        return value <= 100;
    }
}

static void usage(FILE *to)
{
    fputs("usage: eyelet-delay --link NAME=NETNS,DEVICE,PREFIX[,PREFIX...]... [option]...\n"
          "Routes IP packets between TUN devices that it opens inside network namespaces.\n"
          "  --link ...               a link; the prefixes lie behind it (give links first)\n"
          "  --rtt A:B=MS             half of it in each direction\n"
          "  --delay FROM:TO=MS       one direction\n"
          "  --jitter FROM:TO=MS      up to this much more, evenly spread\n"
          "  --loss FROM:TO=PERCENT   one direction\n"
          "  --late FROM:TO=MS        so much more for TCP alone, one direction, from SIGUSR1 to "
          "SIGUSR1\n"
          "  --router IP              source of ICMP time exceeded (one a family)\n"
          "  --seed N                 of loss and jitter; default 1\n"
          "Prints \"ready\" when the devices exist; ends with SIGINT or SIGTERM.\n",
          to);
}

static bool parse_options(struct relay *r, int argc, char **argv)
{
    static const struct option options[] = {
        {"link", required_argument, NULL, 'L'},   {"rtt", required_argument, NULL, 'r'},
        {"delay", required_argument, NULL, 'd'},  {"jitter", required_argument, NULL, 'j'},
        {"late", required_argument, NULL, 't'},   {"loss", required_argument, NULL, 'l'},
        {"router", required_argument, NULL, 'R'}, {"seed", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'h') {
            usage(stdout);
            exit(0);
        }
        if (option == '?')
            return false;
        if (!parse_option(r, option, optarg)) {
            fprintf(stderr, "eyelet-delay: cannot use \"%s\"\n", optarg);
            return false;
        }
    }
    return r->links > 0 && optind == argc;
}

int main(int argc, char **argv)
{
    struct relay *r = calloc(1, sizeof(*r));
    if (!r)
        return 1;
    r->random = 1;
    parse_router(r, "192.0.2.254");
    parse_router(r, "2001:db8:ffff::1");
    int status = 1;
    unsigned opened = 0;
    if (!parse_options(r, argc, argv)) {
        usage(stderr);
        status = 2;
        goto out;
    }
    for (; opened < r->links; opened++) {
        struct link *link = &r->link[opened];
        const char *step;
        link->fd = tun_open(link->netns, link->device, &step);
        if (link->fd < 0) {
            fprintf(stderr, "eyelet-delay: link %s: cannot %s: %s\n", link->name, step,
                    strerror(-link->fd));
            goto out;
        }
    }
    /* The Internet does not wait for a processor. Without the right to this it is only less exact.
     */
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
    status = run(r) ? 0 : 1;
    fprintf(stderr,
            "eyelet-delay: %" PRIu64 " forwarded, %" PRIu64 " lost, %" PRIu64 " expired, %" PRIu64
            " unroutable, %" PRIu64 " refused, latest by %" PRIu64 " us\n",
            r->forwarded, r->lost, r->expired, r->unroutable, r->refused, r->latest_ns / 1000);
out:
    while (opened-- > 0)
        close(r->link[opened].fd);
    queue_clear(&r->queue);
    free(r);
    return status;
}
