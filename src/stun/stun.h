/* SPDX-License-Identifier: BSD-2-Clause */
/* STUN messages (RFC 8489) with the attributes of ICE (RFC 8445) and of NAT behaviour discovery
 * (RFC 5780): bytes <-> structs, pure functions over the caller's buffers.
 *
 *   0                   1                   2                   3
 *   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *  |0 0|     STUN Message Type     |         Message Length        |
 *  |                         Magic Cookie 0x2112A442               |
 *  |                     Transaction ID (96 bits)                  |
 */
#ifndef STUN_STUN_H
#define STUN_STUN_H

#include "stun/addr.h"

#define STUN_HEADER_BYTES      20
#define STUN_TRANSACTION_BYTES 12
#define STUN_MAGIC_COOKIE      0x2112A442u
#define STUN_MAX_MESSAGE_BYTES 1500 /* we neither send nor accept larger ones */
#define STUN_MAX_UNKNOWN       8

/* Message types: method and class combined (RFC 8489, 5). */
enum stun_type {
    STUN_BINDING_REQUEST = 0x0001,
    STUN_BINDING_INDICATION = 0x0011,
    STUN_BINDING_SUCCESS = 0x0101,
    STUN_BINDING_ERROR = 0x0111,
};

enum stun_attribute {
    STUN_MAPPED_ADDRESS = 0x0001,
    STUN_CHANGE_REQUEST = 0x0003,
    STUN_USERNAME = 0x0006,
    STUN_MESSAGE_INTEGRITY = 0x0008,
    STUN_ERROR_CODE = 0x0009,
    STUN_UNKNOWN_ATTRIBUTES = 0x000A,
    STUN_REALM = 0x0014,
    STUN_NONCE = 0x0015,
    STUN_MESSAGE_INTEGRITY_SHA256 = 0x001C,
    STUN_USERHASH = 0x001E,
    STUN_XOR_MAPPED_ADDRESS = 0x0020,
    STUN_PRIORITY = 0x0024,
    STUN_USE_CANDIDATE = 0x0025,
    STUN_PADDING = 0x0026,
    STUN_RESPONSE_PORT = 0x0027,
    STUN_SOFTWARE = 0x8022,
    STUN_ALTERNATE_SERVER = 0x8023,
    STUN_FINGERPRINT = 0x8028,
    STUN_ICE_CONTROLLED = 0x8029,
    STUN_ICE_CONTROLLING = 0x802A,
    STUN_RESPONSE_ORIGIN = 0x802B,
    STUN_OTHER_ADDRESS = 0x802C,
    /* Ours, comprehension-optional: a keepalive's 64-bit number that only grows, so that a captured
     * keepalive cannot be replayed from another address (docs/protocol.md). */
    STUN_EYELET_SEQUENCE = 0xC0E1,
};

/* CHANGE-REQUEST flags (RFC 5780, 7.2). */
#define STUN_CHANGE_IP   0x4u
#define STUN_CHANGE_PORT 0x2u

/* Error codes used here (RFC 8489, 14.8; RFC 8445, 7.1.3). */
#define STUN_ERROR_BAD_REQUEST       400
#define STUN_ERROR_UNAUTHENTICATED   401
#define STUN_ERROR_UNKNOWN_ATTRIBUTE 420
#define STUN_ERROR_ROLE_CONFLICT     487

enum stun_error {
    STUN_OK = 0,
    STUN_ERR_NOT_STUN = -1,  /* too short, top bits set, or no magic cookie: not a STUN message */
    STUN_ERR_MALFORMED = -2, /* a STUN header whose lengths or attributes do not add up */
};

/* ---- reading ---- */

/* A parsed message. All pointers point into the bytes that were parsed and live as long as they do.
 * Of an attribute that occurs twice the first counts (RFC 8489, 14). Attributes after
 * MESSAGE-INTEGRITY are ignored, except MESSAGE-INTEGRITY-SHA256 and FINGERPRINT; attributes
 * after MESSAGE-INTEGRITY-SHA256 except FINGERPRINT. FINGERPRINT must be last. */
struct stun_message {
    const uint8_t *bytes;
    size_t size;
    uint16_t type;
    const uint8_t *transaction; /* 12 bytes */

