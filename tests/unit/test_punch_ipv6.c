/* SPDX-License-Identifier: BSD-2-Clause */
/* IPv6: no NAT, but a firewall on each side that lets in only what was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hand_peer.h"

static struct net net;

/* Both have IPv4, too, and know all of each other. */
static void dial(enum net_nat_kind caller, enum net_nat_kind callee)
{
    net_init(&net, caller, callee, 1);
    net_ipv6(&net);
    for (int h = 0; h < 2; h++) {
        net_engine(&net, h, 0);
        net_add_ipv6(&net, h);
    }
    net_run(&net, 25 * MS);
    net_tell(&net, NET_CALLER, false);
    net_tell_ipv6(&net, NET_CALLER);
    net_start(&net, NET_CALLER, net.now_us);
    net_run(&net, 30 * MS);
    net_tell(&net, NET_CALLEE, false);
    net_tell_ipv6(&net, NET_CALLEE);
    net_start(&net, NET_CALLEE, net.now_us);
}

static void two_random_nats_do_not_matter(void **state)
{
    (void)state;
    for (int a = 0; a < NET_NAT_KINDS; a++) {
        for (int b = 0; b < NET_NAT_KINDS; b++) {
            dial((enum net_nat_kind)a, (enum net_nat_kind)b);
            assert_true(net_run_connected(&net, SECOND));
            net_run(&net, 2 * SECOND);
            for (int h = 0; h < 2; h++) {
                assert_int_equal(net.host[h].path.pair.socket, PUNCH_IPV6_SOCKET);
                assert_int_equal(net.host[h].path.technique, PUNCH_TECHNIQUE_PUBLIC);
                /* One window of predicted ports, or the sockets that cross. */
                assert_true(net.host[h].searched <= 8);
                assert_true(net.host[h].most_sockets <= 3);
            }
            assert_in_range(net.host[0].usable_us, 50 * MS, 56 * MS);
            assert_true(net.host[0].path_us <= 110 * MS);
        }
    }
}

static void a_random_nat_does_not_forbid_link_copies(void **state)
{
    (void)state;
    dial(NET_NAT_RANDOM, NET_NAT_RANDOM);
    assert_true(net_run_connected(&net, SECOND));
    assert_in_range(net.host[0].link_us, 50 * MS, 56 * MS); /* B's first flight, unheard */
}

static void a_path_of_ipv4_is_left_for_a_later_one_of_ipv6(void **state)
{
    (void)state;
    net_init(&net, NET_NAT_CONE, NET_NAT_CONE, 1);
    net_ipv6(&net);
    net.talk_gap_us = 20 * MS;
    net_dial(&net, 25 * MS, 30 * MS, false);
    assert_true(net_run_connected(&net, SECOND));
    net_run(&net, 3 * SECOND);
    for (int h = 0; h < 2; h++) {
        net_add_ipv6(&net, h);
        net_tell_ipv6(&net, h);
    }
    net_run(&net, 4 * SECOND);
    for (int h = 0; h < 2; h++) {
        assert_int_equal(net.host[h].path.pair.socket, PUNCH_IPV6_SOCKET);
        assert_int_equal(net.host[h].losses + net.host[h].doubts, 0);
        assert_int_equal(net.host[h].paths, 2);
        assert_true(net.host[h].stall_us < 50 * MS);
    }
}

/* A provider that takes IPv6 away: IPv4 carries on. */
static void ipv4_takes_over_where_ipv6_ends(void **state)
{
    (void)state;
    net.talk_gap_us = 0;
    dial(NET_NAT_CONE, NET_NAT_CONE);
    assert_true(net_run_connected(&net, SECOND));
    net_run(&net, 3 * SECOND);
    for (int h = 0; h < 2; h++) {
        assert_int_equal(net.host[h].path.pair.socket, PUNCH_IPV6_SOCKET);
        punch_remove_socket(net.host[h].engine, net.now_us, PUNCH_IPV6_SOCKET);
        net_flush(&net, h);
    }
    assert_true(net_run_connected(&net, 4 * SECOND));
    for (int h = 0; h < 2; h++) {
        assert_int_equal(net.host[h].path.pair.socket, PUNCH_DATA_SOCKET);
        assert_int_equal(net.host[h].losses, 1);
    }
}

static void the_opener_comes_first_here_too(void **state)
{
    struct stun_addr local, remote;

    (void)state;
    start(true, true);
    assert_true(stun_addr_parse("[2001:db8::5]:777", &local));
    assert_true(stun_addr_parse("[2001:db8::9]:999", &remote));
    punch_add_socket(p, now, PUNCH_IPV6_SOCKET, &local);
    punch_add_remote(p, now, PUNCH_SERVER_REFLEXIVE, &remote, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.family, STUN_IPV6);
    assert_int_equal(out.ttl, 2);
    now += 2 * MS;
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.family, STUN_IPV4);
    assert_true(input_request((struct punch_pair){PUNCH_IPV6_SOCKET, remote}, (struct request){0}));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.ttl, 0);
}

static void link_local_and_local_addresses(void **state)
{
    struct stun_addr local, link_local, ula, global;

    (void)state;
    start(false, true);
    assert_true(stun_addr_parse("[fe80::5]:777", &local));
    assert_true(stun_addr_parse("[fe80::9]:999", &link_local));
    assert_true(stun_addr_parse("[fd00::9]:999", &ula));
    assert_true(stun_addr_parse("[2001:db8::9]:999", &global));
    punch_add_socket(p, now, PUNCH_IPV6_SOCKET, &local);
    punch_add_remote(p, now, PUNCH_HOST, &link_local, true);
    punch_start(p, now, now);
    assert_false(next(STUN_BINDING_REQUEST));
    punch_add_remote(p, now, PUNCH_HOST, &global, true);
    punch_add_remote(p, now, PUNCH_HOST, &ula, false);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(stun_addr_equal(&out.pair.remote, &ula)); /* as private as 192.168 */
    now += 2 * MS;
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(stun_addr_equal(&out.pair.remote, &global));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_random_nats_do_not_matter),
        cmocka_unit_test(a_random_nat_does_not_forbid_link_copies),
        cmocka_unit_test(a_path_of_ipv4_is_left_for_a_later_one_of_ipv6),
        cmocka_unit_test(ipv4_takes_over_where_ipv6_ends),
        cmocka_unit_test(the_opener_comes_first_here_too),
        cmocka_unit_test(link_local_and_local_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
