/* SPDX-License-Identifier: BSD-2-Clause */
/* How fast a link carries one stream: both ends on one core over memory, then one thread for each
 * end over UDP on loopback with segmentation offload, and plain TCP beside it for the ratio. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "identity/rawkey.h"
#include "link/link.h"

#define WRITE_BYTES 65536
#define BURST_READS 16

struct end {
    struct link *link;
    int socket;
    int64_t stream;
    uint64_t received;
    uint64_t batches;
    uint64_t datagrams;
    atomic_bool *stop;
    uint64_t stop_us;
    uint8_t *send_buffer;
    size_t send_bytes; /* what the socket did not take yet */
    size_t send_segment;
    bool messages; /* instead of a stream */
};

static uint8_t payload[WRITE_BYTES];

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void die(const char *what)
{
    fprintf(stderr, "link_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void make_links(struct link *links[2], uint64_t now, size_t datagram,
                       gnutls_certificate_credentials_t credentials[2])
{
    static const uint8_t token[32] = "the same on both sides of a dial";
    struct identity who[2];
    struct link_config config[2];
    memset(config, 0, sizeof(config));
    for (int i = 0; i < 2; i++) {
        if (identity_generate(&who[i]) != 0 || rawkey_credentials(&who[i], &credentials[i]) != 0) {
            die("identity");
        }
    }
    for (int i = 0; i < 2; i++) {
        config[i].credentials = credentials[i];
        config[i].peer = who[1 - i].id;
        config[i].initial_rtt_us = 1000;
        config[i].token = token;
        config[i].token_bytes = sizeof(token);
        config[i].random = identity_random;
    }
    uint8_t flight[LINK_MAX_DATAGRAM_BYTES];
    size_t segment;
    if (link_dial(&links[0], &config[0], now) != LINK_OK) {
        die("link_dial");
    }
    link_set_path(links[0], now, true, LINK_MIN_DATAGRAM_BYTES);
    size_t bytes = link_output(links[0], now, flight, sizeof(flight), &segment);
    if (link_accept(&links[1], &config[1], flight, bytes, now) != LINK_OK) {
        die("link_accept");
    }
    link_set_path(links[0], now, true, datagram);
    link_set_path(links[1], now, true, datagram);
}

static void check_open(const struct link *link)
{
    const struct link_close_reason *reason = link_close_reason(link);
    if (reason->kind != LINK_CLOSE_NONE) {
        fprintf(stderr, "link_bench: the link closed: %s\n", reason->text);
        exit(1);
    }
}

/* What an application does: the dialler writes, the listener reads. */
static void use_link(struct end *end)
{
    struct link_event event;
    while (link_poll_event(end->link, &event)) {
        if (event.kind == LINK_EVENT_CONFIRMED && end->stream == -1) {
            end->stream = link_stream_open(end->link);
        }
        if (event.kind == LINK_EVENT_MESSAGE) {
            end->received += event.bytes;
        }
        if (event.kind == LINK_EVENT_READABLE) {
            const uint8_t *data;
            bool fin;
            ssize_t bytes;
            while ((bytes = link_stream_peek(end->link, event.stream, &data, &fin)) > 0) {
                link_stream_consume(end->link, event.stream, (size_t)bytes);
                end->received += (uint64_t)bytes;
            }
        }
    }
    if (end->stream >= 0 && end->messages) {
        while (link_send_message(end->link, payload, link_max_message(end->link)) == LINK_OK) {
        }
    } else if (end->stream >= 0) {
        while (link_stream_write(end->link, end->stream, payload, sizeof(payload), false) ==
               (ssize_t)sizeof(payload)) {
        }
    }
}

static double run_memory(double seconds, size_t datagram)
{
    struct link *links[2];
    gnutls_certificate_credentials_t credentials[2];
    uint8_t *buffer = malloc(LINK_MAX_BATCH_BYTES);
    uint64_t start = now_us();
    make_links(links, start, datagram, credentials);
    struct end ends[2] = {{.link = links[0], .stream = -1}, {.link = links[1], .stream = -2}};
    uint64_t end_us = start + (uint64_t)(seconds * 1e6);
    double cpu = cpu_seconds();
    uint64_t now = start;
    while (now < end_us) {
        bool idle = true;
        for (int i = 0; i < 2; i++) {
            size_t segment;
            size_t total;
            now = now_us();
            if (link_next_timeout(links[i]) <= now) {
                link_handle_timeout(links[i], now);
            }
            use_link(&ends[i]);
            total = link_output(links[i], now, buffer, LINK_MAX_BATCH_BYTES, &segment);
            ends[i].batches += total > 0;
            for (size_t at = 0; at < total; at += segment) {
                size_t size = total - at < segment ? total - at : segment;
                link_input(links[1 - i], now, buffer + at, size);
                ends[i].datagrams++;
                idle = false;
            }
        }
        if (idle) {
            uint64_t a = link_next_timeout(links[0]);
            uint64_t b = link_next_timeout(links[1]);
            uint64_t wake = a < b ? a : b;
            while (now_us() < wake && wake - now < 1000000) {
            }
        }
    }
    double took = (double)(now - start) / 1e6;
    double rate = (double)ends[1].received * 8 / took / 1e9;
    printf(
        "memory   %zu B: %6.2f Gbit/s goodput on one core, %.2f CPU s/GB, %.1f datagrams a batch, "
        "%.1f per acknowledgement\n",
        datagram, rate, (cpu_seconds() - cpu) / ((double)ends[1].received / 1e9),
        (double)ends[0].datagrams / (double)ends[0].batches,
        (double)ends[0].datagrams / (double)ends[1].datagrams);
    free(buffer);
    for (int i = 0; i < 2; i++) {
        check_open(links[i]);
        link_free(links[i]);
        gnutls_certificate_free_credentials(credentials[i]);
    }
    return rate;
}

/* False: the socket is full. */
static bool flush_socket(struct end *end)
{
    while (end->send_bytes > 0) {
        struct iovec part = {.iov_base = end->send_buffer, .iov_len = end->send_bytes};
        union {
            char bytes[CMSG_SPACE(sizeof(uint16_t))];
            struct cmsghdr align;
        } control;
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        memset(&control, 0, sizeof(control));
        if (end->send_bytes > end->send_segment) {
            message.msg_control = control.bytes;
            message.msg_controllen = sizeof(control.bytes);
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_UDP;
            header->cmsg_type = UDP_SEGMENT;
            header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
            uint16_t segment = (uint16_t)end->send_segment;
            memcpy(CMSG_DATA(header), &segment, sizeof(segment));
        }
        if (sendmsg(end->socket, &message, 0) < 0) {
            if (errno == EAGAIN || errno == ENOBUFS) {
                return false;
            }
            if (errno != ECONNREFUSED) {
                die("sendmsg");
            }
        }
        end->send_bytes = 0;
    }
    return true;
}

static bool receive(struct end *end, uint8_t *buffer)
{
    struct iovec part = {.iov_base = buffer, .iov_len = 65536};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t size = recvmsg(end->socket, &message, 0);
    if (size <= 0) {
        return false;
    }
    size_t segment = (size_t)size;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h != NULL; h = CMSG_NXTHDR(&message, h)) {
        if (h->cmsg_level == SOL_UDP && h->cmsg_type == UDP_GRO) {
            int value;
            memcpy(&value, CMSG_DATA(h), sizeof(value));
            segment = (size_t)value;
        }
    }
    uint64_t now = now_us();
    for (size_t at = 0; at < (size_t)size; at += segment) {
        size_t bytes = (size_t)size - at < segment ? (size_t)size - at : segment;
        link_input(end->link, now, buffer + at, bytes);
    }
    return true;
}

