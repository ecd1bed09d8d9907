/* SPDX-License-Identifier: BSD-2-Clause */
/* Black box: peers meeting at the real eyeletd over loopback. EYELETD names the program. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mediator_client.h"
#include "stun/stun.h"

#define ANYONE   wire_Visibility_VISIBLE_TO_ANYONE
#define NOBODY   wire_Visibility_VISIBLE_TO_NOBODY
#define LISTED   wire_Visibility_VISIBLE_TO_LISTED
#define ACCEPTED wire_Visibility_VISIBLE_IF_ACCEPTED

#define NO_SUCH_PEER wire_ErrorCode_ERROR_NO_SUCH_PEER
#define NO_SUCH_DIAL wire_ErrorCode_ERROR_NO_SUCH_DIAL

#define PEER_COORD wire_FromMediator_peer_coord_tag
#define DIAL_NOTE  wire_FromMediator_dial_note_tag

/* A daemon, a caller from 127.0.0.3 and a callee from 127.0.0.4. */
struct stage {
    struct mediator mediator;
    struct client caller, callee;
    wire_FromMediator msg;
};

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);

    *state = stage;
    return !(stage != NULL && mediator_create(&stage->mediator, getenv("EYELETD"), "") &&
             client_open(&stage->caller, &stage->mediator.control[0], 3) &&
             client_open(&stage->callee, &stage->mediator.control[1], 4) &&
             client_register(&stage->caller, NOBODY, NULL, NULL));
}

/* Here, so that no test passes with a daemon that had crashed or leaked. */
static int tear_down(void **state)
{
    struct stage *stage = *state;

    client_free(&stage->caller);
    client_free(&stage->callee);
    int status = mediator_stop(&stage->mediator);
    mediator_destroy(&stage->mediator);
    free(stage);
    return status;
}

static struct stun_addr candidate(const wire_FromMediator *msg, size_t i)
{
    return wire_to_addr(&msg->body.peer_coord.coordinates.candidates[i].address);
}

static void test_registered_names_the_four_bounce_endpoints(void **state)
{
    struct stage *stage = *state;
    const wire_Registered *registered = &stage->caller.registered;

    assert_int_equal(registered->bounce_count, 4);
    for (size_t i = 0; i < 4; i++) {
        struct stun_addr addr = wire_to_addr(&registered->bounce[i]);
        assert_true(stun_addr_equal(&addr, &stage->mediator.bounce[i]));
    }
    struct stun_addr seen = wire_to_addr(&registered->seen);
    struct stun_addr from = stun_addr_v4(127, 0, 0, 3, 0);
    assert_true(stun_addr_same_ip(&seen, &from));
    assert_int_not_equal(seen.port, 0);
}

static void test_registering_again_keeps_the_session(void **state)
{
    struct stage *stage = *state;
    uint64_t session_id = stage->caller.session_id;

    assert_true(client_register(&stage->caller, ANYONE, NULL, NULL));
    assert_true(stage->caller.session_id == session_id);
}

static void test_both_get_peer_coord(void **state)
{
    struct stage *stage = *state;
    const wire_PeerCoord *coord = &stage->msg.body.peer_coord;

    assert_true(client_register(&stage->callee, ANYONE, "192.0.2.4:44", NULL));
    assert_true(client_dial(&stage->caller, &stage->callee.identity.id, 1, "192.0.2.3:33"));
    assert_true(client_expect(&stage->callee, PEER_COORD, &stage->msg));
    assert_memory_equal(coord->peer_id.bytes, stage->caller.identity.id.bytes, IDENTITY_ID_BYTES);
    assert_int_equal(coord->sealed.size, WIRE_MAX_SEALED_BYTES);
    assert_int_equal(coord->sealed.bytes[WIRE_MAX_SEALED_BYTES - 1], 1);
    assert_int_equal(coord->coordinates.candidates_count, 1);
    assert_int_equal(candidate(&stage->msg, 0).port, 33);
    assert_true(coord->opener_due_us >= 1000);
    assert_true(client_expect(&stage->caller, PEER_COORD, &stage->msg));
    assert_memory_equal(coord->peer_id.bytes, stage->callee.identity.id.bytes, IDENTITY_ID_BYTES);
    assert_int_equal(coord->sealed.size, 0);
    assert_int_equal(coord->opener_due_us, 0);
    assert_int_equal(candidate(&stage->msg, 0).port, 44);
    assert_false(coord->coordinates.candidates[0].attested);
    assert_true(coord->path_rtt_us > 0);
}

