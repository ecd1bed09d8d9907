/* SPDX-License-Identifier: BSD-2-Clause */
/* Handshakes, paths and ends of links. */
#include "link_net.h"

#define FLIGHT_MAX_BYTES                                                                           \
    1252 /* what a dial carries: DIAL_MAX_FLIGHT_BYTES of rendezvous/dial.h                        \
          */

static void test_handshake(void **state)
{
    (void)state;
    struct net net;
    net_init(&net);
    uint64_t start = net.now_us;
    net_connect(&net);
    net.app = net_both_confirmed;
    assert_false(link_is_established(net.side[1]));
    assert_true(net_run(&net, 1000000));
    /* flight, answer, Finished, confirmation: two round trips */
    assert_int_equal(net.now_us - start, 2 * NET_RTT_US);
    for (int i = 0; i < 2; i++) {
        struct link_event event;
        assert_true(link_poll_event(net.side[i], &event));
        assert_int_equal(event.kind, LINK_EVENT_ESTABLISHED);
        assert_true(link_poll_event(net.side[i], &event));
        assert_int_equal(event.kind, LINK_EVENT_CONFIRMED);
        assert_false(link_poll_event(net.side[i], &event));
        assert_int_equal(link_close_reason(net.side[i])->kind, LINK_CLOSE_NONE);
        assert_in_range(link_rtt_us(net.side[i]), NET_RTT_US, NET_RTT_US + 1000);
    }
    net_free(&net);
}

static void test_first_flight(void **state)
{
    (void)state;
    struct net net;
    uint8_t flight[LINK_MAX_DATAGRAM_BYTES];
    uint8_t answer[LINK_MAX_BATCH_BYTES];
    size_t segment;
    net_init(&net);
    size_t size = net_dial(&net, flight);
    assert_in_range(size, LINK_MIN_DATAGRAM_BYTES, FLIGHT_MAX_BYTES);
    assert_int_equal(link_output(net.side[0], net.now_us, answer, sizeof(answer), &segment), 0);

    assert_int_equal(link_accept(&net.side[1], &net.config[1], flight, size, net.now_us), LINK_OK);
    assert_int_equal(link_output(net.side[1], net.now_us, answer, sizeof(answer), &segment), 0);
    link_set_path(net.side[1], net.now_us, true, LINK_MIN_DATAGRAM_BYTES);
    int64_t stream = link_stream_open(net.side[1]);
    uint8_t words[300] = {0};
    assert_int_equal(link_stream_write(net.side[1], stream, words, sizeof(words), false), 300);
    size = link_output(net.side[1], net.now_us, answer, sizeof(answer), &segment);
    assert_in_range(size, 1, 2 * LINK_MIN_DATAGRAM_BYTES);
    assert_int_equal(
        link_output(net.side[1], net.now_us, answer + size, sizeof(answer) - size, &segment), 0);
    net_free(&net);
}

static void test_first_flight_on_large_path(void **state)
{
    (void)state;
    struct net net;
    uint8_t flight[LINK_MAX_BATCH_BYTES];
    size_t segment;
    net_init(&net);
    assert_int_equal(link_dial(&net.side[0], &net.config[0], net.now_us), LINK_OK);
    link_set_path(net.side[0], net.now_us, true, LINK_MAX_DATAGRAM_BYTES);
    size_t size = link_output(net.side[0], net.now_us, flight, sizeof(flight), &segment);
    assert_int_equal(size, segment);
    assert_in_range(size, LINK_MIN_DATAGRAM_BYTES, FLIGHT_MAX_BYTES);
    net_free(&net);
}

/* The listener's words come with its first flight: the dialler has them after one crossing. */
static void test_listener_speaks_first(void **state)
{
    (void)state;
    struct net net;
    net_init(&net);
    uint64_t start = net.now_us;
    net_connect(&net);
    int64_t stream = link_stream_open(net.side[1]);
    assert_true(stream >= 0);
    assert_int_equal(link_stream_write(net.side[1], stream, (const uint8_t *)"hello", 5, true), 5);
    struct link_event event;
    while (!net_find_event(net.side[0], LINK_EVENT_READABLE, &event)) {
        assert_true(net_step(&net));
    }
    assert_int_equal(net.now_us - start, NET_RTT_US);
    assert_int_equal(event.stream, stream);
    assert_true(link_is_established(net.side[0]));
    const uint8_t *data;
    bool fin;
    assert_int_equal(link_stream_peek(net.side[0], stream, &data, &fin), 5);
    assert_memory_equal(data, "hello", 5);
    assert_false(fin);
    link_stream_consume(net.side[0], stream, 5);
    assert_int_equal(link_stream_peek(net.side[0], stream, &data, &fin), 0);
    assert_true(fin);
    net_free(&net);
}