static void *udp_end(void *context)
{
    struct end *end = context;
    uint8_t *buffer = malloc(65536);
    end->send_buffer = malloc(LINK_MAX_BATCH_BYTES);
    while (!atomic_load(end->stop)) {
        bool progress = false;
        for (int i = 0; i < BURST_READS && receive(end, buffer); i++) {
            progress = true;
        }
        uint64_t now = now_us();
        if (link_next_timeout(end->link) <= now) {
            link_handle_timeout(end->link, now);
        }
        use_link(end);
        bool room = flush_socket(end);
        for (int i = 0; room && i < 8; i++) {
            end->send_bytes = link_output(end->link, now, end->send_buffer, LINK_MAX_BATCH_BYTES,
                                          &end->send_segment);
            if (end->send_bytes == 0) {
                break;
            }
            end->batches++;
            end->datagrams += (end->send_bytes + end->send_segment - 1) / end->send_segment;
            progress = true;
            room = flush_socket(end);
        }
        if (!progress) {
            uint64_t next = link_next_timeout(end->link);
            uint64_t wait = next > now ? next - now : 0;
            wait = wait < 100000 ? wait : 100000;
            struct timespec timeout = {.tv_nsec = (long)wait * 1000};
            struct pollfd poller = {.fd = end->socket,
                                    .events = (short)(POLLIN | (room ? 0 : POLLOUT))};
            ppoll(&poller, 1, &timeout, NULL);
        }
        if (now >= end->stop_us) {
            atomic_store(end->stop, true);
        }
    }
    free(buffer);
    free(end->send_buffer);
    return NULL;
}

