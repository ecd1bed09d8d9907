/* SPDX-License-Identifier: BSD-2-Clause */
/* One engine against hand-made messages: what a peer, or somebody else, may make it believe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hand_peer.h"

static void a_check_is_an_ice_check(void **state)
{
    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_memory_equal(sent_msg.username, "them:usus", 9);
    assert_true(stun_integrity_ok(&sent_msg, (const uint8_t *)THEIR_PASSWORD, 25));
    assert_true(sent_msg.has_fingerprint && sent_msg.has_controlled && !sent_msg.has_controlling);
    assert_true(sent_msg.has_priority && !sent_msg.use_candidate);
    assert_int_equal(sent_msg.priority >> 24, 110);
    assert_int_equal(sent_msg.priority & 0xff, 255);
    assert_int_equal(out.ttl, 0);
}

static void no_transaction_is_used_twice(void **state)
{
    uint8_t seen[64][STUN_TRANSACTION_BYTES];
    size_t count = 0;

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    while (count < 20) {
        now = punch_next_timeout(p);
        while (count < 64 && next(STUN_BINDING_REQUEST)) {
            for (size_t i = 0; i < count; i++)
                assert_memory_not_equal(seen[i], sent_msg.transaction, STUN_TRANSACTION_BYTES);
            memcpy(seen[count++], sent_msg.transaction, STUN_TRANSACTION_BYTES);
        }
    }
}

static void retries_come_at_punching_speed(void **state)
{
    const uint64_t expected_ms[] = {0, 20, 60, 140, 300, 800, 1300};

    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    for (size_t i = 0; i < 7; i++) {
        while (!next(STUN_BINDING_REQUEST)) {
            assert_true(punch_next_timeout(p) > now);
            now = punch_next_timeout(p);
            punch_handle_timeout(p, now);
        }
        assert_int_equal(now, expected_ms[i] * MS);
    }
}

static void role_conflicts_are_settled_in_all_four_cases(void **state)
{
    const struct {
        bool caller;
        uint16_t role;
        uint64_t tie_breaker;
        bool refused, controls_then;
    } table[] = {
        {true, STUN_ICE_CONTROLLING, 0, true, true},
        {true, STUN_ICE_CONTROLLING, UINT64_MAX, false, false},
        {false, STUN_ICE_CONTROLLED, 0, false, true},
        {false, STUN_ICE_CONTROLLED, UINT64_MAX, true, false},
        {true, STUN_ICE_CONTROLLED, UINT64_MAX, false, true},
        {false, STUN_ICE_CONTROLLING, 0, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct request r = {.role = table[i].role, .tie_breaker = table[i].tie_breaker};

        start(table[i].caller, true);
        add(1, 1000, true);
        punch_start(p, now, now);
        assert_true(input_request(from(1, 1000), r));
        assert_true(punch_output(p, now, &out, sent));
        assert_int_equal(stun_parse(sent, out.size, &sent_msg), STUN_OK);
        assert_int_equal(sent_msg.type,
                         table[i].refused ? STUN_BINDING_ERROR : STUN_BINDING_SUCCESS);
        if (table[i].refused)
            assert_int_equal(sent_msg.error_code, STUN_ERROR_ROLE_CONFLICT);
        assert_true(stun_integrity_ok(&sent_msg, (const uint8_t *)"our-password-our-password", 25));
        assert_true(next(STUN_BINDING_REQUEST));
        assert_int_equal(sent_msg.has_controlling, table[i].controls_then);
    }
}

static void a_487_switches_the_role_once(void **state)
{
    struct stun_message first;
    uint8_t first_bytes[PUNCH_MAX_PACKET_BYTES];

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    memcpy(first_bytes, sent, out.size);
    assert_int_equal(stun_parse(first_bytes, out.size, &first), STUN_OK);
    now += 20 * MS;
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(sent_msg.has_controlling);
    assert_true(input_answer(from(1, 1000), 487, NULL)); /* no integrity: ignored */
    assert_true(input_answer(from(1, 1000), 487, THEIR_PASSWORD));
    now += 20 * MS;
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(sent_msg.has_controlled);
    sent_msg = first; /* the other one is answered late: stale */
    assert_true(input_answer(from(1, 1000), 487, THEIR_PASSWORD));
    now += 100 * MS;
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(sent_msg.has_controlled);
}

