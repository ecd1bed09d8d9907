/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "stun/addr.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct stun_addr addr_of(const char *text)
{
    struct stun_addr addr = {0};

    if (!stun_addr_parse(text, &addr))
        fail_msg("not an address: %s", text);
    return addr;
}

static void test_texts_survive_a_round_trip(void **state)
{
    static const char *const texts[] = {
        "192.0.2.1:99",
        "0.0.0.0:0",
        "255.255.255.255:65535",
        "[2001:db8::1]:99",
        "[::]:1",
        "[::1]:3478",
        "[fe80::1:2:3:4]:65535",
        "[2001:db8:1111:2222:3333:4444:5555:6666]:65535",
        "[64:ff9b::7f00:1]:80",
    };
    char text[STUN_ADDR_TEXT_BYTES];
    (void)state;

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct stun_addr addr = addr_of(texts[i]);

        assert_string_equal(stun_addr_text(&addr, text), texts[i]);
    }
}

static void test_the_longest_text_fits(void **state)
{
    struct stun_addr addr = {.family = STUN_IPV6, .port = 65535};
    char text[STUN_ADDR_TEXT_BYTES];
    (void)state;

    memset(addr.ip, 0xff, sizeof(addr.ip));
    assert_string_equal(stun_addr_text(&addr, text),
                        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void test_none_is_a_dash(void **state)
{
    struct stun_addr none = {0}, odd = {.family = 7, .port = 1};
    char text[STUN_ADDR_TEXT_BYTES];
    (void)state;

    assert_string_equal(stun_addr_text(&none, text), "-");
    assert_string_equal(stun_addr_text(&odd, text), "-");
    assert_int_equal(stun_addr_ip_bytes(&none), 0);
    assert_int_equal(stun_addr_ip_bytes(&odd), 0);
}

static void test_other_texts_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "-",
        ":",
        "[",
        "]",
        "[]:1",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:000001",
        "192.0.2.1:99999999999999999999",
        "192.0.2.1:-1",
        "192.0.2.1:+1",
        "192.0.2.1: 1",
        "192.0.2.1:1 ",
        " 192.0.2.1:1",
        "192.0.2.256:1",
        "192.0.2:1",
        "192.0.2.1.5:1",
        "[192.0.2.1]:1",
        "2001:db8::1:99",
        "[2001:db8::1]",
        "[2001:db8::1]99",
        "[2001:db8::1]:",
        "[2001:db8::1:99",
        "[2001:db8::1::2]:99",
        "[fe80::1%eth0]:99",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999]:1",
        "[0000000000000000000000000000000000000000000000000000000000000000::]:1",
        "example.org:99",
    };
    struct stun_addr before = stun_addr_v4(1, 2, 3, 4, 5), addr = before;
    (void)state;

    for (size_t i = 0; i < COUNT(texts); i++) {
        if (stun_addr_parse(texts[i], &addr))
            fail_msg("taken for an address: %s", texts[i]);
        assert_memory_equal(&addr, &before, sizeof(addr));
    }
}

static void test_v4_mapped_becomes_v4(void **state)
{
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, 0, 2, 1};
    struct stun_addr plain = stun_addr_v4(192, 0, 2, 1, 99);
    struct stun_addr from_ip = stun_addr_from_ip(mapped, sizeof(mapped), 99);
    struct stun_addr from_text = addr_of("[::ffff:192.0.2.1]:99");
    struct stun_addr from_hex = addr_of("[::ffff:c000:201]:99");
    (void)state;

    assert_memory_equal(&from_ip, &plain, sizeof(plain));
    assert_memory_equal(&from_text, &plain, sizeof(plain));
    assert_memory_equal(&from_hex, &plain, sizeof(plain));
}

static void test_only_two_lengths_of_ip_exist(void **state)
{
    static const uint8_t ip[32] = {1, 2, 3, 4};
    (void)state;

    for (size_t bytes = 0; bytes <= sizeof(ip); bytes++) {
        struct stun_addr addr = stun_addr_from_ip(ip, bytes, 7);

        assert_int_equal(addr.family, bytes == 4 ? STUN_IPV4 : bytes == 16 ? STUN_IPV6 : 0);
        assert_int_equal(addr.port, bytes == 4 || bytes == 16 ? 7 : 0);
        assert_int_equal(stun_addr_ip_bytes(&addr), bytes == 4 || bytes == 16 ? bytes : 0);
    }
}

