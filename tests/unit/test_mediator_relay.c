/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define TAG    WIRE_RELAY_TAG_BYTES
#define SECOND 1000000u

/* Two members with an attested address each, and a pair of tags. */
struct world {
    struct relay *relay;
    struct attested attested[2];
    struct relay_member member[2];
    struct stun_addr addr[2];
    struct relay_pair *pair;
    uint8_t tag[2][TAG];
    uint8_t bytes[65536];
    struct relay_route route;
    uint64_t now_us;
};

static void attest(struct world *world, unsigned side, const struct stun_addr *addr, uint8_t socket)
{
    struct attested *attested = &world->attested[side];
    struct attested_address from = {.addr = *addr, .socket = socket};

    uint64_t sequence = attested->sequence[addr->family == STUN_IPV6] + 1;
    assert_int_equal(attested_keepalive(attested, &from, sequence, true, world->now_us),
                     ATTESTED_ANSWER);
}

static void open_pair(struct world *world)
{
    const char *refusal;

    world->pair =
        relay_open(world->relay, &world->member[0], &world->member[1], world->now_us, &refusal);
    assert_non_null(world->pair);
    assert_null(refusal);
    for (unsigned side = 0; side < 2; side++)
        relay_tag(world->pair, side, world->tag[side]);
}

static void make(struct world *world, struct relay_limits limits)
{
    relay_free(world->relay);
    *world = (struct world){.relay = relay_new(&limits), .now_us = 1000 * SECOND};
    for (unsigned side = 0; side < 2; side++) {
        world->member[side].attested = &world->attested[side];
        world->member[side].peer = side;
        world->member[side].home = stun_addr_v4(198, 51, 100, (uint8_t)(1 + side), 9);
        world->addr[side] = stun_addr_v4(192, 0, 2, (uint8_t)(1 + side), 1000);
        attest(world, side, &world->addr[side], (uint8_t)(2 + side));
    }
    open_pair(world);
}

static int set_up(void **state)
{
    static struct world world;

    make(&world, (struct relay_limits){.peer_pairs = 4, .prefix_pairs = 10000});
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    relay_close(world->relay, world->pair);
    relay_free(world->relay);
    world->relay = NULL;
    return 0;
}

/* From a side's own address, with its own tag. */
static enum relay_verdict send_run(struct world *world, unsigned side, size_t size,
                                   size_t datagram_bytes)
{
    struct relay_run run = {.bytes = world->bytes,
                            .size = size,
                            .datagram_bytes = datagram_bytes,
                            .from = &world->addr[side]};

    memcpy(world->bytes, world->tag[side], TAG);
    return relay_route(world->relay, &run, world->now_us, &world->route);
}

static enum relay_verdict send_one(struct world *world, unsigned side, size_t size)
{
    return send_run(world, side, size, size);
}

static void test_each_side_reaches_the_other(void **state)
{
    struct world *world = *state;

    assert_int_equal(world->tag[0][0], WIRE_RELAY_TAG_FIRST);
    for (unsigned side = 0; side < 2; side++) {
        assert_int_equal(send_one(world, side, 100), RELAY_TO_ADDRESS);
        assert_true(stun_addr_equal(&world->route.to->addr, &world->addr[!side]));
        assert_int_equal(world->route.to->socket, 2 + !side);
        assert_memory_equal(world->route.tag, world->tag[!side], TAG);
        assert_int_equal(world->route.size, 100);
    }
    assert_int_equal(relay_counters(world->relay)->packets, 2);
    assert_int_equal(relay_counters(world->relay)->bytes, 2 * (100 - TAG));
}

static void test_sizes(void **state)
{
    struct world *world = *state;

    assert_int_equal(send_one(world, 0, TAG), RELAY_DROP);
    assert_int_equal(send_one(world, 0, TAG + 1), RELAY_TO_ADDRESS);
    assert_int_equal(send_one(world, 0, TAG + RELAY_MAX_DATAGRAM_BYTES), RELAY_TO_ADDRESS);
    assert_int_equal(send_one(world, 0, TAG + RELAY_MAX_DATAGRAM_BYTES + 1), RELAY_DROP);
    /* The bare tag at the end of a run is a message of ours alone. */
    assert_int_equal(send_run(world, 0, 3 * 100 + TAG, 100), RELAY_TO_ADDRESS);
    assert_int_equal(world->route.size, 300);
    assert_int_equal(send_run(world, 0, 3 * 100 + TAG + 1, 100), RELAY_TO_ADDRESS);
    assert_int_equal(world->route.size, 300 + TAG + 1);
}

