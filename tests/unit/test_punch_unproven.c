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

/* Six minutes of authentic packets from an address that never answers. */
static unsigned packets_to(uint8_t host)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES], there = from(host, 6666);
    unsigned count = 0;

    for (unsigned i = 0; i < 3600; i++, now += 100 * MS) {
        size_t copies;

        assert_true(input_request(from(host, (uint16_t)(6666 + i % 3)), (struct request){0}));
        while (next(STUN_BINDING_REQUEST))
            count += stun_addr_same_ip(&out.pair.remote, &there.remote);
        copies = punch_routes(p, now, routes);
        while (copies-- > 0)
            count += stun_addr_same_ip(&routes[copies].remote, &there.remote);
    }
    return count;
}

/* A check whose original was lost is authentic wherever its copy comes from. */
static void a_copy_from_a_stranger_buys_five_packets(void **state)
{
    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_in_range(packets_to(66), 1, PUNCH_BUDGET_UNATTESTED);
}

static void an_address_that_the_peer_has_named_is_tried_again(void **state)
{
    (void)state;
    start(false, true);
    add(1, 1000, true);
    add(66, 6666, false);
    punch_start(p, now, now);
    for (; now < 5 * SECOND; now += MS)
        drain(STUN_BINDING_REQUEST);
    assert_in_range(packets_to(66), PUNCH_BUDGET_UNATTESTED - 1, PUNCH_BUDGET_UNATTESTED);
}

/* Packets to one address while the peer names it and 31 others in turns, always as a new candidate.
 */
static unsigned packets_to_one_of_many(uint64_t until_us)
{
    struct punch_note again = {.kind = PUNCH_NOTE_AGAIN};
    struct stun_addr victim = from(66, 6666).remote;
    unsigned count = 0;

    start(false, true);
    punch_start(p, now, now);
    for (unsigned turn = 0; now < until_us; turn++, now += 5 * MS) {
        punch_new_candidates(p, now);
        add(turn % 2 == 0 ? 66 : (uint8_t)(70 + turn % 31), (uint16_t)(1000 + turn), false);
        punch_note_input(p, now, &again);
        while (next(STUN_BINDING_REQUEST))
            count += stun_addr_same_ip(&out.pair.remote, &victim);
        while (event(PUNCH_EVENT_NOTE, NULL))
            ;
    }
    return count;
}

static void an_address_whose_place_others_took_is_not_forgotten(void **state)
{
    (void)state;
    assert_in_range(packets_to_one_of_many(55 * SECOND), 1, PUNCH_BUDGET_UNATTESTED);
}

static void nor_is_it_in_other_dials(void **state)
{
    static struct punch_budget shared;
    unsigned count = 0;

    (void)state;
    host_budget = &shared;
    for (unsigned dial = 0; dial < 20; dial++)
        count += packets_to_one_of_many(2 * SECOND); /* all of them at the same time */
    host_budget = NULL;
    assert_in_range(count, PUNCH_BUDGET_UNATTESTED, PUNCH_BUDGET_STRANGER_MINUTE);
}

static void with_a_path_nobody_else_is_probed(void **state)
{
    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(input_request(from(1, 1000), (struct request){0}));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(punch_is_connected(p));
    drain(STUN_BINDING_REQUEST);
    for (; now < 4 * SECOND; now += 100 * MS) {
        assert_true(input_request(from(1, 2000), (struct request){0}));
        while (next(STUN_BINDING_REQUEST))
            assert_int_equal(out.pair.remote.port, 1000);
    }
}

/* Each answer of ours comes to the peer from a new port, and each of its own to us: the checks must
 * not cause each other without an end. */
static void checks_do_not_cause_a_storm(void **state)
{
    uint64_t sent_us[4000];
    unsigned count = 0;

    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    for (unsigned i = 0; now < 9 * SECOND; i++, now += 5 * MS) {
        assert_true(input_request(from(1, (uint16_t)(2000 + i)), (struct request){0}));
        while (next(STUN_BINDING_REQUEST))
            sent_us[count++] = now;
    }
    assert_true(count > 100);
    for (unsigned i = 0; i + 42 < count; i++) {
        if (sent_us[i] >= SECOND)
            assert_true(sent_us[i + 42] - sent_us[i] >= SECOND);
    }
}

/* What leaves a carrier's NAT would reach, inside of it, the router of a neighbour. */
static void openers_stay_away_from_the_routers_of_neighbours(void **state)
{
    struct punch_config config = {
        .caller = true,
        .local_ufrag = "usus",
        .local_password = "our-password-our-password",
        .remote_ufrag = "them",
        .remote_password = THEIR_PASSWORD,
        .profile = {.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT, .endpoints_seen = 4},
        .opener_ttl = 4,
        .random = net_random_bytes,
        .random_context = &seed,
    };
    struct stun_addr local = stun_addr_v4(192, 168, 1, 5, 40000);
    struct stun_addr neighbour = stun_addr_v4(100, 64, 3, 16, 40000);
    unsigned near = 0, far = 0;

    (void)state;
    now = 0;
    p = punch_init(memory, &config, now);
    punch_add_socket(p, now, 0, &local);
    punch_add_remote(p, now, PUNCH_GATEWAY, &neighbour, false);
    add(1, 1000, true);
    punch_start(p, now, now);
    for (; now < SECOND; now += MS) {
        while (next(STUN_BINDING_REQUEST)) {
            bool is_near = stun_addr_equal(&out.pair.remote, &neighbour);

            assert_int_equal(out.ttl, is_near ? 2 : 4);
            near += is_near;
            far += !is_near;
        }
    }
    assert_true(near > 0 && far > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_way_does_not_stop_the_plan),
        cmocka_unit_test(a_copy_from_a_stranger_buys_five_packets),
        cmocka_unit_test(an_address_that_the_peer_has_named_is_tried_again),
        cmocka_unit_test(an_address_whose_place_others_took_is_not_forgotten),
        cmocka_unit_test(nor_is_it_in_other_dials),
        cmocka_unit_test(with_a_path_nobody_else_is_probed),
        cmocka_unit_test(checks_do_not_cause_a_storm),
        cmocka_unit_test(openers_stay_away_from_the_routers_of_neighbours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
