/* SPDX-License-Identifier: BSD-2-Clause */
/* Black box: datagrams through the relay of the real eyeletd over loopback, by UDP and by TLS.
 * EYELETD names the program. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mediator_client.h"

#define ANYONE       wire_Visibility_VISIBLE_TO_ANYONE
#define PEER_COORD   wire_FromMediator_peer_coord_tag
#define RESUMED      wire_FromMediator_resumed_tag
#define NO_SUCH_DIAL wire_ErrorCode_ERROR_NO_SUCH_DIAL

#define TAG       WIRE_RELAY_TAG_BYTES
#define SOON_MS   1000
#define NEVER_MS  60
#define MAX_BYTES 1252

/* One of the two members of dial 1. */
struct side {
    struct client client;
    struct client stream; /* its connection for datagrams; unused: no channel */
    int udp;
    uint8_t tag[TAG];
    uint64_t sequence;
};

struct stage {
    struct mediator mediator;
    struct side a, b;
    wire_FromMediator msg;
};

static bool open_side(struct stage *stage, struct side *side, size_t control, uint8_t last)
{
    side->udp = client_udp(last);
    return side->udp >= 0 && client_open(&side->client, &stage->mediator.control[control], last) &&
           client_register(&side->client, ANYONE, NULL, NULL);
}

static bool attest(struct stage *stage, struct side *side, size_t bounce)
{
    return client_attest(&side->client, side->udp, &stage->mediator.bounce[bounce],
                         ++side->sequence);
}

static bool dial(struct stage *stage)
{
    const wire_PeerCoord *coord = &stage->msg.body.peer_coord;

    if (!client_dial(&stage->a.client, &stage->b.client.identity.id, 1, NULL) ||
        !client_expect(&stage->b.client, PEER_COORD, &stage->msg) || coord->relay_tag.size != TAG)
        return false;
    memcpy(stage->b.tag, coord->relay_tag.bytes, TAG);
    if (!client_expect(&stage->a.client, PEER_COORD, &stage->msg) || coord->relay_tag.size != TAG)
        return false;
    memcpy(stage->a.tag, coord->relay_tag.bytes, TAG);
    return memcmp(stage->a.tag, stage->b.tag, TAG) != 0;
}

/* a from 127.0.0.3, b from 127.0.0.4, both registered, nothing attested. */
static int set_up_with(void **state, const char *limits)
{
    struct stage *stage = calloc(1, sizeof *stage);

    *state = stage;
    return !(stage != NULL && mediator_create(&stage->mediator, getenv("EYELETD"), limits) &&
             open_side(stage, &stage->a, 0, 3) && open_side(stage, &stage->b, 1, 4));
}

static int set_up(void **state)
{
    return set_up_with(state, "");
}