static void test_runs_end_where_the_tag_changes(void **state)
{
    struct world *world = *state;
    struct relay_run run;

    for (size_t at = 0; at < 500; at += 100)
        memcpy(world->bytes + at, world->tag[at >= 300], TAG);
    relay_cut(world->bytes, 450, 100, &run);
    assert_int_equal(run.size, 300);
    assert_int_equal(run.datagram_bytes, 100);
    relay_cut(world->bytes + 300, 150, 100, &run);
    assert_int_equal(run.size, 150);
    relay_cut(world->bytes + 300, 100 + TAG - 1, 100, &run); /* what is left has no tag */
    assert_int_equal(run.size, 100);
    relay_cut(world->bytes, 60, 100, &run);
    assert_int_equal(run.size, 60);
    assert_int_equal(run.datagram_bytes, 60);
}

static void test_other_sources_get_a_hint_now_and_then(void **state)
{
    struct world *world = *state;
    struct stun_addr own = world->addr[0];
    size_t hints = 0;

    world->addr[0].port++;
    for (int i = 0; i < 1000; i++)
        hints += send_one(world, 0, 100) == RELAY_HINT;
    assert_in_range(hints, 1, 10);
    world->now_us += SECOND;
    assert_int_equal(send_one(world, 0, 100), RELAY_HINT);
    assert_int_equal(relay_counters(world->relay)->packets, 0);
    assert_int_equal(relay_counters(world->relay)->unattested, 1001);
    /* The other member's address is not this one's either. */
    world->addr[0] = world->addr[1];
    assert_int_equal(send_one(world, 0, 100), RELAY_HINT);
    world->addr[0] = own;
    assert_int_equal(send_one(world, 0, 100), RELAY_TO_ADDRESS);
    world->now_us += ATTESTED_LIFETIME_US;
    assert_int_equal(send_one(world, 0, 100), RELAY_HINT);
}

static void test_goes_to_where_something_came_from_last(void **state)
{
    struct world *world = *state;
    struct stun_addr v6;

    stun_addr_parse("[2001:db8::1]:5", &v6);
    world->now_us += 10;
    attest(world, 1, &v6, 6);
    assert_int_equal(send_one(world, 0, 100), RELAY_TO_ADDRESS);
    assert_true(stun_addr_equal(&world->route.to->addr, &v6));
    assert_int_equal(world->route.to->socket, 6);
    /* It is heard from either family, and that is where it gets its answer. */
    struct stun_addr both[] = {world->addr[1], v6};
    for (size_t i = 0; i < 4; i++) {
        world->now_us++;
        world->addr[1] = both[i % 2];
        assert_int_equal(send_one(world, 1, 100), RELAY_TO_ADDRESS);
        assert_int_equal(send_one(world, 0, 100), RELAY_TO_ADDRESS);
        assert_true(stun_addr_equal(&world->route.to->addr, &both[i % 2]));
    }
}

static void test_a_stream_takes_everything(void **state)
{
    struct world *world = *state;
    struct relay_stream *stream = (struct relay_stream *)world; /* never looked into */
    struct relay_run run = {
        .bytes = world->bytes, .size = 100, .datagram_bytes = 100, .by = &world->member[1]};

    world->member[1].stream = stream;
    assert_int_equal(send_one(world, 0, 100), RELAY_TO_STREAM);
    assert_ptr_equal(world->route.stream, stream);
    memcpy(world->bytes, world->tag[1], TAG);
    assert_int_equal(relay_route(world->relay, &run, world->now_us, &world->route),
                     RELAY_TO_ADDRESS);
    assert_true(stun_addr_equal(&world->route.to->addr, &world->addr[0]));
    /* Not with the tag of somebody else; and there is no hint by TLS. */
    run.by = &world->member[0];
    assert_int_equal(relay_route(world->relay, &run, world->now_us, &world->route), RELAY_DROP);
    world->member[1].stream = NULL;
    world->attested[1] = (struct attested){0};
    assert_int_equal(send_one(world, 0, 100), RELAY_TO_SESSION);
    assert_ptr_equal(world->route.member, &world->member[1]);
}

static void test_a_closed_pair_is_gone(void **state)
{
    struct world *world = *state;

    relay_close(world->relay, world->pair);
    assert_int_equal(send_one(world, 0, 100), RELAY_DROP);
    assert_int_equal(relay_counters(world->relay)->unknown, 1);
    assert_int_equal(world->member[0].asked_pairs, 0);
    assert_int_equal(relay_count(world->relay), 0);
    world->pair = NULL;
}

