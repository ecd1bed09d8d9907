/* SPDX-License-Identifier: BSD-2-Clause */
/* Black box: dials that go on at the real eyeletd after a session or the daemon was lost. */
#include "relay_stage.h"

static void take_tag(struct stage *stage, struct side *side)
{
    assert_true(client_expect(&side->client, RESUMED, &stage->msg));
    assert_true(stage->msg.body.resumed.both);
    assert_int_equal(stage->msg.body.resumed.dial_id.bytes[0], 1);
    assert_int_equal(stage->msg.body.resumed.relay_tag.size, TAG);
    memcpy(side->tag, stage->msg.body.resumed.relay_tag.bytes, TAG);
}

static void test_resume_after_a_lost_session(void **state)
{
    struct stage *stage = *state;
    struct side before;

    assert_true(attest(stage, &stage->a, 0));
    assert_true(attest(stage, &stage->b, 0));
    assert_true(dial(stage));
    before = stage->a;
    client_close(&stage->a.client);
    assert_true(client_reopen(&stage->a.client, &stage->mediator.control[0], 3));
    assert_true(client_register(&stage->a.client, ANYONE, "192.0.2.3:33", NULL));
    assert_true(attest(stage, &stage->a, 0));
    assert_true(client_resume(&stage->a.client, 1, &stage->b.client.identity.id));
    assert_true(client_expect(&stage->b.client, RESUMED, &stage->msg));
    assert_false(stage->msg.body.resumed.both);
    assert_memory_equal(stage->msg.body.resumed.peer_id.bytes, stage->a.client.identity.id.bytes,
                        IDENTITY_ID_BYTES);
    assert_int_equal(stage->msg.body.resumed.relay_tag.size, 0);
    assert_true(client_resume(&stage->b.client, 1, &stage->a.client.identity.id));
    take_tag(stage, &stage->b);
    assert_int_equal(stage->msg.body.resumed.coordinates.candidates_count, 2);
    assert_true(stage->msg.body.resumed.coordinates.candidates[0].attested);
    take_tag(stage, &stage->a);
    say(stage, &stage->a, 0, 1, 10);
    hear(&stage->b, 1, 10);
    say(stage, &before, 0, 1, 10); /* the old tag is worth nothing */
    hear_nothing(&stage->b);
    assert_true(client_note(&stage->a.client, 1, 5));
    assert_true(client_expect(&stage->b.client, wire_FromMediator_dial_note_tag, &stage->msg));
}

static void test_resume_after_a_restart(void **state)
{
    struct stage *stage = *state;

    assert_true(dial(stage));
    open_stream(stage, &stage->a, 3);
    client_close(&stage->b.client);
    assert_int_equal(mediator_stop(&stage->mediator), 0);
    assert_true(client_expect_end(&stage->a.stream, SOON_MS));
    client_close(&stage->a.client);
    assert_true(mediator_start(&stage->mediator, getenv("EYELETD")));
    assert_true(client_reopen(&stage->a.client, &stage->mediator.control[0], 3));
    assert_true(client_register(&stage->a.client, ANYONE, NULL, NULL));
    /* Before the other one is back there is no answer. */
    assert_true(client_resume(&stage->a.client, 1, &stage->b.client.identity.id));
    assert_int_equal(client_receive(&stage->a.client, &stage->msg, NEVER_MS), 0);
    assert_true(client_reopen(&stage->b.client, &stage->mediator.control[0], 4));
    assert_true(client_register(&stage->b.client, ANYONE, NULL, NULL));
    assert_true(client_resume(&stage->b.client, 1, &stage->a.client.identity.id));
    take_tag(stage, &stage->a);
    take_tag(stage, &stage->b);
    assert_true(attest(stage, &stage->a, 0));
    assert_true(attest(stage, &stage->b, 0));
    say(stage, &stage->a, 0, 1, 10);
    hear(&stage->b, 1, 10);
}

