/* SPDX-License-Identifier: BSD-2-Clause */
/* Black box: datagrams through the relay of the real eyeletd by UDP, and its quotas. */
#include "relay_stage.h"

static int set_up_everywhere(void **state)
{
    if (!has_ipv6())
        return set_up(state);
    struct stage *stage = calloc(1, sizeof *stage);

    *state = stage;
    return !(stage != NULL && mediator_create_everywhere(&stage->mediator, getenv("EYELETD")) &&
             open_side(stage, &stage->a, 3, CLIENT_IPV6) && open_side(stage, &stage->b, 1, 4));
}

static int set_up_without_relay(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);

    *state = stage;
    return !(stage != NULL &&
             mediator_create_with(&stage->mediator, getenv("EYELETD"), "relay = no\n") &&
             open_side(stage, &stage->a, 0, 3) && open_side(stage, &stage->b, 1, 4));
}

static int set_up_slow(void **state)
{
    return set_up_with(state, "relay-rate = 100000\n");
}

static int set_up_two_dials(void **state)
{
    return set_up_with(state, "live-dials = 2\n");
}

static int set_up_two_calls(void **state)
{
    return set_up_with(state, "call-rate = 1\ncall-burst = 5\nprefix-call-burst = 2\n"
                              "prefix-call-rate = 1\n");
}

static int set_up_few(void **state)
{
    return set_up_with(state, "relay-sessions = 1\n");
}

static void test_udp_both_ways(void **state)
{
    struct stage *stage = *state;

    assert_true(stage->a.client.registered.relay);
    assert_true(attest(stage, &stage->a, 0));
    assert_true(attest(stage, &stage->b, 3));
    assert_true(dial(stage));
    for (uint8_t i = 0; i < 10; i++) {
        say(stage, &stage->a, 0, i, 1 + i);
        hear(&stage->b, i, 1 + i);
        say(stage, &stage->b, 3, i, MAX_BYTES - i);
        hear(&stage->a, i, MAX_BYTES - i);
    }
    say(stage, &stage->a, 0, 1, MAX_BYTES + 1);
    hear_nothing(&stage->b);
}

static void test_strangers_get_the_hint_alone(void **state)
{
    struct stage *stage = *state;
    struct side thief = {.udp = client_udp(5)};
    uint8_t bytes[64];

    assert_true(attest(stage, &stage->a, 0));
    assert_true(attest(stage, &stage->b, 0));
    assert_true(dial(stage));
    memcpy(thief.tag, stage->a.tag, TAG);
    for (int i = 0; i < 100; i++)
        say(stage, &thief, 0, 7, 32);
    hear_nothing(&stage->b);
    size_t hints = 0;
    while (client_recv(thief.udp, bytes, sizeof bytes, NEVER_MS) == TAG)
        hints += memcmp(bytes, thief.tag, TAG) == 0;
    assert_in_range(hints, 1, 20);
    /* A bare tag is answered by nothing, and an unknown one too. */
    assert_true(client_sendto(thief.udp, &stage->mediator.bounce[0], thief.tag, TAG));
    thief.tag[TAG - 1] ^= 1;
    say(stage, &thief, 0, 7, 32);
    hear_nothing(&thief);
    close(thief.udp);
}

static void test_a_new_address_is_one_keepalive_away(void **state)
{
    struct stage *stage = *state;
    uint8_t hint[TAG + 1];

    assert_true(attest(stage, &stage->a, 0));
    assert_true(attest(stage, &stage->b, 0));
    assert_true(dial(stage));
    close(stage->a.udp);
    stage->a.udp = client_udp(3);
    say(stage, &stage->a, 1, 1, 10);
    assert_int_equal(client_recv(stage->a.udp, hint, sizeof hint, SOON_MS), TAG);
    assert_true(attest(stage, &stage->a, 1));
    say(stage, &stage->a, 1, 2, 10);
    hear(&stage->b, 2, 10);
    say(stage, &stage->b, 0, 3, 10);
    hear(&stage->a, 3, 10);
}

static void test_no_relay_if_the_caller_wants_none(void **state)
{
    struct stage *stage = *state;
    wire_ToMediator msg = {.which_body = wire_ToMediator_get_peer_tag};

    msg.body.get_peer.dial_id.size = WIRE_DIAL_ID_BYTES;
    msg.body.get_peer.peer_id.size = IDENTITY_ID_BYTES;
    memcpy(msg.body.get_peer.peer_id.bytes, stage->b.client.identity.id.bytes, IDENTITY_ID_BYTES);
    msg.body.get_peer.sealed.size = 1;
    msg.body.get_peer.no_relay = true;
    assert_true(client_send(&stage->a.client, &msg));
    assert_true(client_expect(&stage->a.client, PEER_COORD, &stage->msg));
    assert_int_equal(stage->msg.body.peer_coord.relay_tag.size, 0);
    assert_string_equal(stage->msg.body.peer_coord.relay_refusal, "");
}

