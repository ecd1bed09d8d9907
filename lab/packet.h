/* SPDX-License-Identifier: BSD-2-Clause */
/* Between IP packets as bytes and the flows that nat_model knows: read one, rewrite its addresses
 * (RFC 3022, checksums by RFC 1624), also in the packet that an ICMP error quotes. Pure functions.
 */
#ifndef LAB_PACKET_H
#define LAB_PACKET_H

#include "lab/nat_model.h"

struct packet {
    struct nat_model_packet flow;
    size_t payload; /* where UDP, TCP or ICMP begins */
    bool tail;      /* a later fragment: no ports */
    bool error;     /* ICMP that quotes a packet */
    struct nat_model_packet quoted;
    size_t quoted_at, quoted_payload;
};

/* outbound: on its way from the inside host to a remote; decides where the identifier of an ICMP
 * echo is, and what a quoted packet did. False: not a whole packet, or cut short. */
bool packet_read(const uint8_t *bytes, size_t size, bool outbound, struct packet *p);

/* Gives a packet other addresses of the same family, and the ports that belong to them. */
void packet_rewrite(uint8_t *bytes, size_t size, const struct packet *p,
                    const struct nat_model_packet *flow);

/* Gives an IPv4 ICMP error other outer addresses (ports ignored), and the packet that it quotes. */
void packet_rewrite_error(uint8_t *bytes, size_t size, const struct packet *p,
                          const struct stun_addr *src, const struct stun_addr *dst,
                          const struct nat_model_packet *quoted);

#endif
