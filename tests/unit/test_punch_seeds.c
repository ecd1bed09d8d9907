/* SPDX-License-Identifier: BSD-2-Clause */
/* Thousands of random networks: whatever happens, the rules hold. A failure names its seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net_sim.h"
#include "punch/plan.h"

#define MS     1000u
#define SECOND 1000000u
#define SEEDS  2000

static struct net net;

struct scene {
    enum net_nat_kind kind[2];
    uint64_t start_us[2];
    bool with_private, same_lan;
};

static uint64_t below(uint64_t *dice, uint64_t limit)
{
    return net_random(dice) % limit;
}

static struct scene make(uint64_t seed)
{
    uint64_t dice = seed;
    struct scene s;

    for (int h = 0; h < 2; h++)
        s.kind[h] = (enum net_nat_kind)below(&dice, NET_NAT_KINDS);
    s.start_us[0] = 100 * MS + below(&dice, 100) * MS;
    s.start_us[1] =
        s.start_us[0] + (below(&dice, 3) == 0 ? below(&dice, 2000) : below(&dice, 50)) * MS;
    if (below(&dice, 4) == 0) /* the callee too early */
        s.start_us[1] = s.start_us[0] - below(&dice, 100) * MS;
    s.with_private = below(&dice, 3) == 0;
    s.same_lan = s.with_private && below(&dice, 3) == 0 && s.kind[0] != NET_NAT_NONE;
    net_init(&net, s.kind[0], s.kind[1], seed);
    if (s.same_lan)
        net_same_lan(&net);
    net.one_way_us = (1 + below(&dice, 150)) * MS;
    net.bounce_us = (1 + below(&dice, 80)) * MS;
    net.note_us = (1 + below(&dice, 150)) * MS;
    net.jitter_us = below(&dice, 2) * below(&dice, 20) * MS;
    net.loss_percent = (unsigned)(below(&dice, 2) * below(&dice, 10));
    net.duplicate_percent = (unsigned)(below(&dice, 2) * below(&dice, 30));
    return s;
}

static bool strict(enum net_nat_kind kind)
{
    return kind != NET_NAT_CONE_ADF && kind != NET_NAT_FULL_CONE && kind != NET_NAT_NONE;
}

static bool varies(enum net_nat_kind kind)
{
    return kind == NET_NAT_STEP_1 || kind == NET_NAT_STEP_2 || kind == NET_NAT_RANDOM;
}

static bool must_connect(const struct scene *s)
{
    bool guess = varies(s->kind[0]) || varies(s->kind[1]);

    if (s->same_lan)
        return true;
    if (guess && net.loss_percent > 0 && strict(s->kind[0]) && strict(s->kind[1]))
        return false; /* the samples themselves may be lost */
    /* A search may fail. */
    return !(s->kind[0] == NET_NAT_RANDOM && strict(s->kind[1])) &&
           !(s->kind[1] == NET_NAT_RANDOM && strict(s->kind[0]));
}

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            print_error("seed %u, %s to %s: %s\n", (unsigned)seed, net_nat_name(s.kind[0]),        \
                        net_nat_name(s.kind[1]), #what);                                           \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static void the_rules_hold_for_every_seed(void **state)
{
    const char *one = getenv("PUNCH_SEED");
    uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;

    (void)state;
    for (uint64_t seed = first; seed < first + (one != NULL ? 1 : SEEDS); seed++) {
        struct scene s = make(seed);
        bool connected;

        net_dial(&net, s.start_us[0], s.start_us[1], s.with_private);
        connected = net_run_connected(&net, 15 * SECOND);
        CHECK(connected || !must_connect(&s));
        for (int h = 0; h < 2; h++) {
            const struct net_host *host = &net.host[h];

            CHECK(host->plain_100ms <= PUNCH_BUDGET_FIRST_100_MS);
            CHECK(host->plain_1s <= PUNCH_BUDGET_FIRST_SECOND);
            CHECK(s.same_lan || host->to_stranger <= PUNCH_BUDGET_UNATTESTED);
            CHECK(host->usable_us <= host->path_us);
            CHECK(host->proven_us <= host->path_us);
            CHECK(connected == (host->path_us != UINT64_MAX) || !connected);
            CHECK(host->checks - host->searched < 300);
            CHECK(host->searched <= PLAN_SEARCH_ALL + 2 * 2 * NAT_MAX_PREDICTED);
            CHECK(host->busiest <= 250);
            CHECK(host->sockets == 0 || connected);
            if (connected)
                CHECK(host->path.pair.remote.port != 0);
            else
                CHECK(punch_is_connected(host->engine) ||
                      host->failed.failure != PUNCH_FAILURE_NONE);
            /* No packet, opener or not, before the callee's time; no full TTL before it is heard.
             */
            CHECK(h == NET_CALLEE || varies(s.kind[0]) || host->asked_first > 0 ||
                  host->usable_us != UINT64_MAX || host->checks == host->openers ||
                  net.host[1].plans > 0);
        }
        if (s.same_lan)
            CHECK(net.host[0].path.technique == PUNCH_TECHNIQUE_PRIVATE);
    }
}

static void a_connected_pair_stays_connected(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct scene s = make(seed);
        unsigned checks[2];

        net.loss_percent = 0;
        net_dial(&net, s.start_us[0], s.start_us[1], s.with_private);
        if (!net_run_connected(&net, 15 * SECOND))
            continue;
        net_run(&net, net.now_us + 5 * SECOND);
        for (int h = 0; h < 2; h++)
            checks[h] = net.host[h].checks;
        net.loss_percent = 20;
        net_run(&net, net.now_us + 60 * SECOND);
        for (int h = 0; h < 2; h++) {
            CHECK(net.host[h].lost_us == UINT64_MAX);
            CHECK(net.host[h].checks - checks[h] <= 60);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rules_hold_for_every_seed),
        cmocka_unit_test(a_connected_pair_stays_connected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
