/* SPDX-License-Identifier: BSD-2-Clause */
/* How soon a path that no longer is one is noticed, and that a living one is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hand_peer.h"

#define NEVER UINT64_MAX

static struct net net;

/* Connected, for a second. */
static void connect(enum net_nat_kind caller, enum net_nat_kind callee, bool relay, bool talk)
{
    net_init(&net, caller, callee, 1);
    net.talk_gap_us = talk ? 10 * MS : 0;
    net_dial(&net, 25 * MS, 30 * MS, false);
    if (relay)
        net_relay(&net, true);
    assert_true(net_run_connected(&net, SECOND));
    net_run(&net, 2 * SECOND);
    for (int h = 0; h < 2; h++) {
        assert_int_equal(net.host[h].doubts, 0);
        net.host[h].stall_us = 0;
    }
}

static void the_relay_carries_within_a_second_of_silence(void **state)
{
    (void)state;
    connect(NET_NAT_CONE, NET_NAT_CONE, true, true);
    for (int h = 0; h < 2; h++)
        assert_int_equal(net.host[h].relayed > 0, true); /* from the start on */
    net.host[0].relayed = net.host[1].relayed = 0;
    net_run(&net, 3 * SECOND);
    assert_int_equal(net.host[0].relayed + net.host[1].relayed, 0);
    net.loss_percent = 100;
    net_run(&net, 5 * SECOND);
    for (int h = 0; h < 2; h++) {
        assert_in_range(net.host[h].doubt_us, 3600 * MS, 3900 * MS);
        assert_in_range(net.host[h].stall_us, 600 * MS, 950 * MS);
    }
    net_run(&net, 6 * SECOND);
    for (int h = 0; h < 2; h++) {
        assert_in_range(net.host[h].lost_us, 5000 * MS, 5500 * MS);
        assert_true(net.host[h].heard_us > 6 * SECOND - 20 * MS);
    }
}

static void an_idle_path_is_lost_three_seconds_after_its_check(void **state)
{
    (void)state;
    connect(NET_NAT_CONE, NET_NAT_CONE, false, false);
    net.loss_percent = 100;
    net.notes_lost = true;
    net_run(&net, 12 * SECOND);
    for (int h = 0; h < 2; h++) {
        assert_true(net.host[h].doubt_us < 9 * SECOND);
        assert_int_equal(net.host[h].lost_us, net.host[h].doubt_us + 2 * SECOND);
    }
}

/* One side notices first. The other's check comes when it hears of it, not when its time has come.
 */
static void who_hears_of_a_loss_looks_at_once(void **state)
{
    uint64_t first, second;

    (void)state;
    connect(NET_NAT_CONE, NET_NAT_CONE, false, false);
    net.loss_percent = 100;
    net_run(&net, 12 * SECOND);
    first = net.host[0].lost_us < net.host[1].lost_us ? net.host[0].lost_us : net.host[1].lost_us;
    second = net.host[0].lost_us + net.host[1].lost_us - first;
    assert_true(second <= first + net.note_us + 300 * MS);
}

static void a_short_outage_is_a_doubt_and_no_loss(void **state)
{
    (void)state;
    connect(NET_NAT_CONE, NET_NAT_CONE, true, true);
    net.loss_percent = 100;
    net_run(&net, net.now_us + 1200 * MS);
    net.loss_percent = 0;
    net_run(&net, net.now_us + SECOND);
    for (int h = 0; h < 2; h++) {
        assert_int_equal(net.host[h].doubts, 1);
        assert_int_equal(net.host[h].losses, 0);
        assert_int_equal(net.host[h].paths, 2); /* the same one again */
        assert_true(net.host[h].path_us < 3350 * MS);
        assert_true(punch_is_connected(net.host[h].engine));
    }
}

static void a_black_out_kills_nothing(void **state)
{
    (void)state;
    for (int talk = 0; talk < 2; talk++) {
        connect(NET_NAT_CONE, NET_NAT_LINUX, false, talk == 1);
        net.loss_percent = 100;
        net_run(&net, 12 * SECOND);
        net.loss_percent = 0;
        assert_true(net_run_connected(&net, 13 * SECOND));
        net_run(&net, 60 * SECOND);
        for (int h = 0; h < 2; h++) {
            assert_int_equal(net.host[h].failures, 0);
            assert_true(net.host[h].losses <= 1);
            assert_true(punch_is_connected(net.host[h].engine));
        }
    }
}