static void expect_closed(struct link *link, enum link_close_kind kind)
{
    struct link_event event;
    assert_true(net_find_event(link, LINK_EVENT_CLOSED, &event));
    assert_false(link_poll_event(link, &event));
    assert_int_equal(link_close_reason(link)->kind, kind);
    assert_true(strlen(link_close_reason(link)->text) > 0);
    assert_int_equal(link_next_timeout(link), UINT64_MAX);
    assert_int_equal(link_stream_open(link), LINK_ERR_CLOSED);
}

static void test_wrong_listener(void **state)
{
    (void)state;
    struct net net;
    net_init(&net);
    net.config[0].peer = net.identity[0].id; /* anyone but the listener */
    net_connect(&net);
    net_run(&net, 1000000);
    assert_false(link_is_established(net.side[0]));
    assert_false(link_is_established(net.side[1]));
    expect_closed(net.side[0], LINK_CLOSE_WRONG_PEER);
    expect_closed(net.side[1], LINK_CLOSE_TLS);
    net_free(&net);
}

static void test_wrong_dialler(void **state)
{
    (void)state;
    struct net net;
    net_init(&net);
    net.config[1].peer = net.identity[1].id;
    net_connect(&net);
    net_run(&net, 1000000);
    assert_false(link_is_established(net.side[1]));
    expect_closed(net.side[1], LINK_CLOSE_WRONG_PEER);
    expect_closed(net.side[0], LINK_CLOSE_TLS);
    net_free(&net);
}

static void test_close(void **state)
{
    (void)state;
    struct net net;
    net_init(&net);
    net_connect(&net);
    net.app = net_both_confirmed;
    assert_true(net_run(&net, 1000000));
    net.app = NULL;
    link_close(net.side[0], 77, "that was\n\033[1mall");
    net_run(&net, 1000000);
    expect_closed(net.side[0], LINK_CLOSE_LOCAL);
    expect_closed(net.side[1], LINK_CLOSE_PEER);
    assert_int_equal(link_close_reason(net.side[1])->code, 77);
    assert_string_equal(link_close_reason(net.side[1])->text, "that was??[1mall");
    assert_int_equal(link_input(net.side[1], net.now_us, (const uint8_t *)"x", 1), LINK_ERR_CLOSED);
    net_free(&net);
}

/* The close is lost; the peer's next packets bring it back. */
static void test_close_lost(void **state)
{
    (void)state;
    struct net net;
    net_init(&net);
    net_connect(&net);
    net.app = net_both_confirmed;
    assert_true(net_run(&net, 1000000));
    net.app = NULL;
    link_close(net.side[0], 1, "bye");
    net.cut[0] = true;
    net_flush(&net, 0);
    net.cut[0] = false;
    int64_t stream = link_stream_open(net.side[1]);
    link_stream_write(net.side[1], stream, (const uint8_t *)"?", 1, false);
    net_run(&net, 1000000);
    expect_closed(net.side[1], LINK_CLOSE_PEER);
    net_free(&net);
}

static void test_close_in_handshake(void **state)
{
    (void)state;
    struct net net;
    net_init(&net);
    net_connect(&net);
    link_close(net.side[1], 5, "no");
    net_run(&net, 1000000);
    struct link_event event;
    assert_true(net_find_event(net.side[0], LINK_EVENT_CLOSED, &event));
    net_free(&net);
}

