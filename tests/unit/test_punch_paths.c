/* SPDX-License-Identifier: BSD-2-Clause */
/* One engine against hand-made messages: pairs, routes, nomination, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "hand_peer.h"

static void both_families_are_tried_each_from_its_own_socket(void **state)
{
    struct stun_addr local, remote;

    (void)state;
    start(false, true);
    assert_true(stun_addr_parse("[2001:db8::5]:777", &local));
    assert_true(stun_addr_parse("[2001:db8::9]:999", &remote));
    add(1, 1000, true);
    punch_add_socket(p, now, 2, &local);
    punch_add_remote(p, now, PUNCH_HOST, &remote, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.socket, 2);
    assert_int_equal(out.pair.remote.port, 999);
    now += 2 * MS;
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.socket, 0);
    assert_int_equal(out.pair.remote.port, 1000);
    assert_false(next(STUN_BINDING_REQUEST));
}

static void addresses_that_mean_something_else_here_are_ignored(void **state)
{
    const char *const useless[] = {"127.0.0.1:80",  "169.254.169.254:80", "0.0.0.0:5",
                                   "224.0.0.1:5",   "192.168.1.5:40000",  "[::1]:80",
                                   "[fe80::1]:80",  "255.255.255.255:9",  "[ff02::1]:5",
                                   "198.51.100.1:0"};
    struct stun_addr addr;

    (void)state;
    start(false, true);
    for (size_t i = 0; i < sizeof(useless) / sizeof(useless[0]); i++) {
        assert_true(stun_addr_parse(useless[i], &addr) || i == 9);
        punch_add_remote(p, now, PUNCH_HOST, &addr, true);
    }
    punch_start(p, now, now);
    for (; now < SECOND; now += 2 * MS)
        assert_false(next(STUN_BINDING_REQUEST));
}

static void a_triggered_check_leaves_at_once_at_full_ttl(void **state)
{
    (void)state;
    start(true, true);
    add(1, 1000, true);
    add(2, 2000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.ttl, 2);
    now += 1;
    assert_true(input_request(from(2, 2000), (struct request){0}));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.port, 2000);
    assert_int_equal(out.ttl, 0);
}

static void a_peer_reflexive_address_keeps_its_state_when_signalled(void **state)
{
    struct punch_event e;

    (void)state;
    start(true, true);
    punch_start(p, now, now);
    assert_true(input_request(from(9, 999), (struct request){0}));
    assert_true(event(PUNCH_EVENT_USABLE, &e));
    assert_int_equal(e.technique, PUNCH_TECHNIQUE_PEER_REFLEXIVE);
    assert_true(next(STUN_BINDING_REQUEST));
    add(9, 999, true);
    assert_true(input_answer(from(9, 999), 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PROVEN, &e));
    assert_int_equal(e.technique, PUNCH_TECHNIQUE_PUBLIC);
    assert_int_equal(drain(STUN_BINDING_REQUEST), 1); /* the nomination, and no new round */
    assert_true(sent_msg.use_candidate);
}

static void the_relay_teaches_nothing_of_pairs(void **state)
{
    struct punch_pair relay = {.socket = PUNCH_RELAY}, routes[PUNCH_MAX_ROUTES];

    (void)state;
    start(true, true);
    punch_set_relay(p, now, true);
    punch_start(p, now, now);
    punch_heard_link(p, now, &relay);
    relay.remote = from(9, 9999).remote;
    punch_heard_link(p, now, &relay);
    assert_false(event(PUNCH_EVENT_USABLE, NULL));
    assert_false(next(STUN_BINDING_REQUEST));
    assert_int_equal(punch_routes(p, now, routes), 1);
    assert_int_equal(routes[0].socket, PUNCH_RELAY);
}

/* Whatever the system says of one address, the others are tried as if nothing had happened. */
static void an_error_of_one_address_is_news_of_that_one(void **state)
{
    const int errors[] = {EPERM, ENETUNREACH, EHOSTUNREACH, EWOULDBLOCK, ECONNREFUSED, EMSGSIZE};

    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        unsigned refused = 0, sent_to_other = 0;

        start(false, true);
        add(1, 1000, true);
        add(2, 2000, true);
        punch_start(p, now, now);
        for (; now < 600 * MS; now += MS) {
            while (next(STUN_BINDING_REQUEST)) {
                bool bad = out.pair.remote.port == 1000;

                punch_sent(p, now, &out, bad ? errors[i] : 0);
                refused += bad;
                sent_to_other += !bad;
            }
        }
        assert_in_range(refused, 5, 8);
        assert_int_equal(sent_to_other, 5); /* at 0, 20, 60, 140 and 300 ms */
        assert_true(input_request(from(2, 2000), (struct request){0}));
        assert_true(next(STUN_BINDING_REQUEST));
        assert_true(input_answer(from(2, 2000), 0, THEIR_PASSWORD));
        assert_true(punch_is_connected(p));
    }
}

