/* SPDX-License-Identifier: BSD-2-Clause */
/* Black box: datagrams through the relay of the real eyeletd by TLS, on one side or both. */
#include "relay_stage.h"

/* The next frame of its connection: its size, or 0 if none comes in time. */
static size_t frame_by_tls(struct side *to, uint8_t *out, size_t capacity, int timeout_ms)
{
    const uint8_t *frame;
    size_t size;

    if (client_frame(&to->stream, &frame, &size, timeout_ms) != 1)
        return 0;
    assert_true(size <= capacity);
    memcpy(out, frame, size);
    return size;
}

static void hear_by_tls(struct side *to, uint8_t mark, size_t size)
{
    uint8_t bytes[2 * MAX_BYTES];
    size_t got = frame_by_tls(to, bytes, sizeof bytes, SOON_MS);

    assert_whole(to, bytes, got, mark, size);
}

static void say_by_tls(struct side *from, uint8_t mark, size_t size)
{
    uint8_t bytes[TAG + MAX_BYTES];

    memcpy(bytes, from->tag, TAG);
    memset(bytes + TAG, mark, size);
    assert_int_equal(channel_send(from->stream.channel, bytes, TAG + size), CHANNEL_OK);
}

/* What is lost is lost by the slow reader alone. */
static int set_up_fast(void **state)
{
    return set_up_with(state, "relay-rate = 0\nrelay-peer-rate = 0\nrelay-prefix-rate = 0\n"
                              "relay-total = 0\n");
}

static int set_up_one_stream(void **state)
{
    return set_up_with(state, "relay-streams = 1\n");
}

static int set_up_dual(void **state)
{
    if (!has_ipv6())
        return set_up(state);
    struct stage *stage = calloc(1, sizeof *stage);

    *state = stage;
    return !(stage != NULL &&
             mediator_create_with(&stage->mediator, getenv("EYELETD"), "address = ::1\n") &&
             open_side(stage, &stage->a, 2, CLIENT_IPV6) && open_side(stage, &stage->b, 1, 4));
}

static void test_tls_both_ways(void **state)
{
    struct stage *stage = *state;

    open_stream(stage, &stage->a, 3);
    open_stream(stage, &stage->b, 4);
    assert_true(dial(stage));
    for (uint8_t i = 0; i < 10; i++) {
        say_by_tls(&stage->a, i, 1 + i);
        hear_by_tls(&stage->b, i, 1 + i);
        say_by_tls(&stage->b, i, MAX_BYTES - i);
        hear_by_tls(&stage->a, i, MAX_BYTES - i);
    }
}

static void test_tls_and_udp(void **state)
{
    struct stage *stage = *state;

    open_stream(stage, &stage->a, 3);
    assert_true(attest(stage, &stage->b, 2));
    assert_true(dial(stage));
    for (uint8_t i = 0; i < 10; i++) {
        say_by_tls(&stage->a, i, 100);
        hear(&stage->b, i, 100);
        say(stage, &stage->b, 2, i, 100);
        hear_by_tls(&stage->a, i, 100);
    }
    /* Without the connection everything goes to the attested address, once there is one. */
    client_close(&stage->a.stream);
    say(stage, &stage->b, 2, 1, 100);
    assert_true(attest(stage, &stage->a, 0));
    hear_nothing(&stage->a);
    say(stage, &stage->b, 2, 2, 100);
    hear(&stage->a, 2, 100);
}

static void say_by_session(struct side *from, uint8_t mark, size_t size)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_relayed_tag};

    msg.body.relayed.datagram.size = (pb_size_t)(TAG + size);
    memcpy(msg.body.relayed.datagram.bytes, from->tag, TAG);
    memset(msg.body.relayed.datagram.bytes + TAG, mark, size);
    assert_true(client_send(&from->client, &msg));
}

