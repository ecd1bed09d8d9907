/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP sockets of one family with segmentation offload out, receive offload in, and a TTL per
 * packet.
 */
#ifndef PEER_UDP_H
#define PEER_UDP_H

#include <sys/socket.h>
#include <sys/types.h>

#include "stun/addr.h"

#define UDP_MAX_RECEIVE_BYTES 65536

struct udp_socket {
    int fd;
    uint8_t family;            /* enum stun_family */
    uint16_t port;             /* host byte order */
    bool no_segments;          /* the kernel refused UDP_SEGMENT: datagrams go one by one */
    struct eyelet_conn *owner; /* NULL: the endpoint's */
    unsigned index;            /* in its owner's engine; of the endpoint's: in every engine */
    struct udp_socket *next;   /* of those that are closed, but may still be named by an event */
};

/* Non-blocking, bound to every interface on a random port; an IPv6 one speaks nothing else. 0 or an
 * errno (EAFNOSUPPORT, EADDRNOTAVAIL: this machine does not have the family), and then fd is -1. */
int udp_open(struct udp_socket *out, enum stun_family family);
void udp_close(struct udp_socket *s); /* fd -1 afterwards; a closed one is fine */

/* Back to what a socket is like when it is new: one datagram a call, fragments allowed. */
void udp_make_plain(const struct udp_socket *s);

/* Sends size bytes as datagrams of segment_bytes (the last may be shorter). ttl 0: the default.
 * 0 or an errno. On EAGAIN nothing was sent. */
int udp_send(struct udp_socket *s, const struct stun_addr *to, unsigned ttl, const uint8_t *bytes,
             size_t size, size_t segment_bytes);

/* Receives one datagram, or several of *segment_bytes that arrived aggregated. Returns the total
 * size, or -1 when there is nothing more. Errors that ICMP messages of other destinations have
 * caused are passed over. */
ssize_t udp_receive(struct udp_socket *s, uint8_t buffer[static UDP_MAX_RECEIVE_BYTES],
                    struct stun_addr *from, size_t *segment_bytes);

socklen_t udp_sockaddr(const struct stun_addr *addr, struct sockaddr_storage *out);
struct stun_addr udp_stun_addr(const struct sockaddr *sa);

#endif
