/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "peer/udp.h"

#define UNACKNOWLEDGED_MS 4000 /* for so long: a dead way, or a dead mediator */
#define NOT_SENT_BYTES    (16 << 10)
#define KEEP_IDLE_S       30

static void set_int(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

int tcp_connect(const struct stun_addr *to)
{
    struct sockaddr_storage sa;
    socklen_t bytes = udp_sockaddr(to, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS);
    if (connect(fd, (struct sockaddr *)&sa, bytes) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

void tcp_carry_datagrams(int fd)
{
    set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOT_SENT_BYTES);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
}

struct stun_addr tcp_own_address(int fd)
{
    struct sockaddr_storage sa;
    socklen_t bytes = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &bytes) != 0) {
        return (struct stun_addr){0};
    }
    return udp_stun_addr((struct sockaddr *)&sa);
}

uint64_t tcp_round_trip_us(int fd)
{
    struct tcp_info info;
    socklen_t bytes = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0 ? info.tcpi_rtt : 0;
}
