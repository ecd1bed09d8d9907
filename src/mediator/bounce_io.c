/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/bounce_io.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mediator/sockets.h"

#define BOUNCE_IO_BATCH          32
#define BOUNCE_IO_BATCHES        8 /* a turn, so that UDP cannot starve the sessions */
#define BOUNCE_IO_DATAGRAM_BYTES (STUN_MAX_MESSAGE_BYTES + 1)
#define BOUNCE_IO_CONTROL_BYTES  CMSG_SPACE(sizeof(struct in6_pktinfo))
#define BOUNCE_IO_PORT_TRIES     64
#define BOUNCE_IO_FIRST_PORT     20000
#define BOUNCE_IO_PORT_RANGE     12000 /* below the ports that Linux gives out itself */
#define BOUNCE_IO_LIMIT_SLOTS    4096

struct bounce_io_socket {
    uv_poll_t poll;
    struct bounce_io *io;
    size_t index;
    int fd;
};

/* One datagram in, at most one out; the answer reuses the source as it came (with its scope). */
struct bounce_io_slot {
    struct sockaddr_storage name;
    _Alignas(struct cmsghdr) uint8_t control[BOUNCE_IO_CONTROL_BYTES];
    uint8_t bytes[BOUNCE_IO_DATAGRAM_BYTES];
    struct iovec vector;
    struct bounce_answer answer;
    size_t control_bytes;
};

struct bounce_io {
    struct bounce bounce;
    struct bounce_io_socket sockets[BOUNCE_MAX_SOCKETS];
    size_t open_handles;
    struct mmsghdr messages[BOUNCE_IO_BATCH];
    struct bounce_io_slot slots[BOUNCE_IO_BATCH];
};

static struct stun_addr bounce_io_asked(struct msghdr *message, uint16_t port)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(part), sizeof info);
            return stun_addr_from_ip((const uint8_t *)&info.ipi_addr, 4, port);
        }
        if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(part), sizeof info);
            return stun_addr_from_ip((const uint8_t *)&info.ipi6_addr, 16, port);
        }
    }
    return (struct stun_addr){0};
}

/* On the way back the pktinfo of the question serves as the source of the answer. */
static size_t bounce_io_source(struct msghdr *message)
{
    struct cmsghdr *part = CMSG_FIRSTHDR(message);

    if (part == NULL)
        return 0;
    if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(part), sizeof info);
        info.ipi_spec_dst = info.ipi_addr;
        info.ipi_ifindex = 0;
        memcpy(CMSG_DATA(part), &info, sizeof info);
    }
    return message->msg_controllen;
}

static void bounce_io_flush(struct bounce_io *io, struct bounce_io_socket *socket, size_t count)
{
    struct mmsghdr out[BOUNCE_IO_BATCH];
    size_t out_count = 0;

    for (size_t i = 0; i < count; i++) {
        struct bounce_io_slot *slot = &io->slots[i];
        if (slot->answer.size == 0 || slot->answer.socket != socket->index)
            continue;
        slot->vector = (struct iovec){slot->answer.bytes, slot->answer.size};
        out[out_count] = io->messages[i];
        out[out_count].msg_hdr.msg_iov = &slot->vector;
        out[out_count].msg_hdr.msg_control = slot->control_bytes > 0 ? slot->control : NULL;
        out[out_count++].msg_hdr.msg_controllen = slot->control_bytes;
    }
    for (size_t sent = 0; sent < out_count;) {
        int result = sendmmsg(socket->fd, &out[sent], (unsigned)(out_count - sent), MSG_DONTWAIT);
        if (result > 0)
            sent += (size_t)result;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            break;
        else
            sent++; /* this destination cannot be reached; the others may */
    }
}

