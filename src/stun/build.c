/* SPDX-License-Identifier: BSD-2-Clause */
#include "stun/integrity.h"
#include "stun/stun.h"

#include <string.h>

static void put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, (uint16_t)(value >> 16));
    put_u16(at + 2, (uint16_t)value);
}

/* Makes room for one attribute, header written and padding zeroed, and returns where its value
 * goes; NULL once the builder has overflowed. */
static uint8_t *open_attribute(struct stun_builder *b, uint16_t type, size_t value_bytes)
{
    size_t limit = b->capacity < STUN_MAX_MESSAGE_BYTES ? b->capacity : STUN_MAX_MESSAGE_BYTES;
    size_t padded = (value_bytes + 3) & ~(size_t)3;
    uint8_t *attribute;

    if (b->overflow || value_bytes > STUN_MAX_MESSAGE_BYTES || 4 + padded > limit - b->size) {
        b->overflow = true;
        return NULL;
    }
    attribute = b->buffer + b->size;
    put_u16(attribute, type);
    put_u16(attribute + 2, (uint16_t)value_bytes);
    memset(attribute + 4 + value_bytes, 0, padded - value_bytes);
    b->size += 4 + padded;
    put_u16(b->buffer + 2, (uint16_t)(b->size - STUN_HEADER_BYTES));
    return attribute + 4;
}

void stun_begin(struct stun_builder *b, uint8_t *buffer, size_t capacity, uint16_t type,
                const uint8_t transaction[static STUN_TRANSACTION_BYTES])
{
    *b = (struct stun_builder){.buffer = buffer, .capacity = capacity};
    if (capacity < STUN_HEADER_BYTES) {
        b->overflow = true;
        return;
    }
    put_u16(buffer, type);
    put_u16(buffer + 2, 0);
    put_u32(buffer + 4, STUN_MAGIC_COOKIE);
    memcpy(buffer + 8, transaction, STUN_TRANSACTION_BYTES);
    b->size = STUN_HEADER_BYTES;
}

void stun_add_bytes(struct stun_builder *b, uint16_t type, const void *value, size_t value_bytes)
{
    uint8_t *at = open_attribute(b, type, value_bytes);

    if (at != NULL && value_bytes > 0)
        memcpy(at, value, value_bytes);
}

void stun_add_flag(struct stun_builder *b, uint16_t type)
{
    open_attribute(b, type, 0);
}

void stun_add_u32(struct stun_builder *b, uint16_t type, uint32_t value)
{
    uint8_t *at = open_attribute(b, type, 4);

    if (at != NULL)
        put_u32(at, value);
}

void stun_add_u64(struct stun_builder *b, uint16_t type, uint64_t value)
{
    uint8_t *at = open_attribute(b, type, 8);

    if (at == NULL)
        return;
    put_u32(at, (uint32_t)(value >> 32));
    put_u32(at + 4, (uint32_t)value);
}

void stun_add_addr(struct stun_builder *b, uint16_t type, const struct stun_addr *addr)
{
    size_t ip_bytes = stun_addr_ip_bytes(addr);
    uint8_t *at;

    if (ip_bytes == 0) {
        b->overflow = true;
        return;
    }
    at = open_attribute(b, type, 4 + ip_bytes);
    if (at == NULL)
        return;
    at[0] = 0;
    at[1] = addr->family;
    put_u16(at + 2, addr->port);
    memcpy(at + 4, addr->ip, ip_bytes);
    if (type != STUN_XOR_MAPPED_ADDRESS)
        return;
    /* The mask is the cookie and the transaction ID as they stand in the header. */
    for (size_t i = 0; i < 2; i++)
        at[2 + i] ^= b->buffer[4 + i];
    for (size_t i = 0; i < ip_bytes; i++)
        at[4 + i] ^= b->buffer[4 + i];
}

void stun_add_error(struct stun_builder *b, uint16_t code, const char *reason)
{
    size_t reason_bytes = strlen(reason);
    uint8_t *at;

    if (code < 300 || code > 699) {
        b->overflow = true;
        return;
    }
    at = open_attribute(b, STUN_ERROR_CODE, 4 + reason_bytes);
    if (at == NULL)
        return;
    put_u16(at, 0);
    at[2] = (uint8_t)(code / 100);
    at[3] = (uint8_t)(code % 100);
    memcpy(at + 4, reason, reason_bytes);
}

void stun_add_unknown_attributes(struct stun_builder *b, const uint16_t *types, size_t count)
{
    /* Before the multiplication, which could wrap. */
    size_t fitting = count <= STUN_MAX_MESSAGE_BYTES ? count : STUN_MAX_MESSAGE_BYTES;
    uint8_t *at = open_attribute(b, STUN_UNKNOWN_ATTRIBUTES, 2 * fitting);

    if (at == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        put_u16(at + 2 * i, types[i]);
}

void stun_add_integrity(struct stun_builder *b, const uint8_t *key, size_t key_bytes)
{
    size_t offset = b->size;
    uint8_t *at = open_attribute(b, STUN_MESSAGE_INTEGRITY, STUN_SHA1_BYTES);

    if (at != NULL)
        stun_hmac_sha1(b->buffer, offset, key, key_bytes, at);
}

void stun_add_integrity_sha256(struct stun_builder *b, const uint8_t *key, size_t key_bytes)
{
    size_t offset = b->size;
    uint8_t *at = open_attribute(b, STUN_MESSAGE_INTEGRITY_SHA256, STUN_SHA256_BYTES);

    if (at != NULL)
        stun_hmac_sha256(b->buffer, offset, key, key_bytes, at);
}

void stun_add_fingerprint(struct stun_builder *b)
{
    size_t offset = b->size;
    uint8_t *at = open_attribute(b, STUN_FINGERPRINT, STUN_FINGERPRINT_BYTES);

    if (at != NULL)
        put_u32(at, stun_fingerprint(b->buffer, offset));
}

size_t stun_finish(const struct stun_builder *b)
{
    return b->overflow ? 0 : b->size;
}
