/* SPDX-License-Identifier: BSD-2-Clause */
/* How soon a pair is usable at the caller, against the floor that the network sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net_sim.h"

#define MS     1000u
#define SECOND 1000000u
#define RUNS   21

static struct net net;

static const struct net_times networks[] = {
    {20 * MS, 20 * MS, 40 * MS, 0},
    {100 * MS, 100 * MS, 150 * MS, 0},
    {100 * MS, 20 * MS, 20 * MS, 0},
};
#define NETWORKS (sizeof(networks) / sizeof(networks[0]))

static const char *const cones[] = {"open",         "fw",         "full-cone",   "eim-adf",
                                    "cone",         "cone-clash", "eim-seq",     "linux-drop",
                                    "linux-accept", "cgn-cone",   "linux-reject"};
#define CONES (sizeof(cones) / sizeof(cones[0]))

static int by_time(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return one < other ? -1 : one > other;
}

/* Median from the dial on. */
static uint64_t usable(const char *caller, const char *callee, const struct net_times *network,
                       unsigned loss_percent, struct net_times *t)
{
    uint64_t times[RUNS];

    for (uint64_t run = 0; run < RUNS; run++) {
        uint64_t zero;

        *t = *network;
        net_init_kinds(&net, caller, callee, run + 1);
        net.loss_percent = loss_percent;
        zero = net.now_us;
        net_dial_timed(&net, t);
        net_run_connected(&net, 10 * SECOND);
        times[run] = net.host[0].usable_us - zero;
    }
    qsort(times, RUNS, sizeof(times[0]), by_time);
    return times[RUNS / 2];
}

static uint64_t floor_of(const struct net_times *t)
{
    uint64_t direct = t->relayed_us + t->peers_us / 2;

    return direct > t->caller_us ? direct : t->caller_us;
}

static void check(const char *caller, const char *callee, const struct net_times *t, uint64_t took,
                  uint64_t limit)
{
    if (getenv("PUNCH_TABLE") != NULL || took > limit)
        print_message("%-12s %-12s %3u/%3u/%3u: %5.1f ms, at most %5.1f\n", caller, callee,
                      (unsigned)(t->caller_us / MS), (unsigned)(t->callee_us / MS),
                      (unsigned)(t->peers_us / MS), (double)took / 1000, (double)limit / 1000);
    if (getenv("PUNCH_TABLE") == NULL)
        assert_true(took <= limit);
}

static void cones_are_at_the_floor(void **state)
{
    struct net_times t;

    (void)state;
    for (size_t n = 0; n < NETWORKS; n++) {
        for (size_t a = 0; a < CONES; a++) {
            for (size_t b = 0; b < CONES; b++) {
                uint64_t took = usable(cones[a], cones[b], &networks[n], 0, &t);

                check(cones[a], cones[b], &t, took, floor_of(&t) * 115 / 100 + 3 * MS);
            }
        }
    }
}

static void loss_costs_little(void **state)
{
    struct net_times t;

    (void)state;
    for (size_t n = 0; n < NETWORKS; n++) {
        for (size_t a = 0; a < CONES; a++) {
            for (size_t b = 0; b < CONES; b++) {
                uint64_t took = usable(cones[a], cones[b], &networks[n], 5, &t);

                check(cones[a], cones[b], &t, took, floor_of(&t) * 3 / 2);
            }
        }
    }
}

/* The callee need not wait for the opener of a caller whose NAT takes no harm. */
static void a_harmless_nat_saves_the_way_to_a_far_mediator(void **state)
{
    const struct net_times near_callee = {100 * MS, 20 * MS, 150 * MS, 0};
    struct net_times t;
    uint64_t took = usable("cone", "cone", &near_callee, 0, &t);

    (void)state;
    assert_int_equal(t.relayed_us, 60 * MS);
    check("cone", "cone", &t, took, (60 + 75) * MS + 1);
    took = usable("linux-accept", "cone", &near_callee, 0, &t);
    check("linux-accept", "cone", &t, took, (100 + 75) * MS + 1);
}

