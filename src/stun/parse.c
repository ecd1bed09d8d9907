/* SPDX-License-Identifier: BSD-2-Clause */
#include "stun/integrity.h"
#include "stun/stun.h"

#include <string.h>

#define MAX_USERNAME_BYTES 513 /* RFC 5389's limit; RFC 8489 says 508 */

struct attribute {
    uint16_t type;
    size_t at; /* of its header */
    const uint8_t *value;
    size_t size;
};

/* Walks over the attributes that count, and skips those that no integrity covers. */
struct walk {
    const uint8_t *bytes;
    size_t size;
    size_t at;
    bool after_sha1, after_sha256;
};

/* What a message has said already, so that a repeated attribute is left alone. */
struct seen {
    bool xor_mapped, mapped, response_origin, other_address, error_code;
};

static uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)get_u16(at) << 16 | get_u16(at + 2);
}

static uint64_t get_u64(const uint8_t *at)
{
    return (uint64_t)get_u32(at) << 32 | get_u32(at + 4);
}

static bool counts(struct walk *walk, uint16_t type)
{
    switch (type) {
    case STUN_FINGERPRINT:
        return true;
    case STUN_MESSAGE_INTEGRITY_SHA256:
        if (walk->after_sha256)
            return false;
        walk->after_sha256 = true;
        return true;
    case STUN_MESSAGE_INTEGRITY:
        if (walk->after_sha1 || walk->after_sha256)
            return false;
        walk->after_sha1 = true;
        return true;
    default:
        return !walk->after_sha1 && !walk->after_sha256;
    }
}

/* 1 and the next attribute that counts, 0 at the end, STUN_ERR_MALFORMED if one does not fit. */
static int walk_next(struct walk *walk, struct attribute *out)
{
    while (walk->at < walk->size) {
        const uint8_t *header = walk->bytes + walk->at;
        size_t value_bytes, room;

        if (walk->size - walk->at < 4)
            return STUN_ERR_MALFORMED;
        room = walk->size - walk->at - 4;
        value_bytes = get_u16(header + 2);
        if (((value_bytes + 3) & ~(size_t)3) > room)
            return STUN_ERR_MALFORMED;
        *out = (struct attribute){
            .type = get_u16(header), .at = walk->at, .value = header + 4, .size = value_bytes};
        walk->at += 4 + ((value_bytes + 3) & ~(size_t)3);
        if (counts(walk, out->type))
            return 1;
    }
    return 0;
}

/* RFC 8489, 14.1 and 14.2; mask: the header from its cookie on, or NULL for a plain address. */
static bool read_addr(const struct attribute *a, const uint8_t *mask, struct stun_addr *out)
{
    uint8_t ip[16];
    size_t ip_bytes;
    uint16_t port;

    if (a->size == 8 && a->value[1] == STUN_IPV4)
        ip_bytes = 4;
    else if (a->size == 20 && a->value[1] == STUN_IPV6)
        ip_bytes = 16;
    else
        return false;
    port = get_u16(a->value + 2);
    memcpy(ip, a->value + 4, ip_bytes);
    if (mask != NULL) {
        port ^= get_u16(mask);
        for (size_t i = 0; i < ip_bytes; i++)
            ip[i] ^= mask[i];
    }
    *out = stun_addr_from_ip(ip, ip_bytes, port);
    return true;
}

static bool read_addr_once(const struct attribute *a, bool *seen, struct stun_addr *out)
{
    if (*seen)
        return true;
    *seen = true;
    return read_addr(a, NULL, out);
}

static bool read_mapped(const struct attribute *a, struct seen *seen, struct stun_message *msg)
{
    bool xored = a->type == STUN_XOR_MAPPED_ADDRESS;
    bool *mine = xored ? &seen->xor_mapped : &seen->mapped;
    struct stun_addr addr;

    if (*mine)
        return true;
    *mine = true;
    if (!read_addr(a, xored ? msg->bytes + 4 : NULL, &addr))
        return false;
    if (xored || !seen->xor_mapped)
        msg->mapped = addr;
    return true;
}

static bool read_error_code(const struct attribute *a, struct seen *seen, struct stun_message *msg)
{
    unsigned class, number;

    if (seen->error_code)
        return true;
    seen->error_code = true;
    if (a->size < 4)
        return false;
    class = a->value[2] & 7u;
    number = a->value[3];
    if (class < 3 || class > 6 || number > 99)
        return false;
    msg->error_code = (uint16_t)(class * 100 + number);
    return true;
}

static bool read_role(const struct attribute *a, struct stun_message *msg)
{
    bool *mine = a->type == STUN_ICE_CONTROLLING ? &msg->has_controlling : &msg->has_controlled;

    if (*mine)
        return true;
    /* One agent has one role: two would leave open whose the tie-breaker is. */
    if (msg->has_controlling || msg->has_controlled || a->size != 8)
        return false;
    *mine = true;
    msg->tie_breaker = get_u64(a->value);
    return true;
}

static bool read_username(const struct attribute *a, struct stun_message *msg)
{
    if (msg->username != NULL)
        return true;
    if (a->size > MAX_USERNAME_BYTES)
        return false;
    msg->username = a->value;
    msg->username_bytes = a->size;
    return true;
}

