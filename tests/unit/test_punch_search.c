/* SPDX-License-Identifier: BSD-2-Clause */
/* Searches with many sockets: their budgets, pauses and ends, and neighbours behind one provider.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "hand_peer.h"
#include "punch/plan.h"

#define CONE   "eim/apdf/preserving"
#define RANDOM "apdm/apdf/random"

static struct net net;

static bool dial(uint64_t run, const char *caller, const char *callee)
{
    struct net_times times = {20 * MS, 20 * MS, 40 * MS, 0};

    net_init_kinds(&net, caller, callee, run);
    net_dial_timed(&net, &times);
    return net_run_connected(&net, 10 * SECOND);
}

static void a_hit_keeps_one_socket(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 10; run++) {
        if (!dial(run, CONE, RANDOM))
            continue;
        assert_int_equal(net.host[0].path.technique, PUNCH_TECHNIQUE_BIRTHDAY);
        assert_int_equal(net.host[1].path.technique, PUNCH_TECHNIQUE_BIRTHDAY);
        assert_true(net.host[1].path.pair.socket >= PUNCH_SEARCH_SOCKET);
        assert_int_equal(net.host[0].most_sockets, 0);
        net_run(&net, net.now_us + SECOND);
        assert_in_range(net.host[1].sockets, 1, 3);
        net_run(&net, net.now_us + 60 * SECOND);
        assert_true(punch_is_connected(net.host[0].engine));
        assert_true(punch_is_connected(net.host[1].engine));
        return;
    }
    fail();
}

static void loss_does_not_stop_a_search(void **state)
{
    unsigned connected = 0;

    (void)state;
    for (uint64_t run = 1; run <= 40; run++) {
        struct net_times times = {20 * MS, 20 * MS, 40 * MS, 0};

        net_init_kinds(&net, run % 2 ? CONE : "apdm/apdf/block1024",
                       run % 2 ? "apdm/apdf/block1024" : "linux-accept", run);
        net.loss_percent = 5;
        net_dial_timed(&net, &times);
        connected += net_run_connected(&net, 10 * SECOND);
    }
    assert_true(connected >= 39);
}

/* One at a time for a host, 20 s between two, and a failure is remembered for an hour. */
static void a_host_searches_seldom(void **state)
{
    struct punch_budget budget = {0};
    struct stun_addr here = stun_addr_v4(198, 51, 100, 1, 5), there = stun_addr_v4(192, 0, 2, 9, 7),
                     elsewhere = stun_addr_v4(192, 0, 2, 10, 7);
    const uint64_t pause = PUNCH_BUDGET_SEARCH_PAUSE_US;
    uint64_t t = 1000 * SECOND;

    (void)state;
    assert_int_equal(punch_budget_search_from(&budget, t, &here, &there), 0);
    punch_budget_search_begin(&budget, t);
    assert_true(punch_budget_search_from(&budget, t, &here, &elsewhere) > t);
    t += SECOND;
    punch_budget_search_end(&budget, t, true, &here, &there);
    assert_int_equal(punch_budget_search_from(&budget, t, &here, &there), t + pause);
    t += pause;
    assert_int_equal(punch_budget_search_from(&budget, t, &here, &there), 0);
    punch_budget_search_begin(&budget, t);
    punch_budget_search_end(&budget, t, false, &here, &there);
    t += pause;
    assert_int_equal(punch_budget_search_from(&budget, t, &here, &there), UINT64_MAX);
    assert_int_equal(punch_budget_search_from(&budget, t, &here, &elsewhere), 0);
    t += PUNCH_BUDGET_SEARCH_MEMORY_US;
    assert_int_equal(punch_budget_search_from(&budget, t, &here, &there), 0);
    punch_budget_search_begin(&budget, t);
    assert_int_equal(punch_budget_search_from(&budget, 5, &here, &there),
                     0); /* the clock went back */
    for (unsigned i = 0; i < PUNCH_BUDGET_SEARCH_PER_IP_10_S; i++)
        assert_true(punch_budget_take_search(&budget, t, &there));
    assert_false(punch_budget_take_search(&budget, t + 9 * SECOND, &there));
    assert_true(punch_budget_take(&budget, t, &there));
    assert_true(punch_budget_take_search(&budget, t + 16 * SECOND, &there));
}

