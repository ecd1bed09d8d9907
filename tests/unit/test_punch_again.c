/* SPDX-License-Identifier: BSD-2-Clause */
/* Rounds after the first: NATs that lose power, hosts that move, relays that carry meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "hand_peer.h"

#define NEVER UINT64_MAX

static struct net net;

static void connected(void)
{
    net.talk_gap_us = 20 * MS;
    net.keepalives = true;
    net_dial(&net, 25 * MS, 30 * MS, false);
    net_relay(&net, true);
    assert_true(net_run_connected(&net, 12 * SECOND));
    net_run(&net, net.now_us + SECOND);
    for (int h = 0; h < 2; h++)
        net.host[h].stall_us = net.host[h].losses = net.host[h].failures = 0;
}

/* Both are connected, and stay so; the relay has carried meanwhile. */
static bool recovered(uint64_t until_us)
{
    bool connected;

    net_run(&net, net.now_us + 1500 * MS); /* it is noticed */
    net_run_connected(&net, until_us);
    net_run(&net, net.now_us + 5 * SECOND);
    connected = punch_is_connected(net.host[0].engine) && punch_is_connected(net.host[1].engine);
    for (int h = 0; h < 2; h++) {
        connected = connected && net.host[h].heard_us + 100 * MS > net.now_us &&
                    net.host[h].failures == 0 && net.host[h].stall_us < 1100 * MS;
    }
    return connected;
}

static void a_rebooted_nat_is_punched_again(void **state)
{
    static const char *const kinds[] = {"cone",       "full-cone",    "eim-adf",  "cone-clash",
                                        "linux-drop", "linux-accept", "sym-seq1", "cgn-cone"};
    const size_t count = sizeof(kinds) / sizeof(kinds[0]);
    unsigned bad = 0;

    (void)state;
    for (size_t a = 0; a < count; a++) {
        for (size_t b = 0; b < count; b++) {
            for (int h = 0; h < 2; h++) {
                uint64_t at;

                net_init_kinds(&net, kinds[a], kinds[b], 7);
                connected();
                net_reboot(&net, h);
                at = net.now_us;
                if (!recovered(at + 8 * SECOND) || net.host[0].path_us > at + 8 * SECOND) {
                    print_error("%s to %s, %s's: stall %u %u ms, connected %d %d\n", kinds[a],
                                kinds[b], h == 0 ? "caller" : "callee",
                                (unsigned)(net.host[0].stall_us / MS),
                                (unsigned)(net.host[1].stall_us / MS),
                                punch_is_connected(net.host[0].engine),
                                punch_is_connected(net.host[1].engine));
                    bad++;
                }
            }
        }
    }
    assert_int_equal(bad, 0);
}

static void a_search_is_made_again_when_the_budget_allows(void **state)
{
    (void)state;
    net_init_kinds(&net, "cone", "block1024", 7);
    connected();
    net_reboot(&net, 1);
    net_run(&net, net.now_us + 5 * SECOND);
    assert_int_equal(net.host[0].failures, 0);
    assert_true(net_run_connected(&net, net.now_us + 40 * SECOND));
    assert_int_equal(net.host[0].failures, 0);
    assert_int_equal(net.host[0].path.technique, PUNCH_TECHNIQUE_BLOCK);
}

static void a_host_that_moves_is_found_again(void **state)
{
    (void)state;
    for (int h = 0; h < 2; h++) {
        uint64_t at;

        net_init(&net, NET_NAT_CONE, NET_NAT_CONE, 1);
        connected();
        at = net.now_us;
        net_move(&net, h);
        assert_int_equal(net.host[h].losses, 1); /* at once */
        assert_int_equal(net.host[h].lost_us, at);
        assert_true(recovered(at + 2 * SECOND));
        assert_true(net.host[h].path_us < at + SECOND);
    }
}

