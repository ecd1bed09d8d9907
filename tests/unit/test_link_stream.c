/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams and messages: every byte once, in order, and no more than there is room for. */
#include "link_net.h"

#define MEGABYTE 1000000U

/* One side of a transfer: writes a pattern on its stream and checks what comes on any other. */
struct talker {
    int64_t stream;
    uint64_t to_write;
    uint64_t written;
    uint64_t read;
    uint64_t key; /* of what is written */
    uint64_t peer_key;
    bool fin_seen;
    bool is_closed; /* our stream */
    bool keeps;     /* does not read */
    unsigned streams_opened;
    unsigned resets;
    uint64_t reset_code;
    unsigned messages;
    unsigned closed_streams;
};

struct talk {
    struct talker side[2];
};

#define PATTERN_BYTES 65521 /* a prime: a byte in the wrong place is a wrong byte */
#define WRITE_BYTES   16384

/* The stream's bytes from here on, at least WRITE_BYTES of them. */
static const uint8_t *pattern(uint64_t key, uint64_t at)
{
    static uint8_t bytes[PATTERN_BYTES + WRITE_BYTES];
    if (bytes[0] == 0) {
        uint64_t x = 88172645463325252U;
        for (size_t i = 0; i < PATTERN_BYTES; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            bytes[i] = (uint8_t)(x | (i == 0));
        }
        memcpy(bytes + PATTERN_BYTES, bytes, WRITE_BYTES);
    }
    return bytes + (key + at) % PATTERN_BYTES;
}

static void talker_write(struct link *link, struct talker *talker)
{
    while (talker->stream >= 0 && talker->written < talker->to_write) {
        uint64_t left = talker->to_write - talker->written;
        size_t bytes = left < WRITE_BYTES ? (size_t)left : WRITE_BYTES;
        bool last = bytes == left;
        ssize_t taken = link_stream_write(link, talker->stream,
                                          pattern(talker->key, talker->written), bytes, last);
        assert_true(taken >= 0);
        talker->written += (uint64_t)taken;
        if ((size_t)taken < bytes) {
            return;
        }
    }
}

static void talker_read(struct link *link, struct talker *talker, int64_t stream)
{
    const uint8_t *data;
    bool fin;
    ssize_t bytes;
    while ((bytes = link_stream_peek(link, stream, &data, &fin)) > 0) {
        size_t take = (size_t)bytes < WRITE_BYTES ? (size_t)bytes : WRITE_BYTES;
        if (memcmp(data, pattern(talker->peer_key, talker->read), take) != 0) {
            fail_msg("wrong bytes at %llu", (unsigned long long)talker->read);
        }
        talker->read += take;
        link_stream_consume(link, stream, take);
    }
    talker->fin_seen = talker->fin_seen || (bytes == 0 && fin);
}

static void talker_events(struct link *link, struct talker *talker)
{
    struct link_event event;
    while (link_poll_event(link, &event)) {
        switch (event.kind) {
        case LINK_EVENT_READABLE:
            if (!talker->keeps) {
                talker_read(link, talker, event.stream);
            }
            break;
        case LINK_EVENT_STREAM_OPENED:
            talker->streams_opened++;
            break;
        case LINK_EVENT_STREAM_RESET:
            talker->resets++;
            talker->reset_code = event.code;
            break;
        case LINK_EVENT_STREAM_CLOSED:
            talker->closed_streams++;
            talker->is_closed = talker->is_closed || event.stream == talker->stream;
            break;
        case LINK_EVENT_MESSAGE:
            assert_int_equal(event.bytes, event.data[0] + 1);
            talker->messages++;
            break;
        default:
            break;
        }
    }
    talker_write(link, talker);
}

static bool talk(struct net *net, void *context)
{
    struct talk *all = context;
    for (int i = 0; i < 2; i++) {
        talker_events(net->side[i], &all->side[i]);
        assert_int_equal(link_close_reason(net->side[i])->kind, LINK_CLOSE_NONE);
    }
    return false;
}

/* Both have read to the end of what the other writes. */
static bool talk_until_read(struct net *net, void *context)
{
    struct talk *all = context;
    talk(net, context);
    return all->side[0].read == all->side[1].to_write && all->side[1].read == all->side[0].to_write;
}

static void start(struct net *net, struct talk *all)
{
    memset(all, 0, sizeof(*all));
    all->side[0] = (struct talker){.stream = -1, .key = 1, .peer_key = 1000};
    all->side[1] = (struct talker){.stream = -1, .key = 1000, .peer_key = 1};
    net_connect(net);
    net->context = all;
    net->app = net_both_confirmed;
    assert_true(net_run(net, 10000000));
    net->app = talk;
}

static void begin_stream(struct net *net, struct talk *all, int from, uint64_t bytes)
{
    all->side[from].stream = link_stream_open(net->side[from]);
    assert_true(all->side[from].stream >= 0);
    all->side[from].to_write = bytes;
}

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

/* The path dies in the middle of a transfer and is back ten seconds later. The first half second
 * the links do not know, and lose what they send. */
static void check_outage(bool known_at_once)
{
    struct net net;
    struct talk all;
    net_init(&net);
    start(&net, &all);
    begin_stream(&net, &all, 0, 20 * MEGABYTE);
    net_run(&net, 400000);
    uint64_t before = all.side[1].read;
    assert_in_range(before, 1, 20 * MEGABYTE - 1);
    net.cut[0] = net.cut[1] = true;
    if (!known_at_once) {
        net_run(&net, 3000000);
    }
    for (int i = 0; i < 2; i++) {
        link_set_path(net.side[i], net.now_us, false, 0);
    }
    net_run(&net, 10000000);
    before = all.side[1].read;
    net.cut[0] = net.cut[1] = false;
    for (int i = 0; i < 2; i++) {
        link_set_path(net.side[i], net.now_us, true, LINK_MAX_DATAGRAM_BYTES);
    }
    uint64_t back = net.now_us;
    while (all.side[1].read == before) {
        assert_true(net_step(&net));
        talk(&net, &all);
    }
    assert_in_range(net.now_us - back, 0, 2 * NET_RTT_US);
    net.app = talk_until_read;
    assert_true(net_run(&net, 30 * MEGABYTE));
    net_free(&net);
}