/* Whoever has nothing to say lives on; whoever is not there any more does not. */
static void test_idle(void **state)
{
    (void)state;
    struct net net;
    net_init(&net);
    net.config[0].idle_timeout_us = 5000000;
    net_connect(&net);
    net.app = net_both_confirmed;
    assert_true(net_run(&net, 1000000));
    net.app = NULL;
    net_run(&net, 60000000);
    assert_int_equal(link_close_reason(net.side[0])->kind, LINK_CLOSE_NONE);
    assert_int_equal(link_close_reason(net.side[1])->kind, LINK_CLOSE_NONE);
    net.cut[0] = net.cut[1] = true;
    uint64_t start = net.now_us;
    while (link_close_reason(net.side[0])->kind == LINK_CLOSE_NONE ||
           link_close_reason(net.side[1])->kind == LINK_CLOSE_NONE) {
        assert_true(net_step(&net));
    }
    assert_in_range(net.now_us - start, 3000000, 9000000);
    expect_closed(net.side[0], LINK_CLOSE_IDLE);
    expect_closed(net.side[1], LINK_CLOSE_IDLE);
    net_free(&net);
}

static void test_unanswered(void **state)
{
    (void)state;
    struct net net;
    uint8_t flight[LINK_MAX_DATAGRAM_BYTES];
    net_init(&net);
    net.config[0].idle_timeout_us = 3000000;
    net_dial(&net, flight);
    net_run(&net, 4000000);
    expect_closed(net.side[0], LINK_CLOSE_IDLE);
    assert_in_range(net.sent[0], 2, 20);
    net_free(&net);
}

/* Without a path there is no output, no timer and no idle time. */
static void test_no_path(void **state)
{
    (void)state;
    struct net net;
    uint8_t buffer[LINK_MAX_DATAGRAM_BYTES];
    size_t segment;
    net_init(&net);
    net_connect(&net);
    net.app = net_both_confirmed;
    assert_true(net_run(&net, 1000000));
    net.app = NULL;
    for (int i = 0; i < 2; i++) {
        link_set_path(net.side[i], net.now_us, false, 0);
        assert_int_equal(link_next_timeout(net.side[i]), UINT64_MAX);
    }
    int64_t stream = link_stream_open(net.side[0]);
    assert_int_equal(link_stream_write(net.side[0], stream, (const uint8_t *)"x", 1, false), 1);
    net.now_us += 3600U * 1000000U;
    assert_int_equal(link_output(net.side[0], net.now_us, buffer, sizeof(buffer), &segment), 0);
    assert_int_equal(link_handle_timeout(net.side[0], net.now_us), LINK_OK);
    for (int i = 0; i < 2; i++) {
        link_set_path(net.side[i], net.now_us, true, LINK_MAX_DATAGRAM_BYTES);
    }
    uint64_t start = net.now_us;
    struct link_event event;
    while (!net_find_event(net.side[1], LINK_EVENT_READABLE, &event)) {
        assert_true(net_step(&net));
    }
    assert_in_range(net.now_us - start, NET_RTT_US / 2, NET_RTT_US / 2 + 1000);
    net_free(&net);
}

/* A caller whose clock goes back makes the link wait, and harms nothing. */
static void test_time_goes_back(void **state)
{
    (void)state;
    struct net net;
    uint8_t buffer[LINK_MAX_DATAGRAM_BYTES];
    size_t segment;
    net_init(&net);
    net_connect(&net);
    net.app = net_both_confirmed;
    assert_true(net_run(&net, 1000000));
    net.app = NULL;
    for (int i = 0; i < 2; i++) {
        uint64_t before = net.now_us - NET_RTT_US;
        assert_int_equal(link_handle_timeout(net.side[i], before), LINK_OK);
        assert_int_equal(link_input(net.side[i], before, (const uint8_t *)"?", 1),
                         LINK_ERR_UNHEARD);
        (void)link_output(net.side[i], before, buffer, sizeof(buffer), &segment);
        link_set_path(net.side[i], before, false, 0);
        link_set_path(net.side[i], before, true, LINK_MAX_DATAGRAM_BYTES);
    }
    int64_t stream = link_stream_open(net.side[0]);
    assert_int_equal(link_stream_write(net.side[0], stream, (const uint8_t *)"x", 1, false), 1);
    struct link_event event;
    while (!net_find_event(net.side[1], LINK_EVENT_READABLE, &event)) {
        assert_true(net_step(&net));
    }
    net_free(&net);
}