static int bounce_io_receive(struct bounce_io *io, int fd)
{
    for (size_t i = 0; i < BOUNCE_IO_BATCH; i++) {
        struct bounce_io_slot *slot = &io->slots[i];
        slot->answer.size = 0;
        slot->vector = (struct iovec){slot->bytes, sizeof slot->bytes};
        io->messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &slot->name,
                                                       .msg_namelen = sizeof slot->name,
                                                       .msg_iov = &slot->vector,
                                                       .msg_iovlen = 1,
                                                       .msg_control = slot->control,
                                                       .msg_controllen = sizeof slot->control}};
    }
    return recvmmsg(fd, io->messages, BOUNCE_IO_BATCH, MSG_DONTWAIT, NULL);
}

static void bounce_io_reply(struct bounce_io *io, const struct bounce_io_socket *socket, size_t i,
                            uint64_t now_us)
{
    struct msghdr *message = &io->messages[i].msg_hdr;
    struct bounce_io_slot *slot = &io->slots[i];
    struct bounce_question question = {
        .bytes = slot->bytes,
        .size = io->messages[i].msg_len,
        .socket = socket->index,
        .from = sockets_from_sockaddr(&slot->name),
        .asked = bounce_io_asked(message, io->bounce.sockets[socket->index].bound.port),
    };

    if ((message->msg_flags & MSG_TRUNC) ||
        !bounce_answer(&io->bounce, &question, now_us, &slot->answer)) {
        slot->answer.size = 0;
        return;
    }
    slot->control_bytes = bounce_io_source(message);
    if (slot->name.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&slot->name)->sin6_port = htons(slot->answer.to.port);
    else
        ((struct sockaddr_in *)&slot->name)->sin_port = htons(slot->answer.to.port);
}

static void bounce_io_on_readable(uv_poll_t *handle, int status, int events)
{
    struct bounce_io_socket *socket = handle->data;
    struct bounce_io *io = socket->io;

    (void)events;
    if (status < 0)
        return;
    for (size_t batch = 0; batch < BOUNCE_IO_BATCHES; batch++) {
        int count = bounce_io_receive(io, socket->fd);
        if (count <= 0)
            return;
        uint64_t now_us = uv_hrtime() / 1000;
        uint32_t senders = 0;
        for (size_t i = 0; i < (size_t)count; i++) {
            bounce_io_reply(io, socket, i, now_us);
            if (io->slots[i].answer.size > 0)
                senders |= 1u << io->slots[i].answer.socket;
        }
        for (size_t i = 0; i < io->bounce.socket_count; i++)
            if (senders & 1u << i)
                bounce_io_flush(io, &io->sockets[i], (size_t)count);
        if (count < BOUNCE_IO_BATCH)
            return;
    }
}

static void bounce_io_close_sockets(struct bounce_io *io)
{
    for (size_t i = 0; i < io->bounce.socket_count; i++)
        close(io->sockets[i].fd);
    io->bounce.socket_count = 0;
}

static bool bounce_io_bind(struct bounce_io *io, const struct config_address *address,
                           uint16_t port)
{
    struct bounce_socket *made = &io->bounce.sockets[io->bounce.socket_count];

    made->bound = address->bound;
    made->outside = address->outside;
    made->bound.port = made->outside.port = port;
    int fd = sockets_bind_udp(&made->bound);
    if (fd < 0)
        return false;
    io->sockets[io->bounce.socket_count++].fd = fd;
    return true;
}

/* Addresses in their order, both ports of each. A family that this machine does not have is left
 * out where the operator has not asked for it. */
