/* SPDX-License-Identifier: BSD-2-Clause */
/* Two engines, their NATs, virtual time: what connects, when, and by which pair. */
#include <cmocka.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>

#include "net_sim.h"

#define MS 1000u

static struct net net;

static void cone_to_cone_is_at_the_floor(void **state)
{
    const uint64_t s = 30 * MS;

    (void)state;
    net_init(&net, NET_NAT_CONE, NET_NAT_CONE, 1);
    net_dial(&net, 25 * MS, s, false);
    assert_true(net_run_connected(&net, net.now_us + 2000 * MS));
    assert_int_equal(net.host[0].usable_us, 1 + s + 20 * MS);
    assert_int_equal(net.host[0].link_us, 1 + s + 20 * MS);
    assert_int_equal(net.host[1].usable_us, 1 + s + 40 * MS);
    assert_int_equal(net.host[1].proven_us, 1 + s + 40 * MS);
    assert_int_equal(net.host[0].proven_us, 1 + s + 60 * MS);
    assert_int_equal(net.host[0].path.technique, PUNCH_TECHNIQUE_PUBLIC);
    assert_int_equal(net.host[0].path.rtt_us, 40 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cone_to_cone_is_at_the_floor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
