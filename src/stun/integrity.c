/* SPDX-License-Identifier: BSD-2-Clause */
#include "stun/integrity.h"

#include "stun/stun.h"

#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <string.h>

#define FINGERPRINT_XOR 0x5354554eu

/* The first four bytes as they are hashed: type, and the length up to the end of the attribute. */
static void covered_head(const uint8_t *bytes, size_t at, size_t value_bytes,
                         uint8_t head[static 4])
{
    size_t length = at + 4 + value_bytes - STUN_HEADER_BYTES;

    head[0] = bytes[0];
    head[1] = bytes[1];
    head[2] = (uint8_t)(length >> 8);
    head[3] = (uint8_t)length;
}

/* CRC-32 of ISO 3309, four bits at a time: messages are short, and 64 bytes of table stay in the
 * cache where 1024 would not. */
static uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };

    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return crc;
}

void stun_hmac_sha1(const uint8_t *bytes, size_t at, const uint8_t *key, size_t key_bytes,
                    uint8_t out[static STUN_SHA1_BYTES])
{
    struct hmac_sha1_ctx ctx;
    uint8_t head[4];

    covered_head(bytes, at, STUN_SHA1_BYTES, head);
    hmac_sha1_set_key(&ctx, key_bytes, key);
    hmac_sha1_update(&ctx, sizeof(head), head);
    hmac_sha1_update(&ctx, at - sizeof(head), bytes + sizeof(head));
    hmac_sha1_digest(&ctx, STUN_SHA1_BYTES, out);
}

void stun_hmac_sha256(const uint8_t *bytes, size_t at, const uint8_t *key, size_t key_bytes,
                      uint8_t out[static STUN_SHA256_BYTES])
{
    struct hmac_sha256_ctx ctx;
    uint8_t head[4];

    covered_head(bytes, at, STUN_SHA256_BYTES, head);
    hmac_sha256_set_key(&ctx, key_bytes, key);
    hmac_sha256_update(&ctx, sizeof(head), head);
    hmac_sha256_update(&ctx, at - sizeof(head), bytes + sizeof(head));
    hmac_sha256_digest(&ctx, STUN_SHA256_BYTES, out);
}

uint32_t stun_fingerprint(const uint8_t *bytes, size_t at)
{
    uint8_t head[4];
    uint32_t crc;

    covered_head(bytes, at, STUN_FINGERPRINT_BYTES, head);
    crc = crc32_update(0xffffffffu, head, sizeof(head));
    crc = crc32_update(crc, bytes + sizeof(head), at - sizeof(head));
    return ~crc ^ FINGERPRINT_XOR;
}

bool stun_integrity_ok(const struct stun_message *msg, const uint8_t *key, size_t key_bytes)
{
    uint8_t want[STUN_SHA1_BYTES];

    if (msg->integrity_at == 0)
        return false;
    stun_hmac_sha1(msg->bytes, msg->integrity_at, key, key_bytes, want);
    return memeql_sec(want, msg->bytes + msg->integrity_at + 4, sizeof(want)) != 0;
}

bool stun_integrity_sha256_ok(const struct stun_message *msg, const uint8_t *key, size_t key_bytes)
{
    uint8_t want[STUN_SHA256_BYTES];
    const uint8_t *attribute;

    if (msg->integrity_sha256_at == 0)
        return false;
    attribute = msg->bytes + msg->integrity_sha256_at;
    /* Shorter values are for usages that say so (RFC 8489, 14.6), and none of ours does. */
    if (attribute[2] != 0 || attribute[3] != STUN_SHA256_BYTES)
        return false;
    stun_hmac_sha256(msg->bytes, msg->integrity_sha256_at, key, key_bytes, want);
    return memeql_sec(want, attribute + 4, sizeof(want)) != 0;
}
