/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams to send by the UDP sockets of the bounce server, many per system call; equal ones to
 * one receiver leave as one (UDP segmentation offload). Bytes are not copied: they stay where they
 * are until burst_out_flush. Within one receiver and socket the order stays. */
#ifndef MEDIATOR_BURST_OUT_H
#define MEDIATOR_BURST_OUT_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "stun/addr.h"

#define BURST_OUT_MAX_SOCKETS      8
#define BURST_OUT_MAX_ANSWER_BYTES 128

/* One receiver, and the way to it. */
struct burst_out_way {
    bool joins; /* leave together with equal ones that are waiting for the same receiver */
    size_t socket;
    struct stun_addr to;
    struct stun_addr source;     /* our address; none where the socket has one of its own */
    const struct sockaddr *name; /* of `to`, with its scope; NULL: from `to` */
};

struct burst_out;

struct burst_out *burst_out_new(void); /* NULL: out of memory */
void burst_out_free(struct burst_out *out);
void burst_out_set_socket(struct burst_out *out, size_t socket, int fd);

/* Datagrams of datagram_bytes each, the last may be shorter. Flushes first if there is no room. */
void burst_out_add(struct burst_out *out, const struct burst_out_way *way, uint8_t *bytes,
                   size_t size, size_t datagram_bytes);
/* A place for the bytes of an answer, until the flush after it was added. Flushes first if there is
 * no room. At most BURST_OUT_MAX_ANSWER_BYTES. */
uint8_t *burst_out_room(struct burst_out *out, size_t bytes);
/* Sends everything. What a socket does not take is lost, as datagrams are. */
void burst_out_flush(struct burst_out *out);

#endif
