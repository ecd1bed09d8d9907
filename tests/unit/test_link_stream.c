/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams: every byte once, in order, and no more than there is room for. */
#include "link_talk.h"

static void test_echo(void **state)
{
    (void)state;
    struct net net;
    struct talk all;
    net_init(&net);
    start(&net, &all);
    int64_t stream = link_stream_open(net.side[0]);
    assert_int_equal(link_stream_write(net.side[0], stream, (const uint8_t *)"ping", 4, true), 4);
    assert_int_equal(link_stream_unacked(net.side[0], stream), 4);
    uint64_t began = net.now_us;
    struct link_event event;
    const uint8_t *data;
    bool fin;
    while (!net_find_event(net.side[1], LINK_EVENT_READABLE, &event)) {
        assert_true(net_step(&net));
    }
    assert_int_equal(link_stream_peek(net.side[1], event.stream, &data, &fin), 4);
    uint8_t copy[4];
    memcpy(copy, data, 4);
    link_stream_consume(net.side[1], event.stream, 4);
    assert_int_equal(link_stream_write(net.side[1], event.stream, copy, 4, true), 4);
    assert_int_equal(link_stream_peek(net.side[1], event.stream, &data, &fin), 0);
    assert_true(fin);
    while (!net_find_event(net.side[0], LINK_EVENT_READABLE, &event)) {
        assert_true(net_step(&net));
    }
    assert_int_equal(net.now_us - began, NET_RTT_US);
    assert_int_equal(link_stream_peek(net.side[0], stream, &data, &fin), 4);
    assert_memory_equal(data, "ping", 4);
    link_stream_consume(net.side[0], stream, 4);
    assert_int_equal(link_stream_peek(net.side[0], stream, &data, &fin), 0);
    assert_true(fin);
    /* both ends are done with it */
    for (int i = 0; i < 2; i++) {
        while (!net_find_event(net.side[i], LINK_EVENT_STREAM_CLOSED, &event)) {
            assert_true(net_step(&net));
        }
        assert_int_equal(event.stream, stream);
        assert_int_equal(link_stream_peek(net.side[i], stream, &data, &fin), LINK_ERR_NO_STREAM);
        assert_int_equal(link_stream_write(net.side[i], stream, copy, 1, false),
                         LINK_ERR_NO_STREAM);
    }
    net_free(&net);
}

static void check_bulk(unsigned loss, unsigned duplicates, uint64_t jitter_us, uint64_t bytes)
{
    struct net net;
    struct talk all;
    net_init(&net);
    start(&net, &all);
    net.loss_percent = loss;
    net.duplicate_percent = duplicates;
    net.jitter_us = jitter_us;
    begin_stream(&net, &all, 0, bytes);
    begin_stream(&net, &all, 1, bytes);
    net.app = talk_until_read;
    assert_true(net_run(&net, 300U * MEGABYTE));
    net.app = talk;
    net_run(&net, 3 * MEGABYTE);
    for (int i = 0; i < 2; i++) {
        assert_true(all.side[i].fin_seen);
        assert_int_equal(link_stream_unacked(net.side[i], all.side[i].stream), 0);
        /* the other direction of each stream was never ended */
        assert_false(all.side[i].is_closed);
    }
    net_free(&net);
}

static void test_bulk(void **state)
{
    (void)state;
    check_bulk(0, 0, 0, 10 * MEGABYTE);
}

static void test_bulk_with_loss(void **state)
{
    (void)state;
    check_bulk(5, 0, 10000, 10 * MEGABYTE);
}

static void test_bulk_duplicated(void **state)
{
    (void)state;
    check_bulk(1, 100, 3000, 2 * MEGABYTE);
}

