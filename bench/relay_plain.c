/* SPDX-License-Identifier: BSD-2-Clause */
/* The least that a relay in user space can do: every datagram that comes is sent on to one address,
 * as it is. What the others are compared with.
 *
 *   eyelet-relay-plain ADDRESS PEER [offload]
 *
 * offload: datagrams that came in one burst leave in one send. */
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "relay_way.h"

#define PLAIN_BATCH      64
#define PLAIN_SEND_BYTES 65000 /* a datagram's most, about */

struct plain_slot {
    struct iovec vector;
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
    uint8_t bytes[65536];
};

struct plain {
    int fd;
    bool offload;
    struct sockaddr_in to;
    struct mmsghdr in[PLAIN_BATCH];
    struct plain_slot slots[PLAIN_BATCH];
    struct mmsghdr out[PLAIN_BATCH];
    struct iovec vectors[PLAIN_BATCH];
    _Alignas(struct cmsghdr) uint8_t control[PLAIN_BATCH][CMSG_SPACE(sizeof(uint16_t))];
};

static int plain_receive(struct plain *plain)
{
    for (size_t i = 0; i < PLAIN_BATCH; i++) {
        struct plain_slot *slot = &plain->slots[i];
        slot->vector = (struct iovec){slot->bytes, sizeof slot->bytes};
        plain->in[i].msg_hdr = (struct msghdr){.msg_iov = &slot->vector,
                                               .msg_iovlen = 1,
                                               .msg_control = slot->control,
                                               .msg_controllen = sizeof slot->control};
    }
    return recvmmsg(plain->fd, plain->in, PLAIN_BATCH, MSG_WAITFORONE, NULL);
}

/* The size of the datagrams that arrived as one. */
static size_t plain_segment(const struct mmsghdr *message)
{
    const struct cmsghdr *part = CMSG_FIRSTHDR(&message->msg_hdr);
    int segment;

    if (part == NULL || part->cmsg_type != UDP_GRO)
        return message->msg_len;
    memcpy(&segment, CMSG_DATA(part), sizeof segment);
    return (size_t)segment;
}

/* From slot `first`: as many as can leave as one. */
static int plain_gather(struct plain *plain, int first, int count, unsigned number)
{
    struct msghdr *out = &plain->out[number].msg_hdr;
    size_t segment = plain_segment(&plain->in[first]);
    size_t bytes = 0;
    int end = first;

    while (end < count && bytes + plain->in[end].msg_len <= PLAIN_SEND_BYTES &&
           (end == first || (plain->offload && plain_segment(&plain->in[end]) == segment &&
                             bytes % segment == 0))) {
        plain->vectors[end] = (struct iovec){plain->slots[end].bytes, plain->in[end].msg_len};
        bytes += plain->in[end++].msg_len;
    }
    *out = (struct msghdr){.msg_name = &plain->to,
                           .msg_namelen = sizeof plain->to,
                           .msg_iov = &plain->vectors[first],
                           .msg_iovlen = (size_t)(end - first)};
    if (bytes > segment) {
        uint16_t size = (uint16_t)segment;
        out->msg_control = plain->control[number];
        out->msg_controllen = sizeof plain->control[number];
        struct cmsghdr *part = CMSG_FIRSTHDR(out);
        part->cmsg_level = SOL_UDP;
        part->cmsg_type = UDP_SEGMENT;
        part->cmsg_len = CMSG_LEN(sizeof size);
        memcpy(CMSG_DATA(part), &size, sizeof size);
    }
    return end;
}

static void plain_forward(struct plain *plain)
{
    for (;;) {
        int count = plain_receive(plain);
        unsigned sends = 0;
        for (int i = 0; i < count; sends++)
            i = plain_gather(plain, i, count, sends);
        for (unsigned sent = 0; sent < sends;) {
            int result = sendmmsg(plain->fd, &plain->out[sent], sends - sent, 0);
            sent += result > 0 ? (unsigned)result : 1;
        }
    }
}

int main(int argc, char **argv)
{
    static struct plain plain; /* large */
    struct sockaddr_in bound = {.sin_family = AF_INET, .sin_port = htons(RELAY_PLAIN_PORT)};
    static const int on = 1, buffer_bytes = 4 << 20;

    plain.to =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(RELAY_PLAIN_PEER_PORT)};
    if (argc < 3 || argc > 4 || inet_aton(argv[1], &bound.sin_addr) == 0 ||
        inet_aton(argv[2], &plain.to.sin_addr) == 0) {
        fprintf(stderr, "usage: eyelet-relay-plain ADDRESS PEER [offload]\n");
        return 2;
    }
    plain.offload = argc == 4;
    plain.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (plain.fd < 0 || bind(plain.fd, (struct sockaddr *)&bound, sizeof bound) < 0 ||
        setsockopt(plain.fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes) < 0 ||
        (plain.offload && setsockopt(plain.fd, SOL_UDP, UDP_GRO, &on, sizeof on) < 0)) {
        perror("eyelet-relay-plain");
        return 1;
    }
    plain_forward(&plain);
}
