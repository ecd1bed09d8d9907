/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "stun_packet.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_found(const struct stun_message *msg, uint16_t type, const char *text)
{
    size_t value_bytes = 0;
    const uint8_t *value = stun_find(msg, type, &value_bytes);

    assert_non_null(value);
    assert_int_equal(value_bytes, strlen(text));
    assert_memory_equal(value, text, value_bytes);
}

static void test_what_is_not_stun(void **state)
{
    struct packet p = packet_of(vectors[REQUEST]);
    (void)state;

    for (size_t size = 0; size < STUN_HEADER_BYTES; size++)
        assert_int_equal(parse_exactly(p.bytes, size), STUN_ERR_NOT_STUN);
    for (size_t at = 4; at < 8; at++) {
        p.bytes[at] ^= 1;
        assert_int_equal(parse_exactly(p.bytes, p.size), STUN_ERR_NOT_STUN);
        p.bytes[at] ^= 1;
    }
    p.bytes[0] = 0x40;
    assert_int_equal(parse_exactly(p.bytes, p.size), STUN_ERR_NOT_STUN);
    p.bytes[0] = 0x80;
    assert_int_equal(parse_exactly(p.bytes, p.size), STUN_ERR_NOT_STUN);
}

static void test_attributes_must_fit(void **state)
{
    static const char *const malformed[] = {
        "00240004",                         /* no value */
        "0006000961626364",                 /* value cut short */
        "00060001",                         /* padding missing */
        "0006ffff61626364",                 /* far beyond the end */
        "8022fffd61626364",                 /* ... where padding would wrap 16 bits */
        "00240004000000010006000561626364", /* after a good one */
        "0009000400000200",                 /* ERROR-CODE of class 2 */
        "0009000400000700",                 /* ... of class 7 */
        "0009000400000464",                 /* ... number 100 */
        "002000080002a147e112a643",         /* IPv6 in 4 bytes */
        "002000140001a1470113a9faa5d3f179bc25f4b5bed2b9d9", /* IPv4 in 16 bytes */
        "002000080003a147e112a643",                         /* family 3 */
        "802c000c0001a147e112a64300000000",                 /* too long for IPv4 */
        "802900080000000000000001802a00080000000000000001", /* both roles */
    };
    (void)state;

    for (size_t i = 0; i < COUNT(malformed); i++) {
        if (parse_request(malformed[i]) != STUN_ERR_MALFORMED)
            fail_msg("taken: %s", malformed[i]);
    }
    assert_int_equal(parse_request("0009000400000414"), STUN_OK);
    assert_int_equal(parse_request("802900080000000000000001"), STUN_OK);
}

/* Every length of every attribute whose length is fixed. */
static void test_attributes_have_their_length(void **state)
{
    static const struct {
        uint16_t type;
        uint64_t lengths; /* bit n: n bytes are right */
    } cases[] = {
        {STUN_PRIORITY, 1 << 4},
        {STUN_CHANGE_REQUEST, 1 << 4},
        {STUN_RESPONSE_PORT, 1 << 2 | 1 << 4},
        {STUN_USE_CANDIDATE, 1 << 0},
        {STUN_ICE_CONTROLLED, 1 << 8},
        {STUN_ICE_CONTROLLING, 1 << 8},
        {STUN_EYELET_SEQUENCE, 1 << 8},
        {STUN_MESSAGE_INTEGRITY, 1 << 20},
        {STUN_MESSAGE_INTEGRITY_SHA256, 1 << 16 | 1 << 20 | 1 << 24 | 1 << 28 | 1ull << 32},
        {STUN_XOR_MAPPED_ADDRESS, 0}, /* family 0 is none */
        {STUN_MAPPED_ADDRESS, 0},
        {STUN_RESPONSE_ORIGIN, 0},
        {STUN_OTHER_ADDRESS, 0},
        {STUN_ERROR_CODE, 0},  /* code 0 is none */
        {STUN_FINGERPRINT, 0}, /* 0 is wrong */
        {STUN_SOFTWARE, UINT64_MAX},
        {STUN_PADDING, UINT64_MAX},
        {STUN_REALM, UINT64_MAX},
        {0x7001, UINT64_MAX},
        {0xf001, UINT64_MAX},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        for (uint8_t length = 0; length <= 40; length++) {
            struct packet p = request_with("");
            uint8_t header[4] = {(uint8_t)(cases[i].type >> 8), (uint8_t)cases[i].type, 0, length};
            int want = (cases[i].lengths >> length & 1) != 0 ? STUN_OK : STUN_ERR_MALFORMED;

            memcpy(p.bytes + p.size, header, sizeof(header));
            p.bytes[3] = (uint8_t)(4 + (length + 3) / 4 * 4);
            p.size += p.bytes[3];
            if (parse_exactly(p.bytes, p.size) != want)
                fail_msg("attribute %04x of %u bytes", cases[i].type, length);
        }
    }
}

