/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/interfaces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "peer/netwatch.h"

static struct stun_addr at(const char *text)
{
    char with_port[80];
    struct stun_addr addr;
    snprintf(with_port, sizeof with_port, strchr(text, ':') != NULL ? "[%s]:1" : "%s:1", text);
    assert_true(stun_addr_parse(with_port, &addr));
    addr.port = 0;
    return addr;
}

static struct interface_address on(const char *name, const char *text)
{
    return (struct interface_address){.addr = at(text), .name = name, .running = true};
}

static void expect(const struct interfaces *i, size_t count, const char *const texts[])
{
    assert_int_equal(i->count, count);
    for (size_t n = 0; n < count; n++) {
        struct stun_addr addr = at(texts[n]);
        assert_true(stun_addr_equal(&i->addresses[n], &addr));
    }
}

static void test_source_first(void **state)
{
    (void)state;
    const struct interface_address listed[] = {on("eth0", "2001:db8:1::1"), on("eth0", "192.0.2.1"),
                                               on("wlan0", "192.0.2.2"),
                                               on("wlan0", "2001:db8:2::1")};
    struct stun_addr source[INTERFACES_FAMILIES] = {
        [STUN_IPV4] = at("192.0.2.2"), [STUN_IPV6] = at("2001:db8:2::1")};
    struct interfaces out;
    interfaces_choose(listed, 4, source, &out);
    expect(&out, 4,
           (const char *const[]){"192.0.2.2", "192.0.2.1", "2001:db8:2::1", "2001:db8:1::1"});
    struct stun_addr first4 = interfaces_first(&out, STUN_IPV4);
    struct stun_addr first6 = interfaces_first(&out, STUN_IPV6);
    assert_true(stun_addr_equal(&first4, &source[STUN_IPV4]));
    assert_true(stun_addr_equal(&first6, &source[STUN_IPV6]));
}

static void test_what_no_peer_can_reach(void **state)
{
    (void)state;
    struct interface_address listed[] = {
        on("lo", "127.0.0.1"),       on("lo", "::1"),
        on("eth0", "169.254.1.1"),   on("eth0", "fe80::1"),
        on("docker0", "172.17.0.1"), on("virbr0", "2001:db8:3::1"),
        on("eth1", "192.0.2.9"),     on("eth0", "2001:db8::7"),
        on("eth0", "fd00::1"),
    };
    const struct stun_addr source[INTERFACES_FAMILIES] = {{0}};
    struct interfaces out;
    listed[0].loopback = listed[1].loopback = true;
    listed[6].running = false;
    listed[7].unfit = true;
    interfaces_choose(listed, 9, source, &out);
    expect(&out, 1, (const char *const[]){"fd00::1"});
    struct stun_addr none = interfaces_first(&out, STUN_IPV4);
    assert_int_equal(none.family, STUN_NO_FAMILY);
}

/* The bridge of a router is its way to the Internet. */
static void test_source_on_a_bridge(void **state)
{
    (void)state;
    const struct interface_address listed[] = {on("br-lan", "192.0.2.1")};
    const struct stun_addr source[INTERFACES_FAMILIES] = {[STUN_IPV4] = at("192.0.2.1")};
    const struct stun_addr loop[INTERFACES_FAMILIES] = {[STUN_IPV4] = at("127.0.0.1")};
    struct interfaces out;
    interfaces_choose(listed, 1, source, &out);
    expect(&out, 1, (const char *const[]){"192.0.2.1"});
    interfaces_choose(listed, 1, loop, &out);
    assert_int_equal(out.count, 0);
}

static void test_one_address_a_network(void **state)
{
    (void)state;
    struct interface_address listed[] = {
        on("eth0", "2001:db8:1::aaaa"),                                 /* temporary */
        on("eth0", "2001:db8:1::1"),    on("eth0", "2001:db8:2::aaaa"), /* temporary */
        on("eth0", "2001:db8:2::1"),    on("eth0", "192.0.2.1"),        on("eth0", "192.0.2.2"),
    };
    const struct stun_addr source[INTERFACES_FAMILIES] = {[STUN_IPV6] = at("2001:db8:1::aaaa")};
    struct interfaces out;
    listed[0].temporary = listed[2].temporary = true;
    interfaces_choose(listed, 6, source, &out);
    expect(&out, 4,
           (const char *const[]){"192.0.2.1", "192.0.2.2", "2001:db8:1::aaaa", "2001:db8:2::1"});
}