static void test_equality(void **state)
{
    struct stun_addr a = addr_of("192.0.2.1:99"), b = addr_of("192.0.2.1:98");
    struct stun_addr c = addr_of("192.0.2.2:99"), v6 = addr_of("[c000:201::]:99");
    (void)state;

    assert_true(stun_addr_equal(&a, &a));
    assert_false(stun_addr_equal(&a, &b));
    assert_true(stun_addr_same_ip(&a, &b));
    assert_false(stun_addr_equal(&a, &c));
    assert_false(stun_addr_same_ip(&a, &c));
    /* The same first four bytes, another family. */
    assert_false(stun_addr_same_ip(&a, &v6));
}

static void test_kinds_of_address(void **state)
{
    static const struct {
        const char *text;
        bool private, loopback, link_local, usable;
    } cases[] = {
        {"10.0.0.1:1", true, false, false, true},
        {"11.0.0.1:1", false, false, false, true},
        {"172.15.255.255:1", false, false, false, true},
        {"172.16.0.0:1", true, false, false, true},
        {"172.31.255.255:1", true, false, false, true},
        {"172.32.0.0:1", false, false, false, true},
        {"192.168.255.1:1", true, false, false, true},
        {"192.169.0.1:1", false, false, false, true},
        {"100.63.255.255:1", false, false, false, true},
        {"100.64.0.0:1", true, false, false, true},
        {"100.127.255.255:1", true, false, false, true},
        {"100.128.0.0:1", false, false, false, true},
        {"127.0.0.1:1", false, true, false, true},
        {"127.255.255.254:1", false, true, false, true},
        {"[::ffff:127.0.0.1]:1", false, true, false, true},
        {"[::ffff:10.0.0.1]:1", true, false, false, true},
        {"169.254.169.254:1", false, false, true, true},
        {"[::ffff:169.254.169.254]:1", false, false, true, true},
        {"192.0.2.1:1", false, false, false, true},
        {"192.0.2.1:0", false, false, false, false},
        {"0.0.0.0:1", false, false, false, false},
        {"0.1.2.3:1", false, false, false, false},
        {"[::ffff:0.0.0.0]:1", false, false, false, false},
        {"224.0.0.1:1", false, false, false, false},
        {"239.255.255.255:1", false, false, false, false},
        {"255.255.255.255:1", false, false, false, false},
        {"[::]:1", false, false, false, false},
        {"[::1]:1", false, true, false, true},
        {"[::1]:0", false, true, false, false},
        {"[::2]:1", false, false, false, true},
        {"[fbff::1]:1", false, false, false, true},
        {"[fc00::1]:1", true, false, false, true},
        {"[fdff::1]:1", true, false, false, true},
        {"[fe00::1]:1", false, false, false, true},
        {"[fe80::1]:1", false, false, true, true},
        {"[febf::1]:1", false, false, true, true},
        {"[fec0::1]:1", false, false, false, true},
        {"[ff02::1]:1", false, false, false, false},
        {"[2001:db8::1]:1", false, false, false, true},
    };
    struct stun_addr none = {.port = 1};
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct stun_addr addr = addr_of(cases[i].text);

        if (stun_addr_is_private(&addr) != cases[i].private ||
            stun_addr_is_loopback(&addr) != cases[i].loopback ||
            stun_addr_is_link_local(&addr) != cases[i].link_local ||
            stun_addr_is_usable(&addr) != cases[i].usable)
            fail_msg("wrong kind: %s", cases[i].text);
    }
    assert_false(stun_addr_is_private(&none));
    assert_false(stun_addr_is_loopback(&none));
    assert_false(stun_addr_is_link_local(&none));
    assert_false(stun_addr_is_usable(&none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_survive_a_round_trip),
        cmocka_unit_test(test_the_longest_text_fits),
        cmocka_unit_test(test_none_is_a_dash),
        cmocka_unit_test(test_other_texts_are_refused),
        cmocka_unit_test(test_v4_mapped_becomes_v4),
        cmocka_unit_test(test_only_two_lengths_of_ip_exist),
        cmocka_unit_test(test_equality),
        cmocka_unit_test(test_kinds_of_address),
    };

    return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