static void recovery_ends(void **state)
{
    (void)state;
    connect(NET_NAT_CONE, NET_NAT_CONE, false, true);
    net.loss_percent = 100;
    net_run(&net, 115 * SECOND);
    for (int h = 0; h < 2; h++)
        assert_int_equal(net.host[h].failures, 0);
    net_run(&net, 140 * SECOND);
    for (int h = 0; h < 2; h++) {
        assert_int_equal(net.host[h].failures, 1);
        assert_int_equal(net.host[h].failed.failure, PUNCH_FAILURE_CONSENT_LOST);
        /* Twelve rounds of ten seconds. */
        assert_true(net.host[h].checks < 12 * 60);
    }
}

static void losses_alone_lose_no_path(void **state)
{
    (void)state;
    for (int talk = 0; talk < 2; talk++) {
        connect(NET_NAT_CONE, NET_NAT_CONE, true, talk == 1);
        net.loss_percent = 10;
        net.jitter_us = 30 * MS;
        net_run(&net, (talk == 1 ? 100 : 2000) * (uint64_t)SECOND);
        for (int h = 0; h < 2; h++) {
            assert_int_equal(net.host[h].losses, 0);
            assert_true(net.host[h].doubts <= 1);
        }
    }
}

static void consent_is_asked_for_less_often_where_nothing_is_lost(void **state)
{
    unsigned first, later;

    (void)state;
    connect(NET_NAT_CONE, NET_NAT_CONE, false, false);
    first = net.host[0].checks;
    net_run(&net, 62 * SECOND);
    first = net.host[0].checks - first;
    net_run(&net, 302 * SECOND);
    later = net.host[0].checks;
    net_run(&net, 602 * SECOND);
    later = net.host[0].checks - later;
    assert_in_range(first, 6, 12);
    assert_in_range(later, 300 / 14, 300 / 12);
}

static void a_mapping_is_used_twice_in_its_life(void **state)
{
    struct punch_config config = {
        .caller = true,
        .local_ufrag = "usus",
        .local_password = "our-password-our-password",
        .remote_ufrag = "them",
        .remote_password = THEIR_PASSWORD,
        .profile = {.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT, .lifetime_s = 8},
        .random = net_random_bytes,
        .random_context = &seed,
    };
    struct stun_addr local = stun_addr_v4(192, 168, 1, 5, 40000);
    uint64_t last;

    (void)state;
    now = 0;
    p = punch_init(memory, &config, now);
    punch_add_socket(p, now, 0, &local);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(next(STUN_BINDING_REQUEST)); /* the nomination */
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    last = now;
    for (unsigned i = 0; i < 100; i++) {
        now = punch_next_timeout(p);
        if (!next(STUN_BINDING_REQUEST))
            continue;
        assert_in_range(now - last, SECOND, 4 * SECOND);
        last = now;
        assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    }
}

/* Link packets come, checks are not answered: no sign that anything of ours arrives. */
static void only_answers_give_consent(void **state)
{
    struct punch_pair pair = from(1, 1000);
    uint64_t answered;

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(pair, 0, THEIR_PASSWORD));
    answered = now;
    while (!event(PUNCH_EVENT_PATH_LOST, NULL)) {
        now += 10 * MS;
        punch_handle_timeout(p, now);
        punch_heard_link(p, now, &pair);
        drain(STUN_BINDING_REQUEST);
        assert_true(now <= answered + 30 * SECOND);
    }
    assert_true(now > answered + 5 * SECOND);
}

/* The laptop's lid was closed. Nothing was asked in that time, so nothing was left unanswered. */
static void a_host_that_slept_asks_before_it_doubts(void **state)
{
    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    drain(STUN_BINDING_REQUEST);
    punch_sent_link(p, now);
    now += 400 * MS;
    drain(STUN_BINDING_REQUEST);
    assert_false(event(PUNCH_EVENT_DOUBT, NULL));
    now += 12 * SECOND;
    drain(STUN_BINDING_REQUEST);
    assert_false(event(PUNCH_EVENT_DOUBT, NULL));
    now += 200 * MS;
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(punch_is_connected(p));
    /* For half a minute: consent is over, whatever may still work. */
    now += 35 * SECOND;
    punch_handle_timeout(p, now);
    assert_true(event(PUNCH_EVENT_PATH_LOST, NULL));
}