static void test_resume_of_a_dial_that_lives_on(void **state)
{
    struct stage *stage = *state;
    struct side a, b;

    assert_true(dial(stage));
    a = stage->a;
    b = stage->b;
    assert_true(client_resume(&stage->a.client, 1, &stage->b.client.identity.id));
    take_tag(stage, &stage->a);
    assert_int_equal(stage->msg.body.resumed.opener_due_us, 0);
    take_tag(stage, &stage->b);
    assert_true(stage->msg.body.resumed.opener_due_us > 0);
    assert_memory_equal(a.tag, stage->a.tag, TAG);
    assert_memory_equal(b.tag, stage->b.tag, TAG);
}

static void test_strangers_resume_nothing(void **state)
{
    struct stage *stage = *state;
    struct client stranger;
    struct identity nobody;

    assert_true(client_open(&stranger, &stage->mediator.control[0], 5));
    assert_true(client_register(&stranger, ANYONE, NULL, NULL));
    assert_true(dial(stage));
    assert_int_equal(identity_generate(&nobody), IDENTITY_OK);
    /* A dial of others, a peer that does not exist, and one that has no such dial. */
    assert_true(client_resume(&stranger, 1, &stage->b.client.identity.id));
    assert_true(client_resume(&stranger, 7, &nobody.id));
    assert_true(client_resume(&stranger, 8, &stranger.identity.id));
    assert_true(client_resume(&stranger, 9, &stage->b.client.identity.id));
    assert_true(client_expect(&stage->b.client, RESUMED, &stage->msg));
    assert_int_equal(stage->msg.body.resumed.dial_id.bytes[0], 9);
    assert_false(stage->msg.body.resumed.both);
    assert_int_equal(client_receive(&stranger, &stage->msg, NEVER_MS), 0);
    assert_int_equal(client_receive(&stage->b.client, &stage->msg, NEVER_MS), 0);
    assert_int_equal(client_receive(&stage->a.client, &stage->msg, NEVER_MS), 0);
    client_free(&stranger);
}

static int set_up_few_wakes(void **state)
{
    return set_up_with(state, "call-rate = 1\nlive-dials = 3\n");
}

/* Strangers may ask for dials that there are not, until nothing more of theirs is passed on. */
static void test_strangers_do_not_delay_members(void **state)
{
    struct stage *stage = *state;
    struct client stranger;

    assert_true(dial(stage));
    assert_true(client_open(&stranger, &stage->mediator.control[0], 5));
    assert_true(client_register(&stranger, ANYONE, NULL, NULL));
    for (uint8_t i = 100; i < 103; i++) {
        assert_true(client_resume(&stranger, i, &stage->b.client.identity.id));
        assert_true(client_expect(&stage->b.client, RESUMED, &stage->msg));
        assert_int_equal(stage->msg.body.resumed.dial_id.bytes[0], i);
        assert_true(client_dial_end(&stranger, i));
    }
    /* For a dial that lives, and after a session was lost. */
    assert_true(client_resume(&stage->a.client, 1, &stage->b.client.identity.id));
    take_tag(stage, &stage->a);
    take_tag(stage, &stage->b);
    client_close(&stage->a.client);
    assert_true(client_reopen(&stage->a.client, &stage->mediator.control[0], 3));
    assert_true(client_register(&stage->a.client, ANYONE, NULL, NULL));
    for (int again = 0; again < 2; again++) {
        assert_true(client_resume(&stage->a.client, 1, &stage->b.client.identity.id));
        assert_true(client_expect(&stage->b.client, RESUMED, &stage->msg));
        assert_int_equal(stage->msg.body.resumed.dial_id.bytes[0], 1);
    }
    client_free(&stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELAY_TEST(test_resume_after_a_lost_session, set_up),
        RELAY_TEST(test_resume_after_a_restart, set_up),
        RELAY_TEST(test_resume_of_a_dial_that_lives_on, set_up),
        RELAY_TEST(test_strangers_resume_nothing, set_up),
        RELAY_TEST(test_strangers_do_not_delay_members, set_up_few_wakes),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