static void test_so_many_pairs_that_a_member_has_asked_for(void **state)
{
    struct world *world = *state;
    struct relay_member caller = {.attested = &world->attested[0]};
    struct relay_pair *more[4];
    const char *refusal;

    /* Calls of others are not its own. */
    for (int i = 0; i < 4; i++)
        more[i] = relay_open(world->relay, &caller, &world->member[0], 0, &refusal);
    assert_non_null(more[3]);
    assert_null(relay_open(world->relay, &caller, &world->member[0], 0, &refusal));
    assert_non_null(refusal);
    struct relay_pair *own = relay_open(world->relay, &world->member[0], &caller, 0, &refusal);
    assert_non_null(own);
    relay_close(world->relay, more[0]);
    more[0] = relay_open(world->relay, &caller, &world->member[1], 0, &refusal);
    assert_non_null(more[0]);
    for (int i = 0; i < 4; i++)
        relay_close(world->relay, more[i]);
    relay_close(world->relay, own);
}

static void test_so_many_pairs_that_a_network_has_asked_for(void **state)
{
    struct world *world = *state;
    struct relay_member neighbours[3];
    struct relay_pair *pairs[3];
    const char *refusal;

    relay_close(world->relay, world->pair);
    make(world, (struct relay_limits){.peer_pairs = 100, .prefix_pairs = 3});
    for (uint16_t i = 0; i < 3; i++) {
        neighbours[i] = world->member[0];
        neighbours[i].home.port += i;
        pairs[i] = relay_open(world->relay, &neighbours[i], &world->member[1], 0, &refusal);
    }
    assert_non_null(pairs[1]);
    assert_null(pairs[2]);
    assert_non_null(refusal);
    pairs[2] = relay_open(world->relay, &world->member[1], &world->member[0], 0, &refusal);
    assert_non_null(pairs[2]);
    relay_close(world->relay, pairs[0]);
    pairs[0] = relay_open(world->relay, &neighbours[2], &world->member[1], 0, &refusal);
    assert_non_null(pairs[0]);
    for (int i = 0; i < 3; i++)
        relay_close(world->relay, pairs[i]);
}

static void test_many_tags_come_and_go(void **state)
{
    static struct relay_pair *pairs[2000];
    static struct relay_member members[2000];
    static uint8_t tags[2000][TAG];
    struct world *world = *state;
    struct relay_run run = {.size = 100, .datagram_bytes = 100, .from = &world->addr[0]};
    const char *refusal;
    uint8_t bytes[100];

    run.bytes = bytes;
    for (size_t i = 0; i < 2000; i++) {
        members[i].attested = &world->attested[0];
        pairs[i] = relay_open(world->relay, &members[i], &members[(i + 1) % 2000], 0, &refusal);
        assert_non_null(pairs[i]);
        relay_tag(pairs[i], 0, tags[i]);
    }
    for (size_t i = 0; i < 2000; i += 3)
        relay_close(world->relay, pairs[i]);
    for (size_t i = 0; i < 2000; i++) {
        memcpy(bytes, tags[i], TAG);
        enum relay_verdict verdict = relay_route(world->relay, &run, world->now_us, &world->route);
        assert_int_equal(verdict, i % 3 == 0 ? RELAY_DROP : RELAY_TO_ADDRESS);
    }
    for (size_t i = 0; i < 2000; i++)
        if (i % 3 != 0)
            relay_close(world->relay, pairs[i]);
    assert_int_equal(relay_count(world->relay), 1);
    assert_int_equal(send_one(world, 0, 100), RELAY_TO_ADDRESS);
}

/* How many bytes pass in ten seconds, both sides sending runs of 40 as fast as they can. */
static size_t passed_in_10_s(struct world *world, size_t datagram_bytes)
{
    size_t passed = 0;

    for (uint64_t end_us = world->now_us + 10 * SECOND; world->now_us < end_us;
         world->now_us += 1000)
        for (unsigned side = 0; side < 2; side++)
            if (send_run(world, side, 40 * datagram_bytes, datagram_bytes) == RELAY_TO_ADDRESS) {
                assert_int_equal(world->route.size % datagram_bytes, 0);
                passed += world->route.size;
            }
    return passed;
}

/* A new world in which one quota is bounded. */
static void make_bounded(struct world *world, enum relay_quota quota, uint32_t rate,
                         uint32_t datagram_bytes)
{
    struct relay_limits limits = {
        .peer_pairs = 4, .prefix_pairs = 4, .datagram_bytes = datagram_bytes};

    limits.rate[quota] = rate;
    relay_close(world->relay, world->pair);
    make(world, limits);
}

static void test_a_rate_for_both_directions(void **state)
{
    struct world *world = *state;

    make_bounded(world, RELAY_OF_PAIR, 1000000, 0);
    assert_in_range(passed_in_10_s(world, 1000), 9900000, 10300000);
    assert_true(relay_counters(world->relay)->over_rate[RELAY_OF_PAIR] > 0);
    world->now_us += SECOND;
    assert_int_equal(send_one(world, 0, 1000), RELAY_TO_ADDRESS);
}