static void test_reset(void **state)
{
    (void)state;
    struct net net;
    struct talk all;
    net_init(&net);
    start(&net, &all);
    begin_stream(&net, &all, 0, 5 * MEGABYTE);
    net_run(&net, 100000);
    assert_true(all.side[1].read > 0);
    link_stream_reset(net.side[0], all.side[0].stream, 99);
    int64_t stream = all.side[0].stream;
    all.side[0].to_write = 0;
    assert_int_equal(link_stream_write(net.side[0], stream, (const uint8_t *)"x", 1, false),
                     LINK_ERR_NO_STREAM);
    net_run(&net, 1000000);
    assert_int_equal(all.side[1].resets, 1);
    assert_int_equal(all.side[1].reset_code, 99);
    assert_int_equal(all.side[0].resets, 0);
    assert_true(all.side[0].is_closed);
    assert_int_equal(all.side[1].closed_streams, 1);

    /* the reader gives up: the writer hears of it */
    all.side[1].read = 0;
    all.side[0].written = 0;
    begin_stream(&net, &all, 0, 50 * MEGABYTE);
    net_run(&net, 100000);
    link_stream_reset(net.side[1], all.side[0].stream, 7);
    all.side[0].to_write = 0;
    net_run(&net, 1000000);
    assert_int_equal(all.side[0].resets, 1);
    assert_int_equal(all.side[0].reset_code, 7);

    /* and the connection's window is whole again */
    all.side[1].read = 0;
    all.side[0].written = 0;
    begin_stream(&net, &all, 0, 30 * MEGABYTE);
    net.app = talk_until_read;
    assert_true(net_run(&net, 60 * MEGABYTE));
    net_free(&net);
}

/* Reset again and again with unread bytes: no credit may leak. */
static void test_resets_give_credit_back(void **state)
{
    (void)state;
    struct net net;
    struct talk all;
    net_init(&net);
    start(&net, &all);
    for (unsigned i = 0; i < 30; i++) {
        all.side[1].keeps = true;
        all.side[0].written = 0;
        begin_stream(&net, &all, 0, 3 * MEGABYTE);
        net_run(&net, 150000);
        link_stream_reset(net.side[i % 2], all.side[0].stream, i);
        all.side[0].to_write = 0;
        net_run(&net, 200000);
    }
    all.side[1].keeps = false;
    all.side[1].read = 0;
    all.side[0].written = 0;
    begin_stream(&net, &all, 0, 3 * MEGABYTE);
    net.app = talk_until_read;
    assert_true(net_run(&net, 10 * MEGABYTE));
    net_free(&net);
}

/* A reader that does not read stops the writer at a bound, and frees it again. */
static void test_flow_control(void **state)
{
    (void)state;
    struct net net;
    struct talk all;
    net_init(&net);
    net.delay_us = 2000;
    start(&net, &all);
    all.side[1].keeps = true;
    begin_stream(&net, &all, 0, 40 * MEGABYTE);
    net_run(&net, 5 * MEGABYTE);
    uint64_t stuck_at = all.side[0].written;
    assert_in_range(stuck_at, 16 * MEGABYTE, 34 * MEGABYTE);
    uint64_t sent = net.sent[0];
    net_run(&net, 2 * MEGABYTE);
    assert_int_equal(all.side[0].written, stuck_at);
    assert_true(net.sent[0] - sent < 50);

    all.side[1].keeps = false;
    talker_read(net.side[1], &all.side[1], all.side[0].stream);
    net.app = talk_until_read;
    assert_true(net_run(&net, 30 * MEGABYTE));
    net_free(&net);
}

/* Two streams that nobody reads use up the connection's window; a third must wait, and does not
 * wait for ever. */
static void test_connection_flow_control(void **state)
{
    (void)state;
    struct net net;
    struct talk all;
    net_init(&net);
    net.delay_us = 2000;
    start(&net, &all);
    all.side[1].keeps = true;
    int64_t streams[2];
    for (int i = 0; i < 2; i++) {
        all.side[0].written = 0;
        begin_stream(&net, &all, 0, 16 * MEGABYTE);
        streams[i] = all.side[0].stream;
        net_run(&net, 5 * MEGABYTE);
    }
    int64_t third = link_stream_open(net.side[0]);
    assert_int_equal(link_stream_write(net.side[0], third, (const uint8_t *)"late", 4, true), 4);
    net_run(&net, 1 * MEGABYTE);
    const uint8_t *data;
    bool fin;
    assert_true(link_stream_peek(net.side[1], third, &data, &fin) <= 0);
    for (int i = 0; i < 2; i++) {
        all.side[1].read = 0;
        talker_read(net.side[1], &all.side[1], streams[i]);
    }
    net_run(&net, 1 * MEGABYTE);
    assert_int_equal(link_stream_peek(net.side[1], third, &data, &fin), 4);
    net_free(&net);
}

