/* SPDX-License-Identifier: BSD-2-Clause */
/* The three checksums of a STUN message (RFC 8489, 14.5 to 14.7), for the reader and the builder.
 *
 * Each covers the message up to its own attribute, with the header's length field counting the
 * message up to the end of that attribute, whatever follows later. So "at" is the attribute's
 * offset, and the length field in the bytes is not looked at. */
#ifndef STUN_INTEGRITY_H
#define STUN_INTEGRITY_H

#include <stddef.h>
#include <stdint.h>

#define STUN_SHA1_BYTES        20
#define STUN_SHA256_BYTES      32
#define STUN_FINGERPRINT_BYTES 4

void stun_hmac_sha1(const uint8_t *bytes, size_t at, const uint8_t *key, size_t key_bytes,
                    uint8_t out[static STUN_SHA1_BYTES]);
void stun_hmac_sha256(const uint8_t *bytes, size_t at, const uint8_t *key, size_t key_bytes,
                      uint8_t out[static STUN_SHA256_BYTES]);
/* The value of FINGERPRINT: CRC-32 already xored with 0x5354554e. */
uint32_t stun_fingerprint(const uint8_t *bytes, size_t at);

#endif