static void only_the_address_asked_may_answer_and_only_with_the_password(void **state)
{
    struct punch_event e;

    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    now += 10 * MS;
    assert_true(input_answer(from(1, 1001), 0, THEIR_PASSWORD));
    assert_true(input_answer(from(1, 1000), 0, "wrong-password-wrong-pass"));
    assert_true(input_answer(from(1, 1000), 0, NULL));
    assert_true(input_answer(from(1, 1000), 400, NULL));
    assert_false(punch_is_connected(p));
    assert_false(event(PUNCH_EVENT_PROVEN, NULL));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(punch_is_connected(p));
    assert_true(event(PUNCH_EVENT_PROVEN, &e));
    assert_int_equal(e.rtt_us, 10 * MS);
    assert_false(input_answer(from(1, 1000), 0, THEIR_PASSWORD)); /* a replay is nobody's */
    assert_true(event(PUNCH_EVENT_PATH, NULL));
    assert_false(event(PUNCH_EVENT_PATH, NULL));
}

static void wrong_checks_make_nothing_usable(void **state)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES];

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    drain(STUN_BINDING_REQUEST);
    assert_true(input_request(from(1, 1000), (struct request){.password = "wrong"}));
    assert_true(input_request(from(1, 1000), (struct request){.no_integrity = true}));
    assert_false(input_request(from(1, 1000), (struct request){.username = "someone:else"}));
    assert_false(input_request(from(1, 1000), (struct request){.username = "usu"}));
    assert_false(input_request(from(1, 1000), (struct request){.username = "usus"}));
    assert_false(punch_output(p, now, &out, sent));
    assert_false(event(PUNCH_EVENT_USABLE, NULL));
    assert_int_equal(punch_routes(p, now, routes), 0);
    assert_true(input_request(from(1, 1000), (struct request){0}));
    assert_true(event(PUNCH_EVENT_USABLE, NULL));
    assert_int_equal(punch_routes(p, now, routes), 1);
}

static void unknown_attributes_get_420(void **state)
{
    (void)state;
    start(true, true);
    punch_start(p, now, now);
    assert_true(input_request(from(1, 1000), (struct request){.extra = 0x7eee}));
    assert_true(punch_output(p, now, &out, sent));
    assert_int_equal(stun_parse(sent, out.size, &sent_msg), STUN_OK);
    assert_int_equal(sent_msg.error_code, STUN_ERROR_UNKNOWN_ATTRIBUTE);
    assert_non_null(stun_find(&sent_msg, STUN_UNKNOWN_ATTRIBUTES, &(size_t){0}));
    assert_false(event(PUNCH_EVENT_USABLE, NULL));
    assert_true(input_request(from(1, 1000), (struct request){.extra = 0x8eee}));
    assert_true(next(STUN_BINDING_SUCCESS));
}

static void a_priority_of_zero_is_refused(void **state)
{
    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(input_request(from(1, 1000), (struct request){.no_priority = true}));
    assert_true(next(STUN_BINDING_ERROR));
    assert_int_equal(sent_msg.error_code, STUN_ERROR_BAD_REQUEST);
    assert_false(event(PUNCH_EVENT_USABLE, NULL));
}

static void early_checks_are_answered_and_remembered(void **state)
{
    (void)state;
    start(false, false);
    assert_true(input_request(from(1, 1000), (struct request){0}));
    assert_true(next(STUN_BINDING_SUCCESS));
    assert_true(stun_addr_equal(&sent_msg.mapped, &out.pair.remote));
    assert_false(next(STUN_BINDING_REQUEST));
    assert_true(event(PUNCH_EVENT_USABLE, NULL));
    now += SECOND;
    assert_true(punch_set_remote_credentials(p, now, "them", THEIR_PASSWORD));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.port, 1000);
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(punch_is_connected(p));
}

static void credentials_that_do_not_fit_are_refused(void **state)
{
    char longest[300];

    (void)state;
    start(true, false);
    memset(longest, 'x', sizeof(longest));
    longest[PUNCH_MAX_CREDENTIAL] = '\0';
    assert_false(punch_set_remote_credentials(p, now, longest, "password"));
    longest[167] = '\0';
    assert_true(punch_set_remote_credentials(p, now, longest, "password"));
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(out.size <= PUNCH_MAX_PACKET_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_is_an_ice_check),
        cmocka_unit_test(no_transaction_is_used_twice),
        cmocka_unit_test(retries_come_at_punching_speed),
        cmocka_unit_test(role_conflicts_are_settled_in_all_four_cases),
        cmocka_unit_test(a_487_switches_the_role_once),
        cmocka_unit_test(only_the_address_asked_may_answer_and_only_with_the_password),
        cmocka_unit_test(wrong_checks_make_nothing_usable),
        cmocka_unit_test(unknown_attributes_get_420),
        cmocka_unit_test(a_priority_of_zero_is_refused),
        cmocka_unit_test(early_checks_are_answered_and_remembered),
        cmocka_unit_test(credentials_that_do_not_fit_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
