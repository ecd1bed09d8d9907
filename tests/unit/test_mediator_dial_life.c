/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/dial_life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "mediator/server.h"

#define MINUTE_US (60u * 1000000u)
#define LIVE      2 /* dials of a session at one time */

struct world {
    struct config config;
    struct server server;
    struct session caller, callee;
    uint8_t dials; /* made so far */
};

static int set_up(void **state)
{
    static struct world world;

    memset(&world, 0, sizeof world);
    world.config.limits.live_dials = LIVE;
    world.server.config = &world.config;
    world.server.dials = dials_new(16, 16, (struct limit_rate){.per_second = 100, .burst = 100});
    world.server.relay = relay_new(&(struct relay_limits){.peer_pairs = 16, .prefix_pairs = 16});
    world.caller.server = world.callee.server = &world.server;
    world.caller.entry.session_id = 1;
    world.callee.entry.session_id = 2;
    world.caller.relay.attested = &world.caller.attested;
    world.callee.relay.attested = &world.callee.attested;
    *state = &world;
    return world.server.dials == NULL || world.server.relay == NULL;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    dial_life_leave(&world->caller, 0);
    dial_life_leave(&world->callee, 0);
    assert_int_equal(relay_count(world->server.relay), 0);
    dials_free(world->server.dials);
    relay_free(world->server.relay);
    return 0;
}

static struct dials_entry *dial(struct world *world, uint64_t now_us)
{
    uint8_t id[WIRE_DIAL_ID_BYTES] = {++world->dials};
    struct dials_entry *made = dials_add(world->server.dials, id, 1, now_us);

    dial_life_join(made, &world->caller, &world->callee, now_us);
    dials_move(world->server.dials, made, DIALS_LIVE, now_us);
    return made;
}

static void test_both_members_have_it_until_it_ends(void **state)
{
    struct world *world = *state;
    struct dials_entry *made = dial(world, 0);

    assert_int_equal(world->caller.own_dials.count, 1);
    assert_int_equal(world->callee.own_dials.count, 1);
    assert_int_equal(world->caller.relay.asked_pairs, 1);
    assert_non_null(made->pair);
    dial_life_end(&world->server, made, DIALS_OVER, 0);
    assert_int_equal(world->caller.own_dials.count, 0);
    assert_int_equal(world->caller.relay.asked_pairs, 0);
    assert_null(made->pair);
}

static void test_the_end_of_a_session_ends_its_dials(void **state)
{
    struct world *world = *state;
    struct dials_entry *first = dial(world, 0), *second = dial(world, 0);

    dial_life_leave(&world->callee, 0);
    assert_int_equal(first->state, DIALS_OVER);
    assert_int_equal(second->state, DIALS_OVER);
    assert_int_equal(world->caller.own_dials.count, 0);
}

static void test_no_relay_without_one(void **state)
{
    struct world *world = *state;
    struct relay *relay = world->server.relay;
    uint8_t id[WIRE_DIAL_ID_BYTES] = {99};

    world->server.relay = NULL;
    struct dials_entry *made = dial(world, 0);
    assert_null(made->pair);
    assert_non_null(made->refusal);
    world->server.relay = relay;
    struct dials_entry *direct = dials_add(world->server.dials, id, 1, 0);
    direct->no_relay = true;
    dial_life_join(direct, &world->caller, &world->callee, 0);
    assert_null(direct->pair);
    assert_null(direct->refusal);
}

static void test_the_oldest_that_nobody_uses_makes_room(void **state)
{
    struct world *world = *state;
    struct dials_entry *first = dial(world, 0), *second = dial(world, 1);

    assert_false(dial_life_room(&world->caller, NULL, MINUTE_US - 1));
    assert_true(dial_life_room(&world->caller, NULL, MINUTE_US + 1));
    assert_int_equal(first->state, DIALS_OVER);
    assert_int_equal(second->state, DIALS_LIVE);
    assert_true(
        dial_life_room(&world->caller, NULL, MINUTE_US + 1)); /* there is room: nothing ends */
    assert_int_equal(second->state, DIALS_LIVE);
}

