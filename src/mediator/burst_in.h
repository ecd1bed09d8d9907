/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams that have arrived at a UDP socket, many per system call; what the kernel has joined
 * (UDP GRO: equal datagrams of one sender in a row) stays joined. */
#ifndef MEDIATOR_BURST_IN_H
#define MEDIATOR_BURST_IN_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "stun/addr.h"

#define BURST_IN_ARRIVALS 32

/* Valid until the next burst_in_receive. */
struct burst_in_arrival {
    uint8_t *bytes;
    size_t size;
    size_t datagram_bytes; /* of each but the last, which may be shorter */
    const struct sockaddr *name;
    socklen_t name_bytes;
    struct stun_addr from;
    struct stun_addr asked; /* to which of our addresses; none where the socket has but one */
};

struct burst_in;

struct burst_in *burst_in_new(void); /* NULL: out of memory */
void burst_in_free(struct burst_in *in);
/* How many have arrived, at most BURST_IN_ARRIVALS. port: of the socket, for `asked`. */
size_t burst_in_receive(struct burst_in *in, int fd, uint16_t port);
/* False: it is not whole, and to be left alone. */
bool burst_in_arrival(struct burst_in *in, size_t i, struct burst_in_arrival *out);

#endif