static void test_a_mediator_without_relay_says_so(void **state)
{
    struct stage *stage = *state;

    assert_false(stage->a.client.registered.relay);
    assert_false(dial(stage));
    assert_string_equal(stage->msg.body.peer_coord.relay_refusal, "this mediator does not relay");
}

static void test_quota_of_sessions(void **state)
{
    struct stage *stage = *state;

    assert_true(dial(stage));
    assert_true(client_dial(&stage->a.client, &stage->b.client.identity.id, 2, NULL));
    assert_true(client_expect(&stage->a.client, PEER_COORD, &stage->msg));
    assert_int_equal(stage->msg.body.peer_coord.relay_tag.size, 0);
    assert_true(stage->msg.body.peer_coord.relay_refusal[0] != '\0');
    assert_true(client_expect(&stage->b.client, PEER_COORD, &stage->msg));
    /* Being called has cost the other one nothing. */
    assert_true(client_dial(&stage->b.client, &stage->a.client.identity.id, 3, NULL));
    assert_true(client_expect(&stage->b.client, PEER_COORD, &stage->msg));
    assert_int_equal(stage->msg.body.peer_coord.relay_tag.size, TAG);
    assert_true(client_expect(&stage->a.client, PEER_COORD, &stage->msg));
    /* The end of one makes room for another. */
    assert_true(client_dial_end(&stage->a.client, 1));
    assert_true(client_dial(&stage->a.client, &stage->b.client.identity.id, 4, NULL));
    assert_true(client_expect(&stage->a.client, PEER_COORD, &stage->msg));
    assert_int_equal(stage->msg.body.peer_coord.relay_tag.size, TAG);
}

static void test_so_many_dials_of_a_session(void **state)
{
    struct stage *stage = *state;
    struct client other;

    for (uint8_t i = 1; i <= 2; i++) {
        assert_true(client_dial(&stage->a.client, &stage->b.client.identity.id, i, NULL));
        assert_true(client_expect(&stage->a.client, PEER_COORD, &stage->msg));
        assert_true(client_expect(&stage->b.client, PEER_COORD, &stage->msg));
    }
    assert_true(client_dial(&stage->a.client, &stage->b.client.identity.id, 3, NULL));
    assert_true(client_expect_error(&stage->a.client, wire_ErrorCode_ERROR_TOO_MANY, &stage->msg));
    /* One network cannot keep others out: its older dial makes room for that of another. */
    assert_true(client_open(&other, &stage->mediator.control[0], 5));
    assert_true(client_register(&other, ANYONE, NULL, NULL));
    assert_true(client_dial(&other, &stage->b.client.identity.id, 4, NULL));
    assert_true(client_expect(&other, PEER_COORD, &stage->msg));
    assert_true(client_expect(&stage->b.client, PEER_COORD, &stage->msg));
    assert_true(client_note(&stage->b.client, 1, 0));
    assert_true(client_expect_error(&stage->b.client, NO_SUCH_DIAL, &stage->msg));
    /* Where each has one, nobody has too many; and who finds no room learns nothing of it. */
    assert_true(client_dial(&stage->a.client, &stage->b.client.identity.id, 5, NULL));
    assert_true(
        client_expect_error(&stage->a.client, wire_ErrorCode_ERROR_NO_SUCH_PEER, &stage->msg));
    assert_true(client_dial_end(&stage->b.client, 4));
    assert_true(client_dial(&stage->a.client, &stage->b.client.identity.id, 6, NULL));
    assert_true(client_expect(&stage->a.client, PEER_COORD, &stage->msg));
    client_free(&other);
}

/* Where anyone may call, one network must not take all the calls that reach a peer. */
static void test_calls_of_one_network_are_not_all(void **state)
{
    struct stage *stage = *state;
    struct client other;

    for (uint8_t i = 1; i <= 6; i++)
        assert_true(client_dial(&stage->a.client, &stage->b.client.identity.id, i, NULL));
    for (uint8_t i = 1; i <= 2; i++) {
        assert_true(client_expect(&stage->b.client, PEER_COORD, &stage->msg));
        assert_true(client_expect(&stage->a.client, PEER_COORD, &stage->msg));
    }
    assert_true(client_open(&other, &stage->mediator.control[0], 5));
    assert_true(client_register(&other, ANYONE, NULL, NULL));
    assert_true(client_dial(&other, &stage->b.client.identity.id, 7, NULL));
    assert_true(client_expect(&other, PEER_COORD, &stage->msg));
    client_free(&other);
    for (uint8_t i = 3; i <= 6; i++)
        assert_true(
            client_expect_error(&stage->a.client, wire_ErrorCode_ERROR_NO_SUCH_PEER, &stage->msg));
}