static void test_what_is_used_stays(void **state)
{
    struct world *world = *state;
    struct dials_entry *first = dial(world, 0), *second = dial(world, 1);
    struct stun_addr addr = stun_addr_v4(192, 0, 2, 1, 1), same = second->holder;
    struct attested_address at = {.addr = addr};
    struct relay_route route;
    uint8_t bytes[100];
    struct relay_run run = {
        .bytes = bytes, .size = sizeof bytes, .datagram_bytes = sizeof bytes, .from = &addr};

    assert_int_equal(attested_keepalive(&world->caller.attested, &at, 1, true, 0), ATTESTED_ANSWER);
    relay_tag(second->pair, DIALS_CALLER, bytes);
    assert_true(dials_note(world->server.dials, first, 2, 5));
    relay_route(world->server.relay, &run, 7, &route);
    assert_false(dial_life_room(&world->callee, &same, MINUTE_US + 4));
    assert_true(dial_life_room(&world->callee, &same, MINUTE_US + 6));
    assert_int_equal(first->state, DIALS_OVER);
    assert_int_equal(second->state, DIALS_LIVE);
}

/* Asked for by another session from this network. */
static struct dials_entry *call_from(struct world *world, uint8_t network, uint64_t now_us)
{
    uint8_t id[WIRE_DIAL_ID_BYTES] = {++world->dials};
    struct stun_addr from = stun_addr_v4(192, 0, 2, network, 1);
    struct dials_entry *made = dials_add(world->server.dials, id, 1, now_us);

    assert_true(dials_hold(world->server.dials, made, &from));
    dial_life_join(made, &world->caller, &world->callee, now_us);
    dials_move(world->server.dials, made, DIALS_LIVE, now_us);
    return made;
}

static void test_no_network_can_fill_the_list(void **state)
{
    struct world *world = *state;
    struct stun_addr same = stun_addr_v4(192, 0, 2, 1, 7), other = stun_addr_v4(192, 0, 2, 2, 7);

    world->config.limits.live_dials = 4;
    struct dials_entry *alone = call_from(world, 3, 0);
    struct dials_entry *used = call_from(world, 1, 1), *unused = call_from(world, 1, 2);
    call_from(world, 1, 3);
    assert_true(dials_note(world->server.dials, used, 1, 9));
    assert_false(dial_life_room(&world->callee, &same, 10));
    assert_true(dial_life_room(&world->callee, &other, 10));
    assert_int_equal(unused->state, DIALS_OVER);
    assert_int_equal(alone->state, DIALS_LIVE);
    call_from(world, 2, 10);
    /* 1, 1, 2, 3: one more of any would only turn places around. */
    assert_false(dial_life_room(&world->callee, &other, 11));
    assert_int_equal(used->state, DIALS_LIVE);
}

static void test_own_dials_go_before_those_of_others(void **state)
{
    struct world *world = *state;
    struct stun_addr other = stun_addr_v4(192, 0, 2, 2, 7);
    struct dials_entry *called = call_from(world, 1, 0);
    uint8_t id[WIRE_DIAL_ID_BYTES] = {99};
    struct dials_entry *own = dials_add(world->server.dials, id, 2, 0);

    dial_life_join(own, &world->callee, &world->caller, 0);
    dials_move(world->server.dials, own, DIALS_LIVE, 0);
    assert_false(dial_life_room(&world->callee, &other, 1));
    assert_true(dial_life_room(&world->callee, NULL, 1));
    assert_int_equal(called->state, DIALS_OVER);
    assert_int_equal(own->state, DIALS_LIVE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_both_members_have_it_until_it_ends),
        TEST(test_the_end_of_a_session_ends_its_dials),
        TEST(test_no_relay_without_one),
        TEST(test_the_oldest_that_nobody_uses_makes_room),
        TEST(test_what_is_used_stays),
        TEST(test_no_network_can_fill_the_list),
        TEST(test_own_dials_go_before_those_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
