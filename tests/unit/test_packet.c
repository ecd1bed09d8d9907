/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lab/dice.h"
#include "lab/hop.h"
#include "lab/packet.h"

enum { SIZE = 60 };

static uint16_t sum_of(const uint8_t *bytes, size_t size, uint32_t sum)
{
    for (size_t i = 0; i < size; i++)
        sum += (uint32_t)bytes[i] << (i % 2 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* All checksums of an IPv4 packet, written or checked. */
static bool sums(uint8_t *p, bool write)
{
    size_t at = p[9] == NAT_MODEL_UDP ? 26 : p[9] == NAT_MODEL_TCP ? 36 : 22;
    uint32_t pseudo = 0;
    if (p[9] != NAT_MODEL_ICMP)
        pseudo = (uint32_t)sum_of(p + 12, 8, 0) + p[9] + (SIZE - 20);
    if (write) {
        put_u16(p + 10, 0);
        put_u16(p + at, 0);
        put_u16(p + 10, (uint16_t)~sum_of(p, 20, 0));
        uint16_t sum = (uint16_t)~sum_of(p + 20, SIZE - 20, pseudo);
        put_u16(p + at, sum == 0 && p[9] == NAT_MODEL_UDP ? 0xffff : sum);
    }
    return sum_of(p, 20, 0) == 0xffff && sum_of(p + 20, SIZE - 20, pseudo) == 0xffff;
}

static void make(uint8_t *p, struct dice *dice, uint8_t protocol)
{
    for (int i = 0; i < SIZE; i++)
        p[i] = (uint8_t)dice_next(dice);
    p[0] = 0x45;
    put_u16(p + 2, SIZE);
    put_u16(p + 6, 0);
    p[8] = 64;
    p[9] = protocol;
    if (protocol == NAT_MODEL_ICMP)
        p[20] = 8;
    if (protocol == NAT_MODEL_UDP)
        put_u16(p + 24, SIZE - 20);
    assert_true(sums(p, true));
}

static void keeps_checksums_right(void **state)
{
    (void)state;
    static const uint8_t protocols[] = {NAT_MODEL_UDP, NAT_MODEL_TCP, NAT_MODEL_ICMP};
    struct dice dice = {5};
    for (int round = 0; round < 3000; round++) {
        uint8_t bytes[SIZE];
        struct packet p, again;
        bool outbound = round & 1;
        make(bytes, &dice, protocols[round % 3]);
        assert_true(packet_read(bytes, SIZE, outbound, &p));
        struct nat_model_packet to = p.flow;
        struct stun_addr *end = outbound ? &to.src : &to.dst;
        *end = stun_addr_v4(203, 0, 113, (uint8_t)round, (uint16_t)(1 + round));
        packet_rewrite(bytes, SIZE, &p, &to);
        assert_true(sums(bytes, false));
        assert_true(packet_read(bytes, SIZE, outbound, &again));
        assert_memory_equal(&again.flow, &to, sizeof(to));
    }
}

static void leaves_an_absent_checksum_absent(void **state)
{
    (void)state;
    struct dice dice = {6};
    uint8_t bytes[SIZE];
    struct packet p;
    make(bytes, &dice, NAT_MODEL_UDP);
    put_u16(bytes + 26, 0);
    assert_true(packet_read(bytes, SIZE, true, &p));
    struct nat_model_packet to = p.flow;
    to.src = stun_addr_v4(203, 0, 113, 1, 7);
    packet_rewrite(bytes, SIZE, &p, &to);
    assert_int_equal(bytes[26] | bytes[27], 0);
    assert_int_equal(sum_of(bytes, 20, 0), 0xffff);
}

/* A router outside answers a packet that a NAT has sent; the host must see its own packet in it. */
static void turns_quoted_packets_back(void **state)
{
    (void)state;
    struct dice dice = {7};
    for (int round = 0; round < 1000; round++) {
        uint8_t inside[SIZE], outside[SIZE], reply[HOP_REPLY_BYTES];
        struct packet p, error;
        make(inside, &dice, round % 2 ? NAT_MODEL_UDP : NAT_MODEL_TCP);
        memcpy(outside, inside, SIZE);
        assert_true(packet_read(inside, SIZE, true, &p));
        struct nat_model_packet out = p.flow;
        out.src = stun_addr_v4(203, 0, 113, 9, (uint16_t)(2000 + round));
        packet_rewrite(outside, SIZE, &p, &out);
        struct hop_addr router = {.bytes = 4, .ip = {192, 0, 2, 254}};
        size_t size = hop_time_exceeded(reply, outside, SIZE, &router);
        assert_true(packet_read(reply, size, false, &error) && error.error);
        assert_true(stun_addr_equal(&error.quoted.src, &out.src));
        assert_true(stun_addr_equal(&error.quoted.dst, &out.dst));
        struct nat_model_packet quoted = error.quoted;
        quoted.src = p.flow.src;
        packet_rewrite_error(reply, size, &error, &error.flow.src, &quoted.src, &quoted);
        assert_int_equal(sum_of(reply, 20, 0), 0xffff);
        assert_int_equal(sum_of(reply + 20, size - 20, 0), 0xffff);
        assert_memory_equal(reply + 28, inside, size - 28);
        assert_memory_equal(reply + 16, inside + 12, 4);
    }
}

static void refuses_what_is_cut_short(void **state)
{
    (void)state;
    struct dice dice = {8};
    uint8_t bytes[SIZE];
    struct packet p;
    make(bytes, &dice, NAT_MODEL_UDP);
    assert_false(packet_read(bytes, SIZE - 1, true, &p));
    put_u16(bytes + 2, 22);
    assert_false(packet_read(bytes, 22, true, &p));
    put_u16(bytes + 2, SIZE);
    put_u16(bytes + 6, 100);
    assert_true(packet_read(bytes, SIZE, true, &p) && p.tail);
    assert_int_equal(p.flow.src.port, 0);
    assert_false(packet_read(bytes, 0, true, &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_checksums_right),
        cmocka_unit_test(leaves_an_absent_checksum_absent),
        cmocka_unit_test(turns_quoted_packets_back),
        cmocka_unit_test(refuses_what_is_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