static void a_busy_host_waits_or_does_without(void **state)
{
    struct net_times times = {20 * MS, 20 * MS, 40 * MS, 0};

    (void)state;
    net_init_kinds(&net, CONE, "apdm/apdf/block1024", 3);
    net.host[1].budget.search_from_us = 5 * SECOND; /* another dial searches until then */
    net_dial_timed(&net, &times);
    net_run(&net, 4900 * MS);
    assert_int_equal(net.host[0].searched + net.host[1].searched, 0);
    assert_true(net_run_connected(&net, 10 * SECOND));

    net_init_kinds(&net, CONE, "apdm/apdf/block1024", 3);
    net.host[1].budget.search_from_us = 15 * SECOND;
    net_dial_timed(&net, &times);
    assert_false(net_run_connected(&net, 12 * SECOND));
    assert_int_equal(net.host[0].searched + net.host[1].searched, 0);
    assert_int_equal(net.host[0].failed.failure, PUNCH_FAILURE_UNPREDICTABLE);
}

static void a_search_without_effect_ends(void **state)
{
    struct net_times times = {20 * MS, 20 * MS, 40 * MS, 0};
    struct stun_addr a, b;

    (void)state;
    net_init_kinds(&net, CONE, RANDOM, 5);
    net_dial_timed(&net, &times);
    net_run(&net, 100 * MS);
    net.loss_percent = 100;
    assert_false(net_run_connected(&net, 12 * SECOND));
    for (int h = 0; h < 2; h++) {
        assert_int_equal(net.host[h].sockets, 0);
        assert_true(net.host[h].searched <= PLAN_SEARCH_ALL);
        assert_true(net.host[h].busiest <= 250);
        assert_int_equal(net.host[h].failed.failure, PUNCH_FAILURE_UNPREDICTABLE);
        assert_true(punch_has_searched(net.host[h].engine));
    }
    a = net.host[1].public_addr;
    b = net.host[0].public_addr;
    assert_int_equal(punch_budget_search_from(&net.host[1].budget, net.now_us, &a, &b), UINT64_MAX);
}

/* A peer may propose anything. */
static void a_plan_is_kept_within_bounds(void **state)
{
    struct punch_note plan = {.kind = PUNCH_NOTE_PLAN};
    unsigned kinds = 0;

    (void)state;
    for (unsigned shape = 0; shape < 8; shape++) {
        unsigned sent_there = 0, wanted = 0;
        struct punch_event e;

        start(true, true);
        add(1, 1000, true);
        add(2, 2000, false);
        punch_start(p, now, now);
        memset(&plan.plan, 0, sizeof(plan.plan));
        plan.plan.technique = shape == 6 ? PUNCH_TECHNIQUE_BLOCK : PUNCH_TECHNIQUE_BIRTHDAY;
        plan.plan.target = stun_addr_v4(198, 51, 100, shape == 0 ? 2 : 1, 0);
        plan.plan.port_count = 1;
        plan.plan.ports[0] = 7000;
        if (shape == 1)
            plan.plan.sockets = 600;
        else if (shape == 2)
            plan.plan.sockets = plan.plan.probes = 100;
        else
            plan.plan.probes = 300;
        plan.plan.range_first = shape == 3 ? 80 : 20000;
        plan.plan.range_ports = shape == 4 ? 50000 : shape == 5 ? 200 : 1000;
        if (shape == 7) {
            plan.plan.probes = 545;
            plan.plan.range_first = 1024;
            plan.plan.range_ports = 64512;
        }
        punch_note_input(p, now, &plan);
        for (unsigned round = 0; round < 5000; round++, now += MS) {
            while (next(STUN_BINDING_REQUEST))
                sent_there += out.pair.remote.port != 1000 && out.pair.remote.port != 2000;
            while (event(PUNCH_EVENT_WANT_SOCKET, &e))
                wanted += e.socket >= PUNCH_SEARCH_SOCKET;
            punch_note_input(p, now, &plan);
        }
        assert_int_equal(wanted, 0);
        assert_int_equal(sent_there, shape == 7 ? 545 : 0);
        kinds++;
    }
    assert_int_equal(kinds, 8);
}

static void the_switch_turns_it_off(void **state)
{
    struct punch_config config = {
        .caller = true,
        .local_ufrag = "usus",
        .local_password = "our-password-our-password",
        .remote_ufrag = "them",
        .remote_password = "their-password-their-pass",
        .profile = {.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT, .endpoints_seen = 4},
        .no_search = true,
        .random = net_random_bytes,
        .random_context = &seed,
    };
    struct punch_note plan = {.kind = PUNCH_NOTE_PLAN};
    struct stun_addr local = stun_addr_v4(192, 168, 1, 5, 40000);
    unsigned guesses = 0;

    (void)state;
    now = 0;
    p = punch_init(memory, &config, now);
    punch_add_socket(p, now, 0, &local);
    add(1, 1000, true);
    punch_start(p, now, now);
    plan.plan.technique = PUNCH_TECHNIQUE_BIRTHDAY;
    plan.plan.target = stun_addr_v4(198, 51, 100, 1, 0);
    plan.plan.probes = 545;
    plan.plan.range_first = 1024;
    plan.plan.range_ports = 64512;
    punch_note_input(p, now, &plan);
    for (; now < 5 * SECOND; now += MS) {
        while (next(STUN_BINDING_REQUEST))
            guesses += out.pair.remote.port != 1000;
    }
    assert_int_equal(guesses, 0);
}