/* What side 0 has to say, or its next timer makes it say. Delivers nothing. */
static size_t next_datagram(struct net *net, uint8_t datagram[static LINK_MAX_DATAGRAM_BYTES])
{
    size_t segment;
    size_t size =
        link_output(net->side[0], net->now_us, datagram, LINK_MAX_DATAGRAM_BYTES, &segment);
    while (size == 0) {
        net->now_us = link_next_timeout(net->side[0]);
        assert_int_equal(link_handle_timeout(net->side[0], net->now_us), LINK_OK);
        size = link_output(net->side[0], net->now_us, datagram, LINK_MAX_DATAGRAM_BYTES, &segment);
    }
    return size;
}

/* What the other side answers to it, at once or when its timer says so. */
static size_t answer(struct net *net, uint8_t datagram[static LINK_MAX_DATAGRAM_BYTES])
{
    size_t segment;
    size_t size;
    while ((size = link_output(net->side[1], net->now_us, datagram, LINK_MAX_DATAGRAM_BYTES,
                               &segment)) == 0) {
        net->now_us = link_next_timeout(net->side[1]);
        assert_int_equal(link_handle_timeout(net->side[1], net->now_us), LINK_OK);
    }
    return size;
}

/* A datagram that was only made to look like the peer's, or that somebody has recorded, is no sign
 * of life. */
static void test_signs_of_life(void **state)
{
    (void)state;
    struct net net;
    uint8_t datagram[LINK_MAX_DATAGRAM_BYTES];
    uint8_t forged[LINK_MAX_DATAGRAM_BYTES];
    struct link_event event;
    net_init(&net);
    net_connect(&net);
    net.app = net_both_confirmed;
    assert_true(net_run(&net, 1000000));
    net.app = NULL;
    net_run(&net, 1000000);
    while (link_poll_event(net.side[1], &event)) {
    }
    int64_t stream = link_stream_open(net.side[0]);
    assert_int_equal(link_stream_write(net.side[0], stream, (const uint8_t *)"x", 1, false), 1);
    size_t size = next_datagram(&net, datagram);
    for (size_t at = 1; at < size; at++) {
        memcpy(forged, datagram, size);
        forged[at] ^= 0x40;
        assert_int_equal(link_input(net.side[1], net.now_us, forged, size), LINK_ERR_UNHEARD);
    }
    assert_false(link_poll_event(net.side[1], &event));
    assert_int_equal(link_input(net.side[1], net.now_us, datagram, size), LINK_OK);
    assert_true(net_find_event(net.side[1], LINK_EVENT_READABLE, &event));
    assert_int_equal(link_input(net.side[1], net.now_us, datagram, size), LINK_ERR_UNHEARD);
    size = answer(&net, datagram);
    assert_int_equal(link_input(net.side[0], net.now_us, datagram, size), LINK_OK);
    assert_int_equal(link_input(net.side[0], net.now_us, datagram, size), LINK_ERR_UNHEARD);
    /* Who has nothing to say still hears that its keep-alive has arrived. */
    size = next_datagram(&net, datagram);
    (void)link_input(net.side[1], net.now_us, datagram, size);
    size = answer(&net, datagram);
    assert_int_equal(link_input(net.side[0], net.now_us, datagram, size), LINK_OK);
    assert_int_equal(link_input(net.side[0], net.now_us, datagram, size), LINK_ERR_UNHEARD);
    net_free(&net);
}

static void test_lossy_handshakes(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 30; seed++) {
        struct net net;
        net_init(&net);
        net.random += seed * 7919;
        net.loss_percent = 20;
        net.duplicate_percent = 20;
        net.jitter_us = 10000;
        net_connect(&net);
        net.app = net_both_confirmed;
        assert_true(net_run(&net, 20000000));
        net_free(&net);
    }
}

static void test_first_flight_duplicated(void **state)
{
    (void)state;
    struct net net;
    uint8_t flight[LINK_MAX_DATAGRAM_BYTES];
    net_init(&net);
    size_t size = net_dial(&net, flight);
    assert_int_equal(link_accept(&net.side[1], &net.config[1], flight, size, net.now_us), LINK_OK);
    for (int i = 0; i < 2; i++) {
        link_set_path(net.side[i], net.now_us, true, LINK_MAX_DATAGRAM_BYTES);
    }
    for (uint64_t i = 0; i < 5; i++) {
        net_deliver_later(&net, 1, flight, size, net.now_us + i * 15000);
    }
    net.app = net_both_confirmed;
    assert_true(net_run(&net, 1000000));
    net_free(&net);
}