static void test_a_rate_for_what_a_peer_sends(void **state)
{
    struct world *world = *state;
    struct world first;
    size_t passed = 0;

    make_bounded(world, RELAY_OF_PEER, 1000000, 0);
    assert_in_range(passed_in_10_s(world, 1000), 2 * 9900000, 2 * 10300000);
    /* By all of its pairs together. */
    first = *world;
    open_pair(world);
    world->now_us += 10 * SECOND;
    for (uint64_t end_us = world->now_us + 10 * SECOND; world->now_us < end_us;
         world->now_us += 1000) {
        first.now_us = world->now_us;
        if (send_run(world, 0, 40 * 1000, 1000) == RELAY_TO_ADDRESS)
            passed += world->route.size;
        if (send_run(&first, 0, 40 * 1000, 1000) == RELAY_TO_ADDRESS)
            passed += first.route.size;
    }
    assert_in_range(passed, 9900000, 10300000);
    assert_true(relay_counters(world->relay)->over_rate[RELAY_OF_PEER] > 0);
    /* What others send to it is theirs. */
    assert_int_equal(send_one(world, 1, 1000), RELAY_TO_ADDRESS);
    relay_close(world->relay, first.pair);
}

/* IDs cost nothing. */
static void test_a_rate_for_what_a_network_sends(void **state)
{
    struct world *world = *state;
    struct relay_member neighbour;
    struct world other;
    const char *refusal;
    size_t passed = 0;

    make_bounded(world, RELAY_OF_PREFIX, 1000000, 0);
    other = *world;
    neighbour = world->member[0];
    neighbour.peer = 99;
    other.pair = relay_open(world->relay, &neighbour, &world->member[1], 0, &refusal);
    relay_tag(other.pair, 0, other.tag[0]);
    for (uint64_t end_us = world->now_us + 10 * SECOND; world->now_us < end_us;
         world->now_us += 1000) {
        other.now_us = world->now_us;
        if (send_run(world, 0, 40 * 1000, 1000) == RELAY_TO_ADDRESS)
            passed += world->route.size;
        if (send_run(&other, 0, 40 * 1000, 1000) == RELAY_TO_ADDRESS)
            passed += other.route.size;
    }
    assert_in_range(passed, 9900000, 10300000);
    assert_true(relay_counters(world->relay)->over_rate[RELAY_OF_PREFIX] > 0);
    assert_int_equal(send_one(world, 1, 1000), RELAY_TO_ADDRESS);
    relay_close(world->relay, other.pair);
}

static void test_small_datagrams_cost_more_than_their_bytes(void **state)
{
    struct world *world = *state;

    make_bounded(world, RELAY_OF_PAIR, 1000000, 500);
    size_t passed = passed_in_10_s(world, 50);
    assert_in_range(passed, 9900000 / 500 * 50, 10300000 / 500 * 50);
    make_bounded(world, RELAY_OF_PAIR, 1000000, 500);
    assert_in_range(passed_in_10_s(world, 1000), 9900000, 10300000);
}

static void test_a_rate_for_all(void **state)
{
    struct world *world = *state;
    struct world first;

    make_bounded(world, RELAY_OF_ALL, 2000000, 0);
    first = *world;
    open_pair(world);
    assert_in_range(passed_in_10_s(world, 1000), 19900000, 20600000);
    /* The other pair shares it: nothing was left over. */
    memcpy(first.bytes, first.tag[0], TAG);
    first.now_us = world->now_us - 1000;
    assert_int_equal(send_run(&first, 0, 1000, 1000), RELAY_DROP);
    relay_close(world->relay, first.pair);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_side_reaches_the_other),
        TEST(test_sizes),
        TEST(test_runs_end_where_the_tag_changes),
        TEST(test_other_sources_get_a_hint_now_and_then),
        TEST(test_goes_to_where_something_came_from_last),
        TEST(test_a_stream_takes_everything),
        TEST(test_a_closed_pair_is_gone),
        TEST(test_so_many_pairs_that_a_member_has_asked_for),
        TEST(test_so_many_pairs_that_a_network_has_asked_for),
        TEST(test_many_tags_come_and_go),
        TEST(test_a_rate_for_both_directions),
        TEST(test_a_rate_for_what_a_peer_sends),
        TEST(test_a_rate_for_what_a_network_sends),
        TEST(test_small_datagrams_cost_more_than_their_bytes),
        TEST(test_a_rate_for_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
