/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "identity/rawkey.h"

#define CLIENT   0
#define SERVER   1
#define QUEUE    (64 * 1024)
#define PRIORITY "NORMAL:-CTYPE-ALL:+CTYPE-RAWPK"

struct keys {
    struct identity self[2];
    gnutls_certificate_credentials_t credentials[2];
};

static int make_keys(void **state)
{
    struct keys *keys = calloc(1, sizeof(*keys));
    for (int i = 0; i < 2; i++) {
        if (identity_generate(&keys->self[i]) != IDENTITY_OK ||
            rawkey_credentials(&keys->self[i], &keys->credentials[i]) != IDENTITY_OK) {
            return -1;
        }
    }
    *state = keys;
    return 0;
}

static int free_keys(void **state)
{
    struct keys *keys = *state;
    for (int i = 0; i < 2; i++) {
        gnutls_certificate_free_credentials(keys->credentials[i]);
    }
    free(keys);
    return 0;
}

static void make_sockets(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

static struct channel *new_channel(struct keys *keys, int side, int fd)
{
    struct channel_config config = {
        .server = side == SERVER,
        .fd = fd,
        .credentials = keys->credentials[side],
        .max_queue_bytes = QUEUE,
    };
    struct channel *ch;
    assert_int_equal(channel_new(&ch, &config), CHANNEL_OK);
    return ch;
}

static void make_ends(struct keys *keys, struct channel *ends[2])
{
    int fds[2];
    make_sockets(fds);
    for (int side = 0; side < 2; side++) {
        ends[side] = new_channel(keys, side, fds[side]);
    }
}

/* More turns than any handshake needs. */
static void take_turns(struct channel *ends[2])
{
    for (int turn = 0; turn < 10; turn++) {
        channel_process(ends[CLIENT]);
        channel_process(ends[SERVER]);
    }
}

static void make_open_ends(struct keys *keys, struct channel *ends[2])
{
    make_ends(keys, ends);
    take_turns(ends);
    assert_true(channel_is_open(ends[CLIENT]));
    assert_true(channel_is_open(ends[SERVER]));
}

static void free_ends(struct channel *ends[2])
{
    channel_free(ends[CLIENT]);
    channel_free(ends[SERVER]);
}

static void assert_frame(struct channel *ch, const void *expected, size_t size)
{
    const uint8_t *frame;
    size_t got;
    assert_int_equal(channel_receive(ch, &frame, &got), 1);
    assert_int_equal(got, size);
    assert_memory_equal(frame, expected, size);
}

static void assert_nothing(struct channel *ch)
{
    const uint8_t *frame;
    size_t size;
    assert_int_equal(channel_receive(ch, &frame, &size), 0);
}

static void assert_ended(struct channel *ch, int error)
{
    const uint8_t *frame;
    size_t size;
    assert_int_equal(channel_receive(ch, &frame, &size), error);
    assert_int_equal(channel_process(ch), error);
    assert_int_equal(channel_send(ch, (const uint8_t *)"x", 1), error);
    assert_false(channel_is_open(ch));
    assert_false(channel_wants_write(ch));
    assert_int_not_equal(strlen(channel_why(ch)), 0);
}

/* A client of the same TLS but of no channel: says what a channel never would. */
static gnutls_session_t make_stranger(gnutls_certificate_credentials_t credentials, int fd,
                                      const char *priority, const char *alpn)
{
    gnutls_session_t session;
    assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL |
                                               GNUTLS_ENABLE_RAWPK),
                     0);
    assert_int_equal(gnutls_priority_set_direct(session, priority, NULL), 0);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    if (alpn != NULL) {
        gnutls_datum_t protocol = {.data = (unsigned char *)(uintptr_t)alpn,
                                   .size = (unsigned)strlen(alpn)};
        gnutls_alpn_set_protocols(session, &protocol, 1, 0);
    }
    gnutls_transport_set_int(session, fd);
    return session;
}

static void shake_hands(gnutls_session_t stranger, struct channel *server)
{
    bool done = false;
    for (int turn = 0; turn < 10; turn++) {
        /* Calling it again once it is done would update the keys. */
        done = done || gnutls_handshake(stranger) == 0;
        channel_process(server);
    }
}

static void free_stranger(gnutls_session_t stranger, int fd)
{
    gnutls_deinit(stranger);
    close(fd);
}

