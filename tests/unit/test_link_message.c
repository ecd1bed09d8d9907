/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages: each whole or not at all, and no more than there is room for. */
#include "link_talk.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_message_outgrown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