/* Asks and returns how long the refusal took; its frame is left in stage->msg. */
static uint64_t refused_after_ms(struct stage *stage, const struct identity_id *whom, uint8_t dial)
{
    uint64_t asked_ms = client_now_ms();

    assert_true(client_dial(&stage->caller, whom, dial, NULL));
    assert_true(client_expect_error(&stage->caller, NO_SUCH_PEER, &stage->msg));
    assert_string_equal(stage->msg.body.error.text, "no such peer");
    assert_int_equal(stage->msg.body.error.dial_id.size, WIRE_DIAL_ID_BYTES);
    assert_int_equal(stage->msg.body.error.dial_id.bytes[0], dial);
    return client_now_ms() - asked_ms;
}

static void assert_a_second(uint64_t ms)
{
    assert_in_range(ms, 999, 1500);
}

static void test_every_refusal_is_the_same(void **state)
{
    struct stage *stage = *state;
    struct identity stranger;

    assert_int_equal(identity_generate(&stranger), IDENTITY_OK);
    assert_a_second(refused_after_ms(stage, &stranger.id, 1));
    assert_a_second(refused_after_ms(stage, &stage->caller.identity.id, 2));
    assert_true(client_register(&stage->callee, NOBODY, NULL, NULL));
    assert_a_second(refused_after_ms(stage, &stage->callee.identity.id, 3));
    assert_true(client_register(&stage->callee, LISTED, NULL, &stranger.id));
    assert_a_second(refused_after_ms(stage, &stage->callee.identity.id, 4));
    assert_int_equal(client_receive(&stage->callee, &stage->msg, 50), 0);
    assert_true(client_register(&stage->callee, ACCEPTED, NULL, NULL));
    assert_a_second(refused_after_ms(stage, &stage->callee.identity.id, 5));
    /* A note for a dial that was refused, for whatever reason, says no more. */
    for (uint8_t dial = 1; dial <= 6; dial++) {
        assert_true(client_note(&stage->caller, dial, 1));
        assert_true(client_expect_error(&stage->caller, NO_SUCH_DIAL, &stage->msg));
    }
}

static void test_listed_callers_are_let_through(void **state)
{
    struct stage *stage = *state;

    assert_true(client_register(&stage->callee, LISTED, NULL, &stage->caller.identity.id));
    assert_true(client_dial(&stage->caller, &stage->callee.identity.id, 1, NULL));
    assert_true(client_expect(&stage->caller, PEER_COORD, &stage->msg));
    assert_true(client_expect(&stage->callee, PEER_COORD, &stage->msg));
}

static void test_acceptance_opens_the_dial(void **state)
{
    struct stage *stage = *state;

    assert_true(client_register(&stage->callee, ACCEPTED, "192.0.2.4:44", NULL));
    assert_true(client_dial(&stage->caller, &stage->callee.identity.id, 1, NULL));
    assert_true(client_expect(&stage->callee, PEER_COORD, &stage->msg));
    assert_int_equal(client_receive(&stage->caller, &stage->msg, 50), 0);
    /* No note reaches the caller before its PEER_COORD. */
    assert_true(client_note(&stage->callee, 1, 1));
    assert_true(client_expect_error(&stage->callee, NO_SUCH_DIAL, &stage->msg));
    assert_true(client_accept(&stage->callee, 1));
    assert_true(client_note(&stage->callee, 1, 2));
    assert_true(client_expect(&stage->caller, PEER_COORD, &stage->msg));
    assert_int_equal(candidate(&stage->msg, 0).port, 44);
    assert_true(client_expect(&stage->caller, DIAL_NOTE, &stage->msg));
    /* And the refusal that was waiting does not come any more. */
    assert_int_equal(client_receive(&stage->caller, &stage->msg, 1200), 0);
}

static void test_acceptance_can_come_too_late(void **state)
{
    struct stage *stage = *state;

    assert_true(client_register(&stage->callee, ACCEPTED, NULL, NULL));
    assert_a_second(refused_after_ms(stage, &stage->callee.identity.id, 1));
    assert_true(client_expect(&stage->callee, PEER_COORD, &stage->msg));
    assert_true(client_accept(&stage->callee, 1));
    assert_true(client_expect_error(&stage->callee, NO_SUCH_DIAL, &stage->msg));
    assert_true(client_accept(&stage->callee, 9));
    assert_true(client_expect_error(&stage->callee, NO_SUCH_DIAL, &stage->msg));
}

/* The answer's size; silence is waited for a tenth of a second. */
static size_t ask_keepalive(struct stage *stage, int fd, size_t bounce, uint64_t sequence,
                            const struct client_nonce *nonce, uint8_t answer[static 256])
{
    uint8_t keepalive[160];
    size_t size = client_keepalive(&stage->callee, sequence, nonce, keepalive, sizeof keepalive);
    size_t got = client_ask(fd, &stage->mediator.bounce[bounce], keepalive, size, answer, 256, 100);

    assert_true(got <= size);
    return got;
}