static void handshake_proves_both_keys(void **state)
{
    struct keys *keys = *state;
    struct channel *ends[2];
    make_ends(keys, ends);
    assert_true(channel_wants_write(ends[CLIENT]));
    assert_false(channel_wants_write(ends[SERVER]));
    assert_int_equal(channel_send(ends[CLIENT], (const uint8_t *)"x", 1), CHANNEL_ERR_NOT_OPEN);
    assert_nothing(ends[SERVER]);
    take_turns(ends);
    for (int side = 0; side < 2; side++) {
        assert_true(channel_is_open(ends[side]));
        assert_true(identity_equal(channel_peer(ends[side]), &keys->self[1 - side].id));
        assert_string_equal(channel_why(ends[side]), "");
        assert_false(channel_wants_write(ends[side]));
        assert_nothing(ends[side]);
    }
    free_ends(ends);
}

static void server_opens_only_after_the_clients_proof(void **state)
{
    struct channel *ends[2];
    make_ends(*state, ends);
    channel_process(ends[CLIENT]);
    channel_process(ends[SERVER]);
    assert_false(channel_is_open(ends[SERVER]));
    channel_process(ends[CLIENT]);
    assert_true(channel_is_open(ends[CLIENT]));
    assert_false(channel_is_open(ends[SERVER]));
    channel_process(ends[SERVER]);
    assert_true(channel_is_open(ends[SERVER]));
    free_ends(ends);
}

static void frames_of_all_sizes_arrive(void **state)
{
    static const size_t sizes[] = {
        1, 2, 255, 256, 4096, CHANNEL_MAX_FRAME_BYTES - 1, CHANNEL_MAX_FRAME_BYTES};
    static uint8_t bytes[CHANNEL_MAX_FRAME_BYTES];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    struct channel *ends[2];
    make_open_ends(*state, ends);
    for (int from = 0; from < 2; from++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            assert_int_equal(channel_send(ends[from], bytes, sizes[i]), CHANNEL_OK);
            assert_frame(ends[1 - from], bytes, sizes[i]);
            assert_nothing(ends[1 - from]);
        }
    }
    assert_int_equal(channel_send(ends[CLIENT], bytes, 0), CHANNEL_ERR_FRAME);
    assert_int_equal(channel_send(ends[CLIENT], bytes, CHANNEL_MAX_FRAME_BYTES + 1),
                     CHANNEL_ERR_FRAME);
    assert_true(channel_is_open(ends[CLIENT]));
    free_ends(ends);
}

static void many_frames_wait_in_one_record(void **state)
{
    struct keys *keys = *state;
    int fds[2];
    make_sockets(fds);
    struct channel *server = new_channel(keys, SERVER, fds[SERVER]);
    gnutls_session_t stranger =
        make_stranger(keys->credentials[CLIENT], fds[CLIENT], PRIORITY, "eyelet/1");
    shake_hands(stranger, server);
    assert_true(channel_is_open(server));
    uint8_t record[3 * 100 + 1];
    for (size_t i = 0; i < 100; i++) {
        memcpy(record + 3 * i, (uint8_t[]){0, 1, (uint8_t)i}, 3);
    }
    record[300] = 0;
    assert_int_equal(gnutls_record_send(stranger, record, sizeof(record)), sizeof(record));
    for (uint8_t i = 0; i < 100; i++) {
        assert_frame(server, &i, 1);
    }
    assert_nothing(server);
    /* The rest of the frame whose first byte has already come. */
    assert_int_equal(gnutls_record_send(stranger, (uint8_t[]){2, 'h'}, 2), 2);
    assert_nothing(server);
    assert_int_equal(gnutls_record_send(stranger, "i", 1), 1);
    assert_frame(server, "hi", 2);
    free_stranger(stranger, fds[CLIENT]);
    channel_free(server);
}

static void expect_frame_error(struct keys *keys, const uint8_t *bytes, size_t size)
{
    int fds[2];
    make_sockets(fds);
    struct channel *server = new_channel(keys, SERVER, fds[SERVER]);
    gnutls_session_t stranger =
        make_stranger(keys->credentials[CLIENT], fds[CLIENT], PRIORITY, "eyelet/1");
    shake_hands(stranger, server);
    assert_int_equal(gnutls_record_send(stranger, bytes, size), size);
    assert_ended(server, CHANNEL_ERR_FRAME);
    channel_free(server);
    uint8_t end;
    assert_int_equal(gnutls_record_recv(stranger, &end, 1), 0);
    free_stranger(stranger, fds[CLIENT]);
}

