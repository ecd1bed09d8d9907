/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulator itself: it repeats itself, and it notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sim/world.h"

#define SEEDS 200

static int make(void **state)
{
    *state = world_new();
    return *state == NULL;
}

static int unmake(void **state)
{
    world_free(*state);
    return 0;
}

static uint64_t run(struct world *w, uint64_t seed)
{
    world_begin(w, seed);
    world_run(w);
    return w->hash;
}

static void the_same_seed_does_the_same(void **state)
{
    struct world *w = *state, *other = world_new();
    uint64_t last = 0;

    assert_non_null(other);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t hash = run(w, seed);

        run(other, SEEDS + seed);
        assert_true(run(other, seed) == hash);
        assert_true(hash != last);
        last = hash;
    }
    world_free(other);
}

static void find_pair(struct world *w, bool direct)
{
    for (uint64_t seed = 1; seed < 1000; seed++) {
        run(w, seed);
        if (w->fault[0] == 0 && w->scene.calm && w->scene.shape == SCENE_APART &&
            (w->peer[0].connected && w->peer[1].connected) == direct)
            return;
    }
    fail();
}

/* As a host would have seen it after a packet that leaves it now. */
static void links_cross_what_is_direct(void **state)
{
    struct world *w = *state;
    struct stun_addr src, dst;
    const char *why;
    uint32_t to;

    find_pair(w, true);
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        const struct punch_pair *path = &w->rules.side[h].path;

        assert_true(network_reach(w, h, &w->peer[h].local[path->socket], &path->remote, &to, &src,
                                  &dst, &why));
        assert_int_equal(to, 1 - h);
    }
}

static void events_are_judged(struct world *w, enum punch_event_kind kind, const char *fault)
{
    struct punch_event event = {.kind = kind};

    find_pair(w, false);
    event.pair.socket = PUNCH_DATA_SOCKET;
    event.pair.remote = stun_addr_v4(7, 7, 7, 7, 77);
    rules_event(w, WORLD_CALLER, &event, NULL);
    assert_non_null(strstr(w->fault, fault));
}

static void what_breaks_a_rule_is_noticed(void **state)
{
    struct world *w = *state;

    events_are_judged(w, PUNCH_EVENT_USABLE, "without any packet");
    events_are_judged(w, PUNCH_EVENT_PATH, "not proven");
    events_are_judged(w, PUNCH_EVENT_FAILED, "without a reason");
}

static void a_forged_packet_makes_nothing_usable(void **state)
{
    struct world *w = *state;
    struct punch_event event = {.kind = PUNCH_EVENT_USABLE};
    struct world_packet packet = {.who = WORLD_ATTACKER, .kind = ATTACKER_WRONG_KEY};

    find_pair(w, false);
    rules_event(w, WORLD_CALLER, &event, &packet);
    assert_non_null(strstr(w->fault, "wrong key"));
}

static void budgets_are_counted(void **state)
{
    struct world *w = *state;
    struct stun_addr stranger = stun_addr_v4(7, 7, 7, 7, 77);
    struct punch_out out = {.size = STUN_HEADER_BYTES};
    uint8_t bytes[STUN_HEADER_BYTES] = {0, 1};

    find_pair(w, false);
    out.pair.remote = stranger;
    rules_candidate(w, WORLD_CALLER, &stranger, false);
    for (int i = 0; i <= PUNCH_BUDGET_UNATTESTED; i++) {
        assert_true(w->fault[0] == 0);
        bytes[19] = (uint8_t)i;
        rules_sent(w, WORLD_CALLER, &out, bytes);
    }
    assert_non_null(strstr(w->fault, "nobody vouches for"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_seed_does_the_same, make, unmake),
        cmocka_unit_test_setup_teardown(links_cross_what_is_direct, make, unmake),
        cmocka_unit_test_setup_teardown(what_breaks_a_rule_is_noticed, make, unmake),
        cmocka_unit_test_setup_teardown(a_forged_packet_makes_nothing_usable, make, unmake),
        cmocka_unit_test_setup_teardown(budgets_are_counted, make, unmake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
