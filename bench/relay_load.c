/* SPDX-License-Identifier: BSD-2-Clause */
/* Sends datagrams through a relay and counts those that arrive for each second of CPU time that the
 * relay's process takes. Keeps a window of datagrams on their way, so that the relay always has
 * something to do and its queue does not overflow. bench/relay starts it. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "relay_way.h"

#define LOAD_MOST_IN_BURST 52 /* more do not fit into one send */
#define LOAD_DATAGRAM      (RELAY_WAY_HEADER_BYTES + RELAY_WAY_PAYLOAD_BYTES)
#define LOAD_BATCH         32
#define LOAD_BUFFER_BYTES  (4 << 20)
#define LOAD_WARM_UP_S     0.5
#define LOAD_PATIENCE_MS   20 /* what has not come by then is lost */
#define LOAD_CHECKED       200

struct load {
    struct relay_way way;
    const char *method;
    pid_t pid; /* of the relay */
    size_t burst;
    size_t window;
    double seconds;
    size_t size; /* of a datagram that is sent */
    uint64_t next;
    uint64_t after_last; /* sequence number after the last one that has arrived */
    uint64_t arrived;
    uint64_t wrong;
    uint8_t bytes[LOAD_BATCH][LOAD_DATAGRAM * LOAD_MOST_IN_BURST];
    uint8_t received[LOAD_BATCH][64];
};

struct load_moment {
    double seconds;
    double cpu_user_s;
    double cpu_system_s;
    uint64_t sent;
    uint64_t arrived;
};

static double load_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* All threads of a process. */
static bool load_cpu(pid_t pid, struct load_moment *out)
{
    char path[64], line[1024];
    unsigned long user, system;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    const char *rest = file != NULL && fgets(line, sizeof line, file) != NULL
                           ? strrchr(line, ')') /* its name may hold anything */
                           : NULL;
    if (file != NULL)
        fclose(file);
    if (rest == NULL ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return false;
    out->cpu_user_s = (double)user / (double)sysconf(_SC_CLK_TCK);
    out->cpu_system_s = (double)system / (double)sysconf(_SC_CLK_TCK);
    return true;
}

static bool load_look(const struct load *load, struct load_moment *out)
{
    out->seconds = load_now();
    out->sent = load->next;
    out->arrived = load->arrived;
    return load_cpu(load->pid, out);
}

/* ---- sending ---- */

/* Everything but the sequence numbers, once. */
static void load_prepare(struct load *load)
{
    load->size = load->way.sent_bytes + RELAY_WAY_PAYLOAD_BYTES;
    for (size_t i = 0; i < LOAD_BATCH; i++) {
        for (size_t k = 0; k < load->burst; k++) {
            uint8_t *at = load->bytes[i] + k * load->size;
            memcpy(at, load->way.sent, load->way.sent_bytes);
            for (size_t b = 0; b < RELAY_WAY_PAYLOAD_BYTES; b++)
                at[load->way.sent_bytes + b] = (uint8_t)(b * 7);
        }
    }
}

static void load_number(struct load *load, uint8_t *bytes)
{
    for (size_t k = 0; k < load->burst; k++) {
        uint64_t number = load->next + k;
        memcpy(bytes + k * load->size + load->way.sent_bytes, &number, sizeof number);
    }
}

/* As many as the window allows, at most LOAD_BATCH sends. */
static void load_send(struct load *load)
{
    struct mmsghdr messages[LOAD_BATCH];
    struct iovec vectors[LOAD_BATCH];
    uint64_t before = load->next;
    unsigned count = 0;

    while (count < LOAD_BATCH && load->next - load->after_last + load->burst <= load->window) {
        load_number(load, load->bytes[count]);
        load->next += load->burst;
        vectors[count] = (struct iovec){load->bytes[count], load->size * load->burst};
        messages[count] =
            (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[count], .msg_iovlen = 1}};
        count++;
    }
    if (count == 0)
        return;
    int sent = sendmmsg(load->way.send_fd, messages, count, 0);
    load->next = before + (uint64_t)(sent > 0 ? sent : 0) * load->burst;
}

/* ---- receiving ---- */

static size_t load_segment(struct msghdr *message, size_t size)
{
    struct cmsghdr *part = CMSG_FIRSTHDR(message);
    int segment;

    if (part == NULL || part->cmsg_level != SOL_UDP || part->cmsg_type != UDP_GRO)
        return size;
    memcpy(&segment, CMSG_DATA(part), sizeof segment);
    return (size_t)segment;
}