static void wrong_frame_sizes_end_it(void **state)
{
    expect_frame_error(*state, (uint8_t[]){0x20, 0x01, 'x'}, 3);
    expect_frame_error(*state, (uint8_t[]){0xFF, 0xFF}, 2);
    expect_frame_error(*state, (uint8_t[]){0, 0}, 2);
}

/* Sends numbered frames until the queue is full; returns how many were taken. */
static uint32_t fill_queue(struct channel *ch)
{
    static uint8_t frame[5000];
    for (uint32_t count = 0;; count++) {
        memcpy(frame, &count, sizeof(count));
        int rv = channel_send(ch, frame, sizeof(frame));
        if (rv == CHANNEL_ERR_QUEUE_FULL) {
            return count;
        }
        assert_int_equal(rv, CHANNEL_OK);
    }
}

static void a_side_that_does_not_read_fills_the_queue(void **state)
{
    struct channel *ends[2];
    make_open_ends(*state, ends);
    setsockopt(channel_fd(ends[SERVER]), SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int));
    for (int round = 0; round < 3; round++) {
        uint32_t sent = fill_queue(ends[SERVER]);
        assert_true(channel_queued_bytes(ends[SERVER]) <= QUEUE);
        assert_true(channel_queued_bytes(ends[SERVER]) > QUEUE - 5002);
        assert_true(channel_is_open(ends[SERVER]));
        assert_true(channel_wants_write(ends[SERVER]));
        /* Now it reads: every frame taken arrives, once and in order. */
        uint32_t received = 0;
        for (int turn = 0; turn < 1000 && received < sent; turn++) {
            const uint8_t *frame;
            size_t size;
            while (channel_receive(ends[CLIENT], &frame, &size) == 1) {
                uint32_t number;
                memcpy(&number, frame, sizeof(number));
                assert_int_equal(number, received);
                assert_int_equal(size, 5000);
                received++;
            }
            assert_int_equal(channel_process(ends[SERVER]), CHANNEL_OK);
        }
        assert_int_equal(received, sent);
        assert_int_equal(channel_queued_bytes(ends[SERVER]), 0);
        assert_false(channel_wants_write(ends[SERVER]));
    }
    free_ends(ends);
}

static void handshake_survives_small_buffers(void **state)
{
    struct channel *ends[2];
    make_ends(*state, ends);
    for (int side = 0; side < 2; side++) {
        /* Leaves room for a few bytes in the socket, then for none. */
        setsockopt(channel_fd(ends[side]), SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int));
    }
    take_turns(ends);
    assert_true(channel_is_open(ends[CLIENT]));
    assert_true(channel_is_open(ends[SERVER]));
    free_ends(ends);
}

static void garbage_is_no_handshake(void **state)
{
    int fds[2];
    make_sockets(fds);
    struct channel *server = new_channel(*state, SERVER, fds[SERVER]);
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
    assert_int_equal(write(fds[CLIENT], garbage, sizeof(garbage)), sizeof(garbage));
    assert_int_equal(channel_process(server), CHANNEL_ERR_TLS);
    assert_ended(server, CHANNEL_ERR_TLS);
    channel_free(server);
    close(fds[CLIENT]);
}

static void half_a_handshake_then_close(void **state)
{
    /* A TLS record header that promises more than ever comes. */
    static const uint8_t half[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00};
    for (size_t size = 0; size <= sizeof(half); size++) {
        int fds[2];
        make_sockets(fds);
        struct channel *server = new_channel(*state, SERVER, fds[SERVER]);
        assert_int_equal(write(fds[CLIENT], half, size), size);
        assert_int_equal(channel_process(server), CHANNEL_OK);
        assert_nothing(server);
        close(fds[CLIENT]);
        /* GnuTLS takes an end within a record for a malformed one. */
        int expected = size < 5 ? CHANNEL_ERR_CLOSED : CHANNEL_ERR_TLS;
        assert_int_equal(channel_process(server), expected);
        assert_ended(server, expected);
        channel_free(server);
    }
}

static void client_without_a_key_is_refused(void **state)
{
    struct keys *keys = *state;
    gnutls_certificate_credentials_t none;
    gnutls_certificate_allocate_credentials(&none);
    int fds[2];
    make_sockets(fds);
    struct channel *server = new_channel(keys, SERVER, fds[SERVER]);
    gnutls_session_t stranger = make_stranger(none, fds[CLIENT], PRIORITY, "eyelet/1");
    shake_hands(stranger, server);
    assert_ended(server, CHANNEL_ERR_TLS);
    channel_free(server);
    free_stranger(stranger, fds[CLIENT]);
    gnutls_certificate_free_credentials(none);
}

