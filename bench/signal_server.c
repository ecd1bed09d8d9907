/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-bench-signal: carries the offers and answers of the two programs that bench/compare runs.
 *   eyelet-bench-signal ADDRESS PORT
 * TCP: each of the two connects when it has gathered its candidates. When both are there each is
 * told "both", and from then on what one says is passed to the other at once.
 * UDP: STUN in the words of RFC 3489, without a magic cookie. libnice 0.1.21 asks for its address
 * like that, and the bounce servers of eyeletd do not answer it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STUN_BYTES   20
#define ANSWER_BYTES 32

enum { LISTENER, STUN, FIRST, SECOND, SOCKETS };

static int open_at(const struct sockaddr_in *at, int type)
{
    int on = 1;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) ||
        bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 ||
        (type == SOCK_STREAM && listen(fd, 2) < 0)) {
        perror("eyelet-bench-signal");
        return -1;
    }
    return fd;
}

/* RFC 3489, 8.1: MAPPED-ADDRESS, under the 16 bytes of the question's transaction. */
static void answer_stun(int fd)
{
    static const uint8_t question[4] = {0, 1, 0, 0}, success[4] = {1, 1, 0, 12},
                         mapped[6] = {0, 1, 0, 8, 0, 1};
    struct sockaddr_in from;
    socklen_t from_bytes = sizeof(from);
    uint8_t bytes[ANSWER_BYTES];
    ssize_t got = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_bytes);
    if (got != STUN_BYTES || memcmp(bytes, question, sizeof(question)) != 0)
        return;
    memcpy(bytes, success, sizeof(success));
    memcpy(bytes + STUN_BYTES, mapped, sizeof(mapped));
    memcpy(bytes + STUN_BYTES + 6, &from.sin_port, 2);
    memcpy(bytes + STUN_BYTES + 8, &from.sin_addr, 4);
    sendto(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, from_bytes);
}

static bool send_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL);
        if (sent < 0)
            return false;
        data += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

static void hang_up(struct pollfd watched[static SOCKETS])
{
    for (int i = FIRST; i <= SECOND; i++) {
        if (watched[i].fd >= 0)
            close(watched[i].fd);
        watched[i].fd = -1;
    }
}

static void accept_one(struct pollfd watched[static SOCKETS])
{
    int on = 1;
    int fd = accept(watched[LISTENER].fd, NULL, NULL);
    int *place = watched[FIRST].fd < 0 ? &watched[FIRST].fd : &watched[SECOND].fd;
    if (fd < 0)
        return;
    if (*place >= 0) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *place = fd;
    if (watched[SECOND].fd >= 0 &&
        !(send_all(watched[FIRST].fd, "both\n", 5) && send_all(watched[SECOND].fd, "both\n", 5)))
        hang_up(watched);
}

static void pass_on(struct pollfd watched[static SOCKETS], int from)
{
    int to = from == FIRST ? SECOND : FIRST;
    char data[4096];
    ssize_t got = recv(watched[from].fd, data, sizeof(data), 0);
    if (got <= 0 || watched[to].fd < 0 || !send_all(watched[to].fd, data, (size_t)got))
        hang_up(watched);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct pollfd watched[SOCKETS];
    if (argc != 3 || inet_pton(AF_INET, argv[1], &at.sin_addr) != 1) {
        fprintf(stderr, "usage: eyelet-bench-signal ADDRESS PORT\n");
        return 2;
    }
    at.sin_port = htons((uint16_t)atoi(argv[2]));
    for (int i = 0; i < SOCKETS; i++)
        watched[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    watched[LISTENER].fd = open_at(&at, SOCK_STREAM);
    watched[STUN].fd = open_at(&at, SOCK_DGRAM);
    if (watched[LISTENER].fd < 0 || watched[STUN].fd < 0)
        return 1;
    puts("signal ready");
    fflush(stdout);
    while (poll(watched, SOCKETS, -1) > 0 || errno == EINTR) {
        if (watched[LISTENER].revents)
            accept_one(watched);
        if (watched[STUN].revents)
            answer_stun(watched[STUN].fd);
        for (int i = FIRST; i <= SECOND; i++) {
            if (watched[i].fd >= 0 && watched[i].revents)
                pass_on(watched, i);
        }
    }
    perror("eyelet-bench-signal: poll");
    return 1;
}
