/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <nettle/md5.h>
#include <nettle/sha2.h>

#include "stun_packet.h"

#define MATRIX "\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9"

static const uint8_t id[STUN_TRANSACTION_BYTES] = {0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
                                                   0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};
static const uint8_t long_term_id[STUN_TRANSACTION_BYTES] = {0x78, 0xad, 0x34, 0x33, 0xc6, 0xad,
                                                             0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e};

static bool signed_with(const struct stun_message *msg, const char *key)
{
    return stun_integrity_ok(msg, (const uint8_t *)key, strlen(key));
}

static void assert_found(const struct stun_message *msg, uint16_t type, const char *text)
{
    size_t value_bytes = 0;
    const uint8_t *value = stun_find(msg, type, &value_bytes);

    assert_non_null(value);
    assert_int_equal(value_bytes, strlen(text));
    assert_memory_equal(value, text, value_bytes);
}

static void assert_addr(const struct stun_addr *addr, const char *text)
{
    char actual[STUN_ADDR_TEXT_BYTES];

    assert_string_equal(stun_addr_text(addr, actual), text);
}

static void assert_builds(const struct stun_builder *b, const char *hex)
{
    struct packet want = packet_of(hex);

    assert_int_equal(stun_finish(b), want.size);
    assert_memory_equal(b->buffer, want.bytes, want.size);
}

/* The vectors pad with spaces where we write zeros. */
static void pad_with_spaces(struct stun_builder *b, size_t count)
{
    memset(b->buffer + b->size - count, ' ', count);
}

static void md5_key(uint8_t key[static MD5_DIGEST_SIZE])
{
    struct md5_ctx ctx;

    md5_init(&ctx);
    md5_update(&ctx, 40, (const uint8_t *)MATRIX ":example.org:TheMatrIX");
    md5_digest(&ctx, MD5_DIGEST_SIZE, key);
}

static void sha256_key(uint8_t key[static SHA256_DIGEST_SIZE])
{
    struct sha256_ctx ctx;

    sha256_init(&ctx);
    sha256_update(&ctx, 40, (const uint8_t *)MATRIX ":example.org:TheMatrIX");
    sha256_digest(&ctx, SHA256_DIGEST_SIZE, key);
}

static void test_reads_the_sample_request(void **state)
{
    struct packet p = packet_of(vectors[REQUEST]);
    struct stun_message msg;
    (void)state;

    parse_ok(&p, &msg);
    assert_int_equal(msg.type, STUN_BINDING_REQUEST);
    assert_memory_equal(msg.transaction, id, sizeof(id));
    assert_int_equal(msg.username_bytes, 9);
    assert_memory_equal(msg.username, "evtj:h6vY", 9);
    assert_true(msg.has_priority && msg.priority == 0x6e0001ff);
    assert_true(msg.has_controlled && !msg.has_controlling);
    assert_true(msg.tie_breaker == 0x932ff9b151263b36);
    assert_found(&msg, STUN_SOFTWARE, "STUN test client");
    assert_true(msg.has_fingerprint);
    assert_true(signed_with(&msg, PASSWORD));
    assert_false(signed_with(&msg, PASSWORD "x"));
    assert_false(signed_with(&msg, ""));
    assert_false(stun_integrity_sha256_ok(&msg, (const uint8_t *)PASSWORD, strlen(PASSWORD)));
    assert_int_equal(msg.unknown_count, 0);
    assert_int_equal(msg.mapped.family, STUN_NO_FAMILY);
}

