/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#define UDP_BUFFER_BYTES (4 << 20)

static void set_int(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

static void widen_buffer(int fd, int force, int plain)
{
    int bytes = UDP_BUFFER_BYTES;
    if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof bytes) != 0) {
        set_int(fd, SOL_SOCKET, plain, bytes);
    }
}

socklen_t udp_sockaddr(const struct stun_addr *addr, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (addr->family == STUN_IPV6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        memcpy(&in6->sin6_addr, addr->ip, 16);
        return sizeof *in6;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_family = AF_INET;
    in->sin_port = htons(addr->port);
    memcpy(&in->sin_addr, addr->ip, 4);
    return sizeof *in;
}

struct stun_addr udp_stun_addr(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        return stun_addr_from_ip(in6->sin6_addr.s6_addr, 16, ntohs(in6->sin6_port));
    }
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        return stun_addr_from_ip((const uint8_t *)&in->sin_addr, 4, ntohs(in->sin_port));
    }
    return (struct stun_addr){0};
}

static void set_path_mtu(const struct udp_socket *s, int ipv4, int ipv6)
{
    if (s->family == STUN_IPV6) {
        set_int(s->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, ipv6);
    } else {
        set_int(s->fd, IPPROTO_IP, IP_MTU_DISCOVER, ipv4);
    }
}

int udp_open(struct udp_socket *out, enum stun_family family)
{
    const struct stun_addr anywhere = {.family = (uint8_t)family};
    struct sockaddr_storage any;
    socklen_t bytes = udp_sockaddr(&anywhere, &any);
    *out = (struct udp_socket){.fd = -1, .family = (uint8_t)family};
    int fd = socket(any.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    if (family == STUN_IPV6) {
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
    if (bind(fd, (struct sockaddr *)&any, bytes) != 0 ||
        getsockname(fd, (struct sockaddr *)&any, &bytes) != 0) {
        int error = errno;
        close(fd);
        return error;
    }
    out->fd = fd;
    out->port = udp_stun_addr((struct sockaddr *)&any).port;
    /* Don't Fragment without the kernel's own path MTU guess: the size is probed end to end. */
    set_path_mtu(out, IP_PMTUDISC_PROBE, IPV6_PMTUDISC_PROBE);
    set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
    widen_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    widen_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
    return 0;
}

void udp_close(struct udp_socket *s)
{
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
}

void udp_make_plain(const struct udp_socket *s)
{
    set_path_mtu(s, IP_PMTUDISC_WANT, IPV6_PMTUDISC_WANT);
    set_int(s->fd, IPPROTO_UDP, UDP_GRO, 0);
}

static int send_once(struct udp_socket *s, const struct sockaddr_storage *to, socklen_t to_bytes,
                     unsigned ttl, const uint8_t *bytes, size_t size, size_t segment_bytes)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr msg = {.msg_name = (void *)(uintptr_t)to,
                         .msg_namelen = to_bytes,
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    memset(&control, 0, sizeof control);
    size_t used = 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (segment_bytes < size) {
        uint16_t segment = (uint16_t)segment_bytes;
        c->cmsg_level = IPPROTO_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof segment);
        memcpy(CMSG_DATA(c), &segment, sizeof segment);
        used += CMSG_SPACE(sizeof segment);
        c = CMSG_NXTHDR(&msg, c);
    }
    if (ttl != 0) {
        int value = (int)ttl;
        c->cmsg_level = s->family == STUN_IPV6 ? IPPROTO_IPV6 : IPPROTO_IP;
        c->cmsg_type = s->family == STUN_IPV6 ? IPV6_HOPLIMIT : IP_TTL;
        c->cmsg_len = CMSG_LEN(sizeof value);
        memcpy(CMSG_DATA(c), &value, sizeof value);
        used += CMSG_SPACE(sizeof value);
    }
    msg.msg_controllen = used;
    if (used == 0) {
        msg.msg_control = NULL;
    }
    for (int tries = 0; tries < 4; tries++) {
        if (sendmsg(s->fd, &msg, 0) >= 0) {
            return 0;
        }
        /* An ICMP answer to an earlier packet is reported once, here, and concerns another one. */
        if (errno != EINTR && errno != ECONNREFUSED) {
            break;
        }
    }
    return errno;
}

int udp_send(struct udp_socket *s, const struct stun_addr *to, unsigned ttl, const uint8_t *bytes,
             size_t size, size_t segment_bytes)
{
    struct sockaddr_storage sa;
    socklen_t sa_bytes = udp_sockaddr(to, &sa);
    if (to->family != s->family) { /* the kernel takes IPv4 on an IPv6 socket in some spellings */
        return EAFNOSUPPORT;
    }
    if (segment_bytes == 0 || segment_bytes > size) {
        segment_bytes = size;
    }
    if (!s->no_segments || segment_bytes == size) {
        int error = send_once(s, &sa, sa_bytes, ttl, bytes, size, segment_bytes);
        /* EIO: the device cannot checksum segments; EINVAL: the kernel does not know the option. */
        if (segment_bytes == size || (error != EIO && error != EINVAL)) {
            return error;
        }
        s->no_segments = true;
    }
    int first_error = 0;
    for (size_t at = 0; at < size; at += segment_bytes) {
        size_t part = size - at < segment_bytes ? size - at : segment_bytes;
        int error = send_once(s, &sa, sa_bytes, ttl, bytes + at, part, part);
        if (at == 0) {
            first_error = error;
        }
        if (error != 0) {
            break; /* what is left is lost like any datagram */
        }
    }
    return first_error;
}

ssize_t udp_receive(struct udp_socket *s, uint8_t buffer[static UDP_MAX_RECEIVE_BYTES],
                    struct stun_addr *from, size_t *segment_bytes)
{
    for (int tries = 0; tries < 16; tries++) {
        struct sockaddr_storage sa;
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {.iov_base = buffer, .iov_len = UDP_MAX_RECEIVE_BYTES};
        struct msghdr msg = {.msg_name = &sa,
                             .msg_namelen = sizeof sa,
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
        ssize_t got = recvmsg(s->fd, &msg, 0);
        if (got < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EBADF) {
                return -1;
            }
            continue;
        }
        *from = udp_stun_addr((struct sockaddr *)&sa);
        *segment_bytes = (size_t)got;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
            if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
                int segment;
                memcpy(&segment, CMSG_DATA(c), sizeof segment);
                if (segment > 0 && segment < got) {
                    *segment_bytes = (size_t)segment;
                }
            }
        }
        return got;
    }
    return -1;
}