static int udp_socket(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int on = 1;
    int size = 4 << 20;
    socklen_t length = sizeof(*address);
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (struct sockaddr *)address, sizeof(*address)) != 0 ||
        getsockname(fd, (struct sockaddr *)address, &length) != 0) {
        die("socket");
    }
    setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return fd;
}

static double run_udp(double seconds, size_t datagram, bool messages)
{
    struct link *links[2];
    gnutls_certificate_credentials_t credentials[2];
    struct sockaddr_in address[2];
    atomic_bool stop = false;
    pthread_t threads[2];
    int sockets[2] = {udp_socket(&address[0]), udp_socket(&address[1])};
    uint64_t start = now_us();
    make_links(links, start, datagram, credentials);
    struct end ends[2] = {{.link = links[0], .stream = -1, .messages = messages},
                          {.link = links[1], .stream = -2}};
    double cpu = cpu_seconds();
    for (int i = 0; i < 2; i++) {
        if (connect(sockets[i], (struct sockaddr *)&address[1 - i], sizeof(address[0])) != 0) {
            die("connect");
        }
        ends[i].socket = sockets[i];
        ends[i].stop = &stop;
        ends[i].stop_us = start + (uint64_t)(seconds * 1e6);
        pthread_create(&threads[i], NULL, udp_end, &ends[i]);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    double took = (double)(now_us() - start) / 1e6;
    double rate = (double)ends[1].received * 8 / took / 1e9;
    printf("%s %zu B: %6.2f Gbit/s goodput in two threads, %.2f CPU s/GB, %.1f datagrams a "
           "batch, %.1f per acknowledgement\n",
           messages ? "messages" : "udp     ", datagram, rate,
           (cpu_seconds() - cpu) / ((double)ends[1].received / 1e9),
           (double)ends[0].datagrams / (double)ends[0].batches,
           (double)ends[0].datagrams / (double)ends[1].datagrams);
    for (int i = 0; i < 2; i++) {
        close(sockets[i]);
        check_open(links[i]);
        link_free(links[i]);
        gnutls_certificate_free_credentials(credentials[i]);
    }
    return rate;
}

struct tcp_end {
    int socket;
    uint64_t stop_us;
    uint64_t received;
};

static void *tcp_sender(void *context)
{
    struct tcp_end *end = context;
    while (now_us() < end->stop_us) {
        if (send(end->socket, payload, sizeof(payload), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    shutdown(end->socket, SHUT_WR);
    return NULL;
}

static double run_tcp(double seconds)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int out = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
        connect(out, (struct sockaddr *)&address, sizeof(address)) != 0) {
        die("tcp");
    }
    int in = accept(listener, NULL, NULL);
    uint64_t start = now_us();
    struct tcp_end end = {.socket = out, .stop_us = start + (uint64_t)(seconds * 1e6)};
    uint8_t *buffer = malloc(WRITE_BYTES);
    pthread_t thread;
    pthread_create(&thread, NULL, tcp_sender, &end);
    ssize_t size;
    while ((size = recv(in, buffer, WRITE_BYTES, 0)) > 0) {
        end.received += (uint64_t)size;
    }
    pthread_join(thread, NULL);
    double rate = (double)end.received * 8 / ((double)(now_us() - start) / 1e6) / 1e9;
    printf("tcp           : %6.2f Gbit/s on the same loopback, not encrypted\n", rate);
    free(buffer);
    close(in);
    close(out);
    close(listener);
    return rate;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    const char *only = argc > 2 ? argv[2] : "all";
    bool all = strcmp(only, "all") == 0;
    double udp = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (seconds <= 0) {
        fprintf(stderr, "usage: link_bench [SECONDS [all|memory|udp|messages]]\n");
        return 2;
    }
    if (all || strcmp(only, "memory") == 0) {
        run_memory(seconds, LINK_MAX_DATAGRAM_BYTES);
    }
    if (all || strcmp(only, "udp") == 0) {
        udp = run_udp(seconds, LINK_MAX_DATAGRAM_BYTES, false);
    }
    if (all || strcmp(only, "messages") == 0) {
        run_udp(seconds, LINK_MAX_DATAGRAM_BYTES, true);
    }
    if (all) {
        printf("ratio link over udp / tcp: %.2f\n", udp / run_tcp(seconds));
    }
    return 0;
}
