/* SPDX-License-Identifier: BSD-2-Clause */
/* The same two dial again: their sockets and their NATs are those of before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "net_sim.h"

#define MS     1000u
#define SECOND 1000000u
#define DIALS  4

static struct net net;

static const char *const kinds[] = {
    "open",          "fw",           "full-cone",    "eim-adf",          "cone",
    "linux-drop",    "linux-accept", "linux-reject", "eim-seq",          "cgn-cone",
    "block2048-seq", "sym-seq1",     "sym-seq2",     "sym-seq1-foreign",
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static unsigned failed_dial(const char *caller, const char *callee, bool little)
{
    net_init_kinds(&net, caller, callee, 1);
    net.knows_little = little;
    for (unsigned dial = 1; dial <= DIALS; dial++) {
        struct net_times times = {20 * MS, 20 * MS, 40 * MS, 0};
        uint64_t zero = net.now_us;

        net_dial_timed(&net, &times);
        if (!net_run_connected(&net, zero + 2 * SECOND))
            return dial;
        net_run(&net, net.now_us + 100 * MS);
        net_hang_up(&net);
        net_run(&net, net.now_us + 150 * MS);
    }
    return 0;
}

static void each(bool little)
{
    unsigned bad = 0;

    for (size_t a = 0; a < KINDS; a++) {
        for (size_t b = 0; b < KINDS; b++) {
            unsigned dial = failed_dial(kinds[a], kinds[b], little);

            if (dial == 0)
                continue;
            print_error("%s to %s: not in dial %u\n", kinds[a], kinds[b], dial);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static void each_dial_is_direct(void **state)
{
    (void)state;
    each(false);
}

static void also_where_little_is_known(void **state)
{
    (void)state;
    each(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_dial_is_direct),
        cmocka_unit_test(also_where_little_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