    struct stun_addr mapped;          /* XOR-MAPPED-ADDRESS, else MAPPED-ADDRESS, else none */
    struct stun_addr response_origin; /* none if absent */
    struct stun_addr other_address;   /* none if absent */
    const uint8_t *username;          /* not zero-terminated; NULL if absent */
    size_t username_bytes;
    size_t padding_bytes;    /* of PADDING */
    uint16_t response_port;  /* 0 if absent */
    uint16_t error_code;     /* 300..699, 0 if absent */
    uint32_t change_request; /* STUN_CHANGE_* flags */
    uint32_t priority;
    uint64_t tie_breaker; /* of whichever of the two roles is present */
    uint64_t sequence;    /* STUN_EYELET_SEQUENCE */
    bool has_priority, has_controlling, has_controlled, use_candidate;
    bool has_change_request, has_sequence, has_padding, has_response_port;
    bool has_fingerprint;               /* present; stun_parse has checked it */
    size_t integrity_at;                /* offset of MESSAGE-INTEGRITY, 0 if absent */
    size_t integrity_sha256_at;         /* offset of MESSAGE-INTEGRITY-SHA256, 0 if absent */
    uint16_t unknown[STUN_MAX_UNKNOWN]; /* comprehension-required attributes not known here */
    size_t unknown_count; /* may not exceed STUN_MAX_UNKNOWN; further ones are dropped */
};

/* True for bytes that stun_parse would take for STUN: >= 20 bytes, two zero bits, magic cookie.
 * QUIC packets never look like this (docs/protocol.md). */
bool stun_is_message(const uint8_t *bytes, size_t size);

/* Returns STUN_OK, STUN_ERR_NOT_STUN or STUN_ERR_MALFORMED. Never reads beyond size. Malformed are:
 * a length field that is not size - 20; more than STUN_MAX_MESSAGE_BYTES; an attribute that does
 * not fit; a known one of the wrong length or, for addresses, of an unknown family; an error code
 * outside 300..699; both ICE roles at once; a wrong FINGERPRINT, or one that is not last. Repeated
 * and ignored attributes have only to fit. The message type is not judged. After an error *out
 * holds what was read so far and is good for nothing but logging. */
int stun_parse(const uint8_t *bytes, size_t size, struct stun_message *out);

/* True if the attribute is present and right under the key. Constant time in the key. Of SHA-256
 * only the full 32 bytes are accepted. The message must have parsed without error. */
bool stun_integrity_ok(const struct stun_message *msg, const uint8_t *key, size_t key_bytes);
bool stun_integrity_sha256_ok(const struct stun_message *msg, const uint8_t *key, size_t key_bytes);

/* The value of the first attribute of this type, or NULL. For attributes without a field above.
 * Like stun_parse it passes over what follows the integrity. */
const uint8_t *stun_find(const struct stun_message *msg, uint16_t type, size_t *value_bytes);

/* ---- writing ---- */

/* A message under construction in the caller's buffer. A builder that ran out of room stays
 * overflowed, and stun_finish then returns 0: callers check once, at the end. The same goes for
 * an address that is none, an error code outside 300..699, and more than STUN_MAX_MESSAGE_BYTES.
 * The bytes are a valid message after every call; integrity goes after all that it shall cover,
 * SHA-1 before SHA-256, and FINGERPRINT last. Padding is zero. */
struct stun_builder {
    uint8_t *buffer;
    size_t capacity;
    size_t size;
    bool overflow;
};

void stun_begin(struct stun_builder *b, uint8_t *buffer, size_t capacity, uint16_t type,
                const uint8_t transaction[static STUN_TRANSACTION_BYTES]);
void stun_add_bytes(struct stun_builder *b, uint16_t type, const void *value, size_t value_bytes);
void stun_add_flag(struct stun_builder *b, uint16_t type); /* an attribute without value */
void stun_add_u32(struct stun_builder *b, uint16_t type, uint32_t value);
void stun_add_u64(struct stun_builder *b, uint16_t type, uint64_t value);
/* XOR-MAPPED-ADDRESS is written xored, every other type plain. */
void stun_add_addr(struct stun_builder *b, uint16_t type, const struct stun_addr *addr);
void stun_add_error(struct stun_builder *b, uint16_t code, const char *reason);
void stun_add_unknown_attributes(struct stun_builder *b, const uint16_t *types, size_t count);
void stun_add_integrity(struct stun_builder *b, const uint8_t *key, size_t key_bytes);
/* Full 32-byte value. */
void stun_add_integrity_sha256(struct stun_builder *b, const uint8_t *key, size_t key_bytes);
void stun_add_fingerprint(struct stun_builder *b);
/* The size of the whole message, or 0 if it did not fit. */
size_t stun_finish(const struct stun_builder *b);

#endif