static bool read_response_port(const struct attribute *a, struct stun_message *msg)
{
    if (msg->has_response_port)
        return true;
    /* RFC 5780, 7.5, can be read as two bytes and padding, or as four bytes. */
    if (a->size != 2 && a->size != 4)
        return false;
    msg->has_response_port = true;
    msg->response_port = get_u16(a->value);
    return true;
}

static bool read_u32_once(const struct attribute *a, bool *has, uint32_t *out)
{
    if (*has)
        return true;
    if (a->size != 4)
        return false;
    *has = true;
    *out = get_u32(a->value);
    return true;
}

static bool read_sequence(const struct attribute *a, struct stun_message *msg)
{
    if (msg->has_sequence)
        return true;
    if (a->size != 8)
        return false;
    msg->has_sequence = true;
    msg->sequence = get_u64(a->value);
    return true;
}

static bool read_fingerprint(const struct attribute *a, struct stun_message *msg)
{
    if (a->size != STUN_FINGERPRINT_BYTES || a->at + 8 != msg->size)
        return false;
    msg->has_fingerprint = get_u32(a->value) == stun_fingerprint(msg->bytes, a->at);
    return msg->has_fingerprint;
}

static void note_unknown(uint16_t type, struct stun_message *msg)
{
    for (size_t i = 0; i < msg->unknown_count; i++) {
        if (msg->unknown[i] == type)
            return;
    }
    if (msg->unknown_count < STUN_MAX_UNKNOWN)
        msg->unknown[msg->unknown_count++] = type;
}

static bool read_attribute(const struct attribute *a, struct seen *seen, struct stun_message *msg)
{
    switch (a->type) {
    case STUN_MAPPED_ADDRESS:
    case STUN_XOR_MAPPED_ADDRESS:
        return read_mapped(a, seen, msg);
    case STUN_RESPONSE_ORIGIN:
        return read_addr_once(a, &seen->response_origin, &msg->response_origin);
    case STUN_OTHER_ADDRESS:
        return read_addr_once(a, &seen->other_address, &msg->other_address);
    case STUN_USERNAME:
        return read_username(a, msg);
    case STUN_ERROR_CODE:
        return read_error_code(a, seen, msg);
    case STUN_CHANGE_REQUEST:
        return read_u32_once(a, &msg->has_change_request, &msg->change_request);
    case STUN_PRIORITY:
        return read_u32_once(a, &msg->has_priority, &msg->priority);
    case STUN_ICE_CONTROLLING:
    case STUN_ICE_CONTROLLED:
        return read_role(a, msg);
    case STUN_USE_CANDIDATE:
        if (msg->use_candidate)
            return true;
        msg->use_candidate = true;
        return a->size == 0;
    case STUN_PADDING:
        if (!msg->has_padding)
            msg->padding_bytes = a->size;
        msg->has_padding = true;
        return true;
    case STUN_RESPONSE_PORT:
        return read_response_port(a, msg);
    case STUN_EYELET_SEQUENCE:
        return read_sequence(a, msg);
    case STUN_MESSAGE_INTEGRITY:
        msg->integrity_at = a->at;
        return a->size == STUN_SHA1_BYTES;
    case STUN_MESSAGE_INTEGRITY_SHA256:
        msg->integrity_sha256_at = a->at;
        return a->size >= 16 && a->size <= STUN_SHA256_BYTES && a->size % 4 == 0;
    case STUN_FINGERPRINT:
        return read_fingerprint(a, msg);
    case STUN_UNKNOWN_ATTRIBUTES:
    case STUN_REALM:
    case STUN_NONCE:
    case STUN_USERHASH:
        return true;
    default:
        if (a->type < 0x8000)
            note_unknown(a->type, msg);
        return true;
    }
}

bool stun_is_message(const uint8_t *bytes, size_t size)
{
    return size >= STUN_HEADER_BYTES && (bytes[0] & 0xc0) == 0 &&
           get_u32(bytes + 4) == STUN_MAGIC_COOKIE;
}

int stun_parse(const uint8_t *bytes, size_t size, struct stun_message *out)
{
    struct walk walk = {.bytes = bytes, .size = size, .at = STUN_HEADER_BYTES};
    struct seen seen = {0};
    struct attribute attribute;
    int more;

    *out = (struct stun_message){.bytes = bytes, .size = size};
    if (!stun_is_message(bytes, size))
        return STUN_ERR_NOT_STUN;
    if (size > STUN_MAX_MESSAGE_BYTES || size % 4 != 0 ||
        get_u16(bytes + 2) != size - STUN_HEADER_BYTES)
        return STUN_ERR_MALFORMED;
    out->type = get_u16(bytes);
    out->transaction = bytes + 8;
    while ((more = walk_next(&walk, &attribute)) == 1) {
        if (!read_attribute(&attribute, &seen, out))
            return STUN_ERR_MALFORMED;
    }
    return more;
}

const uint8_t *stun_find(const struct stun_message *msg, uint16_t type, size_t *value_bytes)
{
    struct walk walk = {.bytes = msg->bytes, .size = msg->size, .at = STUN_HEADER_BYTES};
    struct attribute attribute;

    while (walk_next(&walk, &attribute) == 1) {
        if (attribute.type == type) {
            *value_bytes = attribute.size;
            return attribute.value;
        }
    }
    return NULL;
}
