/* SPDX-License-Identifier: BSD-2-Clause */
/* The peer is heard, and nothing is proven: what goes on, and what must not be sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "hand_peer.h"

#define CONE "eim/apdf/preserving"

static struct net net;

/* A NAT that lets everybody in hears the peer at the port that the bounce servers saw, and answers
 * from another one: that must not keep the plan from being made. */
static void one_way_does_not_stop_the_plan(void **state)
{
    const char *const kinds[] = {"apdm/eif/seq+2", "apdm/eif/block64", "apdm/eif/random"};
    unsigned connected[3] = {0};

    (void)state;
    for (uint64_t run = 0; run < 20; run++) {
        for (size_t i = 0; i < 3; i++) {
            struct net_times times = {20 * MS, 20 * MS, 40 * MS, 0};

            net_init_kinds(&net, run % 2 ? CONE : kinds[i], run % 2 ? kinds[i] : CONE, run + 1);
            net_dial_timed(&net, &times);
            connected[i] += net_run_connected(&net, 10 * SECOND);
        }
    }
    assert_true(connected[0] >= 19);
    assert_true(connected[1] >= 18);
    assert_true(connected[2] >= 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_way_does_not_stop_the_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
