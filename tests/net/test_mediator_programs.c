/* SPDX-License-Identifier: BSD-2-Clause */
/* Black box: several programs with one key at the real eyeletd over loopback: one listens, others
 * dial. EYELETD names the program. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mediator_client.h"

#define ANYONE     wire_Visibility_VISIBLE_TO_ANYONE
#define NOBODY     wire_Visibility_VISIBLE_TO_NOBODY
#define PEER_COORD wire_FromMediator_peer_coord_tag
#define RESUMED    wire_FromMediator_resumed_tag
#define REPLACED   wire_ErrorCode_ERROR_REPLACED
#define SOON_MS    1000
#define NEVER_MS   60
#define MANY       70

/* Three programs with the key of `one`, from 127.0.0.3, and a peer from 127.0.0.4. */
struct stage {
    struct mediator mediator;
    struct client one, two, three, peer;
    wire_FromMediator msg;
};

/* Another program with the key of `first`. */
static bool open_beside(struct stage *stage, const struct client *first, uint8_t instance,
                        struct client *out)
{
    *out = (struct client){
        .identity = first->identity, .credentials = first->credentials, .instance = instance};
    return client_reopen(out, &stage->mediator.control[0], 3);
}

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);

    *state = stage;
    if (stage == NULL || !mediator_create(&stage->mediator, getenv("EYELETD"), "") ||
        !client_open(&stage->one, &stage->mediator.control[0], 3) ||
        !client_open(&stage->peer, &stage->mediator.control[1], 4))
        return 1;
    stage->one.instance = 1;
    return !(open_beside(stage, &stage->one, 2, &stage->two) &&
             open_beside(stage, &stage->one, 3, &stage->three) &&
             client_register(&stage->one, ANYONE, "192.0.2.3:11", NULL) &&
             client_register(&stage->two, NOBODY, "192.0.2.3:22", NULL) &&
             client_register(&stage->three, NOBODY, "192.0.2.3:33", NULL) &&
             client_register(&stage->peer, ANYONE, NULL, NULL));
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    client_close(&stage->two);
    client_close(&stage->three);
    client_free(&stage->one);
    client_free(&stage->peer);
    int status = mediator_stop(&stage->mediator);
    mediator_destroy(&stage->mediator);
    free(stage);
    return status;
}

static uint16_t port_of_caller(const struct stage *stage)
{
    return wire_to_addr(&stage->msg.body.peer_coord.coordinates.candidates[0].address).port;
}

static bool is_called(struct stage *stage, struct client *who, uint8_t dial)
{
    return client_dial(&stage->peer, &stage->one.identity.id, dial, NULL) &&
           client_expect(who, PEER_COORD, &stage->msg) &&
           client_expect(&stage->peer, PEER_COORD, &stage->msg);
}

static void test_the_one_that_listens_is_called_and_all_dial(void **state)
{
    struct stage *stage = *state;
    struct client *programs[] = {&stage->one, &stage->two, &stage->three};

    assert_true(is_called(stage, &stage->one, 1));
    for (uint8_t i = 0; i < 3; i++) {
        assert_true(client_dial(programs[i], &stage->peer.identity.id, 10 + i, "192.0.2.9:99"));
        assert_true(client_expect(&stage->peer, PEER_COORD, &stage->msg));
        assert_int_equal(port_of_caller(stage), 99);
        assert_true(client_expect(programs[i], PEER_COORD, &stage->msg));
    }
    /* Each has its own dials. */
    assert_true(client_note(&stage->peer, 11, 7));
    assert_true(client_expect(&stage->two, wire_FromMediator_dial_note_tag, &stage->msg));
    assert_int_equal(client_receive(&stage->one, &stage->msg, NEVER_MS), 0);
    assert_int_equal(client_receive(&stage->three, &stage->msg, NEVER_MS), 0);
}

static void test_nobody_dials_its_own_id(void **state)
{
    struct stage *stage = *state;

    assert_true(client_dial(&stage->two, &stage->one.identity.id, 1, NULL));
    assert_true(client_expect_error(&stage->two, wire_ErrorCode_ERROR_NO_SUCH_PEER, &stage->msg));
}

static void test_a_program_that_comes_back_takes_its_own_place(void **state)
{
    struct stage *stage = *state;
    struct client again;

    for (size_t i = 0; i < 10; i++) { /* as often as its network breaks */
        assert_true(open_beside(stage, &stage->one, 2, &again));
        assert_true(client_register(&again, NOBODY, NULL, NULL));
        assert_true(client_expect_error(&stage->two, REPLACED, &stage->msg));
        client_close(&stage->two);
        stage->two = again;
    }
    assert_true(is_called(stage, &stage->one, 1));
    assert_int_equal(client_receive(&stage->three, &stage->msg, NEVER_MS), 0);
}

static void test_the_newest_that_listens_is_called(void **state)
{
    struct stage *stage = *state;

    assert_true(client_register(&stage->two, ANYONE, NULL, NULL)); /* now it listens, too */
    assert_true(client_expect_error(&stage->one, REPLACED, &stage->msg));
    assert_non_null(strstr(stage->msg.body.error.text, "another program"));
    assert_true(is_called(stage, &stage->two, 1));
    assert_int_equal(client_receive(&stage->three, &stage->msg, NEVER_MS), 0);
    assert_true(client_register(&stage->two, NOBODY, NULL, NULL)); /* no more */
    assert_true(client_dial(&stage->peer, &stage->one.identity.id, 2, NULL));
    assert_true(client_expect_error(&stage->peer, wire_ErrorCode_ERROR_NO_SUCH_PEER, &stage->msg));
}

