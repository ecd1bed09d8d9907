/* SPDX-License-Identifier: BSD-2-Clause */
/* What leaves a link: full batches, at the size of the path, and soon after the path is back. */
#include "link_talk.h"

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

/* Messages as large as they may be go in batches, too. */
static void test_batch_of_messages(void **state)
{
    (void)state;
    struct net net;
    static uint8_t buffer[LINK_MAX_BATCH_BYTES];
    uint8_t message[LINK_MAX_DATAGRAM_BYTES] = {0};
    size_t segment;
    net_init(&net);
    net_connect(&net);
    net.app = net_both_confirmed;
    assert_true(net_run(&net, 1000000));
    net.app = NULL;
    net_run(&net, 1000000); /* until there is nothing else to say */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(link_send_message(net.side[0], message, link_max_message(net.side[0])),
                         LINK_OK);
    }
    size_t total = link_output(net.side[0], net.now_us, buffer, sizeof(buffer), &segment);
    assert_int_equal(total, 5 * segment);
    net_free(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_outage_noticed_late),
        cmocka_unit_test(test_path_size),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_batch_of_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