static bool has_ipv6(void)
{
    int fd = client_udp(CLIENT_IPV6);

    close(fd);
    return fd >= 0;
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

static int set_up_few(void **state)
{
    return set_up_with(state, "relay-sessions = 1\n");
}

static void free_side(struct side *side)
{
    client_close(&side->stream);
    client_free(&side->client);
    close(side->udp);
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    free_side(&stage->a);
    free_side(&stage->b);
    int status = mediator_stop(&stage->mediator);
    mediator_destroy(&stage->mediator);
    free(stage);
    return status;
}

static void say(struct stage *stage, const struct side *from, size_t bounce, uint8_t mark,
                size_t size)
{
    uint8_t bytes[TAG + MAX_BYTES + 1];

    memcpy(bytes, from->tag, TAG);
    memset(bytes + TAG, mark, size);
    assert_true(client_sendto(from->udp, &stage->mediator.bounce[bounce], bytes, TAG + size));
}

static void say_by_tls(struct side *from, uint8_t mark, size_t size)
{
    uint8_t bytes[TAG + MAX_BYTES];

    memcpy(bytes, from->tag, TAG);
    memset(bytes + TAG, mark, size);
    assert_int_equal(channel_send(from->stream.channel, bytes, TAG + size), CHANNEL_OK);
}

static void assert_whole(const struct side *to, const uint8_t *bytes, size_t got, uint8_t mark,
                         size_t size)
{
    assert_int_equal(got, TAG + size);
    assert_memory_equal(bytes, to->tag, TAG);
    for (size_t i = TAG; i < got; i++)
        assert_int_equal(bytes[i], mark);
}

static void hear(const struct side *to, uint8_t mark, size_t size)
{
    uint8_t bytes[2 * MAX_BYTES];
    size_t got = client_recv(to->udp, bytes, sizeof bytes, SOON_MS);

    assert_whole(to, bytes, got, mark, size);
}

/* The next frame of its connection: its size, or 0 if none comes in time. */
static size_t frame_by_tls(struct side *to, uint8_t *out, size_t capacity, int timeout_ms)
{
    uint64_t until_ms = client_now_ms() + (uint64_t)timeout_ms;
    const uint8_t *frame;
    size_t size;

    while (client_now_ms() < until_ms) {
        if (channel_process(to->stream.channel) != CHANNEL_OK)
            return 0;
        if (channel_receive(to->stream.channel, &frame, &size) == 1) {
            assert_true(size <= capacity);
            memcpy(out, frame, size);
            return size;
        }
        usleep(1000);
    }
    return 0;
}

static void hear_by_tls(struct side *to, uint8_t mark, size_t size)
{
    uint8_t bytes[2 * MAX_BYTES];
    size_t got = frame_by_tls(to, bytes, sizeof bytes, SOON_MS);

    assert_whole(to, bytes, got, mark, size);
}

static void hear_nothing(const struct side *to)
{
    uint8_t bytes[2 * MAX_BYTES];

    assert_int_equal(client_recv(to->udp, bytes, sizeof bytes, NEVER_MS), 0);
}

static void open_stream(struct stage *stage, struct side *side, uint8_t last)
{
    assert_true(client_open_relay(&side->client, &stage->mediator.control[0], last, &side->stream));
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

static void test_a_slow_reader_loses_the_oldest(void **state)
{
    struct stage *stage = *state;
    uint8_t bytes[2 * MAX_BYTES];
    size_t heard = 0, last = 0, got;

    open_stream(stage, &stage->a, 3);
    assert_true(attest(stage, &stage->b, 0));
    assert_true(dial(stage));
    for (size_t i = 1; i <= 20003; i++) {
        if (i > 20000)
            usleep(200000); /* what is lost before, the kernel's queue may have lost */
        memcpy(bytes, stage->b.tag, TAG);
        memset(bytes + TAG, 0, 1000);
        bytes[TAG] = (uint8_t)(i >> 8);
        bytes[TAG + 1] = (uint8_t)i;
        assert_true(client_sendto(stage->b.udp, &stage->mediator.bounce[0], bytes, TAG + 1000));
        if (i % 50 == 0)
            usleep(1000);
    }
    while ((got = frame_by_tls(&stage->a, bytes, sizeof bytes, 300)) > 0) {
        size_t number = (size_t)bytes[TAG] << 8 | bytes[TAG + 1];
        assert_int_equal(got, TAG + 1000);
        assert_true(number > last);
        last = number;
        heard++;
    }
    assert_in_range(heard, 100, 19000);
    assert_in_range(last, 20001, 20003); /* the newest were not among the lost */
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
    assert_true(client_dial(&stage->b.client, &stage->a.client.identity.id, 2, NULL));
    assert_true(client_expect(&stage->b.client, PEER_COORD, &stage->msg));
    assert_int_equal(stage->msg.body.peer_coord.relay_tag.size, 0);
    assert_true(stage->msg.body.peer_coord.relay_refusal[0] != '\0');
    assert_true(client_expect(&stage->a.client, PEER_COORD, &stage->msg));
    /* The end of one makes room for another. */
    assert_true(client_dial_end(&stage->b.client, 1));
    assert_true(client_dial(&stage->b.client, &stage->a.client.identity.id, 3, NULL));
    assert_true(client_expect(&stage->b.client, PEER_COORD, &stage->msg));
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
    /* Others learn nothing of it. */
    assert_true(client_open(&other, &stage->mediator.control[0], 5));
    assert_true(client_register(&other, ANYONE, NULL, NULL));
    assert_true(client_dial(&other, &stage->b.client.identity.id, 4, NULL));
    assert_true(client_expect_error(&other, wire_ErrorCode_ERROR_NO_SUCH_PEER, &stage->msg));
    assert_true(client_dial_end(&stage->b.client, 1));
    assert_true(client_note(&stage->b.client, 1, 0));
    assert_true(client_expect_error(&stage->b.client, NO_SUCH_DIAL, &stage->msg));
    assert_true(client_dial(&other, &stage->b.client.identity.id, 5, NULL));
    assert_true(client_expect(&other, PEER_COORD, &stage->msg));
    client_free(&other);
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
            usleep(1000);
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
    stage->a.sequence = 0;
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
    stage->a.sequence = stage->b.sequence = 0;
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

#define TEST(name)             cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_WITH(name, setup) cmocka_unit_test_setup_teardown(name, setup, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_udp_both_ways),
        TEST(test_strangers_get_the_hint_alone),
        TEST(test_a_new_address_is_one_keepalive_away),
        TEST(test_tls_both_ways),
        TEST(test_tls_and_udp),
        TEST(test_a_connection_carries_its_own_tags_only),
        TEST(test_a_connection_belongs_to_a_session),
        TEST(test_a_slow_reader_loses_the_oldest),
        TEST(test_no_relay_if_the_caller_wants_none),
        TEST_WITH(test_a_mediator_without_relay_says_so, set_up_without_relay),
        TEST_WITH(test_quota_of_sessions, set_up_few),
        TEST_WITH(test_so_many_dials_of_a_session, set_up_two_dials),
        TEST_WITH(test_quota_of_bytes, set_up_slow),
        TEST(test_dial_end_stops_it),
        TEST(test_resume_after_a_lost_session),
        TEST(test_resume_after_a_restart),
        TEST(test_resume_of_a_dial_that_lives_on),
        TEST(test_strangers_resume_nothing),
        TEST_WITH(test_ipv6_to_ipv4, set_up_dual),
        TEST_WITH(test_on_every_address_and_several_ports, set_up_everywhere),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