static void test_reads_the_sample_responses(void **state)
{
    struct packet v4 = packet_of(vectors[RESPONSE_V4]), v6 = packet_of(vectors[RESPONSE_V6]);
    struct stun_message msg;
    (void)state;

    parse_ok(&v4, &msg);
    assert_int_equal(msg.type, STUN_BINDING_SUCCESS);
    assert_addr(&msg.mapped, "192.0.2.1:32853");
    assert_true(msg.has_fingerprint && signed_with(&msg, PASSWORD));
    parse_ok(&v6, &msg);
    assert_addr(&msg.mapped, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
    assert_true(msg.has_fingerprint && signed_with(&msg, PASSWORD));
}

static void test_reads_the_long_term_requests(void **state)
{
    struct packet sha1 = packet_of(vectors[LONG_TERM]), sha256 = packet_of(vectors[SHA256]);
    struct stun_message msg;
    uint8_t key[SHA256_DIGEST_SIZE];
    (void)state;

    parse_ok(&sha1, &msg);
    md5_key(key);
    assert_true(stun_integrity_ok(&msg, key, MD5_DIGEST_SIZE));
    assert_false(msg.has_fingerprint);
    assert_found(&msg, STUN_REALM, "example.org");
    assert_found(&msg, STUN_NONCE, "f//499k954d6OL34oL9FSTvy64sA");
    assert_int_equal(msg.unknown_count, 0);

    parse_ok(&sha256, &msg);
    sha256_key(key);
    assert_true(stun_integrity_sha256_ok(&msg, key, sizeof(key)));
    assert_false(stun_integrity_ok(&msg, key, sizeof(key)));
    key[0] ^= 1;
    assert_false(stun_integrity_sha256_ok(&msg, key, sizeof(key)));
    /* PASSWORD-ALGORITHM must be understood, and isn't. */
    assert_int_equal(msg.unknown_count, 1);
    assert_int_equal(msg.unknown[0], 0x001D);
}

static void test_rebuilds_the_vectors(void **state)
{
    struct stun_addr v6, v4 = stun_addr_v4(192, 0, 2, 1, 32853);
    uint8_t buffer[STUN_MAX_MESSAGE_BYTES], key[SHA256_DIGEST_SIZE];
    const uint8_t *password = (const uint8_t *)PASSWORD;
    struct packet userhash = packet_of(vectors[SHA256] + 48);
    struct stun_builder b;
    (void)state;

    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_REQUEST, id);
    stun_add_bytes(&b, STUN_SOFTWARE, "STUN test client", 16);
    stun_add_u32(&b, STUN_PRIORITY, 0x6e0001ff);
    stun_add_u64(&b, STUN_ICE_CONTROLLED, 0x932ff9b151263b36);
    stun_add_bytes(&b, STUN_USERNAME, "evtj:h6vY", 9);
    pad_with_spaces(&b, 3);
    stun_add_integrity(&b, password, strlen(PASSWORD));
    stun_add_fingerprint(&b);
    assert_builds(&b, vectors[REQUEST]);

    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_SUCCESS, id);
    stun_add_bytes(&b, STUN_SOFTWARE, "test vector", 11);
    pad_with_spaces(&b, 1);
    stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &v4);
    stun_add_integrity(&b, password, strlen(PASSWORD));
    stun_add_fingerprint(&b);
    assert_builds(&b, vectors[RESPONSE_V4]);

    assert_true(stun_addr_parse("[2001:db8:1234:5678:11:2233:4455:6677]:32853", &v6));
    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_SUCCESS, id);
    stun_add_bytes(&b, STUN_SOFTWARE, "test vector", 11);
    pad_with_spaces(&b, 1);
    stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &v6);
    stun_add_integrity(&b, password, strlen(PASSWORD));
    stun_add_fingerprint(&b);
    assert_builds(&b, vectors[RESPONSE_V6]);

    md5_key(key);
    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_REQUEST, long_term_id);
    stun_add_bytes(&b, STUN_USERNAME, MATRIX, 18);
    stun_add_bytes(&b, STUN_NONCE, "f//499k954d6OL34oL9FSTvy64sA", 28);
    stun_add_bytes(&b, STUN_REALM, "example.org", 11);
    stun_add_integrity(&b, key, MD5_DIGEST_SIZE);
    assert_builds(&b, vectors[LONG_TERM]);

    sha256_key(key);
    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_REQUEST, long_term_id);
    stun_add_bytes(&b, STUN_USERHASH, userhash.bytes, 32);
    stun_add_bytes(&b, STUN_NONCE, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA", 41);
    stun_add_bytes(&b, STUN_REALM, "example.org", 11);
    stun_add_u32(&b, 0x001D, 0x00020000);
    stun_add_integrity_sha256(&b, key, sizeof(key));
    assert_builds(&b, vectors[SHA256]);
}

