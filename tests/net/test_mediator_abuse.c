/* SPDX-License-Identifier: BSD-2-Clause */
/* Black box: what hostile, broken and dying clients can do to the real eyeletd over loopback, and
 * what it does to its clients when it ends. EYELETD names the program. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "mediator_client.h"
#include "stun/stun.h"

#define ANYONE   wire_Visibility_VISIBLE_TO_ANYONE
#define TOO_MANY wire_ErrorCode_ERROR_TOO_MANY
#define BAD      wire_ErrorCode_ERROR_BAD_MESSAGE

/* Short times and small limits, so that tests reach them. */
static const char limits[] = "handshake-seconds = 1\nsilence-seconds = 2\nsessions-per-prefix = 4\n"
                             "refusals-per-session = 3\nbounce-rate = 1000\nbounce-burst = 5000\n";

struct stage {
    struct mediator mediator;
    wire_FromMediator msg;
};

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);

    *state = stage;
    return !(stage != NULL && mediator_create(&stage->mediator, getenv("EYELETD"), limits));
}

static int tear_down(void **state)
{
    struct stage *stage = *state;
    int status = stage->mediator.pid > 0 ? mediator_stop(&stage->mediator) : 0;

    mediator_destroy(&stage->mediator);
    free(stage);
    return status;
}

static void assert_still_serves(struct stage *stage)
{
    struct client client;

    assert_true(client_open(&client, &stage->mediator.control[0], 200));
    assert_true(client_register(&client, ANYONE, NULL, NULL));
    client_free(&client);
}

/* Milliseconds until the daemon closes this connection; asserts that it does. */
static uint64_t closed_after_ms(int fd)
{
    uint64_t from_ms = client_now_ms();
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    char bytes[4096];

    for (;;) {
        assert_true(poll(&polled, 1, 5000) > 0);
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got <= 0)
            return client_now_ms() - from_ms;
    }
}