static void sequential_nats_cost_one_more_crossing(void **state)
{
    const char *const steps[] = {"sym-seq1", "sym-seq2", "block2048-seq"};
    const char *const others[] = {"cone",     "linux-accept", "linux-drop",
                                  "sym-seq1", "sym-seq2",     "block2048-seq"};
    struct net_times t;

    (void)state;
    for (size_t n = 0; n < NETWORKS; n++) {
        for (size_t a = 0; a < 3; a++) {
            for (size_t b = 0; b < 6; b++) {
                uint64_t took = usable(steps[a], others[b], &networks[n], 0, &t), limit;

                limit = 2 * t.relayed_us + t.caller_us + t.peers_us / 2;
                check(steps[a], others[b], &t, took, limit * 115 / 100 + 5 * MS);
                took = usable(others[b], steps[a], &networks[n], 0, &t);
                check(others[b], steps[a], &t, took, limit * 115 / 100 + 5 * MS);
            }
        }
    }
}

/* The callee's link sends as soon as the engine knows where to, and what it said goes once more by
 * the plan, and when the peer is heard. */
static uint64_t link_heard(const char *caller, const char *callee, const struct net_times *network,
                           struct net_times *t)
{
    uint64_t times[RUNS];

    for (uint64_t run = 0; run < RUNS; run++) {
        bool sent = false, by_guess = false, to_peer = false;
        const struct net_host *host = &net.host[NET_CALLEE];
        struct punch_pair guesses[PUNCH_MAX_ROUTES];
        uint64_t zero;

        *t = *network;
        net_init_kinds(&net, caller, callee, run + 1);
        net.no_link = true;
        zero = net.now_us;
        net_dial_timed(&net, t);
        while (net.host[NET_CALLER].link_us == UINT64_MAX && net.now_us < zero + SECOND) {
            if (!sent && punch_has_route(host->engine, net.now_us)) {
                net_send_link(&net, NET_CALLEE);
                sent = true;
            }
            if (!by_guess && punch_guesses(host->engine, net.now_us, guesses) > 0) {
                net_send_link(&net, NET_CALLEE);
                by_guess = true;
            }
            if (!to_peer && host->usable_us != UINT64_MAX) {
                net_send_link(&net, NET_CALLEE);
                to_peer = true;
            }
            net_run(&net, net.now_us + MS / 4);
        }
        times[run] = net.host[NET_CALLER].link_us - zero;
    }
    qsort(times, RUNS, sizeof(times[0]), by_time);
    return times[RUNS / 2];
}

static void the_handshake_comes_with_the_checks_of_predicted_ports(void **state)
{
    const char *const steps[] = {"sym-seq1", "sym-seq2", "block2048-seq", "sym-seq1-foreign"};
    struct net_times t;

    (void)state;
    for (size_t n = 0; n < NETWORKS; n++) {
        for (size_t a = 0; a < 4; a++) {
            for (size_t b = 0; b < 4; b++) {
                uint64_t took = link_heard(steps[a], steps[b], &networks[n], &t), limit;

                limit = 2 * t.relayed_us + t.caller_us + t.peers_us / 2;
                check(steps[a], steps[b], &t, took, limit * 115 / 100 + 5 * MS);
            }
        }
    }
}

/* Where only one of them is sequential, in both roles. */
static void the_handshake_comes_with_the_checks_of_one_side(void **state)
{
    const char *const steps[] = {"sym-seq1", "sym-seq2", "block2048-seq", "sym-seq1-foreign"};
    const char *const others[] = {"cone", "eim-adf", "linux-drop", "linux-accept"};
    struct net_times t;

    (void)state;
    for (size_t n = 0; n < NETWORKS; n++) {
        for (size_t a = 0; a < 4; a++) {
            for (size_t b = 0; b < 4; b++) {
                uint64_t took = link_heard(others[b], steps[a], &networks[n], &t), limit;

                limit = 2 * t.relayed_us + t.caller_us + t.peers_us / 2;
                check(others[b], steps[a], &t, took, limit * 115 / 100 + 5 * MS);
                took = link_heard(steps[a], others[b], &networks[n], &t);
                check(steps[a], others[b], &t, took, limit * 115 / 100 + 5 * MS);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cones_are_at_the_floor),
        cmocka_unit_test(loss_costs_little),
        cmocka_unit_test(a_harmless_nat_saves_the_way_to_a_far_mediator),
        cmocka_unit_test(sequential_nats_cost_one_more_crossing),
        cmocka_unit_test(the_handshake_comes_with_the_checks_of_predicted_ports),
        cmocka_unit_test(the_handshake_comes_with_the_checks_of_one_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