static void test_reads_every_field_that_it_writes(void **state)
{
    static const uint16_t unknown[3] = {0x7001, 0x7002, 0x7003};
    struct stun_addr mapped = stun_addr_v4(192, 0, 2, 1, 1), plain = stun_addr_v4(192, 0, 2, 2, 2);
    struct stun_addr origin = stun_addr_v4(192, 0, 2, 3, 3), other = stun_addr_v4(192, 0, 2, 4, 4);
    struct packet p;
    struct stun_builder b;
    struct stun_message msg;
    (void)state;

    stun_begin(&b, p.bytes, sizeof(p.bytes), STUN_BINDING_ERROR, id);
    stun_add_addr(&b, STUN_MAPPED_ADDRESS, &plain);
    stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &mapped);
    stun_add_addr(&b, STUN_RESPONSE_ORIGIN, &origin);
    stun_add_addr(&b, STUN_OTHER_ADDRESS, &other);
    stun_add_u32(&b, STUN_CHANGE_REQUEST, STUN_CHANGE_IP | STUN_CHANGE_PORT);
    stun_add_bytes(&b, STUN_RESPONSE_PORT, "\x12\x34", 2);
    stun_add_bytes(&b, STUN_PADDING, "12345", 5);
    stun_add_flag(&b, STUN_USE_CANDIDATE);
    stun_add_u64(&b, STUN_ICE_CONTROLLING, UINT64_MAX);
    stun_add_u64(&b, STUN_EYELET_SEQUENCE, 0x0123456789abcdef);
    stun_add_error(&b, STUN_ERROR_UNKNOWN_ATTRIBUTE, "Unknown Attribute");
    stun_add_unknown_attributes(&b, unknown, 3);
    stun_add_integrity(&b, id, sizeof(id));
    stun_add_integrity_sha256(&b, id, sizeof(id));
    stun_add_fingerprint(&b);
    p.size = stun_finish(&b);
    parse_ok(&p, &msg);

    assert_addr(&msg.mapped, "192.0.2.1:1");
    assert_addr(&msg.response_origin, "192.0.2.3:3");
    assert_addr(&msg.other_address, "192.0.2.4:4");
    assert_true(msg.has_change_request && msg.change_request == 6);
    assert_true(msg.has_response_port && msg.response_port == 0x1234);
    assert_true(msg.has_padding && msg.padding_bytes == 5);
    assert_true(msg.use_candidate);
    assert_true(msg.has_controlling && msg.tie_breaker == UINT64_MAX);
    assert_true(msg.has_sequence && msg.sequence == 0x0123456789abcdef);
    assert_int_equal(msg.error_code, 420);
    assert_found(&msg, STUN_UNKNOWN_ATTRIBUTES, "\x70\x01\x70\x02\x70\x03");
    assert_true(stun_integrity_ok(&msg, id, sizeof(id)));
    assert_true(stun_integrity_sha256_ok(&msg, id, sizeof(id)));
    assert_true(msg.has_fingerprint);
}

static void test_padding_is_skipped_and_zero(void **state)
{
    (void)state;

    for (size_t bytes = 0; bytes <= 8; bytes++) {
        struct packet p;
        struct stun_builder b;
        struct stun_message msg;

        memset(p.bytes, 0xee, sizeof(p.bytes));
        stun_begin(&b, p.bytes, sizeof(p.bytes), STUN_BINDING_REQUEST, id);
        stun_add_bytes(&b, STUN_USERNAME, "abcdefgh", bytes);
        stun_add_u32(&b, STUN_PRIORITY, 7);
        p.size = stun_finish(&b);
        assert_int_equal(p.size, 20 + 4 + (bytes + 3) / 4 * 4 + 8);
        for (size_t at = 24 + bytes; at % 4 != 0; at++)
            assert_int_equal(p.bytes[at], 0);
        parse_ok(&p, &msg);
        assert_non_null(msg.username);
        assert_int_equal(msg.username_bytes, bytes);
        assert_int_equal(msg.priority, 7);
    }
}