static void test_outage(void **state)
{
    (void)state;
    check_outage(true);
}

static void test_outage_noticed_late(void **state)
{
    (void)state;
    check_outage(false);
}

/* A smaller path: datagrams follow at once. */
static void test_path_size(void **state)
{
    (void)state;
    struct net net;
    struct talk all;
    net_init(&net);
    start(&net, &all);
    begin_stream(&net, &all, 0, 2 * MEGABYTE);
    net_run(&net, 100000);
    link_set_path(net.side[0], net.now_us, true, 9000);
    assert_int_equal(link_max_message(net.side[0]), LINK_MAX_DATAGRAM_BYTES - 32);
    link_set_path(net.side[0], net.now_us, true, LINK_MIN_DATAGRAM_BYTES);
    assert_int_equal(link_max_message(net.side[0]), LINK_MIN_DATAGRAM_BYTES - 32);
    static uint8_t buffer[LINK_MAX_BATCH_BYTES];
    size_t segment = 0;
    while (link_output(net.side[0], net.now_us, buffer, sizeof(buffer), &segment) == 0 ||
           segment < LINK_MIN_DATAGRAM_BYTES) {
        assert_true(net.now_us < 10 * MEGABYTE);
        net_flush(&net, 1);
        net.now_us += 1000;
        while (net.packets != NULL && net.packets->due_us <= net.now_us) {
            struct net_packet *packet = net.packets;
            net.packets = packet->next;
            net_input(&net, packet->to, packet->bytes, packet->size);
            free(packet);
        }
    }
    assert_int_equal(segment, LINK_MIN_DATAGRAM_BYTES);
    net_free(&net);
}

static void test_messages(void **state)
{
    (void)state;
    struct net net;
    struct talk all;
    net_init(&net);
    start(&net, &all);
    static uint8_t bytes[LINK_MAX_DATAGRAM_BYTES + 1];
    size_t largest = link_max_message(net.side[0]);
    assert_int_equal(link_send_message(net.side[0], bytes, largest + 1), LINK_ERR_TOO_LARGE);
    for (unsigned i = 0; i < 100; i++) {
        bytes[0] = (uint8_t)i; /* one byte more than it says */
        assert_int_equal(link_send_message(net.side[0], bytes, i + 1), LINK_OK);
    }
    net_run(&net, 500000);
    assert_int_equal(all.side[1].messages, 100);

    /* the largest fits into one packet */
    struct link_event event;
    uint64_t sent = net.sent[0];
    assert_int_equal(link_send_message(net.side[0], bytes, largest), LINK_OK);
    net.app = NULL;
    while (!net_find_event(net.side[1], LINK_EVENT_MESSAGE, &event)) {
        assert_true(net_step(&net));
    }
    assert_int_equal(event.bytes, largest);
    assert_true(net.sent[0] - sent <= 2);

    /* a full queue refuses, and says when it has room */
    int rv = LINK_OK;
    for (unsigned i = 0; i < 100000 && rv == LINK_OK; i++) {
        rv = link_send_message(net.side[0], bytes, 1000);
    }
    assert_int_equal(rv, LINK_ERR_BLOCKED);
    while (!net_find_event(net.side[0], LINK_EVENT_WRITABLE, &event)) {
        assert_true(net_step(&net));
    }
    assert_int_equal(event.stream, -1);
    assert_int_equal(link_send_message(net.side[0], bytes, 1000), LINK_OK);
    net_free(&net);
}

/* A message that no longer fits after the path has become smaller is dropped, and stops nothing. */
static void test_message_outgrown(void **state)
{
    (void)state;
    struct net net;
    struct talk all;
    net_init(&net);
    start(&net, &all);
    static uint8_t bytes[LINK_MAX_DATAGRAM_BYTES];
    assert_int_equal(link_send_message(net.side[0], bytes, link_max_message(net.side[0])), LINK_OK);
    assert_int_equal(link_send_message(net.side[0], bytes, 1), LINK_OK);
    link_set_path(net.side[0], net.now_us, true, LINK_MIN_DATAGRAM_BYTES);
    net_run(&net, 500000);
    assert_int_equal(all.side[1].messages, 1);
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
    link_close(net.side[0], net.now_us, 0, NULL);
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

/* One large write is one batch after another of full datagrams. */
static void test_batches(void **state)
{
    (void)state;
    struct net net;
    struct talk all;
    net_init(&net);
    net.delay_us = 500;
    start(&net, &all);
    begin_stream(&net, &all, 0, 20 * MEGABYTE);
    uint64_t sent = net.sent[0];
    uint64_t batches = net.batches[0];
    net.app = talk_until_read;
    assert_true(net_run(&net, 30 * MEGABYTE));
    assert_true((net.sent[0] - sent) / (net.batches[0] - batches) >= 10);
    net_free(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_bulk_with_loss),
        cmocka_unit_test(test_bulk_duplicated),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_resets_give_credit_back),
        cmocka_unit_test(test_flow_control),
        cmocka_unit_test(test_connection_flow_control),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_outage_noticed_late),
        cmocka_unit_test(test_path_size),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_message_outgrown),
        cmocka_unit_test(test_many_streams),
        cmocka_unit_test(test_read_after_close),
        cmocka_unit_test(test_unacked),
        cmocka_unit_test(test_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
