/* SPDX-License-Identifier: BSD-2-Clause */
#include "link_net.h"

#include "link/connection.h"

static void test_short_header(void **state)
{
    (void)state;
    uint8_t packet[29] = {0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    const uint8_t *cid;
    size_t cid_bytes;
    bool is_initial;
    assert_true(link_datagram_cid(packet, sizeof(packet), &cid, &cid_bytes, &is_initial));
    assert_ptr_equal(cid, packet + 1);
    assert_int_equal(cid_bytes, LINK_CID_BYTES);
    assert_false(is_initial);
    packet[0] = 0x00; /* the fixed bit may be zero (RFC 9287) */
    assert_true(link_datagram_cid(packet, sizeof(packet), &cid, &cid_bytes, &is_initial));
    assert_false(link_datagram_cid(packet, sizeof(packet) - 1, &cid, &cid_bytes, &is_initial));
    assert_false(link_datagram_cid(packet, 0, &cid, &cid_bytes, &is_initial));
}

static void test_long_header(void **state)
{
    (void)state;
    uint8_t packet[] = {0xc3, 0, 0, 0, 1, 3, 'a', 'b', 'c', 2, 'd', 'e', 0, 0};
    const uint8_t *cid;
    size_t cid_bytes;
    bool is_initial;
    assert_true(link_datagram_cid(packet, sizeof(packet), &cid, &cid_bytes, &is_initial));
    assert_memory_equal(cid, "abc", 3);
    assert_int_equal(cid_bytes, 3);
    assert_true(is_initial);
    packet[0] = 0xe3; /* Handshake */
    assert_true(link_datagram_cid(packet, sizeof(packet), &cid, &cid_bytes, &is_initial));
    assert_false(is_initial);
    for (size_t size = 0; size < 12; size++) {
        assert_false(link_datagram_cid(packet, size, &cid, &cid_bytes, &is_initial));
    }
    packet[4] = 2; /* another version */
    assert_false(link_datagram_cid(packet, sizeof(packet), &cid, &cid_bytes, &is_initial));
    packet[4] = 1;
    packet[5] = 21; /* an ID too long */
    assert_false(link_datagram_cid(packet, sizeof(packet), &cid, &cid_bytes, &is_initial));
    packet[5] = 3;
    packet[9] = 3; /* one that ends behind the packet */
    assert_false(link_datagram_cid(packet, 12, &cid, &cid_bytes, &is_initial));
}

static void stuck_random(void *context, uint8_t *out, size_t bytes)
{
    memset(out, *(int *)context, bytes);
}

static void test_never_the_magic_cookie(void **state)
{
    (void)state;
    struct link link = {.random = stuck_random};
    for (int value = 0; value < 256; value++) {
        ngtcp2_cid cid;
        link.random_context = &value;
        link_make_cid(&link, &cid, LINK_CID_BYTES);
        assert_int_equal(cid.datalen, LINK_CID_BYTES);
        assert_int_not_equal(cid.data[3], 0x21);
    }
}

static void test_has_cid(void **state)
{
    (void)state;
    struct net net;
    uint8_t flight[LINK_MAX_DATAGRAM_BYTES];
    const uint8_t *cid;
    size_t cid_bytes;
    bool is_initial;
    net_init(&net);
    size_t size = net_dial(&net, flight);
    assert_true(link_datagram_cid(flight, size, &cid, &cid_bytes, &is_initial));
    assert_true(is_initial);
    assert_false(link_has_cid(net.side[0], cid, cid_bytes));
    assert_int_equal(link_accept(&net.side[1], &net.config[1], flight, size, net.now_us), LINK_OK);
    assert_true(link_has_cid(net.side[1], cid, cid_bytes));
    assert_false(link_has_cid(net.side[1], cid, cid_bytes - 1));
    assert_false(link_has_cid(net.side[1], cid, 0));
    net_free(&net);
}

static void test_retired_ids(void **state)
{
    (void)state;
    struct link link = {0};
    ngtcp2_cid ids[LINK_MAX_OWN_CIDS + 1];
    for (size_t i = 0; i <= LINK_MAX_OWN_CIDS; i++) {
        uint8_t raw[LINK_CID_BYTES] = {(uint8_t)i};
        ngtcp2_cid_init(&ids[i], raw, sizeof(raw));
        assert_int_equal(link_own_cid(&link, &ids[i]), i < LINK_MAX_OWN_CIDS);
    }
    link_disown_cid(&link, &ids[3]);
    assert_false(link_has_cid(&link, ids[3].data, LINK_CID_BYTES));
    assert_true(link_has_cid(&link, ids[LINK_MAX_OWN_CIDS - 1].data, LINK_CID_BYTES));
    assert_true(link_own_cid(&link, &ids[LINK_MAX_OWN_CIDS]));
    link_disown_cid(&link, &ids[3]);
    assert_int_equal(link.own_cid_count, LINK_MAX_OWN_CIDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_header),
        cmocka_unit_test(test_long_header),
        cmocka_unit_test(test_never_the_magic_cookie),
        cmocka_unit_test(test_has_cid),
        cmocka_unit_test(test_retired_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