/* By the session, which other messages may come first by. False: nothing comes. */
static bool hear_by_session(struct stage *stage, struct side *to, uint8_t mark, size_t size)
{
    do {
        if (client_receive(&to->client, &stage->msg, NEVER_MS) != 1)
            return false;
    } while (stage->msg.which_body != wire_FromMediator_relayed_tag);
    const wire_Relayed *relayed = &stage->msg.body.relayed;
    assert_whole(to, relayed->datagram.bytes, relayed->datagram.size, mark, size);
    return true;
}

static void test_by_the_session_until_there_is_another_way(void **state)
{
    struct stage *stage = *state;

    assert_true(dial(stage));
    for (uint8_t i = 0; i < 10; i++) {
        say_by_session(&stage->a, i, 1 + i);
        assert_true(hear_by_session(stage, &stage->b, i, 1 + i));
        say_by_session(&stage->b, i, MAX_BYTES - i);
        assert_true(hear_by_session(stage, &stage->a, i, MAX_BYTES - i));
    }
    assert_true(attest(stage, &stage->b, 2));
    say_by_session(&stage->a, 1, 100);
    hear(&stage->b, 1, 100);
    open_stream(stage, &stage->b, 4);
    do
        say_by_session(&stage->a, 2, 100);
    while (frame_by_tls(&stage->b, (uint8_t[2 * MAX_BYTES]){0}, 2 * MAX_BYTES, NEVER_MS) == 0);
    /* With the tag of somebody else it goes nowhere. */
    memcpy(stage->b.tag, stage->a.tag, TAG);
    say_by_session(&stage->b, 3, 100);
    assert_false(hear_by_session(stage, &stage->a, 3, 100));
}

static void test_the_session_takes_first_flights_alone(void **state)
{
    struct stage *stage = *state;
    unsigned heard = 0;

    assert_true(attest(stage, &stage->b, 2));
    assert_true(dial(stage));
    for (unsigned i = 0; i < 300; i++)
        say(stage, &stage->b, 2, 7, MAX_BYTES);
    while (hear_by_session(stage, &stage->a, 7, MAX_BYTES))
        heard++;
    assert_in_range(heard, 1, 150);
}

static void test_ipv6_to_ipv4(void **state)
{
    struct stage *stage = *state;

    if (!has_ipv6())
        skip();
    assert_int_equal(stage->a.client.registered.bounce_count, 6);
    assert_true(attest(stage, &stage->a, 4));
    assert_true(attest(stage, &stage->b, 1));
    assert_true(dial(stage));
    for (uint8_t i = 0; i < 3; i++) {
        say(stage, &stage->a, 4, i, 100);
        hear(&stage->b, i, 100);
        say(stage, &stage->b, 1, i, 100);
        hear(&stage->a, i, 100);
    }
    /* The family whose keepalive came last is that of the receiver. */
    close(stage->a.udp);
    stage->a.udp = client_udp(3);
    assert_true(attest(stage, &stage->a, 0));
    say(stage, &stage->b, 1, 9, 100);
    hear(&stage->a, 9, 100);
    open_stream(stage, &stage->a, 3);
    say(stage, &stage->b, 1, 10, 100);
    hear_by_tls(&stage->a, 10, 100);
}

static void test_a_connection_carries_its_own_tags_only(void **state)
{
    struct stage *stage = *state;
    struct side thief = {0};

    assert_true(open_side(stage, &thief, 0, 5));
    open_stream(stage, &thief, 5);
    assert_true(attest(stage, &stage->b, 0));
    assert_true(dial(stage));
    memcpy(thief.tag, stage->a.tag, TAG);
    say_by_tls(&thief, 1, 100);
    memcpy(thief.tag, stage->b.tag, TAG);
    say_by_tls(&thief, 1, 100);
    hear_nothing(&stage->b);
    free_side(&thief);
}