static void load_count(struct load *load, struct mmsghdr *message)
{
    const struct relay_way *way = &load->way;
    const uint8_t *bytes = message->msg_hdr.msg_iov->iov_base;
    size_t segment = load_segment(&message->msg_hdr, message->msg_len);
    size_t datagrams = message->msg_len / (segment > 0 ? segment : 1);
    uint64_t number;

    if (segment != way->arrived_bytes + RELAY_WAY_PAYLOAD_BYTES ||
        message->msg_len % segment != 0 || memcmp(bytes, way->arrived, way->arrived_bytes) != 0) {
        load->wrong++;
        return;
    }
    memcpy(&number, bytes + way->arrived_bytes, sizeof number);
    load->arrived += datagrams;
    if (number + datagrams > load->after_last && number + datagrams <= load->next)
        load->after_last = number + datagrams;
}

/* Only the beginning is copied: what the receiver does is not measured. */
static int load_receive(struct load *load)
{
    struct mmsghdr messages[LOAD_BATCH];
    struct iovec vectors[LOAD_BATCH];
    _Alignas(struct cmsghdr) uint8_t control[LOAD_BATCH][CMSG_SPACE(sizeof(int))];

    for (size_t i = 0; i < LOAD_BATCH; i++) {
        vectors[i] = (struct iovec){load->received[i], sizeof load->received[i]};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i],
                                                   .msg_iovlen = 1,
                                                   .msg_control = control[i],
                                                   .msg_controllen = sizeof control[i]}};
    }
    int count =
        recvmmsg(load->way.receive_fd, messages, LOAD_BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
    for (int i = 0; i < count; i++)
        load_count(load, &messages[i]);
    return count;
}

static void load_run(struct load *load, double seconds)
{
    double until = load_now() + seconds;

    while (load_now() < until) {
        load_send(load);
        if (load_receive(load) > 0)
            continue;
        struct pollfd polled = {.fd = load->way.receive_fd, .events = POLLIN};
        if (poll(&polled, 1, LOAD_PATIENCE_MS) == 0)
            load->after_last = load->next;
    }
}

/* Before anything is measured: what arrives is what was sent, to the last byte. */
static bool load_check(struct load *load)
{
    uint8_t bytes[LOAD_DATAGRAM * 2];
    size_t header = load->way.arrived_bytes;

    for (int i = 0; i < LOAD_CHECKED; i++) {
        struct pollfd polled = {.fd = load->way.receive_fd, .events = POLLIN};
        if (send(load->way.send_fd, load->bytes[0], load->size, 0) < 0 ||
            poll(&polled, 1, 1000) < 1)
            return false;
        ssize_t got = recv(load->way.receive_fd, bytes, sizeof bytes, 0);
        if (got != (ssize_t)(header + RELAY_WAY_PAYLOAD_BYTES) ||
            memcmp(bytes, load->way.arrived, header) != 0 ||
            memcmp(bytes + header, load->bytes[0] + load->way.sent_bytes,
                   RELAY_WAY_PAYLOAD_BYTES) != 0)
            return false;
    }
    return true;
}

/* ---- the program ---- */

int relay_way_socket(struct in_addr own, uint16_t port, struct in_addr to, uint16_t to_port)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = own, .sin_port = htons(port)};
    struct sockaddr_in relay = {.sin_family = AF_INET, .sin_addr = to, .sin_port = htons(to_port)};
    static const int on = 1, buffer_bytes = LOAD_BUFFER_BYTES;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        (to_port != 0 && connect(fd, (struct sockaddr *)&relay, sizeof relay) < 0) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes) < 0 ||
        setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) < 0)
        return -1;
    return fd;
}

const char *relay_way_plain(struct relay_way *way, const struct relay_way_addresses *at)
{
    *way = (struct relay_way){
        .send_fd = relay_way_socket(at->own, RELAY_PLAIN_OWN_PORT, at->server, RELAY_PLAIN_PORT),
        .receive_fd =
            relay_way_socket(at->peer, RELAY_PLAIN_PEER_PORT, at->server, RELAY_PLAIN_PORT),
    };
    return way->send_fd < 0 || way->receive_fd < 0 ? "no socket" : NULL;
}

