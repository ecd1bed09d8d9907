/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/burst_in.h"

#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/sockets.h"

#define BURST_IN_BYTES         65536
#define BURST_IN_CONTROL_BYTES (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)))
/* Buffers at multiples of a large power of two would share the same few lines of the cache. */
#define BURST_IN_STAGGER 4416

struct burst_in_slot {
    struct sockaddr_storage name;
    _Alignas(struct cmsghdr) uint8_t control[BURST_IN_CONTROL_BYTES];
    struct iovec vector;
    uint8_t bytes[BURST_IN_BYTES];
    uint8_t stagger[BURST_IN_STAGGER];
};

struct burst_in {
    uint16_t port;
    struct mmsghdr messages[BURST_IN_ARRIVALS];
    struct burst_in_slot slots[BURST_IN_ARRIVALS];
};

/* What came with a datagram besides its bytes. */
static void burst_in_control(struct msghdr *message, uint16_t port, struct burst_in_arrival *out)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(part), sizeof info);
            out->asked = stun_addr_from_ip((const uint8_t *)&info.ipi_addr, 4, port);
        } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(part), sizeof info);
            out->asked = stun_addr_from_ip((const uint8_t *)&info.ipi6_addr, 16, port);
        } else if (part->cmsg_level == IPPROTO_UDP && part->cmsg_type == UDP_GRO) {
            int bytes;
            memcpy(&bytes, CMSG_DATA(part), sizeof bytes);
            out->datagram_bytes = bytes > 0 ? (size_t)bytes : out->size;
        }
    }
}

struct burst_in *burst_in_new(void)
{
    struct burst_in *in = calloc(1, sizeof *in);

    if (in == NULL)
        return NULL;
    for (size_t i = 0; i < BURST_IN_ARRIVALS; i++) {
        struct burst_in_slot *slot = &in->slots[i];
        slot->vector = (struct iovec){slot->bytes, sizeof slot->bytes};
        in->messages[i].msg_hdr = (struct msghdr){.msg_name = &slot->name,
                                                  .msg_iov = &slot->vector,
                                                  .msg_iovlen = 1,
                                                  .msg_control = slot->control};
    }
    return in;
}

void burst_in_free(struct burst_in *in)
{
    free(in);
}

size_t burst_in_receive(struct burst_in *in, int fd, uint16_t port)
{
    in->port = port;
    for (size_t i = 0; i < BURST_IN_ARRIVALS; i++) {
        in->messages[i].msg_hdr.msg_namelen = sizeof in->slots[i].name;
        in->messages[i].msg_hdr.msg_controllen = sizeof in->slots[i].control;
    }
    int count = recvmmsg(fd, in->messages, BURST_IN_ARRIVALS, MSG_DONTWAIT, NULL);
    return count > 0 ? (size_t)count : 0;
}

bool burst_in_arrival(struct burst_in *in, size_t i, struct burst_in_arrival *out)
{
    struct msghdr *message = &in->messages[i].msg_hdr;
    struct burst_in_slot *slot = &in->slots[i];
    size_t size = in->messages[i].msg_len;

    if ((message->msg_flags & MSG_TRUNC) || size == 0)
        return false;
    *out = (struct burst_in_arrival){
        .bytes = slot->bytes,
        .size = size,
        .datagram_bytes = size,
        .name = (const struct sockaddr *)&slot->name,
        .name_bytes = message->msg_namelen,
        .from = sockets_from_sockaddr(&slot->name),
    };
    burst_in_control(message, in->port, out);
    return true;
}
