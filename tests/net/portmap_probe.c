/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-portmap: opens a port on the router and keeps it until SIGTERM; prints what happens as
 * lines. SIGHUP: the network changed. SIGUSR1: the program uses another socket.
 *   eyelet-portmap [-P pcp|natpmp|upnp]... [-l LIFETIME_S] [-c CHECK_S] [-e EXTERNAL_PORT]
 *   eyelet-portmap -m MS [...]   ends by itself after so many milliseconds
 * Lines: "state STATUS PROTOCOL MAPPED ROUTER LIFETIME GENERATION MS REASON", "packet FROM TEXT"
 * for what arrives at the port, "stopped MS". */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "portmap/portmap.h"

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static uint8_t protocol_bit(const char *name)
{
    static const char *const names[] = {"", "pcp", "natpmp", "upnp"};
    for (unsigned int i = PORTMAP_PCP; i <= PORTMAP_UPNP; i++) {
        if (strcmp(name, names[i]) == 0) {
            return (uint8_t)(1U << i);
        }
    }
    fprintf(stderr, "no such protocol: %s\n", name);
    exit(2);
}

static int open_socket(uint16_t *port)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t bytes = sizeof any;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) != 0 ||
        getsockname(fd, (struct sockaddr *)&any, &bytes) != 0) {
        perror("socket");
        exit(1);
    }
    *port = ntohs(any.sin_port);
    return fd;
}

static void print_state(const struct portmap_state *s, long long ms)
{
    static const char *const statuses[] = {"asking", "none", "inner", "mapped"};
    char mapped[STUN_ADDR_TEXT_BYTES];
    char router[INET_ADDRSTRLEN] = "-";
    if (s->router.family == STUN_IPV4) {
        inet_ntop(AF_INET, s->router.ip, router, sizeof router);
    }
    printf("state %s %s %s %s %u %u %lld %s\n", statuses[s->status],
           portmap_protocol_name(s->protocol), stun_addr_text(&s->mapped, mapped), router,
           s->lifetime_s, s->generation, ms, s->reason);
    fflush(stdout);
}

static void print_packet(int fd)
{
    char text[256];
    char from_text[INET_ADDRSTRLEN];
    struct sockaddr_in from;
    socklen_t from_bytes = sizeof from;
    ssize_t got = recvfrom(fd, text, sizeof text - 1, 0, (struct sockaddr *)&from, &from_bytes);
    if (got >= 0) {
        printf("packet %s:%u %.*s\n",
               inet_ntop(AF_INET, &from.sin_addr, from_text, sizeof from_text),
               ntohs(from.sin_port), (int)got, text);
        fflush(stdout);
    }
}

/* True: the end is asked for. */
static bool take_signal(int fd, struct portmap *pm, int *udp)
{
    uint16_t port;
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != sizeof info) {
        return false;
    }
    if (info.ssi_signo == SIGHUP) {
        portmap_moved(pm, 0);
    }
    if (info.ssi_signo == SIGUSR1) {
        int old = *udp;
        *udp = open_socket(&port);
        close(old);
        portmap_moved(pm, port);
        printf("port %u\n", port);
        fflush(stdout);
    }
    return info.ssi_signo == SIGTERM;
}

int main(int argc, char **argv)
{
    struct portmap_config config = {0};
    long long limit_ms = -1, start = now_ms();
    sigset_t signals;
    for (int option; (option = getopt(argc, argv, "P:l:c:e:m:")) != -1;) {
        switch (option) {
        case 'P':
            config.protocols |= protocol_bit(optarg);
            break;
        case 'l':
            config.lifetime_s = (uint32_t)atoi(optarg);
            break;
        case 'c':
            config.check_s = (uint32_t)atoi(optarg);
            break;
        case 'e':
            config.external_port = (uint16_t)atoi(optarg);
            break;
        case 'm':
            limit_ms = atoi(optarg);
            break;
        default:
            return 2;
        }
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    int udp = open_socket(&config.internal_port);
    struct portmap *pm = portmap_start(&config);
    if (pm == NULL || signal_fd < 0) {
        return 1;
    }
    printf("port %u\n", config.internal_port);
    fflush(stdout);
    for (bool done = false; !done;) {
        struct pollfd fds[3] = {{.fd = portmap_fd(pm), .events = POLLIN},
                                {.fd = udp, .events = POLLIN},
                                {.fd = signal_fd, .events = POLLIN}};
        long long rest = limit_ms < 0 ? -1 : start + limit_ms - now_ms();
        if (limit_ms >= 0 && rest <= 0) {
            break;
        }
        if (poll(fds, 3, (int)rest) <= 0) {
            continue;
        }
        struct portmap_state state;
        if (fds[0].revents != 0 && portmap_poll(pm, &state)) {
            print_state(&state, now_ms() - start);
        }
        if (fds[1].revents != 0) {
            print_packet(udp);
        }
        done = fds[2].revents != 0 && take_signal(signal_fd, pm, &udp);
    }
    long long stopping = now_ms();
    portmap_stop(pm);
    printf("stopped %lld\n", now_ms() - stopping);
    close(udp);
    close(signal_fd);
    return 0;
}
