/* SPDX-License-Identifier: BSD-2-Clause */
/* Every pair of NATs of the model, both ways round: what can be direct is direct.
 *
 * PUNCH_RUNS=40 runs each cell so often and prints a table; PUNCH_CELL="cone random" only one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net_sim.h"
#include "punch/plan.h"

#define MS     1000u
#define SECOND 1000000u

static struct net net;

static const char *const kinds[] = {
    "open",          "fw",           "full-cone",
    "eim-adf",       "cone",         "cone-clash",
    "cone-flood",    "linux-drop",   "linux-accept",
    "linux-random",  "eim-seq",      "adm",
    "sym-seq1",      "sym-seq2",     "random",
    "block1024",     "cgn-cone",     "cgn-block",
    "pool",          "linux-reject", "apdm/apdf/seq+1,foreign=20/s",
    "block2048-seq",
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

enum cell { PLAIN, PREDICTED, BLOCK, BIRTHDAY, IMPOSSIBLE };

struct outcome {
    unsigned runs, direct;
    uint64_t times_us[400];
};

static enum plan_need need(int h)
{
    struct nat_profile profile;

    net_profile(&net, h, &profile);
    return plan_need(&profile);
}

static bool lenient(int h)
{
    struct nat_profile profile;

    net_profile(&net, h, &profile);
    return plan_lenient(&profile);
}

static enum cell cell_of(void)
{
    enum plan_need a = need(0), b = need(1), one = a == PLAN_NEED_NOTHING ? b : a;

    if (a == PLAN_NEED_NOTHING && b == PLAN_NEED_NOTHING)
        return PLAIN;
    if (a != PLAN_NEED_NOTHING && b != PLAN_NEED_NOTHING)
        return a == PLAN_NEED_SAMPLES && b == PLAN_NEED_SAMPLES ? PREDICTED : IMPOSSIBLE;
    if (lenient(a == PLAN_NEED_NOTHING ? 0 : 1))
        return PLAIN;
    return one == PLAN_NEED_SAMPLES ? PREDICTED : one == PLAN_NEED_BLOCK ? BLOCK : BIRTHDAY;
}

static enum cell dial(const char *caller, const char *callee, uint64_t seed, bool little,
                      struct outcome *o)
{
    struct net_times times = {20 * MS, 20 * MS, 40 * MS, 0};
    enum cell cell;

    net_init_kinds(&net, caller, callee, seed);
    net.knows_little = little;
    net_dial_timed(&net, &times);
    cell = cell_of();
    o->runs++;
    if (net_run_connected(&net, 10 * SECOND))
        o->times_us[o->direct++] = net.host[0].proven_us > net.host[1].proven_us
                                       ? net.host[0].proven_us
                                       : net.host[1].proven_us;
    else
        net_run(&net, 12 * SECOND);
    for (int h = 0; h < 2; h++) {
        const struct net_host *host = &net.host[h];

        assert_true(host->plain_100ms <= PUNCH_BUDGET_FIRST_100_MS);
        assert_true(host->plain_1s <= PUNCH_BUDGET_FIRST_SECOND);
        assert_true(host->busiest <= 250);
        /* A hit that is never answered is checked again twice a second. */
        assert_true(host->searched <=
                    (cell == BLOCK ? PLAN_BLOCK_PROBES + 4 : PLAN_SEARCH_ALL + 20) +
                        20 * host->hits);
        assert_true(host->most_sockets <= (cell == BLOCK ? PLAN_BLOCK_SOCKETS : PLAN_SEARCH_ALL));
        if (cell == IMPOSSIBLE) {
            assert_int_equal(host->failed.failure, PUNCH_FAILURE_UNPREDICTABLE);
            assert_int_equal(host->most_sockets, 0);
            assert_true(host->checks < 100);
        }
    }
    return cell;
}

static int by_time(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return one < other ? -1 : one > other;
}

static uint64_t median(struct outcome *o)
{
    qsort(o->times_us, o->direct, sizeof(o->times_us[0]), by_time);
    return o->direct == 0 ? 0 : o->times_us[o->direct / 2];
}

static void all_pairs(unsigned runs, bool little)
{
    static struct outcome total[IMPOSSIBLE + 1];
    const char *only = getenv("PUNCH_CELL");
    bool table = getenv("PUNCH_RUNS") != NULL;
    unsigned bad = 0;

    memset(total, 0, sizeof(total));
    for (size_t a = 0; a < KINDS; a++) {
        for (size_t b = 0; b < KINDS; b++) {
            struct outcome o = {0};
            enum cell cell = PLAIN;
            char name[100];
            unsigned n = 1;

            snprintf(name, sizeof(name), "%s %s", kinds[a], kinds[b]);
            if (only != NULL && strcmp(only, name) != 0)
                continue;
            for (unsigned run = 0; run < n; run++) {
                cell = dial(kinds[a], kinds[b], 1 + run + 1000 * (a * KINDS + b), little, &o);
                n = table ? runs : cell >= BLOCK ? 1 : runs;
            }
            if (cell < BLOCK && o.direct < o.runs) {
                print_error("%s to %s: %u of %u\n", kinds[a], kinds[b], o.direct, o.runs);
                bad++;
            }
            if (cell == IMPOSSIBLE && o.direct > 0)
                print_message("%s to %s: direct after all\n", kinds[a], kinds[b]);
            if (table)
                print_message("%-30s %-30s %u %2u/%2u %6.1f ms\n", kinds[a], kinds[b], cell,
                              o.direct, o.runs, (double)median(&o) / 1000);
            if (total[cell].runs < 400 - runs) {
                memcpy(total[cell].times_us + total[cell].direct, o.times_us,
                       o.direct * sizeof(o.times_us[0]));
                total[cell].runs += o.runs;
                total[cell].direct += o.direct;
            }
        }
    }
    if (table || bad > 0) {
        for (unsigned cell = 0; cell <= IMPOSSIBLE; cell++)
            print_message("group %u: %u of %u, %.1f ms\n", cell, total[cell].direct,
                          total[cell].runs, (double)median(&total[cell]) / 1000);
    }
    assert_int_equal(bad, 0);
    if (only == NULL && !little) {
        assert_true(total[BIRTHDAY].direct * 40 >= total[BIRTHDAY].runs * 37);
        assert_true(total[BLOCK].direct * 40 >= total[BLOCK].runs * 38);
        assert_true(median(&total[BIRTHDAY]) < 3 * SECOND);
        assert_true(median(&total[BLOCK]) < SECOND);
    }
}

static void what_can_be_direct_is_direct(void **state)
{
    const char *runs = getenv("PUNCH_RUNS");

    (void)state;
    all_pairs(runs != NULL ? (unsigned)atoi(runs) : 3, false);
}

static void also_where_little_is_known(void **state)
{
    (void)state;
    all_pairs(1, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_direct_is_direct),
        cmocka_unit_test(also_where_little_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