/* The most packets to guessed ports in a second, if a search follows such guesses. */
static unsigned guesses_in_a_second(uint64_t begin_us, unsigned *probes)
{
    static struct punch_budget budget;
    struct punch_config config = {
        .caller = true,
        .local_ufrag = "usus",
        .local_password = "our-password-our-password",
        .remote_ufrag = "them",
        .remote_password = "their-password-their-pass",
        .profile = {.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT, .endpoints_seen = 4},
        .budget = &budget,
        .random = net_random_bytes,
        .random_context = &seed,
    };
    struct nat_profile theirs = {.mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT,
                                 .allocation = NAT_ALLOCATION_SEQUENTIAL,
                                 .step = 1,
                                 .endpoints_seen = 4};
    struct punch_note plan = {.kind = PUNCH_NOTE_PLAN};
    struct stun_addr local = stun_addr_v4(192, 168, 1, 5, 40000);
    uint64_t at_us[1024] = {0};
    unsigned guesses = 0, most = 0, oldest = 0;

    memset(&budget, 0, sizeof(budget));
    plan.plan.target = stun_addr_v4(198, 51, 100, 1, 0);
    for (unsigned i = 0; i < PUNCH_BUDGET_PER_IP_10_S; i++) /* nothing is left until 15 s */
        punch_budget_take(&budget, 0, &plan.plan.target);
    now = begin_us;
    p = punch_init(memory, &config, now);
    punch_add_socket(p, now, 0, &local);
    punch_set_remote_profile(p, now, &theirs);
    add(1, 1000, true);
    punch_start(p, now, now);
    plan.plan.technique = PUNCH_TECHNIQUE_PREDICTED;
    for (plan.plan.port_count = 0; plan.plan.port_count < 32; plan.plan.port_count++)
        plan.plan.ports[plan.plan.port_count] = (uint16_t)(7000 + plan.plan.port_count);
    punch_note_input(p, now, &plan);
    plan.plan.technique = PUNCH_TECHNIQUE_BLOCK;
    plan.plan.port_count = 0;
    plan.plan.probes = PLAN_BLOCK_PROBES;
    plan.plan.range_first = 20000;
    plan.plan.range_ports = 1000;
    for (*probes = 0; now < begin_us + 4 * SECOND; now += MS) {
        if (now == begin_us + 1100 * MS)
            punch_note_input(p, now, &plan);
        while (next(STUN_BINDING_REQUEST)) {
            if (out.pair.remote.port == 1000)
                continue;
            *probes += out.pair.remote.port >= 20000;
            at_us[guesses++] = now;
            while (at_us[oldest] + SECOND <= now)
                oldest++;
            if (guesses - oldest > most)
                most = guesses - oldest;
        }
    }
    return most;
}

static void guesses_count_with_the_search_that_follows(void **state)
{
    (void)state;
    for (uint64_t begin_us = 13 * SECOND; begin_us <= 16 * SECOND; begin_us += 50 * MS) {
        unsigned probes;

        assert_in_range(guesses_in_a_second(begin_us, &probes), 200, 250);
        assert_int_equal(probes, PLAN_BLOCK_PROBES);
    }
}

static bool plans_after(struct punch_note *samples, uint16_t a, uint16_t b, uint16_t c)
{
    struct punch_event e;

    samples->samples.count = 3;
    samples->samples.ports[0] = a;
    samples->samples.ports[1] = b;
    samples->samples.ports[2] = c;
    punch_note_input(p, now, samples);
    while (event(PUNCH_EVENT_NOTE, &e)) {
        if (e.note.kind == PUNCH_NOTE_PLAN)
            return true;
    }
    return false;
}