static void test_at_most_four_a_family(void **state)
{
    (void)state;
    struct interface_address listed[16];
    char text[16][40];
    const struct stun_addr source[INTERFACES_FAMILIES] = {{0}};
    struct interfaces out;
    for (int i = 0; i < 16; i++) {
        snprintf(text[i], sizeof text[i], i < 8 ? "192.0.2.%d" : "2001:db8:%d::1", i);
        listed[i] = on("eth0", text[i]);
    }
    interfaces_choose(listed, 16, source, &out);
    assert_int_equal(out.count, INTERFACES_MAX);
    assert_int_equal(out.addresses[INTERFACES_MAX_A_FAMILY - 1].family, STUN_IPV4);
    assert_int_equal(out.addresses[INTERFACES_MAX_A_FAMILY].family, STUN_IPV6);
}

static void test_what_counts_as_a_change(void **state)
{
    (void)state;
    struct interfaces before = {.addresses = {at("192.0.2.1"), at("192.0.2.2")},
                                .count = 2,
                                .source = {[STUN_IPV4] = at("192.0.2.1")}};
    struct interfaces after = before;
    bool other[INTERFACES_FAMILIES];
    after.addresses[0] = before.addresses[1];
    after.addresses[1] = before.addresses[0];
    assert_false(netwatch_compare(&before, &after, other)); /* the order is nothing */
    assert_false(other[STUN_IPV4] || other[STUN_IPV6]);
    after.count = 1;
    assert_true(netwatch_compare(&before, &after, other));
    assert_true(netwatch_compare(&after, &before, other));
    assert_false(other[STUN_IPV4] || other[STUN_IPV6]);
    after = before;
    after.source[STUN_IPV4] = at("192.0.2.2");
    assert_true(netwatch_compare(&before, &after, other));
    assert_true(other[STUN_IPV4]);
    after.source[STUN_IPV4] = before.source[STUN_IPV4];
    after.source[STUN_IPV6] = at("2001:db8::1");
    assert_true(netwatch_compare(&before, &after, other));
    assert_true(!other[STUN_IPV4] && other[STUN_IPV6]);
}

static void test_sleep(void **state)
{
    (void)state;
    struct netwatch w = {.asleep_us = 5000000};
    assert_false(netwatch_has_slept(&w, 5000001)); /* two clocks are never read at one moment */
    assert_false(netwatch_has_slept(&w, 6500000));
    assert_true(netwatch_has_slept(&w, 8600000));
    assert_false(netwatch_has_slept(&w, 8600000));
}

/* On whatever machine this runs. */
static void test_this_machine(void **state)
{
    (void)state;
    struct interfaces i;
    struct stun_addr loopback = stun_addr_v4(127, 0, 0, 1, 9);
    struct stun_addr own = interfaces_source_to(&loopback);
    struct stun_addr stranger = stun_addr_v4(192, 0, 2, 77, 0);
    interfaces_look(&i);
    for (size_t n = 0; n < i.count; n++) {
        assert_true(interfaces_has(&i.addresses[n]));
        assert_false(stun_addr_is_loopback(&i.addresses[n]));
    }
    assert_true(stun_addr_same_ip(&own, &loopback));
    assert_true(interfaces_has(&loopback));
    assert_false(interfaces_has(&stranger));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_first),
        cmocka_unit_test(test_what_no_peer_can_reach),
        cmocka_unit_test(test_source_on_a_bridge),
        cmocka_unit_test(test_one_address_a_network),
        cmocka_unit_test(test_at_most_four_a_family),
        cmocka_unit_test(test_what_counts_as_a_change),
        cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