/* What is given up before it is answered is over, and what it takes is free again. */
static void test_a_dial_can_be_given_up_early(void **state)
{
    struct stage *stage = *state;
    wire_ToMediator msg = {.which_body = wire_ToMediator_registration_tag};
    struct identity nobody;

    assert_int_equal(identity_generate(&nobody), IDENTITY_OK);
    msg.body.registration.visibility = wire_Visibility_VISIBLE_IF_ACCEPTED;
    assert_true(client_send(&stage->b.client, &msg));
    assert_true(client_expect(&stage->b.client, wire_FromMediator_registered_tag, &stage->msg));
    for (uint8_t i = 1; i <= 6; i++) { /* of two at one time; the same for who does not exist */
        const struct identity_id *whom = i % 2 ? &stage->b.client.identity.id : &nobody.id;
        assert_true(client_dial(&stage->a.client, whom, i, NULL));
        assert_true(client_dial_end(&stage->a.client, i));
        if (i % 2 == 0)
            continue;
        assert_true(client_expect(&stage->b.client, PEER_COORD, &stage->msg));
        assert_true(client_accept(&stage->b.client, i));
        assert_true(client_expect_error(&stage->b.client, NO_SUCH_DIAL, &stage->msg));
    }
    for (uint8_t i = 1; i <= 6; i++)
        assert_true(
            client_expect_error(&stage->a.client, wire_ErrorCode_ERROR_NO_SUCH_PEER, &stage->msg));
}

static void test_quota_of_bytes(void **state)
{
    struct stage *stage = *state;
    uint8_t bytes[2 * MAX_BYTES];
    size_t heard = 0;

    assert_true(attest(stage, &stage->a, 0));
    assert_true(attest(stage, &stage->b, 0));
    assert_true(dial(stage));
    uint64_t began_ms = client_now_ms();
    for (size_t i = 0; i < 1000; i++) {
        say(stage, &stage->a, 0, 1, 1000);
        if (i % 20 == 0)
            assert_true(attest(stage, &stage->a, 0));
        while (client_recv(stage->b.udp, bytes, sizeof bytes, 0) > 0)
            heard++;
    }
    while (client_recv(stage->b.udp, bytes, sizeof bytes, NEVER_MS) > 0)
        heard++;
    size_t most = ((256u << 10) + 100 * (client_now_ms() - began_ms)) / 1008 + 1;
    assert_in_range(heard, 200, most);
}

static void test_dial_end_stops_it(void **state)
{
    struct stage *stage = *state;

    assert_true(attest(stage, &stage->a, 0));
    assert_true(attest(stage, &stage->b, 0));
    assert_true(dial(stage));
    say(stage, &stage->a, 0, 1, 10);
    hear(&stage->b, 1, 10);
    assert_true(client_dial_end(&stage->b.client, 1));
    assert_true(client_note(&stage->b.client, 1, 1));
    assert_true(client_expect_error(&stage->b.client, NO_SUCH_DIAL, &stage->msg));
    say(stage, &stage->a, 0, 1, 10);
    hear_nothing(&stage->b);
    hear_nothing(&stage->a);
}

static void test_on_every_address_and_several_ports(void **state)
{
    struct stage *stage = *state;
    struct client other;

    if (!has_ipv6())
        skip();
    assert_int_equal(stage->mediator.control_count, 4);
    assert_true(client_open(&other, &stage->mediator.control[0], 127));
    client_free(&other);
    assert_true(client_open(&other, &stage->mediator.control[2], CLIENT_IPV6));
    client_free(&other);
    assert_true(attest(stage, &stage->a, 3));
    /* At an address that only the kernel knows of: answers come from where the question went. */
    stage->mediator.bounce[1] = stun_addr_v4(127, 0, 0, 9, stage->mediator.bounce[1].port);
    assert_true(attest(stage, &stage->b, 1));
    assert_true(dial(stage));
    assert_true(client_connect_udp(stage->b.udp, &stage->mediator.bounce[1]));
    for (uint8_t i = 0; i < 3; i++) {
        say(stage, &stage->a, 3, i, 100);
        hear(&stage->b, i, 100);
        say(stage, &stage->b, 1, i, 100);
        hear(&stage->a, i, 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELAY_TEST(test_udp_both_ways, set_up),
        RELAY_TEST(test_strangers_get_the_hint_alone, set_up),
        RELAY_TEST(test_a_new_address_is_one_keepalive_away, set_up),
        RELAY_TEST(test_no_relay_if_the_caller_wants_none, set_up),
        RELAY_TEST(test_a_mediator_without_relay_says_so, set_up_without_relay),
        RELAY_TEST(test_quota_of_sessions, set_up_few),
        RELAY_TEST(test_so_many_dials_of_a_session, set_up_two_dials),
        RELAY_TEST(test_calls_of_one_network_are_not_all, set_up_two_calls),
        RELAY_TEST(test_a_dial_can_be_given_up_early, set_up_two_dials),
        RELAY_TEST(test_quota_of_bytes, set_up_slow),
        RELAY_TEST(test_dial_end_stops_it, set_up),
        RELAY_TEST(test_on_every_address_and_several_ports, set_up_everywhere),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