static void candidates_are_bounded_and_counted_once(void **state)
{
    bool seen[256] = {false};
    unsigned tried = 0;

    (void)state;
    start(false, true);
    for (unsigned i = 0; i < 3 * PUNCH_MAX_CANDIDATES; i++) {
        add((uint8_t)(1 + i), 1000, true);
        add((uint8_t)(1 + i), 1000, true);
    }
    punch_start(p, now, now);
    for (; now < 3 * SECOND; now += MS) {
        while (next(STUN_BINDING_REQUEST)) {
            tried += !seen[out.pair.remote.ip[3]];
            seen[out.pair.remote.ip[3]] = true;
        }
    }
    assert_int_equal(tried, PUNCH_MAX_CANDIDATES);
}

static void no_ping_pong_once_connected(void **state)
{
    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    for (unsigned i = 0; i < 50; i++) {
        assert_true(input_request(from(1, 1000), (struct request){0}));
        assert_true(next(STUN_BINDING_SUCCESS));
        assert_false(next(STUN_BINDING_REQUEST));
        now += MS;
    }
    assert_true(punch_next_timeout(p) > now + SECOND);
}

static void a_burst_of_a_thousand_is_bounded(void **state)
{
    (void)state;
    start(false, true);
    punch_start(p, now, now);
    for (unsigned i = 0; i < 1000; i++)
        input_request(from((uint8_t)(i % 200 + 1), (uint16_t)(1000 + i)), (struct request){0});
    assert_in_range(drain(STUN_BINDING_REQUEST), 1, PUNCH_BUDGET_FIRST_100_MS);
    now += 10 * SECOND;
    drain(STUN_BINDING_REQUEST);
}

static void a_copied_check_does_not_count_from_elsewhere(void **state)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES];

    (void)state;
    start(true, true);
    punch_start(p, now, now);
    assert_true(input_request(from(1, 1000), (struct request){.id = 5}));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_request(from(66, 6666), (struct request){.id = 5}));
    assert_int_equal(punch_routes(p, now, routes), 1);
    assert_int_equal(routes[0].remote.port, 1000);
    assert_false(next(STUN_BINDING_REQUEST));
}

static void the_copies_to_an_unproven_pair_are_limited(void **state)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES];
    unsigned copies = 0;

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(input_request(from(1, 1000), (struct request){0}));
    for (unsigned i = 0; i < 1000; i++)
        copies += (unsigned)punch_routes(p, now, routes);
    assert_in_range(copies, 20, 100);
}

static void the_callee_copies_its_flight_with_the_first_burst(void **state)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES];
    struct stun_addr lan = stun_addr_v4(192, 168, 1, 9, 9);
    unsigned copies, checks;

    (void)state;
    start(false, true);
    for (uint8_t i = 1; i <= 5; i++)
        add(i, 1000, i <= 4);
    punch_add_remote(p, now, PUNCH_HOST, &lan, false);
    punch_start(p, now, 10 * MS);
    assert_int_equal(punch_routes(p, now, routes), 0);
    assert_false(punch_has_route(p, now));
    now = 10 * MS;
    assert_true(punch_has_route(p, now));
    copies = (unsigned)punch_routes(p, now, routes);
    assert_int_equal(copies, 3);
    for (unsigned i = 0; i < copies; i++)
        assert_true(routes[i].remote.ip[3] <= 4 && routes[i].remote.ip[0] == 198);
    checks = 0;
    for (; now < 109 * MS; now += MS) {
        checks += drain(STUN_BINDING_REQUEST);
        if (punch_has_route(p, now))
            copies += (unsigned)punch_routes(p, now, routes);
        else
            assert_int_equal(punch_routes(p, now, routes), 0);
    }
    assert_in_range(checks, 5, 9);
    assert_true(checks + copies <= PUNCH_BUDGET_FIRST_100_MS);
}

static void nomination_is_honoured_and_given(void **state)
{
    struct punch_event e;

    (void)state;
    start(false, true);
    add(1, 1000, true);
    add(2, 2000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.port, 1000);
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PATH, &e));
    assert_true(input_request(from(2, 2000), (struct request){.nominates = true}));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.port, 2000);
    assert_false(event(PUNCH_EVENT_PATH, &e));
    assert_false(punch_is_agreed(p));
    assert_true(input_answer(from(2, 2000), 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PATH, &e));
    assert_int_equal(e.pair.remote.port, 2000);
    assert_true(punch_is_agreed(p));

    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_false(sent_msg.use_candidate);
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    for (unsigned i = 0; i < 3; i++) { /* until it is answered */
        assert_true(next(STUN_BINDING_REQUEST));
        assert_true(sent_msg.use_candidate && sent_msg.has_controlling);
        now = punch_next_timeout(p);
    }
    assert_true(next(STUN_BINDING_REQUEST));
    assert_false(punch_is_agreed(p));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(punch_is_agreed(p));
    now += 500 * MS;
    assert_false(next(STUN_BINDING_REQUEST));
}

