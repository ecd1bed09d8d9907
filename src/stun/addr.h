/* SPDX-License-Identifier: BSD-2-Clause */
/* A transport address as bytes: what STUN carries, and what every room above passes around. */
#ifndef STUN_ADDR_H
#define STUN_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Family values as on the wire (RFC 8489, 14.1). */
enum stun_family { STUN_NO_FAMILY = 0, STUN_IPV4 = 1, STUN_IPV6 = 2 };

/* IPv4 addresses use ip[0..3] in network byte order and leave the rest zero, so that two equal
 * addresses are equal bytes. The port is in host byte order. A zeroed struct means "none".
 * IPv4-mapped IPv6 addresses never occur here: they are normalised where bytes come in. */
struct stun_addr {
    uint8_t family;
    uint8_t ip[16];
    uint8_t zero; /* where padding would be, whose bytes nobody owns */
    uint16_t port;
};

_Static_assert(sizeof(struct stun_addr) == 20, "equal addresses are equal bytes");

#define STUN_ADDR_TEXT_BYTES 56 /* "[v6]:port" with its terminating zero */

struct stun_addr stun_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);

/* 4 or 16 bytes in network order; any other length gives a "none". A v4-mapped address becomes
 * IPv4. */
struct stun_addr stun_addr_from_ip(const uint8_t *ip, size_t ip_bytes, uint16_t port);

/* "192.0.2.1:99", "[2001:db8::1]:99"; false and *out untouched if the text is not one. */
bool stun_addr_parse(const char *text, struct stun_addr *out);
/* Writes the text form and returns text. "-" for none. */
const char *stun_addr_text(const struct stun_addr *addr, char text[static STUN_ADDR_TEXT_BYTES]);

bool stun_addr_equal(const struct stun_addr *a, const struct stun_addr *b);
bool stun_addr_same_ip(const struct stun_addr *a, const struct stun_addr *b);
size_t stun_addr_ip_bytes(const struct stun_addr *addr); /* 4, 16, or 0 for none */

/* RFC 1918, RFC 6598 (shared CGN space) and fc00::/7. */
bool stun_addr_is_private(const struct stun_addr *addr);
bool stun_addr_is_loopback(const struct stun_addr *addr);
bool stun_addr_is_link_local(const struct stun_addr *addr);
/* What a packet may be sent to at all: not none, port 0, unspecified, multicast or broadcast. */
bool stun_addr_is_usable(const struct stun_addr *addr);

#endif