static void test_the_header_tells_the_length(void **state)
{
    struct packet p = packet_of(vectors[REQUEST]), username = request_with("00060201");
    struct packet large = {.size = STUN_MAX_MESSAGE_BYTES};
    uint8_t too_large[STUN_MAX_MESSAGE_BYTES + 4] = {0};
    (void)state;

    for (int wrong = -8; wrong <= 8; wrong++) {
        p.bytes[3] = (uint8_t)(0x58 + wrong);
        assert_int_equal(parse_exactly(p.bytes, p.size), wrong == 0 ? STUN_OK : STUN_ERR_MALFORMED);
    }
    memcpy(large.bytes, p.bytes, STUN_HEADER_BYTES);
    memcpy(large.bytes + 2, "\x05\xc8", 2);
    memcpy(large.bytes + STUN_HEADER_BYTES, "\x80\x22\x05\xc4", 4);
    assert_int_equal(parse_exactly(large.bytes, large.size), STUN_OK);
    memcpy(too_large, large.bytes, sizeof(large.bytes));
    memcpy(too_large + 2, "\x05\xcc", 2);
    memcpy(too_large + STUN_HEADER_BYTES + 2, "\x05\xc8", 2);
    assert_int_equal(parse_exactly(too_large, sizeof(too_large)), STUN_ERR_MALFORMED);
    /* A user name of 513 bytes is the longest. */
    username.size += 516;
    memcpy(username.bytes + 2, "\x02\x08", 2);
    assert_int_equal(parse_exactly(username.bytes, username.size), STUN_OK);
    username.bytes[23] = 2;
    assert_int_equal(parse_exactly(username.bytes, username.size), STUN_ERR_MALFORMED);
}

static void test_the_first_of_duplicates_counts(void **state)
{
    struct packet p = request_with("0024000400000001"
                                   "0024000400000002"
                                   "0006000161000000"
                                   "0006000162000000"
                                   "8029000800000000"
                                   "00000003"
                                   "8029000800000000"
                                   "00000004"
                                   "802c000800010001c0000201"
                                   "802c000800010002c0000202"
                                   "0001000800010001c0000201"
                                   "0001000800010002c0000202"
                                   /* Repeated ones need not make sense. */
                                   "00240000"
                                   "8029000400000000"
                                   "802c0000");
    char text[STUN_ADDR_TEXT_BYTES];
    struct stun_message msg;
    (void)state;

    parse_ok(&p, &msg);
    assert_int_equal(msg.priority, 1);
    assert_memory_equal(msg.username, "a", 1);
    assert_true(msg.tie_breaker == 3);
    assert_string_equal(stun_addr_text(&msg.other_address, text), "192.0.2.1:1");
    assert_string_equal(stun_addr_text(&msg.mapped, text), "192.0.2.1:1");
    assert_found(&msg, STUN_USERNAME, "a");
}

static void test_unknown_attributes_are_listed_once(void **state)
{
    struct packet p = request_with("70010000"
                                   "f0010000"
                                   "70020004deadbeef"
                                   "70010000");
    struct packet many = request_with("");
    struct stun_message msg;
    size_t value_bytes;
    (void)state;

    parse_ok(&p, &msg);
    assert_int_equal(msg.unknown_count, 2);
    assert_int_equal(msg.unknown[0], 0x7001);
    assert_int_equal(msg.unknown[1], 0x7002);
    assert_non_null(stun_find(&msg, 0xf001, &value_bytes));
    assert_int_equal(value_bytes, 0);
    assert_null(stun_find(&msg, 0xf002, &value_bytes));

    for (uint8_t i = 0; i < 2 * STUN_MAX_UNKNOWN; i++) {
        memcpy(many.bytes + many.size, (uint8_t[4]){0x70, i, 0, 0}, 4);
        many.size += 4;
    }
    many.bytes[3] = (uint8_t)(many.size - STUN_HEADER_BYTES);
    parse_ok(&many, &msg);
    assert_int_equal(msg.unknown_count, STUN_MAX_UNKNOWN);
}