/* Samples that arrived in another order looked like a block; the next ones do not. */
static void no_guesses_come_on_top_of_a_search(void **state)
{
    struct punch_note samples = {
        .kind = PUNCH_NOTE_SAMPLES,
        .profile = {.mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT,
                    .allocation = NAT_ALLOCATION_SEQUENTIAL,
                    .step = 1,
                    .endpoints_seen = 4},
        .samples.public_addr = from(1, 0).remote,
    };

    (void)state;
    start(false, true);
    punch_set_remote_profile(p, now, &samples.profile);
    add(1, 1000, true);
    punch_set_profile(p, now,
                      &(struct nat_profile){.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT,
                                            .filtering = NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT,
                                            .public_addr = stun_addr_v4(203, 0, 113, 5, 40000),
                                            .endpoints_seen = 4});
    punch_start(p, now, now);
    assert_true(plans_after(&samples, 40003, 40001, 40002));
    now += 1100 * MS;
    drain(STUN_BINDING_REQUEST);
    assert_false(plans_after(&samples, 40004, 40005, 40006));
}

static void sockets_that_cannot_be_had_are_done_without(void **state)
{
    struct punch_note plan = {.kind = PUNCH_NOTE_PLAN};
    struct stun_addr local = stun_addr_v4(192, 168, 1, 5, 40000);
    unsigned holes = 0, seen[PUNCH_MAX_SOCKETS] = {0};
    struct punch_event e;

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    plan.plan.technique = PUNCH_TECHNIQUE_BIRTHDAY;
    plan.plan.target = stun_addr_v4(198, 51, 100, 1, 0);
    plan.plan.port_count = 1;
    plan.plan.ports[0] = 1000;
    plan.plan.sockets = 100;
    punch_note_input(p, now, &plan);
    for (; now < 3 * SECOND; now += MS) {
        while (punch_poll_event(p, &e)) {
            for (unsigned i = 0; e.kind == PUNCH_EVENT_WANT_SOCKET && i < e.socket_count; i++) {
                local.port = (uint16_t)(41000 + e.socket + i);
                if ((e.socket + i) % 3 == 0)
                    punch_remove_socket(p, now, e.socket + i);
                else
                    punch_add_socket(p, now, e.socket + i, &local);
            }
        }
        while (next(STUN_BINDING_REQUEST)) {
            assert_true(out.pair.socket < PUNCH_MAX_SOCKETS);
            if (out.pair.socket < PUNCH_SEARCH_SOCKET)
                continue;
            assert_true(out.pair.socket % 3 != 0);
            assert_int_equal(seen[out.pair.socket]++, 0);
            holes++;
        }
    }
    assert_in_range(holes, 65, 68);
}

/* Both behind one carrier: by hairpin where it does that, else by the homes' outer addresses. */
static void neighbours_behind_one_provider_meet(void **state)
{
    const char *const outer[] = {"eim/apdf/preserving,hairpin", "eim/apdf/preserving",
                                 "apdm/apdf/random"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char kind[100];

        snprintf(kind, sizeof(kind), "cgn(eim/apdf/preserving;%s)", outer[i]);
        net_init_kinds(&net, kind, kind, 7);
        net_same_cgn(&net);
        net_engine(&net, NET_CALLER, 0);
        net_engine(&net, NET_CALLEE, 0);
        for (int h = 0; h < 2; h++) {
            struct stun_addr home = net.model[1 - h][0].public_ip;

            home.port = net.host[1 - h].local[0].port; /* a home router mostly keeps it */
            net_tell(&net, h, false);
            if (i > 0)
                punch_add_remote(net.host[h].engine, net.now_us, PUNCH_GATEWAY, &home, false);
        }
        net_start(&net, NET_CALLER, net.now_us);
        net_start(&net, NET_CALLEE, net.now_us);
        assert_true(net_run_connected(&net, 3 * SECOND));
        for (int h = 0; h < 2; h++)
            assert_int_equal(net.host[h].path.technique,
                             i == 0 ? PUNCH_TECHNIQUE_HAIRPIN : PUNCH_TECHNIQUE_PRIVATE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hit_keeps_one_socket),
        cmocka_unit_test(loss_does_not_stop_a_search),
        cmocka_unit_test(a_host_searches_seldom),
        cmocka_unit_test(a_busy_host_waits_or_does_without),
        cmocka_unit_test(a_search_without_effect_ends),
        cmocka_unit_test(a_plan_is_kept_within_bounds),
        cmocka_unit_test(the_switch_turns_it_off),
        cmocka_unit_test(guesses_count_with_the_search_that_follows),
        cmocka_unit_test(no_guesses_come_on_top_of_a_search),
        cmocka_unit_test(sockets_that_cannot_be_had_are_done_without),
        cmocka_unit_test(neighbours_behind_one_provider_meet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