static void test_every_packet_twice(void **state)
{
    (void)state;
    struct net net;
    net_init(&net);
    net.duplicate_percent = 100;
    net.jitter_us = 5000;
    net_connect(&net);
    net.app = net_both_confirmed;
    assert_true(net_run(&net, 1000000));
    net_free(&net);
}

static void test_bad_initials(void **state)
{
    (void)state;
    struct net net;
    uint8_t flight[LINK_MAX_DATAGRAM_BYTES];
    net_init(&net);
    size_t size = net_dial(&net, flight);
    struct link *link = NULL;
    for (size_t cut = 0; cut < size; cut += 37) {
        assert_int_not_equal(link_accept(&link, &net.config[1], flight, cut, net.now_us), LINK_OK);
    }
    uint8_t other[LINK_MAX_DATAGRAM_BYTES];
    for (size_t i = 0; i < size; i += 11) {
        memcpy(other, flight, size);
        other[i] ^= 0x55;
        assert_int_not_equal(link_accept(&link, &net.config[1], other, size, net.now_us), LINK_OK);
    }
    for (int i = 0; i < 100; i++) {
        net_random_bytes(&net, other, sizeof(other));
        assert_int_equal(link_accept(&link, &net.config[1], other, sizeof(other), net.now_us),
                         LINK_ERR_BAD_INITIAL);
    }
    net_free(&net);
}

/* Garbage, packets cut short and packets with flipped bits change nothing. */
static void test_garbage(void **state)
{
    (void)state;
    struct net net;
    uint8_t bytes[LINK_MAX_DATAGRAM_BYTES];
    net_init(&net);
    net.checks_ids = false;
    net_connect(&net);
    for (int step = 0; step < 400 && !net_both_confirmed(&net, NULL); step++) {
        for (struct net_packet *p = net.packets; p != NULL; p = p->next) {
            memcpy(bytes, p->bytes, p->size);
            size_t at = net_random(&net) % p->size;
            if (step % 2 == 0) {
                bytes[at] ^= (uint8_t)(1 + net_random(&net) % 255);
                link_input(net.side[p->to], net.now_us, bytes, p->size);
            } else {
                link_input(net.side[p->to], net.now_us, bytes, at);
            }
            net_random_bytes(&net, bytes, at);
            link_input(net.side[p->to], net.now_us, bytes, at);
        }
        assert_true(net_step(&net));
    }
    assert_true(net_both_confirmed(&net, NULL));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(link_close_reason(net.side[i])->kind, LINK_CLOSE_NONE);
    }
    net_free(&net);
}

static void test_token_lifts_amplification_limit(void **state)
{
    (void)state;
    struct net net;
    net_init(&net);
    net_connect(&net);
    int64_t stream = link_stream_open(net.side[1]);
    static uint8_t much[20000];
    assert_int_equal(link_stream_write(net.side[1], stream, much, sizeof(much), false),
                     (ssize_t)sizeof(much));
    net_flush(&net, 1);
    assert_true(net.sent[1] > 4); /* the limit would be 3 times 1200 bytes */
    net_free(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_first_flight),
        cmocka_unit_test(test_first_flight_on_large_path),
        cmocka_unit_test(test_listener_speaks_first),
        cmocka_unit_test(test_wrong_listener),
        cmocka_unit_test(test_wrong_dialler),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_lost),
        cmocka_unit_test(test_close_in_handshake),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_unanswered),
        cmocka_unit_test(test_no_path),
        cmocka_unit_test(test_time_goes_back),
        cmocka_unit_test(test_signs_of_life),
        cmocka_unit_test(test_lossy_handshakes),
        cmocka_unit_test(test_first_flight_duplicated),
        cmocka_unit_test(test_every_packet_twice),
        cmocka_unit_test(test_bad_initials),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_token_lifts_amplification_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