static void test_random_bytes_at_the_control_port(void **state)
{
    struct stage *stage = *state;
    uint8_t bytes[2000];

    for (int i = 0; i < 50; i++) {
        int fd = client_tcp(&stage->mediator.control[i % 2], (uint8_t)(10 + i));
        assert_true(fd >= 0);
        identity_random(NULL, bytes, sizeof bytes);
        if (i % 2 == 0) /* a TLS handshake record, as far as its header goes */
            memcpy(bytes, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
        (void)!write(fd, bytes, (size_t)i * 40 + 1);
        if (i % 5 == 0)
            shutdown(fd, SHUT_WR);
        if (i % 25 == 0)
            closed_after_ms(fd);
        close(fd);
    }
    assert_still_serves(stage);
}

static void test_half_open_tls_is_dropped(void **state)
{
    struct stage *stage = *state;
    int silent = client_tcp(&stage->mediator.control[0], 3);
    int begun = client_tcp(&stage->mediator.control[0], 3);

    assert_int_equal(write(begun, "\x16\x03\x01\x02\x00", 5), 5);
    assert_in_range(closed_after_ms(silent), 900, 2500);
    assert_in_range(closed_after_ms(begun), 0, 2500);
    close(silent);
    close(begun);
    assert_still_serves(stage);
}

static void test_who_never_registers_is_dropped(void **state)
{
    struct stage *stage = *state;
    struct client client;

    assert_true(client_open(&client, &stage->mediator.control[0], 3));
    assert_int_equal(client_receive(&client, &stage->msg, 700), 0);
    assert_true(client_expect_end(&client, 2500));
    client_free(&client);
}

static void test_who_falls_silent_is_dropped(void **state)
{
    struct stage *stage = *state;
    wire_ToMediator ping = {.which_body = wire_ToMediator_ping_tag};
    struct client client;

    assert_true(client_open(&client, &stage->mediator.control[0], 3));
    assert_true(client_register(&client, ANYONE, NULL, NULL));
    assert_int_equal(client_receive(&client, &stage->msg, 1200), 0);
    assert_true(client_send(&client, &ping));
    assert_true(client_expect(&client, wire_FromMediator_pong_tag, &stage->msg));
    assert_int_equal(client_receive(&client, &stage->msg, 1200), 0);
    assert_true(client_expect_end(&client, 2500));
    client_free(&client);
}

static void test_a_babbler_is_dropped(void **state)
{
    struct stage *stage = *state;
    wire_ToMediator ping = {.which_body = wire_ToMediator_ping_tag};
    struct client client;
    int answers = 0;

    assert_true(client_open(&client, &stage->mediator.control[0], 3));
    for (int i = 0; i < 2000; i++)
        if (!client_send(&client, &ping))
            break;
    while (client_receive(&client, &stage->msg, 1000) == 1 &&
           stage->msg.which_body == wire_FromMediator_pong_tag)
        answers++;
    assert_in_range(answers, 399, 1500);
    assert_int_equal(stage->msg.which_body, wire_FromMediator_error_tag);
    assert_int_equal(stage->msg.body.error.code, TOO_MANY);
    client_free(&client);
    assert_still_serves(stage);
}

/* That it was dropped shows in its place being free again. */
static void test_who_does_not_read_is_dropped(void **state)
{
    struct mediator mediator;
    wire_ToMediator ping = {.which_body = wire_ToMediator_ping_tag};
    uint8_t frame[64];
    size_t size = wire_encode_to_mediator(&ping, frame, sizeof frame);
    uint64_t until_ms = client_now_ms() + 20000;
    struct client client, next;
    bool dropped = false;

    (void)state;
    assert_true(mediator_create(&mediator, getenv("EYELETD"),
                                "message-rate = 1000000\nmessage-burst = 1000000\n"
                                "queue-bytes = 16384\nsessions-per-prefix = 1\n"));
    assert_true(client_open(&client, &mediator.control[0], 3));
    assert_true(client_register(&client, ANYONE, NULL, NULL));
    while (!dropped && client_now_ms() < until_ms) {
        for (int i = 0; i < 1000; i++)
            channel_send(client.channel, frame, size);
        dropped = client_open(&next, &mediator.control[0], 3);
        client_free(&next);
    }
    client_free(&client);
    assert_int_equal(mediator_stop(&mediator), 0);
    mediator_destroy(&mediator);
    assert_true(dropped);
}

static void test_running_out_of_descriptors_is_survived(void **state)
{
    struct stage *stage = *state;
    struct rlimit limit = {.rlim_cur = 40, .rlim_max = 40};
    struct client client;
    int fds[60];

    assert_int_equal(prlimit(stage->mediator.pid, RLIMIT_NOFILE, &limit, NULL), 0);
    for (int i = 0; i < 60; i++)
        fds[i] = client_tcp(&stage->mediator.control[0], (uint8_t)(10 + i));
    assert_true(closed_after_ms(fds[59]) < 1000);
    for (int i = 0; i < 60; i++)
        close(fds[i]);
    client_open(&client, &stage->mediator.control[0], 200); /* perhaps too soon */
    assert_true(client_reopen_in_time(&client, &stage->mediator.control[0], 200));
    client_free(&client);
    assert_still_serves(stage);
}

static void test_bad_messages_end_the_session(void **state)
{
    struct stage *stage = *state;
    uint8_t good[CHANNEL_MAX_FRAME_BYTES], bad[CHANNEL_MAX_FRAME_BYTES];
    wire_ToMediator dial = {.which_body = wire_ToMediator_get_peer_tag};
    struct client client;

    dial.body.get_peer.dial_id.size = WIRE_DIAL_ID_BYTES;
    dial.body.get_peer.peer_id.size = IDENTITY_ID_BYTES;
    dial.body.get_peer.sealed.size = WIRE_MAX_SEALED_BYTES;
    size_t size = wire_encode_to_mediator(&dial, good, sizeof good);
    assert_true(size > 0);
    for (int i = 0; i < 6; i++) {
        assert_true(client_open(&client, &stage->mediator.control[0], (uint8_t)(10 + i)));
        assert_true(i == 0 || client_register(&client, ANYONE, NULL, NULL));
        size_t bad_size = size;
        memcpy(bad, good, size);
        switch (i) {
        case 0: /* good, but before REGISTER */
            break;
        case 1: /* truncated */
            bad_size = size / 2;
            break;
        case 2: /* a field longer than it may be */
            memset(bad, 0x42, sizeof bad);
            memcpy(bad, "\x12\xfc\x3f\x22\xf9\x3f", 6);
            bad_size = CHANNEL_MAX_FRAME_BYTES;
            break;
        case 3: /* no body */
            memcpy(bad, "\xfa\x01\x00", 3);
            bad_size = 3;
            break;
        case 4:
            identity_random(NULL, bad, sizeof bad);
            bad_size = CHANNEL_MAX_FRAME_BYTES;
            break;
        default: /* a dial ID of 0 bytes */
            memcpy(bad, "\x1a\x00", 2);
            bad_size = 2;
            break;
        }
        assert_int_equal(channel_send(client.channel, bad, bad_size), CHANNEL_OK);
        assert_true(client_expect_error(&client, BAD, &stage->msg));
        assert_true(i > 0 || client_expect_end(&client, 3000));
        client_free(&client);
    }
    assert_still_serves(stage);
}

static void test_open_questions_are_bounded(void **state)
{
    struct stage *stage = *state;
    struct identity stranger;
    struct client client;

    assert_int_equal(identity_generate(&stranger), IDENTITY_OK);
    assert_true(client_open(&client, &stage->mediator.control[0], 3));
    assert_true(client_register(&client, ANYONE, NULL, NULL));
    for (uint8_t i = 0; i < 4; i++)
        assert_true(client_dial(&client, &stranger.id, i, NULL));
    assert_int_equal(client_receive(&client, &stage->msg, 500), 1);
    assert_int_equal(stage->msg.body.error.code, TOO_MANY);
    assert_int_equal(stage->msg.body.error.dial_id.bytes[0], 3);
    for (uint8_t i = 0; i < 3; i++)
        assert_true(client_expect_error(&client, wire_ErrorCode_ERROR_NO_SUCH_PEER, &stage->msg));
    assert_true(client_dial(&client, &stranger.id, 4, NULL));
    assert_true(client_expect_error(&client, wire_ErrorCode_ERROR_NO_SUCH_PEER, &stage->msg));
    client_free(&client);
}

static void test_sessions_of_one_address_are_bounded(void **state)
{
    struct stage *stage = *state;
    struct client clients[5], other;

    for (int i = 0; i < 4; i++) {
        assert_true(client_open(&clients[i], &stage->mediator.control[0], 3));
        assert_true(client_register(&clients[i], ANYONE, NULL, NULL));
    }
    assert_false(client_open(&clients[4], &stage->mediator.control[0], 3));
    client_free(&clients[4]);
    assert_true(client_open(&other, &stage->mediator.control[0], 4));
    client_free(&other);
    client_close(&clients[0]);
    assert_true(client_reopen_in_time(&clients[0], &stage->mediator.control[0], 3));
    for (int i = 0; i < 4; i++)
        client_free(&clients[i]);
}

/* A daemon of its own for one limit. */
static void begin_with(struct mediator *mediator, const char *limit)
{
    assert_true(mediator_create(mediator, getenv("EYELETD"), limit));
}

static void end_with(struct mediator *mediator)
{
    assert_int_equal(mediator_stop(mediator), 0);
    mediator_destroy(mediator);
}

static void open_registered(struct client *client, const struct mediator *mediator, uint8_t last)
{
    assert_true(client_open(client, &mediator->control[0], last));
    assert_true(client_register(client, ANYONE, NULL, NULL));
}

static void test_connections_of_one_address_are_limited(void **state)
{
    struct mediator mediator;
    struct client client;

    (void)state;
    begin_with(&mediator, "connection-rate = 1\nconnection-burst = 3\n");
    for (int i = 0; i < 3; i++) {
        assert_true(client_open(&client, &mediator.control[0], 3));
        client_free(&client);
    }
    assert_false(client_open(&client, &mediator.control[0], 3));
    client_free(&client);
    assert_true(client_open(&client, &mediator.control[0], 4));
    client_free(&client);
    end_with(&mediator);
}

/* Which of the dials of two clients, one after the other, are refused by a limit; `neighbour`: from
 * the same address. The limits allow three in all. */
static void assert_third_dial_is_too_many(const char *limit, bool neighbour)
{
    struct mediator mediator;
    struct client clients[2], callee;
    wire_FromMediator msg;

    begin_with(&mediator, limit);
    open_registered(&clients[0], &mediator, 3);
    open_registered(&clients[1], &mediator, neighbour ? 3 : 5);
    open_registered(&callee, &mediator, 4);
    for (uint8_t i = 1; i <= 3; i++) {
        struct client *client = &clients[neighbour && i == 3];
        assert_true(client_dial(client, &callee.identity.id, i, NULL));
        if (i == 3)
            assert_true(client_expect_error(client, TOO_MANY, &msg));
        else
            assert_true(client_expect(client, wire_FromMediator_peer_coord_tag, &msg));
    }
    /* What is refused costs nobody else anything, and the session goes on. */
    if (!neighbour) {
        assert_true(client_dial(&clients[1], &callee.identity.id, 4, NULL));
        assert_true(client_expect(&clients[1], wire_FromMediator_peer_coord_tag, &msg));
    }
    assert_true(client_register(&clients[0], ANYONE, NULL, NULL));
    client_free(&clients[0]);
    client_free(&clients[1]);
    client_free(&callee);
    end_with(&mediator);
}

static void test_dials_are_limited(void **state)
{
    (void)state;
    assert_third_dial_is_too_many("dial-rate = 1\ndial-burst = 2\n", false);
    assert_third_dial_is_too_many("prefix-dial-rate = 1\nprefix-dial-burst = 2\n", true);
    assert_third_dial_is_too_many("dials-per-prefix = 2\n", true);
    assert_third_dial_is_too_many("dials-per-prefix = 2\n", false);
    assert_third_dial_is_too_many("dials = 2\n", true);
}

static void test_bad_datagrams_are_met_with_silence(void **state)
{
    struct stage *stage = *state;
    uint8_t bytes[1500] = {0}, answer[1500];
    int fd = client_udp(3);

    for (size_t i = 0; i < stage->mediator.bounce_count; i++) {
        for (size_t size = 0; size < 20; size++)
            assert_int_equal(
                client_ask(fd, &stage->mediator.bounce[i], bytes, size, answer, sizeof answer, 0),
                0);
        for (size_t n = 0; n < 500; n++) {
            identity_random(NULL, bytes, sizeof bytes);
            if (n % 2 == 0) /* STUN, as far as the header goes */
                memcpy(bytes, "\0\1\0\0\x21\x12\xa4\x42", 8);
            bytes[3] = (uint8_t)(n % 5 == 0 ? 44 : bytes[3]);
            bytes[22] =
                0xff; /* an attribute that does not fit: what chance makes whole is answered */
            assert_int_equal(client_ask(fd, &stage->mediator.bounce[i], bytes,
                                        n % 4 == 0 ? 64 : n * 3, answer, sizeof answer, 0),
                             0);
        }
    }
    assert_int_equal(
        client_ask(fd, &stage->mediator.bounce[0], bytes, 19, answer, sizeof answer, 200), 0);
    close(fd);
    assert_still_serves(stage);
}

static void test_answers_are_small(void **state)
{
    static const uint8_t transaction[STUN_TRANSACTION_BYTES] = "transaction";
    static const uint8_t padding[100];
    struct stage *stage = *state;
    struct stun_builder builder;
    struct stun_message reply;
    uint8_t bytes[512], answer[512];
    int fd = client_udp(3);
    struct stun_addr local = client_local(fd);

    for (size_t i = 0; i < stage->mediator.bounce_count; i++) {
        for (size_t pad = 0; pad <= sizeof padding; pad += 20) {
            stun_begin(&builder, bytes, sizeof bytes, STUN_BINDING_REQUEST, transaction);
            if (pad > 0)
                stun_add_bytes(&builder, STUN_SOFTWARE, padding, pad);
            size_t size = stun_finish(&builder);
            size_t got = client_ask(fd, &stage->mediator.bounce[i], bytes, size, answer,
                                    sizeof answer, 1000);
            assert_in_range(got, 32, size > 44 ? size : 44);
            assert_int_equal(stun_parse(answer, got, &reply), STUN_OK);
            assert_true(stun_addr_equal(&reply.mapped, &local));
        }
    }
    close(fd);
}

static void test_shutting_down_tells_everyone(void **state)
{
    struct stage *stage = *state;
    struct client client, deaf;
    int half_open = client_tcp(&stage->mediator.control[0], 4);

    assert_true(client_open(&client, &stage->mediator.control[0], 3));
    assert_true(client_register(&client, ANYONE, NULL, NULL));
    assert_true(client_open(&deaf, &stage->mediator.control[0], 3));
    assert_true(client_register(&deaf, ANYONE, NULL, NULL));
    assert_int_equal(mediator_stop(&stage->mediator), 0);
    assert_true(client_expect_error(&client, wire_ErrorCode_ERROR_SHUTTING_DOWN, &stage->msg));
    assert_true(client_expect_end(&client, 2500));
    client_free(&client);
    client_free(&deaf);
    close(half_open);
}

static void test_a_restart_keeps_the_key(void **state)
{
    struct stage *stage = *state;
    char id[IDENTITY_TEXT_BYTES];
    struct client client;

    memcpy(id, stage->mediator.id, sizeof id);
    assert_int_equal(strlen(id), 52);
    assert_int_equal(mediator_stop(&stage->mediator), 0);
    assert_true(mediator_start(&stage->mediator, getenv("EYELETD")));
    assert_string_equal(stage->mediator.id, id);
    assert_true(client_open(&client, &stage->mediator.control[0], 3));
    assert_string_equal(identity_text(channel_peer(client.channel), id), stage->mediator.id);
    client_free(&client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_random_bytes_at_the_control_port),
        TEST(test_half_open_tls_is_dropped),
        TEST(test_who_never_registers_is_dropped),
        TEST(test_who_falls_silent_is_dropped),
        TEST(test_a_babbler_is_dropped),
        TEST(test_who_does_not_read_is_dropped),
        TEST(test_running_out_of_descriptors_is_survived),
        TEST(test_bad_messages_end_the_session),
        TEST(test_open_questions_are_bounded),
        TEST(test_sessions_of_one_address_are_bounded),
        TEST(test_connections_of_one_address_are_limited),
        TEST(test_dials_are_limited),
        TEST(test_bad_datagrams_are_met_with_silence),
        TEST(test_answers_are_small),
        TEST(test_shutting_down_tells_everyone),
        TEST(test_a_restart_keeps_the_key),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
