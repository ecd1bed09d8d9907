/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lab/hop.h"

static uint16_t checksum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < size; i += 2)
        sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    if (size % 2)
        sum += (uint32_t)(bytes[size - 1] << 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* A UDP packet from 192.168.1.10 to 203.0.113.5. */
static size_t make_v4(uint8_t packet[64], uint8_t ttl, uint8_t protocol)
{
    static const uint8_t header[20] = {0x45, 0, 0,   40,  0x12, 0x34, 0x40, 0, 0,   0,
                                       0,    0, 192, 168, 1,    10,   203,  0, 113, 5};
    memset(packet, 0xab, 64);
    memcpy(packet, header, sizeof(header));
    packet[8] = ttl;
    packet[9] = protocol;
    uint16_t sum = checksum(packet, 20);
    packet[10] = (uint8_t)(sum >> 8);
    packet[11] = (uint8_t)sum;
    return 40;
}

static size_t make_v6(uint8_t packet[64], uint8_t limit)
{
    memset(packet, 0, 64);
    packet[0] = 0x60;
    packet[5] = 8;
    packet[6] = 17;
    packet[7] = limit;
    packet[8] = 0x20;
    packet[24] = 0xfd;
    return 48;
}

static void parses_prefixes(void **state)
{
    (void)state;
    struct hop_prefix p;
    assert_true(hop_prefix_parse("203.0.113.0/24", &p));
    assert_int_equal(p.bits, 24);
    assert_true(hop_prefix_parse("192.0.2.1", &p));
    assert_int_equal(p.bits, 32);
    assert_true(hop_prefix_parse("2001:db8::/33", &p));
    assert_int_equal(p.addr.bytes, 16);
    static const char *const wrong[] = {"",         "/8",        "1.2.3/8", "1.2.3.4/33",
                                        "1.2.3.4/", "1.2.3.4/x", "::/129",  "1.2.3.4/8x"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(hop_prefix_parse(wrong[i], &p));
}

static void compares_bits(void **state)
{
    (void)state;
    struct hop_prefix p, inside, outside;
    hop_prefix_parse("10.0.64.0/18", &p);
    hop_prefix_parse("10.0.127.255", &inside);
    hop_prefix_parse("10.0.128.0", &outside);
    assert_true(hop_prefix_has(&p, &inside.addr));
    assert_false(hop_prefix_has(&p, &outside.addr));
    hop_prefix_parse("::a00:4000", &outside);
    assert_false(hop_prefix_has(&p, &outside.addr));
    hop_prefix_parse("0.0.0.0/0", &p);
    assert_true(hop_prefix_has(&p, &inside.addr));
}

static void ages_with_a_right_checksum(void **state)
{
    (void)state;
    uint8_t packet[64];
    for (unsigned ttl = 2; ttl < 256; ttl++) {
        make_v4(packet, (uint8_t)ttl, 17);
        assert_true(hop_age(packet));
        assert_int_equal(packet[8], ttl - 1);
        assert_int_equal(checksum(packet, 20), 0);
    }
    make_v4(packet, 1, 17);
    assert_false(hop_age(packet));
    make_v6(packet, 2);
    assert_true(hop_age(packet));
    assert_false(hop_age(packet));
}

static void refuses_what_is_no_packet(void **state)
{
    (void)state;
    uint8_t packet[64];
    struct hop_addr to;
    size_t size = make_v4(packet, 9, 17);
    assert_true(hop_destination(packet, size, &to));
    assert_memory_equal(to.ip, packet + 16, 4);
    assert_false(hop_destination(packet, size - 1, &to));
    assert_false(hop_destination(packet, 19, &to));
    packet[0] = 0x4f;
    assert_false(hop_destination(packet, size, &to));
    packet[0] = 0x55;
    assert_false(hop_destination(packet, size, &to));
    assert_false(hop_destination(packet, 0, &to));
    size = make_v6(packet, 9);
    assert_true(hop_destination(packet, size, &to));
    assert_int_equal(to.bytes, 16);
    assert_false(hop_destination(packet, 39, &to));
}

static void answers_the_dead(void **state)
{
    (void)state;
    uint8_t packet[64], reply[HOP_REPLY_BYTES];
    struct hop_prefix router;
    hop_prefix_parse("192.0.2.254", &router);
    size_t size = make_v4(packet, 1, 17);
    size_t reply_size = hop_time_exceeded(reply, packet, size, &router.addr);
    assert_int_equal(reply_size, 28 + size);
    assert_int_equal(checksum(reply, 20), 0);
    assert_int_equal(checksum(reply + 20, reply_size - 20), 0);
    assert_memory_equal(reply + 12, router.addr.ip, 4);
    assert_memory_equal(reply + 16, packet + 12, 4);
    assert_int_equal(reply[20], 11);
    assert_memory_equal(reply + 28, packet, size);
    assert_int_equal(hop_time_exceeded(reply, packet, make_v6(packet, 1), &router.addr), 0);

    hop_prefix_parse("2001:db8::1", &router);
    size = make_v6(packet, 1);
    reply_size = hop_time_exceeded(reply, packet, size, &router.addr);
    assert_int_equal(reply_size, 48 + size);
    uint8_t pseudo[256];
    memcpy(pseudo, reply + 8, 32);
    memset(pseudo + 32, 0, 8);
    pseudo[35] = (uint8_t)(reply_size - 40);
    pseudo[39] = 58;
    memcpy(pseudo + 40, reply + 40, reply_size - 40);
    assert_int_equal(checksum(pseudo, reply_size), 0);
}

static void does_not_answer_errors_or_fragments(void **state)
{
    (void)state;
    uint8_t packet[64], reply[HOP_REPLY_BYTES];
    struct hop_prefix router;
    hop_prefix_parse("192.0.2.254", &router);
    size_t size = make_v4(packet, 1, 1);
    packet[20] = 3;
    assert_int_equal(hop_time_exceeded(reply, packet, size, &router.addr), 0);
    packet[20] = 8;
    assert_true(hop_time_exceeded(reply, packet, size, &router.addr) > 0);
    packet[7] = 8;
    assert_int_equal(hop_time_exceeded(reply, packet, size, &router.addr), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_prefixes),
        cmocka_unit_test(compares_bits),
        cmocka_unit_test(ages_with_a_right_checksum),
        cmocka_unit_test(refuses_what_is_no_packet),
        cmocka_unit_test(answers_the_dead),
        cmocka_unit_test(does_not_answer_errors_or_fragments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