static void test_the_builder_stays_overflowed(void **state)
{
    struct stun_addr none = {0}, v4 = stun_addr_v4(192, 0, 2, 1, 1);
    uint8_t guarded[64 + 8];
    struct stun_builder b;
    (void)state;

    for (size_t capacity = 0; capacity <= 64; capacity++) {
        memset(guarded, 0xee, sizeof(guarded));
        stun_begin(&b, guarded, capacity, STUN_BINDING_REQUEST, id);
        stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &v4);
        stun_add_integrity(&b, id, sizeof(id));
        stun_add_fingerprint(&b);
        assert_int_equal(stun_finish(&b), capacity >= 64 ? 64 : 0);
        for (size_t at = capacity; at < sizeof(guarded); at++)
            assert_int_equal(guarded[at], 0xee);
        /* It would fit, but a gap has gone before. */
        stun_add_flag(&b, STUN_USE_CANDIDATE);
        assert_int_equal(stun_finish(&b), 0);
    }
    stun_begin(&b, NULL, 0, STUN_BINDING_REQUEST, id);
    stun_add_flag(&b, STUN_USE_CANDIDATE);
    assert_int_equal(stun_finish(&b), 0);
    stun_begin(&b, guarded, 64, STUN_BINDING_REQUEST, id);
    stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &none);
    assert_int_equal(stun_finish(&b), 0);
    stun_begin(&b, guarded, 64, STUN_BINDING_ERROR, id);
    stun_add_error(&b, 299, "");
    assert_int_equal(stun_finish(&b), 0);
    stun_begin(&b, guarded, 64, STUN_BINDING_ERROR, id);
    stun_add_error(&b, 700, "");
    assert_int_equal(stun_finish(&b), 0);
}

static void test_no_message_is_larger_than_the_largest(void **state)
{
    static const uint8_t zeros[4096];
    uint8_t buffer[4096];
    struct stun_builder b;
    (void)state;

    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_REQUEST, id);
    stun_add_bytes(&b, STUN_PADDING, zeros, STUN_MAX_MESSAGE_BYTES - 24);
    assert_int_equal(stun_finish(&b), STUN_MAX_MESSAGE_BYTES);
    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_REQUEST, id);
    stun_add_bytes(&b, STUN_PADDING, zeros, STUN_MAX_MESSAGE_BYTES - 23);
    assert_int_equal(stun_finish(&b), 0);
    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_REQUEST, id);
    stun_add_bytes(&b, STUN_PADDING, zeros, SIZE_MAX);
    assert_int_equal(stun_finish(&b), 0);
    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_REQUEST, id);
    stun_add_unknown_attributes(&b, (const uint16_t *)(const void *)buffer, SIZE_MAX / 2 + 2);
    assert_int_equal(stun_finish(&b), 0);
}

static void test_an_empty_key_is_a_key(void **state)
{
    struct packet p;
    struct stun_builder b;
    struct stun_message msg;
    (void)state;

    stun_begin(&b, p.bytes, sizeof(p.bytes), STUN_BINDING_REQUEST, id);
    stun_add_integrity(&b, NULL, 0);
    stun_add_integrity_sha256(&b, NULL, 0);
    p.size = stun_finish(&b);
    parse_ok(&p, &msg);
    assert_true(stun_integrity_ok(&msg, NULL, 0));
    assert_true(stun_integrity_sha256_ok(&msg, NULL, 0));
    assert_false(signed_with(&msg, "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_the_sample_request),
        cmocka_unit_test(test_reads_the_sample_responses),
        cmocka_unit_test(test_reads_the_long_term_requests),
        cmocka_unit_test(test_rebuilds_the_vectors),
        cmocka_unit_test(test_reads_every_field_that_it_writes),
        cmocka_unit_test(test_padding_is_skipped_and_zero),
        cmocka_unit_test(test_the_builder_stays_overflowed),
        cmocka_unit_test(test_no_message_is_larger_than_the_largest),
        cmocka_unit_test(test_an_empty_key_is_a_key),
    };

    return cmocka_run_group_tests_name("stun", tests, NULL, NULL);
}