/* The peer's limit of open streams holds, and opens again as streams end. */
static void test_many_streams(void **state)
{
    (void)state;
    struct net net;
    struct talk all;
    net_init(&net);
    start(&net, &all);
    int64_t ids[128];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 128; i++) {
            ids[i] = link_stream_open(net.side[0]);
            assert_true(ids[i] >= 0);
            assert_int_equal(link_stream_write(net.side[0], ids[i], NULL, 0, true), 0);
        }
        assert_int_equal(link_stream_open(net.side[0]), LINK_ERR_BLOCKED);
        net_run(&net, 200000);
        for (int i = 0; i < 128; i++) {
            assert_int_equal(link_stream_write(net.side[1], ids[i], NULL, 0, true), 0);
        }
        net_run(&net, 500000);
        assert_int_equal(all.side[0].closed_streams, (round + 1) * 128);
        assert_int_equal(all.side[1].closed_streams, (round + 1) * 128);
        assert_int_equal(all.side[1].streams_opened, (round + 1) * 128);
    }
    net_free(&net);
}

/* What was acknowledged before the close was received, and stays readable after it. */
static void test_read_after_close(void **state)
{
    (void)state;
    struct net net;
    struct talk all;
    net_init(&net);
    start(&net, &all);
    net.app = NULL;
    int64_t stream = link_stream_open(net.side[0]);
    link_stream_write(net.side[0], stream, (const uint8_t *)"last", 4, false);
    while (link_stream_unacked(net.side[0], stream) > 0) {
        assert_true(net_step(&net));
    }
    link_close(net.side[0], 0, NULL);
    net_run(&net, 200000);
    assert_int_equal(link_close_reason(net.side[1])->kind, LINK_CLOSE_PEER);
    const uint8_t *data;
    bool fin;
    assert_int_equal(link_stream_peek(net.side[1], stream, &data, &fin), 4);
    link_stream_consume(net.side[1], stream, 4);
    assert_int_equal(link_stream_peek(net.side[1], stream, &data, &fin), LINK_ERR_CLOSED);
    net_free(&net);
}

/* An end that travels alone and is lost counts as unacknowledged until it arrives. */
static void check_unacked_end(bool alone)
{
    struct net net;
    struct talk all;
    net_init(&net);
    start(&net, &all);
    int64_t stream = link_stream_open(net.side[0]);
    assert_int_equal(link_unacked(net.side[0]), 0);
    link_stream_write(net.side[0], stream, pattern(1, 0), 1000, !alone);
    assert_int_equal(link_unacked(net.side[0]), alone ? 1000 : 1001);
    if (alone) {
        net_run(&net, 200000);
        assert_int_equal(link_unacked(net.side[0]), 0);
        link_stream_write(net.side[0], stream, NULL, 0, true);
    }
    net.cut[0] = true;
    net_flush(&net, 0);
    net.cut[0] = false;
    assert_int_equal(link_unacked(net.side[0]), alone ? 1 : 1001);
    while (link_unacked(net.side[0]) > 0) {
        assert_true(net_step(&net));
        talk(&net, &all);
    }
    assert_true(all.side[1].fin_seen);
    net_free(&net);
}

static void test_unacked(void **state)
{
    (void)state;
    check_unacked_end(false);
    check_unacked_end(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),           cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_bulk_with_loss), cmocka_unit_test(test_bulk_duplicated),
        cmocka_unit_test(test_reset),          cmocka_unit_test(test_resets_give_credit_back),
        cmocka_unit_test(test_flow_control),   cmocka_unit_test(test_connection_flow_control),
        cmocka_unit_test(test_many_streams),   cmocka_unit_test(test_read_after_close),
        cmocka_unit_test(test_unacked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