static void what_is_sent_and_heard_costs_no_checks(void **state)
{
    struct punch_pair pair = from(1, 1000);
    unsigned checks = 0;

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(pair, 0, THEIR_PASSWORD));
    assert_true(next(STUN_BINDING_REQUEST)); /* the nomination */
    assert_true(input_answer(pair, 0, THEIR_PASSWORD));
    for (unsigned i = 0; i < 400; i++) {
        punch_sent_link(p, now);
        now += 10 * MS;
        punch_heard_link(p, now, &pair);
        checks += drain(STUN_BINDING_REQUEST);
    }
    assert_int_equal(checks, 0);
    /* A peer that only listens is asked, but not all the time. */
    for (checks = 0; now < 8 * SECOND; now += 10 * MS) {
        punch_sent_link(p, now);
        while (next(STUN_BINDING_REQUEST)) {
            checks++;
            assert_true(input_answer(pair, 0, THEIR_PASSWORD));
        }
    }
    assert_in_range(checks, 3, 6);
    assert_false(event(PUNCH_EVENT_DOUBT, NULL));
}

static void the_relay_is_a_route_until_a_path_is_proven(void **state)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES], relay = {.socket = PUNCH_RELAY};

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_set_relay(p, now, true);
    assert_false(punch_has_route(p, now));
    assert_int_equal(punch_routes(p, now, routes), 0);
    punch_start(p, now, now);
    assert_true(punch_has_route(p, now));
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(punch_routes(p, now, routes), 1);
        assert_int_equal(routes[0].socket, PUNCH_RELAY);
        assert_int_equal(routes[0].remote.family, STUN_NO_FAMILY);
    }
    punch_heard_link(p, now, &relay);
    assert_true(input_request(from(1, 1000), (struct request){0}));
    assert_int_equal(punch_routes(p, now, routes), 2);
    assert_int_equal(routes[0].remote.port, 1000);
    assert_int_equal(routes[1].socket, PUNCH_RELAY);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_int_equal(punch_routes(p, now, routes), 1);
    assert_int_equal(routes[0].remote.port, 1000);
    while (!event(PUNCH_EVENT_DOUBT, NULL)) {
        punch_sent_link(p, now);
        now += 10 * MS;
        drain(STUN_BINDING_REQUEST);
    }
    assert_int_equal(punch_routes(p, now, routes), 2);
    assert_int_equal(routes[0].remote.port, 1000);
    assert_int_equal(routes[1].socket, PUNCH_RELAY);
    punch_set_relay(p, now, false);
    assert_int_equal(punch_routes(p, now, routes), 1);
}

static void where_punching_has_failed_the_relay_carries_alone(void **state)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES];

    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_set_relay(p, now, true);
    punch_start(p, now, now);
    for (; now < 11 * SECOND; now += 50 * MS)
        drain(STUN_BINDING_REQUEST);
    assert_true(event(PUNCH_EVENT_FAILED, NULL));
    assert_true(punch_has_route(p, now));
    assert_int_equal(punch_routes(p, now, routes), 1);
    assert_int_equal(routes[0].socket, PUNCH_RELAY);
    punch_set_relay(p, now, false);
    assert_false(punch_has_route(p, now));
    assert_int_equal(punch_routes(p, now, routes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_relay_carries_within_a_second_of_silence),
        cmocka_unit_test(an_idle_path_is_lost_three_seconds_after_its_check),
        cmocka_unit_test(who_hears_of_a_loss_looks_at_once),
        cmocka_unit_test(a_short_outage_is_a_doubt_and_no_loss),
        cmocka_unit_test(a_black_out_kills_nothing),
        cmocka_unit_test(recovery_ends),
        cmocka_unit_test(losses_alone_lose_no_path),
        cmocka_unit_test(consent_is_asked_for_less_often_where_nothing_is_lost),
        cmocka_unit_test(a_mapping_is_used_twice_in_its_life),
        cmocka_unit_test(only_answers_give_consent),
        cmocka_unit_test(a_host_that_slept_asks_before_it_doubts),
        cmocka_unit_test(what_is_sent_and_heard_costs_no_checks),
        cmocka_unit_test(the_relay_is_a_route_until_a_path_is_proven),
        cmocka_unit_test(where_punching_has_failed_the_relay_carries_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
