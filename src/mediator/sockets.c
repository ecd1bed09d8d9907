/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/sockets.h"

#include <errno.h>
#include <linux/tcp.h> /* struct tcp_info with tcpi_min_rtt, which that of netinet/tcp.h lacks */
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#define SOCKETS_BACKLOG         1024
#define SOCKETS_KEEP_IDLE_S     45
#define SOCKETS_KEEP_INTERVAL_S 15
#define SOCKETS_KEEP_PROBES     3
#define SOCKETS_USER_TIMEOUT_MS 30000
#define SOCKETS_UDP_BUFFER      (4 << 20)
#define SOCKETS_TCP_BUFFER      (32 << 10)  /* the kernel doubles it for its own needs */
#define SOCKETS_STREAM_BUFFER   (256 << 10) /* 20 Mbit/s and more at a round trip of 100 ms */
#define SOCKETS_STREAM_UNSENT   (16 << 10)

static void sockets_set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

/* More than the system's limit where we may. */
static void sockets_set_buffer(int fd, int name, int forced, int bytes)
{
    if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) < 0)
        sockets_set(fd, SOL_SOCKET, name, bytes);
}

static bool sockets_is_wildcard(const struct stun_addr *addr)
{
    static const uint8_t unspecified[sizeof addr->ip];

    return memcmp(addr->ip, unspecified, sizeof unspecified) == 0;
}

static int sockets_open(const struct stun_addr *addr, int type)
{
    int family = addr->family == STUN_IPV6 ? AF_INET6 : AF_INET;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && family == AF_INET6)
        sockets_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    return fd;
}

static int sockets_fail(int fd)
{
    int error = errno;

    close(fd);
    errno = error;
    return -1;
}

static bool sockets_bind(int fd, struct stun_addr *addr)
{
    struct sockaddr_storage storage;
    socklen_t bytes = sockets_to_sockaddr(addr, &storage);

    if (bind(fd, (struct sockaddr *)&storage, bytes) < 0)
        return false;
    bytes = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &bytes) < 0)
        return false;
    addr->port = sockets_from_sockaddr(&storage).port;
    return true;
}

socklen_t sockets_to_sockaddr(const struct stun_addr *addr, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (addr->family == STUN_IPV6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        memcpy(&in6->sin6_addr, addr->ip, sizeof in6->sin6_addr);
        return sizeof *in6;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_family = AF_INET;
    in->sin_port = htons(addr->port);
    memcpy(&in->sin_addr, addr->ip, sizeof in->sin_addr);
    return sizeof *in;
}

struct stun_addr sockets_from_sockaddr(const struct sockaddr_storage *addr)
{
    if (addr->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
        return stun_addr_from_ip((const uint8_t *)&in6->sin6_addr, 16, ntohs(in6->sin6_port));
    }
    if (addr->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
        return stun_addr_from_ip((const uint8_t *)&in->sin_addr, 4, ntohs(in->sin_port));
    }
    return (struct stun_addr){0};
}

int sockets_listen_tcp(struct stun_addr *addr)
{
    int fd = sockets_open(addr, SOCK_STREAM);

    if (fd < 0)
        return -1;
    /* A restarted mediator must not wait for the old one's TIME_WAIT connections. */
    sockets_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!sockets_bind(fd, addr) || listen(fd, SOCKETS_BACKLOG) < 0)
        return sockets_fail(fd);
    return fd;
}

int sockets_bind_udp(struct stun_addr *addr)
{
    int fd = sockets_open(addr, SOCK_DGRAM);

    if (fd < 0)
        return -1;
    if (sockets_is_wildcard(addr)) {
        if (addr->family == STUN_IPV6)
            sockets_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        else
            sockets_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    }
    sockets_set(fd, IPPROTO_UDP, UDP_GRO, 1);
    sockets_set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, SOCKETS_UDP_BUFFER);
    sockets_set_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, SOCKETS_UDP_BUFFER);
    if (!sockets_bind(fd, addr))
        return sockets_fail(fd);
    return fd;
}

int sockets_accept(int listener, struct stun_addr *from, struct stun_addr *local)
{
    struct sockaddr_storage storage;
    socklen_t bytes = sizeof storage;
    int fd = accept4(listener, (struct sockaddr *)&storage, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return -1;
    *from = sockets_from_sockaddr(&storage);
    bytes = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &bytes) < 0)
        return sockets_fail(fd);
    *local = sockets_from_sockaddr(&storage);
    return fd;
}

void sockets_tune_session(int fd)
{
    /* Without these the kernel would hold megabytes for a client that does not read. */
    sockets_set(fd, SOL_SOCKET, SO_SNDBUF, SOCKETS_TCP_BUFFER);
    sockets_set(fd, SOL_SOCKET, SO_RCVBUF, SOCKETS_TCP_BUFFER);
    sockets_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    sockets_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, SOCKETS_USER_TIMEOUT_MS);
    sockets_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    sockets_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, SOCKETS_KEEP_IDLE_S);
    sockets_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, SOCKETS_KEEP_INTERVAL_S);
    sockets_set(fd, IPPROTO_TCP, TCP_KEEPCNT, SOCKETS_KEEP_PROBES);
}

void sockets_tune_stream(int fd)
{
    sockets_set_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, SOCKETS_STREAM_BUFFER);
    sockets_set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, SOCKETS_STREAM_BUFFER);
    sockets_set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, SOCKETS_STREAM_UNSENT);
}

void sockets_abandon(int fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

uint32_t sockets_rtt_us(int fd)
{
    struct tcp_info info = {0};
    socklen_t bytes = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) < 0)
        return 0;
    if (bytes >= offsetof(struct tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt &&
        info.tcpi_min_rtt != 0 && info.tcpi_min_rtt != UINT32_MAX)
        return info.tcpi_min_rtt;
    return info.tcpi_rtt;
}
