/* SPDX-License-Identifier: BSD-2-Clause */
/* What a keepalive must echo to show that its sender receives at the address that it comes from
 * (NONCE, RFC 8489, 14.10): follows from session, address and time, so nothing is remembered for
 * those who never echo it. The port does not count: whoever receives at one of an address, which
 * may be the end of its TCP connection, is nobody's third party there. Pure. */
#ifndef MEDIATOR_NONCE_H
#define MEDIATOR_NONCE_H

#include "stun/addr.h"

#define NONCE_KEY_BYTES 16
#define NONCE_BYTES     11 /* 64 bits in base64: a larger answer would exceed a keepalive by IPv6 */
/* Right for one to two of these: not longer than an address stays attested, since by then it may be
 * somebody else's. */
#define NONCE_WINDOW_US (90u * 1000000u)

/* key: secret and random; session_id: so that it is of no use to another session. */
void nonce_make(const uint8_t key[static NONCE_KEY_BYTES], uint64_t session_id,
                const struct stun_addr *addr, uint64_t now_us, uint8_t out[static NONCE_BYTES]);
bool nonce_is_right(const uint8_t key[static NONCE_KEY_BYTES], uint64_t session_id,
                    const struct stun_addr *addr, uint64_t now_us, const uint8_t *nonce,
                    size_t bytes);

#endif
