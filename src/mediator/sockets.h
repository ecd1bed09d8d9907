/* SPDX-License-Identifier: BSD-2-Clause */
/* The sockets of the mediator: all are non-blocking and close on exec. */
#ifndef MEDIATOR_SOCKETS_H
#define MEDIATOR_SOCKETS_H

#include <sys/socket.h>

#include "stun/addr.h"

socklen_t sockets_to_sockaddr(const struct stun_addr *addr, struct sockaddr_storage *out);
/* "none" for other families. */
struct stun_addr sockets_from_sockaddr(const struct sockaddr_storage *addr);

/* Both bind to *addr, whose IP may be unspecified, and put the actual port into it. The fd, or -1
 * with errno set. */
int sockets_listen_tcp(struct stun_addr *addr);
/* With the address that a datagram was sent to as ancillary data, where the IP is unspecified;
 * equal datagrams of one sender arrive joined (UDP_GRO). */
int sockets_bind_udp(struct stun_addr *addr);

/* The next connection, or -1 with errno set. */
int sockets_accept(int listener, struct stun_addr *from, struct stun_addr *local);
/* Dials are small and urgent, a peer that vanished must not stay for hours, and one that does not
 * read must not fill the memory of the kernel. */
void sockets_tune_session(int fd);
/* After that: a connection for relayed datagrams may have more under way, but what is not yet sent
 * must wait with us, where the oldest can be dropped. */
void sockets_tune_stream(int fd);
/* Closing will throw away what is unsent, which the kernel would otherwise keep trying to deliver.
 */
void sockets_abandon(int fd);
/* Smallest round trip that the kernel has measured lately on this TCP connection; 0 = unknown. */
uint32_t sockets_rtt_us(int fd);

#endif