static const char *load_open(struct load *load, const struct relay_way_addresses *at)
{
    if (strcmp(load->method, "turn") == 0)
        return relay_way_turn(&load->way, at, false);
    if (strcmp(load->method, "turn-down") == 0)
        return relay_way_turn(&load->way, at, true);
    if (strcmp(load->method, "eyelet") == 0)
        return relay_way_eyelet(&load->way, at);
    if (strcmp(load->method, "plain") == 0)
        return relay_way_plain(&load->way, at);
    return "no such method";
}

static void load_print(const struct load *load, const struct load_moment *from,
                       const struct load_moment *to)
{
    double seconds = to->seconds - from->seconds;
    double user_s = to->cpu_user_s - from->cpu_user_s;
    double system_s = to->cpu_system_s - from->cpu_system_s;
    double sent = (double)(to->sent - from->sent), arrived = (double)(to->arrived - from->arrived);

    printf("{\"v\":1,\"bench\":\"relay\",\"method\":\"%s\",\"burst\":%zu,\"window\":%zu,"
           "\"seconds\":%.3f,\"sent\":%.0f,\"arrived\":%.0f,\"wrong\":%llu,\"loss\":%.5f,"
           "\"cpu_user_s\":%.2f,\"cpu_system_s\":%.2f,\"cpu_share\":%.3f,"
           "\"per_cpu_second\":%.0f}\n",
           load->method, load->burst, load->window, seconds, sent, arrived,
           (unsigned long long)load->wrong, sent > arrived ? 1 - arrived / sent : 0, user_s,
           system_s, (user_s + system_s) / seconds,
           user_s + system_s > 0 ? arrived / (user_s + system_s) : 0);
}

static int load_measure(struct load *load)
{
    struct load_moment from, to;

    load_prepare(load);
    int segment = (int)load->size;
    if (!load_check(load)) {
        fprintf(stderr, "eyelet-relay-load: what was sent did not arrive as it was\n");
        return EXIT_FAILURE;
    }
    if (load->burst > 1 &&
        setsockopt(load->way.send_fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0) {
        perror("eyelet-relay-load: UDP_SEGMENT");
        return EXIT_FAILURE;
    }
    load_run(load, LOAD_WARM_UP_S);
    if (!load_look(load, &from)) {
        fprintf(stderr, "eyelet-relay-load: no process %ld\n", (long)load->pid);
        return EXIT_FAILURE;
    }
    load_run(load, load->seconds);
    if (!load_look(load, &to)) {
        fprintf(stderr, "eyelet-relay-load: the relay has ended\n");
        return EXIT_FAILURE;
    }
    load_print(load, &from, &to);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static const char usage[] = "usage: eyelet-relay-load [-b BURST] [-w WINDOW] [-s SECONDS]\n"
                                "           turn|turn-down|eyelet|plain SERVER OWN PEER PID\n";
    struct relay_way_addresses at;
    struct load *load = calloc(1, sizeof *load);
    int option;

    if (load == NULL)
        return EXIT_FAILURE;
    load->burst = 1;
    load->window = 64;
    load->seconds = 3;
    while ((option = getopt(argc, argv, "b:w:s:")) != -1) {
        if (option == 'b')
            load->burst = strtoul(optarg, NULL, 10);
        else if (option == 'w')
            load->window = strtoul(optarg, NULL, 10);
        else if (option == 's')
            load->seconds = strtod(optarg, NULL);
        else
            argc = 0;
    }
    if (argc - optind != 5 || load->burst < 1 || load->burst > LOAD_MOST_IN_BURST ||
        load->window < load->burst || inet_aton(argv[optind + 1], &at.server) == 0 ||
        inet_aton(argv[optind + 2], &at.own) == 0 || inet_aton(argv[optind + 3], &at.peer) == 0) {
        fputs(usage, stderr);
        free(load);
        return 2;
    }
    load->method = argv[optind];
    load->pid = (pid_t)strtol(argv[optind + 4], NULL, 10);
    const char *why = load_open(load, &at);
    if (why != NULL)
        fprintf(stderr, "eyelet-relay-load: %s: %s\n", load->method, why);
    int status = why == NULL ? load_measure(load) : EXIT_FAILURE;
    relay_way_eyelet_end(&load->way);
    free(load);
    return status;
}