/* What a caller is shown of the callee, in stage->msg. */
static const wire_Coordinates *shown_to_caller(struct stage *stage, uint8_t dial)
{
    assert_true(client_dial(&stage->caller, &stage->callee.identity.id, dial, NULL));
    assert_true(client_expect(&stage->caller, PEER_COORD, &stage->msg));
    return &stage->msg.body.peer_coord.coordinates;
}

static void test_keepalives_attest_and_replays_do_not(void **state)
{
    struct stage *stage = *state;
    uint8_t answer[256];
    int owner = client_udp(5), thief = client_udp(6);
    struct stun_addr mapped = client_local(owner);
    struct client_nonce nonce;
    struct stun_message reply;

    assert_true(client_register(&stage->callee, ANYONE, "192.0.2.4:44", NULL));
    size_t got = ask_keepalive(stage, owner, 0, 7, NULL, answer);
    assert_int_equal(stun_parse(answer, got, &reply), STUN_OK);
    assert_true(stun_addr_equal(&reply.mapped, &mapped));
    assert_true(
        stun_integrity_sha256_ok(&reply, stage->callee.session_key, WIRE_SESSION_KEY_BYTES));
    assert_true(client_challenged(answer, got, &nonce));
    got = ask_keepalive(stage, owner, 0, 8, &nonce, answer);
    assert_true(got > 0 && !client_challenged(answer, got, &nonce));
    assert_int_equal(ask_keepalive(stage, thief, 3, 8, &nonce, answer), 0);
    assert_int_equal(ask_keepalive(stage, thief, 0, 6, &nonce, answer), 0);
    close(owner);
    close(thief);
    const wire_Coordinates *shown = shown_to_caller(stage, 1);
    struct stun_addr first = candidate(&stage->msg, 0);
    assert_int_equal(shown->candidates_count, 2);
    assert_true(shown->candidates[0].attested);
    assert_true(stun_addr_equal(&first, &mapped));
    assert_false(shown->candidates[1].attested);
}

/* With what comes by TLS it needs no challenge. */
static void test_the_address_of_the_session_is_attested_at_once(void **state)
{
    struct stage *stage = *state;
    int udp = client_udp(4), elsewhere = client_udp(5);
    struct client_nonce nonce;
    uint8_t answer[256];

    assert_true(client_register(&stage->callee, ANYONE, NULL, NULL));
    nonce.size = stage->callee.registered.nonce.size;
    memcpy(nonce.bytes, stage->callee.registered.nonce.bytes, nonce.size);
    size_t got = ask_keepalive(stage, udp, 0, 1, &nonce, answer);
    assert_true(got > 0 && !client_challenged(answer, got, &nonce));
    assert_int_equal(shown_to_caller(stage, 1)->candidates_count, 1);
    got = ask_keepalive(stage, elsewhere, 0, 2, &nonce, answer);
    assert_true(client_challenged(answer, got, &nonce));
    close(udp);
    close(elsewhere);
}

/* As it would be with a forged source: the key's holder sends from an address at which it does not
 * receive, with what it has received elsewhere. */
static void test_nobody_is_attested_where_it_does_not_receive(void **state)
{
    struct stage *stage = *state;
    uint8_t answer[256];
    int own = client_udp(5), third_party = client_udp(6);
    struct client_nonce nonce, unread;

    assert_true(client_register(&stage->callee, ANYONE, NULL, NULL));
    assert_true(client_challenged(answer, ask_keepalive(stage, own, 0, 1, NULL, answer), &nonce));
    for (uint64_t sequence = 2; sequence < 6; sequence++) {
        size_t got = ask_keepalive(stage, third_party, sequence % 4, sequence,
                                   sequence % 2 == 0 ? &nonce : NULL, answer);
        assert_true(client_challenged(answer, got, &unread));
        assert_memory_not_equal(unread.bytes, nonce.bytes, nonce.size);
    }
    assert_int_equal(shown_to_caller(stage, 1)->candidates_count, 0);
    /* Nor does it help to have heard the challenge to another session. */
    struct client other;
    assert_true(client_open(&other, &stage->mediator.control[0], 4));
    assert_true(client_register(&other, NOBODY, NULL, NULL));
    uint8_t keepalive[160];
    size_t size = client_keepalive(&other, 1, NULL, keepalive, sizeof keepalive);
    size_t got = client_ask(third_party, &stage->mediator.bounce[0], keepalive, size, answer,
                            sizeof answer, 1000);
    assert_true(client_challenged(answer, got, &nonce));
    assert_true(client_challenged(answer, ask_keepalive(stage, third_party, 0, 6, &nonce, answer),
                                  &unread));
    assert_int_equal(shown_to_caller(stage, 2)->candidates_count, 0);
    client_free(&other);
    close(own);
    close(third_party);
}

