/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/burst_out.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/sockets.h"

#define BURST_OUT_MESSAGES 64
#define BURST_OUT_PARTS    64    /* of one message; also what the kernel cuts it into at most */
#define BURST_OUT_BYTES    65000 /* of one message; a datagram's limit, headers left out */
#define BURST_OUT_ROOM     (BURST_OUT_MESSAGES * BURST_OUT_MAX_ANSWER_BYTES)
#define BURST_OUT_CONTROL_BYTES                                                                    \
    (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)))

union burst_out_name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

struct burst_out_message {
    struct stun_addr to;
    uint8_t socket;
    bool whole; /* ends with a shorter datagram: nothing may follow */
    size_t datagram_bytes;
    size_t datagrams;
    size_t size;
    size_t control_bytes;
    size_t part_count;
    union burst_out_name name;
    socklen_t name_bytes;
    _Alignas(struct cmsghdr) uint8_t control[BURST_OUT_CONTROL_BYTES];
    struct iovec part[BURST_OUT_PARTS];
};

struct burst_out {
    int fd[BURST_OUT_MAX_SOCKETS];
    size_t count;
    size_t room_used;
    struct mmsghdr headers[BURST_OUT_MESSAGES];
    uint8_t room[BURST_OUT_ROOM];
    struct burst_out_message messages[BURST_OUT_MESSAGES];
};

static void *burst_out_put(struct burst_out_message *message, int level, int type, size_t bytes)
{
    struct cmsghdr *part = (struct cmsghdr *)(void *)(message->control + message->control_bytes);

    part->cmsg_level = level;
    part->cmsg_type = type;
    part->cmsg_len = CMSG_LEN(bytes);
    message->control_bytes += CMSG_SPACE(bytes);
    return CMSG_DATA(part);
}

static void burst_out_put_source(struct burst_out_message *message, const struct stun_addr *source)
{
    if (source->family == STUN_IPV4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, source->ip, sizeof info.ipi_spec_dst);
        memcpy(burst_out_put(message, IPPROTO_IP, IP_PKTINFO, sizeof info), &info, sizeof info);
    } else if (source->family == STUN_IPV6) {
        struct in6_pktinfo info = {.ipi6_ifindex = message->name.in6.sin6_scope_id};
        memcpy(&info.ipi6_addr, source->ip, sizeof info.ipi6_addr);
        memcpy(burst_out_put(message, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info), &info, sizeof info);
    }
}

static void burst_out_set_name(struct burst_out_message *message, const struct burst_out_way *way)
{
    if (way->to.family == STUN_IPV6) {
        struct sockaddr_in6 *in6 = &message->name.in6;
        if (way->name != NULL) {
            memcpy(in6, way->name, sizeof *in6);
        } else {
            memset(in6, 0, sizeof *in6);
            in6->sin6_family = AF_INET6;
            memcpy(&in6->sin6_addr, way->to.ip, sizeof in6->sin6_addr);
        }
        in6->sin6_port = htons(way->to.port);
        message->name_bytes = sizeof *in6;
        return;
    }
    struct sockaddr_in *in = &message->name.in;
    memset(in, 0, sizeof *in);
    in->sin_family = AF_INET;
    in->sin_port = htons(way->to.port);
    memcpy(&in->sin_addr, way->to.ip, sizeof in->sin_addr);
    message->name_bytes = sizeof *in;
}

/* The newest message to this receiver, if it can take more like these. */
static struct burst_out_message *burst_out_open(struct burst_out *out,
                                                const struct burst_out_way *way, size_t size,
                                                size_t datagram_bytes, size_t datagrams)
{
    for (size_t i = out->count; i-- > 0;) {
        struct burst_out_message *message = &out->messages[i];
        if (message->socket != way->socket || !stun_addr_equal(&message->to, &way->to))
            continue;
        bool fits = !message->whole && datagram_bytes <= message->datagram_bytes &&
                    (datagram_bytes == message->datagram_bytes || datagrams == 1) &&
                    message->datagrams + datagrams <= BURST_OUT_PARTS &&
                    message->part_count < BURST_OUT_PARTS &&
                    message->size + size <= BURST_OUT_BYTES;
        return fits ? message : NULL;
    }
    return NULL;
}

static struct burst_out_message *
burst_out_begin(struct burst_out *out, const struct burst_out_way *way, size_t datagram_bytes)
{
    if (out->count == BURST_OUT_MESSAGES)
        burst_out_flush(out);
    struct burst_out_message *message = &out->messages[out->count++];
    message->to = way->to;
    message->socket = (uint8_t)way->socket;
    message->whole = false;
    message->datagram_bytes = datagram_bytes;
    message->datagrams = message->size = message->control_bytes = message->part_count = 0;
    burst_out_set_name(message, way);
    burst_out_put_source(message, &way->source);
    return message;
}