static void a_refused_client_learns_why(void **state)
{
    struct keys *keys = *state;
    struct keys keyless = *keys;
    gnutls_certificate_allocate_credentials(&keyless.credentials[CLIENT]);
    struct channel *ends[2];
    make_ends(&keyless, ends);
    take_turns(ends);
    assert_ended(ends[SERVER], CHANNEL_ERR_TLS);
    assert_ended(ends[CLIENT], CHANNEL_ERR_TLS);
    assert_non_null(strstr(channel_why(ends[CLIENT]), "the other side says"));
    free_ends(ends);
    gnutls_certificate_free_credentials(keyless.credentials[CLIENT]);
}

static void expect_refused(struct keys *keys, const char *priority, const char *alpn)
{
    int fds[2];
    make_sockets(fds);
    struct channel *server = new_channel(keys, SERVER, fds[SERVER]);
    gnutls_session_t stranger =
        make_stranger(keys->credentials[CLIENT], fds[CLIENT], priority, alpn);
    shake_hands(stranger, server);
    assert_ended(server, CHANNEL_ERR_TLS);
    channel_free(server);
    free_stranger(stranger, fds[CLIENT]);
}

static void other_protocols_are_refused(void **state)
{
    expect_refused(*state, PRIORITY, NULL);
    expect_refused(*state, PRIORITY, "eyelet/2");
    expect_refused(*state, PRIORITY, "http/1.1");
    expect_refused(*state, PRIORITY ":-VERS-ALL:+VERS-TLS1.2", "eyelet/1");
}

static void two_protocols_on_one_port(void **state)
{
    struct keys *keys = *state;
    for (int relay = 0; relay < 2; relay++) {
        struct channel *ends[2];
        int fds[2];
        make_sockets(fds);
        struct channel_config config = {.for_relay = relay == 1,
                                        .fd = fds[CLIENT],
                                        .credentials = keys->credentials[CLIENT],
                                        .max_queue_bytes = QUEUE};
        assert_int_equal(channel_new(&ends[CLIENT], &config), CHANNEL_OK);
        ends[SERVER] = new_channel(keys, SERVER, fds[SERVER]);
        take_turns(ends);
        for (int side = 0; side < 2; side++) {
            assert_true(channel_is_open(ends[side]));
            assert_int_equal(channel_is_relay(ends[side]), relay);
        }
        free_ends(ends);
    }
}

static void queued_frames_wait_for_a_push(void **state)
{
    struct channel *ends[2];
    make_open_ends(*state, ends);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(channel_queue(ends[CLIENT], (const uint8_t *)&i, sizeof(i)), CHANNEL_OK);
    }
    assert_int_equal(channel_queued_bytes(ends[CLIENT]), 10 * (2 + sizeof(int)));
    assert_true(channel_wants_write(ends[CLIENT]));
    assert_nothing(ends[SERVER]);
    assert_int_equal(channel_process(ends[CLIENT]), CHANNEL_OK);
    assert_int_equal(channel_queued_bytes(ends[CLIENT]), 0);
    for (int i = 0; i < 10; i++) {
        assert_frame(ends[SERVER], &i, sizeof(i));
    }
    static uint8_t frame[CHANNEL_MAX_FRAME_BYTES];
    int error = CHANNEL_OK;
    for (int i = 0; i <= QUEUE / CHANNEL_MAX_FRAME_BYTES && error == CHANNEL_OK; i++) {
        error = channel_queue(ends[CLIENT], frame, sizeof(frame));
    }
    assert_int_equal(error, CHANNEL_ERR_QUEUE_FULL);
    free_ends(ends);
}

static void last_words_arrive_before_the_end(void **state)
{
    struct channel *ends[2];
    make_open_ends(*state, ends);
    /* Something that the server never read must not turn its goodbye into a reset. */
    assert_int_equal(channel_send(ends[CLIENT], (const uint8_t *)"unread", 6), CHANNEL_OK);
    assert_int_equal(channel_send(ends[SERVER], (const uint8_t *)"first", 5), CHANNEL_OK);
    assert_int_equal(channel_send(ends[SERVER], (const uint8_t *)"last", 4), CHANNEL_OK);
    channel_free(ends[SERVER]);
    /* The client talks into the void first: that alone must not hide what is waiting for it. */
    assert_int_equal(channel_send(ends[CLIENT], (const uint8_t *)"x", 1), CHANNEL_ERR_CLOSED);
    assert_int_equal(channel_process(ends[CLIENT]), CHANNEL_OK);
    assert_frame(ends[CLIENT], "first", 5);
    assert_frame(ends[CLIENT], "last", 4);
    assert_ended(ends[CLIENT], CHANNEL_ERR_CLOSED);
    channel_free(ends[CLIENT]);
}