static void a_path_that_answers_is_kept(void **state)
{
    (void)state;
    net_init(&net, NET_NAT_CONE, NET_NAT_CONE, 1);
    connected();
    for (unsigned i = 0; i < 10; i++) {
        punch_again(net.host[i % 2].engine, net.now_us);
        net_flush(&net, (int)(i % 2));
        net_run(&net, net.now_us + 700 * MS);
    }
    for (int h = 0; h < 2; h++) {
        assert_int_equal(net.host[h].losses, 0);
        assert_int_equal(net.host[h].doubts, 0);
        assert_int_equal(net.host[h].paths, 1);
        assert_int_equal(net.host[h].agains, 5);
        assert_true(net.host[h].checks < 100);
    }
}

static void what_failed_is_tried_again_later_and_quietly(void **state)
{
    uint64_t began;

    (void)state;
    net_init(&net, NET_NAT_RANDOM, NET_NAT_RANDOM, 1);
    net.talk_gap_us = 50 * MS;
    net_dial(&net, 25 * MS, 30 * MS, false);
    net_relay(&net, true);
    net_run(&net, 15 * SECOND);
    for (int h = 0; h < 2; h++)
        assert_int_equal(net.host[h].failures, 1);
    began = net.host[0].agains + net.host[1].agains;
    assert_int_equal(began, 0);
    net_run(&net, 38 * SECOND);
    assert_int_equal(net.host[0].agains + net.host[1].agains, 0);
    net_run(&net, 45 * SECOND);
    assert_in_range(net.host[0].agains + net.host[1].agains, 1, 2);
    net_run(&net, 2 * 3600 * (uint64_t)SECOND);
    /* 30 s, 60 s, 120 s, 240 s, 480 s, then every 15 minutes and its 10 s. */
    assert_in_range(net.host[0].agains + net.host[1].agains, 10, 30);
    for (int h = 0; h < 2; h++) {
        assert_int_equal(net.host[h].failures, 1);
        assert_true(net.host[h].heard_us + 100 * MS > net.now_us);
        assert_int_equal(net.host[h].searched, 0);
    }
    /* The network has become a better one. */
    for (int h = 0; h < 2; h++) {
        net.nat[h].mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT;
        net.nat[h].flows = net.nat[h].alloweds = 0;
        net_keepalive_answered(&net, h);
        net_flush(&net, h);
    }
    assert_true(net_run_connected(&net, net.now_us + 2 * SECOND));
}

/* A peer that says so without end makes us send no more than a dial a second would. */
static void a_peer_that_begins_all_the_time_gains_little(void **state)
{
    struct punch_note again = {.kind = PUNCH_NOTE_AGAIN};
    struct stun_addr stranger = stun_addr_v4(192, 0, 2, 99, 1);
    unsigned checks = 0, to_stranger = 0;

    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    for (; now < 50 * SECOND; now += 5 * MS) {
        punch_new_candidates(p, now);
        add(1, 1000, true);
        stranger.port = (uint16_t)(1 + now / MS % 60000);
        punch_add_remote(p, now, PUNCH_SERVER_REFLEXIVE, &stranger, false);
        punch_note_input(p, now, &again);
        while (next(STUN_BINDING_REQUEST)) {
            checks++;
            to_stranger += stun_addr_same_ip(&out.pair.remote, &stranger);
        }
        while (event(PUNCH_EVENT_NOTE, NULL))
            ;
    }
    assert_in_range(to_stranger, 1, PUNCH_BUDGET_UNATTESTED);
    assert_true(checks < 50 * 40);
    /* Many strangers, one after the other. */
    start(false, true);
    punch_start(p, now, now);
    for (to_stranger = 0; now < 55 * SECOND; now += 5 * MS) {
        stranger.ip[3]++;
        punch_new_candidates(p, now);
        punch_add_remote(p, now, PUNCH_SERVER_REFLEXIVE, &stranger, false);
        to_stranger += drain(STUN_BINDING_REQUEST);
    }
    assert_in_range(to_stranger, 1, PUNCH_MAX_CANDIDATES * PUNCH_BUDGET_UNATTESTED);
}