static void test_private_addresses_are_for_neighbours(void **state)
{
    struct stage *stage = *state;
    struct client neighbour;

    assert_true(client_register(&stage->callee, ANYONE, "192.168.4.4:44", NULL));
    assert_true(client_dial(&stage->caller, &stage->callee.identity.id, 1, "192.168.3.3:33"));
    assert_true(client_expect(&stage->caller, PEER_COORD, &stage->msg));
    assert_int_equal(stage->msg.body.peer_coord.coordinates.candidates_count, 0);
    assert_false(stage->msg.body.peer_coord.same_public_address);
    assert_true(client_expect(&stage->callee, PEER_COORD, &stage->msg));
    assert_int_equal(stage->msg.body.peer_coord.coordinates.candidates_count, 0);

    assert_true(client_open(&neighbour, &stage->mediator.control[0], 4));
    assert_true(client_register(&neighbour, NOBODY, NULL, NULL));
    assert_true(client_dial(&neighbour, &stage->callee.identity.id, 2, "192.168.4.5:55"));
    assert_true(client_expect(&neighbour, PEER_COORD, &stage->msg));
    assert_true(stage->msg.body.peer_coord.same_public_address);
    assert_int_equal(candidate(&stage->msg, 0).port, 44);
    assert_true(client_expect(&stage->callee, PEER_COORD, &stage->msg));
    assert_int_equal(candidate(&stage->msg, 0).port, 55);
    client_free(&neighbour);
}

static void test_notes_pass_both_ways_up_to_the_bound(void **state)
{
    struct stage *stage = *state;
    assert_true(client_register(&stage->callee, ANYONE, NULL, NULL));
    assert_true(client_dial(&stage->caller, &stage->callee.identity.id, 1, NULL));
    assert_true(client_note(&stage->caller, 1, 0));
    assert_true(client_expect(&stage->callee, PEER_COORD, &stage->msg));
    for (uint8_t i = 1; i < 64; i++)
        assert_true(client_note(&stage->caller, 1, i));
    for (uint8_t i = 0; i < 64; i++) {
        assert_true(client_expect(&stage->callee, DIAL_NOTE, &stage->msg));
        assert_int_equal(stage->msg.body.dial_note.sealed.bytes[0], i);
    }
    assert_true(client_expect(&stage->caller, PEER_COORD, &stage->msg));
    assert_true(client_note(&stage->caller, 1, 64));
    assert_true(client_expect_error(&stage->caller, wire_ErrorCode_ERROR_TOO_MANY, &stage->msg));
    assert_true(client_note(&stage->callee, 1, 99));
    assert_true(client_expect(&stage->caller, DIAL_NOTE, &stage->msg));
}

static void test_a_dial_lives_until_a_side_ends_it(void **state)
{
    static const wire_Outcome ends[] = {wire_Outcome_OUTCOME_FAILED, wire_Outcome_OUTCOME_REFUSED,
                                        wire_Outcome_OUTCOME_UNSPECIFIED};
    struct stage *stage = *state;

    assert_true(client_register(&stage->callee, ANYONE, NULL, NULL));
    for (uint8_t dial = 0; dial < 3; dial++) {
        assert_true(client_dial(&stage->caller, &stage->callee.identity.id, dial, NULL));
        assert_true(client_expect(&stage->callee, PEER_COORD, &stage->msg));
        assert_true(client_expect(&stage->caller, PEER_COORD, &stage->msg));
        assert_true(client_complete(&stage->callee, dial, wire_Outcome_OUTCOME_RELAYED));
        assert_true(client_complete(&stage->callee, dial, wire_Outcome_OUTCOME_DIRECT));
        assert_true(client_note(&stage->callee, dial, 100));
        assert_true(client_expect(&stage->caller, DIAL_NOTE, &stage->msg));
        assert_true(client_complete(&stage->caller, dial, wire_Outcome_OUTCOME_DIRECT));
        assert_true(client_note(&stage->caller, dial, 101));
        assert_true(client_expect(&stage->callee, DIAL_NOTE, &stage->msg));
        assert_true(ends[dial] == wire_Outcome_OUTCOME_UNSPECIFIED
                        ? client_dial_end(&stage->callee, dial)
                        : client_complete(&stage->callee, dial, ends[dial]));
        assert_true(client_note(&stage->callee, dial, 102));
        assert_true(client_expect_error(&stage->callee, NO_SUCH_DIAL, &stage->msg));
    }
}