static void a_better_path_is_taken_later(void **state)
{
    struct stun_addr lan = stun_addr_v4(192, 168, 1, 9, 9);
    struct punch_pair lan_pair = {0, lan};
    struct punch_event e;

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PATH, &e));
    drain(STUN_BINDING_REQUEST);
    now += SECOND;
    punch_add_remote(p, now, PUNCH_HOST, &lan, false);
    while (next(STUN_BINDING_REQUEST) && out.pair.remote.port != 9)
        ;
    assert_int_equal(out.pair.remote.port, 9);
    now += MS;
    assert_true(input_answer(lan_pair, 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PATH, &e));
    assert_int_equal(e.technique, PUNCH_TECHNIQUE_PRIVATE);
    assert_int_equal(e.rtt_us, MS);
}

static void a_link_packet_is_as_good_as_a_check(void **state)
{
    struct punch_pair pair = from(3, 3000);
    struct punch_event e;

    (void)state;
    start(true, true);
    punch_start(p, now, now);
    punch_heard_link(p, now, &pair);
    assert_true(event(PUNCH_EVENT_USABLE, &e));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.port, 3000);
    assert_int_equal(out.ttl, 0);
}

static void a_socket_that_is_gone_takes_its_pairs_along(void **state)
{
    struct stun_addr local = stun_addr_v4(192, 168, 7, 7, 777);

    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    punch_remove_socket(p, now, 0);
    assert_true(event(PUNCH_EVENT_PATH_LOST, NULL));
    assert_false(punch_output(p, now, &out, sent));
    assert_true(input_request(from(1, 1000), (struct request){0}));
    assert_false(punch_output(p, now, &out, sent));
    punch_add_socket(p, now, 0, &local);
    now = punch_next_timeout(p);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(punch_is_connected(p));
}

static void clocks_may_start_at_zero_stand_still_or_jump(void **state)
{
    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, 0, 0);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    now = 100 * SECOND * 3600;
    punch_handle_timeout(p, now);
    assert_true(event(PUNCH_EVENT_PATH_LOST, NULL));
    now = 5; /* back: time stands still until it is caught up with */
    punch_handle_timeout(p, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(punch_is_connected(p));
}

static void a_plan_may_not_aim_at_strangers(void **state)
{
    struct punch_note plan = {.kind = PUNCH_NOTE_PLAN};

    (void)state;
    start(true, true);
    add(1, 1000, true);
    add(2, 2000, false);
    punch_start(p, now, now);
    now += SECOND;
    while (next(STUN_BINDING_REQUEST))
        now += 2 * MS;
    plan.plan.technique = PUNCH_TECHNIQUE_PREDICTED;
    plan.plan.target = stun_addr_v4(198, 51, 100, 2, 0);
    plan.plan.port_count = NAT_MAX_PREDICTED;
    for (uint16_t i = 0; i < NAT_MAX_PREDICTED; i++)
        plan.plan.ports[i] = (uint16_t)(5000 + i);
    punch_note_input(p, now, &plan);
    for (unsigned i = 0; i < 200; i++, now += MS) {
        while (next(STUN_BINDING_REQUEST))
            assert_true(out.pair.remote.port < 5000);
    }
}

static void windows_are_bounded(void **state)
{
    struct punch_note plan = {.kind = PUNCH_NOTE_PLAN};
    unsigned guesses = 0;

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    plan.plan.target = stun_addr_v4(198, 51, 100, 1, 0);
    plan.plan.port_count = NAT_MAX_PREDICTED;
    for (unsigned round = 0; round < 3; round++) {
        for (uint16_t i = 0; i < NAT_MAX_PREDICTED; i++)
            plan.plan.ports[i] = (uint16_t)(5000 + i + round * 100);
        punch_note_input(p, now, &plan);
        for (unsigned i = 0; i < 2000; i++, now += MS) {
            while (next(STUN_BINDING_REQUEST))
                guesses += out.pair.remote.port >= 5000;
        }
    }
    assert_int_equal(guesses, 2 * NAT_MAX_PREDICTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_families_are_tried_each_from_its_own_socket),
        cmocka_unit_test(addresses_that_mean_something_else_here_are_ignored),
        cmocka_unit_test(a_triggered_check_leaves_at_once_at_full_ttl),
        cmocka_unit_test(a_peer_reflexive_address_keeps_its_state_when_signalled),
        cmocka_unit_test(the_relay_teaches_nothing_of_pairs),
        cmocka_unit_test(an_error_of_one_address_is_news_of_that_one),
        cmocka_unit_test(candidates_are_bounded_and_counted_once),
        cmocka_unit_test(no_ping_pong_once_connected),
        cmocka_unit_test(a_burst_of_a_thousand_is_bounded),
        cmocka_unit_test(a_copied_check_does_not_count_from_elsewhere),
        cmocka_unit_test(the_copies_to_an_unproven_pair_are_limited),
        cmocka_unit_test(the_callee_copies_its_flight_with_the_first_burst),
        cmocka_unit_test(nomination_is_honoured_and_given),
        cmocka_unit_test(a_better_path_is_taken_later),
        cmocka_unit_test(a_link_packet_is_as_good_as_a_check),
        cmocka_unit_test(a_socket_that_is_gone_takes_its_pairs_along),
        cmocka_unit_test(clocks_may_start_at_zero_stand_still_or_jump),
        cmocka_unit_test(a_plan_may_not_aim_at_strangers),
        cmocka_unit_test(windows_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