static void old_candidates_are_left_alone(void **state)
{
    struct punch_pair pair = from(2, 2000);

    (void)state;
    start(false, true);
    add(1, 1000, true);
    add(2, 2000, true);
    add(3, 3000, true);
    punch_start(p, now, now);
    assert_true(input_request(pair, (struct request){0}));
    for (; now < 100 * MS; now += MS)
        drain(STUN_BINDING_REQUEST);
    punch_new_candidates(p, now);
    add(3, 3000, true);
    add(4, 4000, true);
    for (; now < 5 * SECOND; now += MS) {
        while (next(STUN_BINDING_REQUEST))
            assert_true(out.pair.remote.port != 1000);
    }
    assert_true(input_request(pair, (struct request){0}));
    assert_true(next(STUN_BINDING_REQUEST)); /* there it was heard */
    assert_true(stun_addr_equal(&out.pair.remote, &pair.remote));
    add(1, 1000, true);
    now += 20 * MS;
    for (bool seen = false; !seen; now += MS) {
        assert_true(now < 7 * SECOND);
        while (next(STUN_BINDING_REQUEST))
            seen = seen || out.pair.remote.port == 1000;
    }
}

static void a_candidate_that_comes_later_may_be_faster(void **state)
{
    struct punch_pair mapped = from(2, 2000);
    struct punch_event e;

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    now += 80 * MS;
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PATH, &e));
    drain(STUN_BINDING_REQUEST);
    now += 3 * SECOND;
    drain(STUN_BINDING_REQUEST);
    punch_add_remote(p, now, PUNCH_PORT_MAPPED, &mapped.remote, true);
    while (out.pair.remote.port != 2000)
        assert_true(next(STUN_BINDING_REQUEST));
    now += 20 * MS;
    assert_true(input_answer(from(2, 2000), 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PATH, &e));
    assert_int_equal(e.technique, PUNCH_TECHNIQUE_PORT_MAPPED);
    assert_int_equal(e.rtt_us, 20 * MS);
    /* A little faster is not enough to move. */
    drain(STUN_BINDING_REQUEST);
    now += SECOND;
    drain(STUN_BINDING_REQUEST);
    add(3, 3000, true);
    while (out.pair.remote.port != 3000)
        assert_true(next(STUN_BINDING_REQUEST));
    now += 18 * MS;
    assert_true(input_answer(from(3, 3000), 0, THEIR_PASSWORD));
    assert_false(event(PUNCH_EVENT_PATH, &e));
}

static void a_new_round_has_the_order_of_the_first(void **state)
{
    struct punch_note again = {.kind = PUNCH_NOTE_AGAIN};

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    now += SECOND;
    punch_remove_socket(p, now, 0);
    punch_add_socket(p, now, 0, &(struct stun_addr){STUN_IPV4, {192, 168, 1, 9}, 0, 50000});
    assert_true(event(PUNCH_EVENT_PATH_LOST, NULL));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.ttl, 2);
    assert_true(input_request(from(1, 1000), (struct request){0}));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.ttl, 0);
    /* One that has just begun is not begun again. */
    punch_note_input(p, now, &again);
    assert_false(next(STUN_BINDING_REQUEST));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rebooted_nat_is_punched_again),
        cmocka_unit_test(a_search_is_made_again_when_the_budget_allows),
        cmocka_unit_test(a_host_that_moves_is_found_again),
        cmocka_unit_test(a_path_that_answers_is_kept),
        cmocka_unit_test(what_failed_is_tried_again_later_and_quietly),
        cmocka_unit_test(a_peer_that_begins_all_the_time_gains_little),
        cmocka_unit_test(old_candidates_are_left_alone),
        cmocka_unit_test(a_candidate_that_comes_later_may_be_faster),
        cmocka_unit_test(a_new_round_has_the_order_of_the_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