/* What no integrity covers must not be believed, or anyone on the way could add it. */
static void test_attributes_after_the_integrity_are_ignored(void **state)
{
    static const uint8_t key[] = "key";
    struct packet p;
    struct stun_builder b;
    struct stun_message msg;
    size_t value_bytes;
    (void)state;

    stun_begin(&b, p.bytes, sizeof(p.bytes), STUN_BINDING_REQUEST, (const uint8_t *)"transaction.");
    stun_add_u32(&b, STUN_PRIORITY, 1);
    stun_add_integrity(&b, key, sizeof(key));
    stun_add_flag(&b, STUN_USE_CANDIDATE);
    stun_add_bytes(&b, STUN_USERNAME, "mallory", 7);
    stun_add_integrity_sha256(&b, key, sizeof(key));
    stun_add_flag(&b, 0x7001);
    stun_add_u32(&b, STUN_ICE_CONTROLLED, 0); /* not even of the right length */
    stun_add_integrity(&b, (const uint8_t *)"other", 5);
    stun_add_integrity_sha256(&b, (const uint8_t *)"other", 5);
    stun_add_fingerprint(&b);
    p.size = stun_finish(&b);
    parse_ok(&p, &msg);

    assert_int_equal(msg.priority, 1);
    assert_false(msg.use_candidate);
    assert_null(msg.username);
    assert_null(stun_find(&msg, STUN_USERNAME, &value_bytes));
    assert_false(msg.has_controlled);
    assert_int_equal(msg.unknown_count, 0);
    assert_true(msg.has_fingerprint);
    assert_int_equal(msg.integrity_at, 28);
    assert_true(stun_integrity_ok(&msg, key, sizeof(key)));
    assert_true(stun_integrity_sha256_ok(&msg, key, sizeof(key)));
}

static void test_sha1_after_sha256_is_ignored(void **state)
{
    static const uint8_t key[] = "key";
    struct packet p;
    struct stun_builder b;
    struct stun_message msg;
    (void)state;

    stun_begin(&b, p.bytes, sizeof(p.bytes), STUN_BINDING_REQUEST, (const uint8_t *)"transaction.");
    stun_add_integrity_sha256(&b, key, sizeof(key));
    stun_add_integrity(&b, key, sizeof(key));
    p.size = stun_finish(&b);
    parse_ok(&p, &msg);
    assert_int_equal(msg.integrity_at, 0);
    assert_false(stun_integrity_ok(&msg, key, sizeof(key)));
    assert_true(stun_integrity_sha256_ok(&msg, key, sizeof(key)));
}

static void test_a_shortened_sha256_is_not_accepted(void **state)
{
    struct packet whole = packet_of(vectors[SHA256]), p = whole;
    struct stun_message msg;
    (void)state;

    p.size -= 16;
    p.bytes[3] = (uint8_t)(p.bytes[3] - 16);
    p.bytes[p.size - 17] = 16;
    parse_ok(&p, &msg);
    assert_int_not_equal(msg.integrity_sha256_at, 0);
    assert_false(stun_integrity_sha256_ok(&msg, (const uint8_t *)PASSWORD, strlen(PASSWORD)));
}