static void test_a_dial_id_serves_once(void **state)
{
    struct stage *stage = *state;

    assert_true(client_register(&stage->callee, ANYONE, NULL, NULL));
    assert_true(client_dial(&stage->caller, &stage->callee.identity.id, 1, NULL));
    assert_true(client_expect(&stage->caller, PEER_COORD, &stage->msg));
    assert_true(client_dial(&stage->caller, &stage->callee.identity.id, 1, NULL));
    assert_true(client_expect_error(&stage->caller, wire_ErrorCode_ERROR_BAD_MESSAGE, &stage->msg));
}

static void test_strangers_cannot_write_into_a_dial(void **state)
{
    struct stage *stage = *state;
    struct client stranger;

    assert_true(client_register(&stage->callee, ANYONE, NULL, NULL));
    assert_true(client_dial(&stage->caller, &stage->callee.identity.id, 1, NULL));
    assert_true(client_expect(&stage->callee, PEER_COORD, &stage->msg));
    assert_true(client_open(&stranger, &stage->mediator.control[0], 5));
    assert_true(client_register(&stranger, NOBODY, NULL, NULL));
    assert_true(client_note(&stranger, 1, 1));
    assert_true(client_expect_error(&stranger, NO_SUCH_DIAL, &stage->msg));
    assert_int_equal(client_receive(&stage->callee, &stage->msg, 50), 0);
    client_free(&stranger);
}

static void test_the_newer_session_replaces_the_older(void **state)
{
    struct stage *stage = *state;
    struct client newer;

    assert_true(client_register(&stage->callee, ANYONE, "192.0.2.4:44", NULL));
    newer = stage->callee;
    assert_true(client_reopen(&newer, &stage->mediator.control[0], 4));
    assert_true(client_register(&newer, ANYONE, "192.0.2.4:45", NULL));
    assert_true(newer.session_id != stage->callee.session_id);
    assert_true(client_expect_error(&stage->callee, wire_ErrorCode_ERROR_REPLACED, &stage->msg));
    assert_true(client_dial(&stage->caller, &stage->callee.identity.id, 1, NULL));
    assert_true(client_expect(&stage->caller, PEER_COORD, &stage->msg));
    assert_int_equal(candidate(&stage->msg, 0).port, 45);
    client_close(&newer);
}

static void test_two_programs_with_one_key_do_not_fight_for_ever(void **state)
{
    struct stage *stage = *state;
    struct client fighters[8];
    size_t standing = 0;

    for (size_t i = 0; i < 8; i++) {
        fighters[i] = stage->callee;
        assert_true(client_reopen(&fighters[i], &stage->mediator.control[0], 4));
        standing += client_register(&fighters[i], ANYONE, NULL, NULL);
    }
    assert_int_equal(standing, 6); /* the first, and five that were allowed to replace it */
    assert_int_equal(client_receive(&fighters[5], &stage->msg, 50), 0);
    for (size_t i = 0; i < 8; i++)
        client_close(&fighters[i]);
}

static void test_ping_is_answered(void **state)
{
    struct stage *stage = *state;
    wire_ToMediator ping = {.which_body = wire_ToMediator_ping_tag, .body.ping.token = 0xabcdef};

    assert_true(client_send(&stage->caller, &ping));
    assert_true(client_expect(&stage->caller, wire_FromMediator_pong_tag, &stage->msg));
    assert_true(stage->msg.body.pong.token == 0xabcdef);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registered_names_the_four_bounce_endpoints),
        TEST(test_registering_again_keeps_the_session),
        TEST(test_both_get_peer_coord),
        TEST(test_every_refusal_is_the_same),
        TEST(test_listed_callers_are_let_through),
        TEST(test_acceptance_opens_the_dial),
        TEST(test_acceptance_can_come_too_late),
        TEST(test_keepalives_attest_and_replays_do_not),
        TEST(test_the_address_of_the_session_is_attested_at_once),
        TEST(test_nobody_is_attested_where_it_does_not_receive),
        TEST(test_private_addresses_are_for_neighbours),
        TEST(test_notes_pass_both_ways_up_to_the_bound),
        TEST(test_a_dial_lives_until_a_side_ends_it),
        TEST(test_a_dial_id_serves_once),
        TEST(test_strangers_cannot_write_into_a_dial),
        TEST(test_the_newer_session_replaces_the_older),
        TEST(test_two_programs_with_one_key_do_not_fight_for_ever),
        TEST(test_ping_is_answered),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
