/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages from hex, and a parser that is watched: for the tests of src/stun. Include cmocka.h
 * first. */
#ifndef STUN_PACKET_H
#define STUN_PACKET_H

#include <stdlib.h>
#include <string.h>

#include "stun/stun.h"

#define PASSWORD "VOkJxbRl1RmTxUk/WvJxBt" /* RFC 5769, 2 */

struct packet {
    uint8_t bytes[STUN_MAX_MESSAGE_BYTES];
    size_t size;
};

enum stun_vector { REQUEST, RESPONSE_V4, RESPONSE_V6, LONG_TERM, SHA256, VECTORS };

static const char *const vectors[VECTORS] = {
    /* RFC 5769, 2.1: request */
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf",
    /* 2.2: IPv4 response */
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96",
    /* 2.3: IPv6 response */
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c",
    /* 2.4: request with long-term authentication */
    "000100602112a44278ad3433c6ad72c029da412e"
    "00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341"
    "0014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666",
    /* RFC 8489, B.1, as corrected by erratum 6268 */
    "000100902112a44278ad3433c6ad72c029da412e"
    "001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
    "001500296f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c3946535476793634734100"
    "00000014000b6578616d706c652e6f726700001d000400020000"
    "001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65",
};

static inline uint8_t hex_digit(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static inline struct packet packet_of(const char *hex)
{
    struct packet p = {0};

    for (; hex[0] != '\0'; hex += 2)
        p.bytes[p.size++] = (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));
    return p;
}

/* A binding request around the attributes, its length right. */
static inline struct packet request_with(const char *attributes_hex)
{
    struct packet p = packet_of("000100002112a442b7e7a701bc34d686fa87dfae");
    struct packet attributes = packet_of(attributes_hex);

    memcpy(p.bytes + p.size, attributes.bytes, attributes.size);
    p.size += attributes.size;
    p.bytes[2] = (uint8_t)(attributes.size >> 8);
    p.bytes[3] = (uint8_t)attributes.size;
    return p;
}

/* Parses a heap copy of exactly that size, so that a sanitizer sees a read beyond it. */
static inline int parse_exactly(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    struct stun_message msg;
    size_t value_bytes;
    int rc;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    rc = stun_parse(copy, size, &msg);
    if (rc == STUN_OK) {
        stun_integrity_ok(&msg, (const uint8_t *)PASSWORD, strlen(PASSWORD));
        stun_integrity_sha256_ok(&msg, (const uint8_t *)PASSWORD, strlen(PASSWORD));
        stun_find(&msg, STUN_SOFTWARE, &value_bytes);
    }
    assert_int_equal(rc == STUN_ERR_NOT_STUN, !stun_is_message(copy, size));
    free(copy);
    return rc;
}

static inline int parse_request(const char *attributes_hex)
{
    struct packet p = request_with(attributes_hex);

    return parse_exactly(p.bytes, p.size);
}

static inline void parse_ok(const struct packet *p, struct stun_message *msg)
{
    assert_int_equal(parse_exactly(p->bytes, p->size), STUN_OK);
    assert_int_equal(stun_parse(p->bytes, p->size, msg), STUN_OK);
}

#endif