static void a_cut_connection_is_an_error(void **state)
{
    struct channel *ends[2];
    make_open_ends(*state, ends);
    shutdown(channel_fd(ends[CLIENT]), SHUT_RDWR);
    assert_ended(ends[SERVER], CHANNEL_ERR_CLOSED);
    free_ends(ends);
}

static void a_refused_connection_says_so(void **state)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(nobody);
    assert_int_equal(bind(listener, (struct sockaddr *)&nobody, size), 0);
    getsockname(listener, (struct sockaddr *)&nobody, &size);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int rv = connect(fd, (struct sockaddr *)&nobody, size);
    assert_true(rv == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
    struct channel *client = new_channel(*state, CLIENT, fd);
    assert_true(channel_wants_write(client));
    assert_int_equal(channel_process(client), CHANNEL_ERR_CLOSED);
    assert_int_not_equal(strlen(channel_why(client)), 0);
    channel_free(client);
    close(listener);
}

static void connects_over_tcp(void **state)
{
    struct keys *keys = *state;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(addr);
    assert_int_equal(bind(listener, (struct sockaddr *)&addr, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&addr, &size);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)!connect(fd, (struct sockaddr *)&addr, size);
    struct channel *ends[2] = {new_channel(keys, CLIENT, fd), NULL};
    channel_process(ends[CLIENT]);
    ends[SERVER] = new_channel(keys, SERVER, accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    take_turns(ends);
    assert_true(channel_is_open(ends[CLIENT]));
    assert_int_equal(channel_send(ends[CLIENT], (const uint8_t *)"hello", 5), CHANNEL_OK);
    assert_frame(ends[SERVER], "hello", 5);
    free_ends(ends);
    close(listener);
}

static void channels_share_a_priority(void **state)
{
    struct keys *keys = *state;
    gnutls_priority_t priority;
    assert_int_equal(channel_priority(&priority), CHANNEL_OK);
    int fds[2];
    make_sockets(fds);
    struct channel *ends[2];
    for (int side = 0; side < 2; side++) {
        struct channel_config config = {
            .server = side == SERVER,
            .fd = fds[side],
            .credentials = keys->credentials[side],
            .max_queue_bytes = QUEUE,
            .priority = priority,
        };
        assert_int_equal(channel_new(&ends[side], &config), CHANNEL_OK);
    }
    gnutls_priority_deinit(priority);
    take_turns(ends);
    assert_true(channel_is_open(ends[SERVER]));
    free_ends(ends);
}

static void a_bad_record_ends_it(void **state)
{
    int fds[2];
    make_sockets(fds);
    struct channel *ends[2];
    for (int side = 0; side < 2; side++) {
        ends[side] = new_channel(*state, side, fds[side]);
    }
    take_turns(ends);
    uint8_t record[5 + 32] = {0x17, 0x03, 0x03, 0x00, 32};
    assert_int_equal(write(fds[CLIENT], record, sizeof(record)), sizeof(record));
    assert_ended(ends[SERVER], CHANNEL_ERR_TLS);
    free_ends(ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_proves_both_keys),
        cmocka_unit_test(server_opens_only_after_the_clients_proof),
        cmocka_unit_test(frames_of_all_sizes_arrive),
        cmocka_unit_test(many_frames_wait_in_one_record),
        cmocka_unit_test(wrong_frame_sizes_end_it),
        cmocka_unit_test(a_side_that_does_not_read_fills_the_queue),
        cmocka_unit_test(handshake_survives_small_buffers),
        cmocka_unit_test(garbage_is_no_handshake),
        cmocka_unit_test(half_a_handshake_then_close),
        cmocka_unit_test(client_without_a_key_is_refused),
        cmocka_unit_test(a_refused_client_learns_why),
        cmocka_unit_test(other_protocols_are_refused),
        cmocka_unit_test(two_protocols_on_one_port),
        cmocka_unit_test(queued_frames_wait_for_a_push),
        cmocka_unit_test(last_words_arrive_before_the_end),
        cmocka_unit_test(a_cut_connection_is_an_error),
        cmocka_unit_test(a_refused_connection_says_so),
        cmocka_unit_test(connects_over_tcp),
        cmocka_unit_test(channels_share_a_priority),
        cmocka_unit_test(a_bad_record_ends_it),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