static bool bounce_io_bind_all(struct bounce_io *io, const struct config *config, uint16_t port,
                               char why[static CONFIG_WHY_BYTES])
{
    static const struct config_address everywhere[] = {
        {.bound = {.family = STUN_IPV4}, .outside = {.family = STUN_IPV4}},
        {.bound = {.family = STUN_IPV6}, .outside = {.family = STUN_IPV6}},
    };
    bool chosen = config->address_count > 0;
    const struct config_address *address = chosen ? config->address : everywhere;
    size_t count = chosen ? config->address_count : 2;

    for (size_t i = 0; i < count; i++) {
        for (uint16_t second = 0; second < 2; second++) {
            struct stun_addr addr = address[i].bound;
            char text[STUN_ADDR_TEXT_BYTES];
            addr.port = (uint16_t)(port + second);
            if (bounce_io_bind(io, &address[i], addr.port))
                continue;
            if (!chosen && i > 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
                break;
            snprintf(why, CONFIG_WHY_BYTES, "cannot bind UDP %s: %s", stun_addr_text(&addr, text),
                     strerror(errno));
            int error = errno;
            bounce_io_close_sockets(io);
            errno = error;
            return false;
        }
    }
    return true;
}

static bool bounce_io_open_sockets(struct bounce_io *io, const struct config *config,
                                   char why[static CONFIG_WHY_BYTES])
{
    if (config->bounce_port != 0)
        return bounce_io_bind_all(io, config, config->bounce_port, why);
    for (int i = 0; i < BOUNCE_IO_PORT_TRIES; i++) {
        uint32_t port = BOUNCE_IO_FIRST_PORT + randombytes_uniform(BOUNCE_IO_PORT_RANGE / 2) * 2;
        if (bounce_io_bind_all(io, config, (uint16_t)port, why))
            return true;
        if (errno != EADDRINUSE)
            break;
    }
    return false;
}

static void bounce_io_free(struct bounce_io *io)
{
    limits_free(io->bounce.plain);
    limits_free(io->bounce.keepalive);
    limits_free(io->bounce.behaviour);
    free(io);
}

static void bounce_io_on_closed(uv_handle_t *handle)
{
    struct bounce_io_socket *socket = handle->data;
    struct bounce_io *io = socket->io;

    close(socket->fd);
    if (--io->open_handles == 0)
        bounce_io_free(io);
}

struct bounce_io *bounce_io_open(uv_loop_t *loop, const struct config *config,
                                 struct attested *(*find)(void *context, uint64_t session_id),
                                 void *context, char why[static CONFIG_WHY_BYTES])
{
    const struct config_limits *limits = &config->limits;
    struct bounce_io *io = calloc(1, sizeof *io);

    snprintf(why, CONFIG_WHY_BYTES, "out of memory");
    if (io == NULL)
        return NULL;
    io->bounce.find = find;
    io->bounce.context = context;
    io->bounce.plain = limits_new(BOUNCE_IO_LIMIT_SLOTS,
                                  (struct limit_rate){limits->bounce_rate, limits->bounce_burst});
    io->bounce.keepalive =
        limits_new(BOUNCE_IO_LIMIT_SLOTS,
                   (struct limit_rate){limits->keepalive_rate, limits->keepalive_burst});
    io->bounce.behaviour =
        limits_new(BOUNCE_IO_LIMIT_SLOTS,
                   (struct limit_rate){limits->behaviour_rate, limits->behaviour_burst});
    if (io->bounce.plain == NULL || io->bounce.keepalive == NULL || io->bounce.behaviour == NULL ||
        !bounce_io_open_sockets(io, config, why)) {
        bounce_io_free(io);
        return NULL;
    }
    for (size_t i = 0; i < io->bounce.socket_count; i++) {
        struct bounce_io_socket *socket = &io->sockets[i];
        socket->io = io;
        socket->index = i;
        uv_poll_init(loop, &socket->poll, socket->fd);
        socket->poll.data = socket;
        uv_poll_start(&socket->poll, UV_READABLE, bounce_io_on_readable);
        io->open_handles++;
    }
    return io;
}

const struct bounce *bounce_io_bounce(const struct bounce_io *io)
{
    return &io->bounce;
}

void bounce_io_close(struct bounce_io *io)
{
    if (io == NULL)
        return;
    for (size_t i = 0; i < io->bounce.socket_count; i++)
        uv_close((uv_handle_t *)&io->sockets[i].poll, bounce_io_on_closed);
}