static void test_a_connection_belongs_to_a_session(void **state)
{
    struct stage *stage = *state;
    struct client stranger, stream;
    uint8_t byte[TAG] = {WIRE_RELAY_TAG_FIRST};

    assert_true(client_open(&stranger, &stage->mediator.control[0], 5));
    assert_true(client_open_relay(&stranger, &stage->mediator.control[0], 5, &stream));
    assert_true(client_expect_end(&stream, SOON_MS)); /* never registered */
    client_close(&stream);
    assert_true(client_register(&stranger, ANYONE, NULL, NULL));
    assert_true(client_open_relay(&stranger, &stage->mediator.control[0], 5, &stream));
    assert_int_equal(channel_send(stream.channel, byte, sizeof byte), CHANNEL_OK);
    assert_false(client_expect_end(&stream, NEVER_MS));
    open_stream(stage, &stage->a, 3);
    struct client older = stage->a.stream;
    open_stream(stage, &stage->a, 3);
    assert_true(client_expect_end(&older, SOON_MS)); /* replaced */
    client_close(&older);
    client_close(&stranger);
    assert_true(client_expect_end(&stream, SOON_MS)); /* its session has ended */
    client_close(&stream);
    client_free(&stranger);
}

#define SLOW_DATAGRAMS 20000

static void test_a_slow_reader_loses_the_oldest(void **state)
{
    struct stage *stage = *state;
    uint8_t bytes[2 * MAX_BYTES];
    size_t heard = 0, last = 0, got;

    open_stream(stage, &stage->a, 3);
    assert_true(attest(stage, &stage->b, 0));
    assert_true(dial(stage));
    for (size_t i = 1; i <= SLOW_DATAGRAMS; i++) {
        memcpy(bytes, stage->b.tag, TAG);
        memset(bytes + TAG, 0, 1000);
        bytes[TAG] = (uint8_t)(i >> 8);
        bytes[TAG + 1] = (uint8_t)i;
        assert_true(client_sendto(stage->b.udp, &stage->mediator.bounce[0], bytes, TAG + 1000));
        if (i % 50 == 0) /* so that the kernel's queue loses nothing */
            assert_true(attest(stage, &stage->b, 0));
    }
    while (last < SLOW_DATAGRAMS &&
           (got = frame_by_tls(&stage->a, bytes, sizeof bytes, SOON_MS)) > 0) {
        size_t number = (size_t)bytes[TAG] << 8 | bytes[TAG + 1];
        assert_int_equal(got, TAG + 1000);
        assert_true(number > last);
        last = number;
        heard++;
    }
    assert_in_range(heard, 100, SLOW_DATAGRAMS - 1000);
    assert_int_equal(last, SLOW_DATAGRAMS);
}

/* Each may hold much, so there are not as many as there may be sessions. */
static void test_so_many_connections(void **state)
{
    struct stage *stage = *state;

    open_stream(stage, &stage->a, 3);
    assert_true(
        client_open_relay(&stage->b.client, &stage->mediator.control[0], 4, &stage->b.stream));
    assert_true(client_expect_end(&stage->b.stream, SOON_MS));
    client_close(&stage->b.stream);
    /* The older one of the same session gives way. */
    struct client older = stage->a.stream;
    open_stream(stage, &stage->a, 3);
    client_close(&older);
    client_close(&stage->a.stream);
    usleep(50000); /* the daemon must have seen it go */
    open_stream(stage, &stage->b, 4);
    assert_int_equal(client_receive(&stage->b.stream, &stage->msg, NEVER_MS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELAY_TEST(test_tls_both_ways, set_up),
        RELAY_TEST(test_tls_and_udp, set_up),
        RELAY_TEST(test_by_the_session_until_there_is_another_way, set_up),
        RELAY_TEST(test_the_session_takes_first_flights_alone, set_up),
        RELAY_TEST(test_ipv6_to_ipv4, set_up_dual),
        RELAY_TEST(test_a_connection_carries_its_own_tags_only, set_up),
        RELAY_TEST(test_a_connection_belongs_to_a_session, set_up),
        RELAY_TEST(test_so_many_connections, set_up_one_stream),
        RELAY_TEST(test_a_slow_reader_loses_the_oldest, set_up_fast),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