static void test_who_was_replaced_waits_for_its_place(void **state)
{
    struct stage *stage = *state;
    struct client older;

    assert_true(client_register(&stage->two, ANYONE, NULL, NULL));
    assert_true(client_expect_error(&stage->one, REPLACED, &stage->msg));
    assert_true(open_beside(stage, &stage->one, 1, &older));
    older.yields = true;
    assert_false(client_register(&older, ANYONE, NULL, NULL));
    assert_true(is_called(stage, &stage->two, 1));
    client_close(&older);
    client_close(&stage->two);
    assert_true(open_beside(stage, &stage->one, 1, &older));
    older.yields = true;
    assert_true(client_register(&older, ANYONE, NULL, NULL));
    assert_true(is_called(stage, &older, 2));
    client_close(&older);
}

static void test_programs_with_one_key_are_bounded(void **state)
{
    struct stage *stage = *state;
    struct client *many = calloc(MANY, sizeof *many);
    size_t registered = 3, refused = 0;

    for (size_t i = 0; i < MANY; i++) {
        assert_true(open_beside(stage, &stage->one, (uint8_t)(10 + i), &many[i]));
        if (client_register(&many[i], NOBODY, NULL, NULL))
            registered++;
        else
            refused++;
    }
    assert_int_equal(registered, 64);
    assert_int_equal(refused, MANY + 3 - 64);
    assert_true(is_called(stage, &stage->one, 1));
    for (size_t i = 0; i < MANY; i++)
        client_close(&many[i]);
    free(many);
}

/* Each program that may be the other member is asked; the one that answers goes on. */
static void test_a_dial_is_resumed_by_the_program_that_has_it(void **state)
{
    struct stage *stage = *state;

    assert_true(client_dial(&stage->two, &stage->peer.identity.id, 1, NULL));
    assert_true(client_expect(&stage->peer, PEER_COORD, &stage->msg));
    assert_true(client_expect(&stage->two, PEER_COORD, &stage->msg));
    client_close(&stage->peer);
    assert_true(client_reopen(&stage->peer, &stage->mediator.control[1], 4));
    assert_true(client_register(&stage->peer, ANYONE, NULL, NULL));
    assert_true(client_resume(&stage->peer, 1, &stage->one.identity.id));
    for (size_t i = 0; i < 3; i++) {
        struct client *programs[] = {&stage->one, &stage->two, &stage->three};
        assert_true(client_expect(programs[i], RESUMED, &stage->msg));
        assert_false(stage->msg.body.resumed.both);
    }
    assert_true(client_resume(&stage->two, 1, &stage->peer.identity.id));
    assert_true(client_expect(&stage->two, RESUMED, &stage->msg));
    assert_true(stage->msg.body.resumed.both);
    assert_true(client_expect(&stage->peer, RESUMED, &stage->msg));
    assert_true(stage->msg.body.resumed.both);
    /* Of one that lives only its members are told. */
    assert_true(client_resume(&stage->peer, 1, &stage->one.identity.id));
    assert_true(client_expect(&stage->two, RESUMED, &stage->msg));
    assert_true(stage->msg.body.resumed.both);
    assert_int_equal(client_receive(&stage->one, &stage->msg, NEVER_MS), 0);
    assert_int_equal(client_receive(&stage->three, &stage->msg, NEVER_MS), 0);
}

static void test_each_has_its_own_connection_for_datagrams(void **state)
{
    struct stage *stage = *state;
    struct client first, second, thief;

    assert_true(client_open_relay(&stage->one, &stage->mediator.control[0], 3, &first));
    assert_true(client_open_relay(&stage->two, &stage->mediator.control[0], 3, &second));
    assert_false(client_expect_end(&first, NEVER_MS));
    assert_false(client_expect_end(&second, NEVER_MS));
    client_close(&stage->two);
    assert_true(client_expect_end(&second, SOON_MS)); /* its session has ended */
    assert_false(client_expect_end(&first, NEVER_MS));
    /* The number of a session is of no use to another key. */
    stage->peer.session_id = stage->one.session_id;
    assert_true(client_open_relay(&stage->peer, &stage->mediator.control[0], 4, &thief));
    assert_true(client_expect_end(&thief, SOON_MS));
    assert_false(client_expect_end(&first, NEVER_MS));
    client_close(&first);
    client_close(&second);
    client_close(&thief);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_one_that_listens_is_called_and_all_dial),
        TEST(test_nobody_dials_its_own_id),
        TEST(test_a_program_that_comes_back_takes_its_own_place),
        TEST(test_the_newest_that_listens_is_called),
        TEST(test_who_was_replaced_waits_for_its_place),
        TEST(test_programs_with_one_key_are_bounded),
        TEST(test_a_dial_is_resumed_by_the_program_that_has_it),
        TEST(test_each_has_its_own_connection_for_datagrams),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
