/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP to the mediator, under the control session and under the connection for relayed datagrams. */
#ifndef PEER_TCP_H
#define PEER_TCP_H

#include "stun/addr.h"

/* Begins to connect: a non-blocking descriptor (its end of the handshake makes it writable), or -1
 * with errno. What the other side does not acknowledge for some seconds ends it. */
int tcp_connect(const struct stun_addr *to);
/* It carries datagrams, which age: few wait in the kernel, and silence is noticed. */
void tcp_carry_datagrams(int fd);
/* Our end; none if it is not connected. */
struct stun_addr tcp_own_address(int fd);
/* As the kernel has measured it; 0: not yet. */
uint64_t tcp_round_trip_us(int fd);

#endif