/* Each datagram on its own: where the kernel cannot cut this message. */
static void burst_out_one_by_one(int fd, const struct msghdr *header, size_t datagram_bytes)
{
    struct msghdr single = *header;
    struct cmsghdr *last = NULL;

    for (struct cmsghdr *part = CMSG_FIRSTHDR(&single); part != NULL;
         part = CMSG_NXTHDR(&single, part))
        last = part;
    if (last != NULL)
        single.msg_controllen = (size_t)((uint8_t *)last - (uint8_t *)single.msg_control);
    single.msg_iovlen = 1;
    for (size_t i = 0; i < header->msg_iovlen; i++) {
        uint8_t *bytes = header->msg_iov[i].iov_base;
        for (size_t at = 0; at < header->msg_iov[i].iov_len; at += datagram_bytes) {
            size_t left = header->msg_iov[i].iov_len - at;
            struct iovec one = {bytes + at, left < datagram_bytes ? left : datagram_bytes};
            single.msg_iov = &one;
            sendmsg(fd, &single, MSG_DONTWAIT);
        }
    }
}

static void burst_out_prepare(struct burst_out_message *message, struct mmsghdr *out)
{
    if (message->datagrams > 1) {
        uint16_t bytes = (uint16_t)message->datagram_bytes;
        memcpy(burst_out_put(message, IPPROTO_UDP, UDP_SEGMENT, sizeof bytes), &bytes,
               sizeof bytes);
    }
    out->msg_hdr =
        (struct msghdr){.msg_name = &message->name,
                        .msg_namelen = message->name_bytes,
                        .msg_iov = message->part,
                        .msg_iovlen = message->part_count,
                        .msg_control = message->control_bytes > 0 ? message->control : NULL,
                        .msg_controllen = message->control_bytes};
}

static void burst_out_flush_socket(struct burst_out *out, size_t socket)
{
    size_t index[BURST_OUT_MESSAGES];
    size_t count = 0;

    for (size_t i = 0; i < out->count; i++) {
        if (out->messages[i].socket != socket)
            continue;
        burst_out_prepare(&out->messages[i], &out->headers[count]);
        index[count++] = i;
    }
    for (size_t sent = 0; sent < count;) {
        int result =
            sendmmsg(out->fd[socket], &out->headers[sent], (unsigned)(count - sent), MSG_DONTWAIT);
        if (result > 0) {
            sent += (size_t)result;
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            break;
        struct burst_out_message *message = &out->messages[index[sent]];
        if (message->datagrams > 1 && (errno == EIO || errno == EINVAL || errno == EMSGSIZE))
            burst_out_one_by_one(out->fd[socket], &out->headers[sent].msg_hdr,
                                 message->datagram_bytes);
        sent++; /* this receiver cannot be reached; the others may */
    }
}

struct burst_out *burst_out_new(void)
{
    return calloc(1, sizeof(struct burst_out));
}

void burst_out_free(struct burst_out *out)
{
    free(out);
}

void burst_out_set_socket(struct burst_out *out, size_t socket, int fd)
{
    out->fd[socket] = fd;
}

void burst_out_add(struct burst_out *out, const struct burst_out_way *way, uint8_t *bytes,
                   size_t size, size_t datagram_bytes)
{
    size_t datagrams = (size + datagram_bytes - 1) / datagram_bytes;
    struct burst_out_message *message =
        way->joins ? burst_out_open(out, way, size, datagram_bytes, datagrams) : NULL;

    if (message == NULL)
        message = burst_out_begin(out, way, datagram_bytes);
    struct iovec *last = message->part_count > 0 ? &message->part[message->part_count - 1] : NULL;
    if (last != NULL && (uint8_t *)last->iov_base + last->iov_len == bytes)
        last->iov_len += size;
    else
        message->part[message->part_count++] = (struct iovec){bytes, size};
    message->datagrams += datagrams;
    message->size += size;
    message->whole = !way->joins || size != datagrams * message->datagram_bytes;
}

uint8_t *burst_out_room(struct burst_out *out, size_t bytes)
{
    if (bytes > BURST_OUT_ROOM - out->room_used || out->count == BURST_OUT_MESSAGES)
        burst_out_flush(out);
    uint8_t *room = out->room + out->room_used;
    out->room_used += bytes;
    return room;
}

void burst_out_flush(struct burst_out *out)
{
    uint32_t sockets = 0;

    for (size_t i = 0; i < out->count; i++)
        sockets |= 1u << out->messages[i].socket;
    for (size_t i = 0; i < BURST_OUT_MAX_SOCKETS; i++)
        if (sockets & 1u << i)
            burst_out_flush_socket(out, i);
    out->count = out->room_used = 0;
}