static void test_the_fingerprint_is_right_and_last(void **state)
{
    struct packet p = packet_of(vectors[REQUEST]), twice;
    struct stun_message msg;
    struct stun_builder b;
    (void)state;

    /* A change can hide the fingerprint in another attribute, but it never stays right. */
    for (size_t at = 0; at < p.size; at++) {
        p.bytes[at] ^= 0x20;
        assert_false(stun_parse(p.bytes, p.size, &msg) == STUN_OK && msg.has_fingerprint);
        p.bytes[at] ^= 0x20;
    }
    p.bytes[p.size - 1] ^= 1;
    assert_int_equal(parse_exactly(p.bytes, p.size), STUN_ERR_MALFORMED);
    /* Something behind it, be it another one. */
    stun_begin(&b, twice.bytes, sizeof(twice.bytes), STUN_BINDING_REQUEST, p.bytes + 8);
    stun_add_fingerprint(&b);
    assert_int_equal(parse_exactly(twice.bytes, stun_finish(&b)), STUN_OK);
    stun_add_fingerprint(&b);
    assert_int_equal(parse_exactly(twice.bytes, stun_finish(&b)), STUN_ERR_MALFORMED);
    stun_begin(&b, twice.bytes, sizeof(twice.bytes), STUN_BINDING_REQUEST, p.bytes + 8);
    stun_add_fingerprint(&b);
    stun_add_flag(&b, STUN_SOFTWARE);
    assert_int_equal(parse_exactly(twice.bytes, stun_finish(&b)), STUN_ERR_MALFORMED);
}

static void test_addresses(void **state)
{
    /* The first address attribute is the plain one, the other xored; the xored one counts. */
    struct packet both = request_with("000100080001000ac0000209"
                                      "002000080001a147e112a643");
    struct packet reversed = request_with("002000080001a147e112a643"
                                          "000100080001000ac0000209");
    struct packet plain = request_with("00010008ff01000ac0000209");
    /* ::ffff:192.0.2.1, plain and xored */
    struct packet mapped = request_with("802c00140002000a00000000000000000000ffffc0000201");
    struct packet xored = request_with("002000140002a1472112a442b7e7a701bc342979"
                                       "3a87ddaf");
    struct stun_message msg;
    char text[STUN_ADDR_TEXT_BYTES];
    (void)state;

    parse_ok(&both, &msg);
    assert_string_equal(stun_addr_text(&msg.mapped, text), "192.0.2.1:32853");
    parse_ok(&reversed, &msg);
    assert_string_equal(stun_addr_text(&msg.mapped, text), "192.0.2.1:32853");
    /* The byte before the family is ignored (RFC 8489, 14.1). */
    parse_ok(&plain, &msg);
    assert_string_equal(stun_addr_text(&msg.mapped, text), "192.0.2.9:10");
    parse_ok(&mapped, &msg);
    assert_string_equal(stun_addr_text(&msg.other_address, text), "192.0.2.1:10");
    parse_ok(&xored, &msg);
    assert_string_equal(stun_addr_text(&msg.mapped, text), "192.0.2.1:32853");
}

static void test_truncated_anywhere(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct packet p = packet_of(vectors[i]);

        for (size_t size = 0; size < p.size; size++) {
            struct packet cut = p;

            assert_int_not_equal(parse_exactly(cut.bytes, size), STUN_OK);
            /* Once more with a header that agrees with the cut. */
            if (size < STUN_HEADER_BYTES)
                continue;
            cut.bytes[3] = (uint8_t)(size - STUN_HEADER_BYTES);
            parse_exactly(cut.bytes, size);
        }
    }
}

static void test_mutated_at_random(void **state)
{
    uint32_t random = 0x2112a442;
    (void)state;

    for (unsigned round = 0; round < 20000; round++) {
        struct packet p = packet_of(vectors[round % COUNT(vectors)]);

        for (unsigned change = 0; change <= round % 4; change++) {
            random = random * 1664525u + 1013904223u;
            p.bytes[(random >> 8) % p.size] = (uint8_t)(random >> 24);
        }
        memcpy(p.bytes + 4, "\x21\x12\xa4\x42", 4);
        parse_exactly(p.bytes, p.size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_stun),
        cmocka_unit_test(test_attributes_must_fit),
        cmocka_unit_test(test_attributes_have_their_length),
        cmocka_unit_test(test_the_header_tells_the_length),
        cmocka_unit_test(test_the_first_of_duplicates_counts),
        cmocka_unit_test(test_unknown_attributes_are_listed_once),
        cmocka_unit_test(test_attributes_after_the_integrity_are_ignored),
        cmocka_unit_test(test_sha1_after_sha256_is_ignored),
        cmocka_unit_test(test_a_shortened_sha256_is_not_accepted),
        cmocka_unit_test(test_the_fingerprint_is_right_and_last),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_mutated_at_random),
    };

    return cmocka_run_group_tests_name("stun_parse", tests, NULL, NULL);
}
