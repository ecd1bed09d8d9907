/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "portmap/pmp.h"

static const uint8_t pcp_request[60] = {
    2,  1, 0, 0, 0,    0,    0x1c, 0x20,                                    /* MAP, 7200 s */
    0,  0, 0, 0, 0,    0,    0,    0,    0, 0,  0xff, 0xff, 192, 168, 1, 5, /* our address */
    1,  2, 3, 4, 5,    6,    7,    8,    9, 10, 11,   12,                   /* nonce */
    17, 0, 0, 0, 0x13, 0x88, 0x75, 0x30,                                    /* UDP, 5000 -> 30000 */
    0,  0, 0, 0, 0,    0,    0,    0,    0, 0,  0xff, 0xff, 0,   0,   0, 0, /* any outer address */
};

static const uint8_t pcp_answer[60] = {
    2, 129, 0, 0, 0, 0,  0x0e, 0x10, 0,  0, 1,    0, /* 3600 s, epoch 256 */
    0, 0,   0, 0, 0, 0,  0,    0,    0,  0, 0,    0,    1,    2,    3,    4,
    5, 6,   7, 8, 9, 10, 11,   12,   17, 0, 0,    0,    0x13, 0x88, 0x75, 0x31,
    0, 0,   0, 0, 0, 0,  0,    0,    0,  0, 0xff, 0xff, 203,  0,    113,  10,
};

static const uint8_t natpmp_address[12] = {0, 128, 0, 0, 0, 0, 1, 0, 203, 0, 113, 10};
static const uint8_t natpmp_mapping[16] = {0,    129,  0,    0,    0, 0, 1,    0,
                                           0x13, 0x88, 0x75, 0x31, 0, 0, 0x0e, 0x10};

static struct lease wanted(void)
{
    struct lease l = {.gateway = {.router = stun_addr_v4(192, 168, 1, 1, 0),
                                  .local = stun_addr_v4(192, 168, 1, 5, 0)},
                      .internal_port = 5000,
                      .wanted_port = 30000,
                      .wanted_s = 7200,
                      .nonce = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
    return l;
}

/* From memory that ends where the packet does. */
static bool parse_exactly(const uint8_t *bytes, size_t length, struct pmp_answer *a)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    bool ok = pmp_parse(copy, length, a);
    free(copy);
    return ok;
}

static void test_pcp_request(void **state)
{
    struct lease l = wanted();
    uint8_t out[PMP_PACKET_BYTES];
    (void)state;
    assert_int_equal(pmp_build_pcp_map(&l, l.wanted_s, out), sizeof pcp_request);
    assert_memory_equal(out, pcp_request, sizeof pcp_request);

    /* Renewed: the address that it has; removed: lifetime 0 and the same nonce. */
    l.protocol = PORTMAP_PCP;
    l.external = stun_addr_v4(203, 0, 113, 10, 30000);
    pmp_build_pcp_map(&l, 0, out);
    assert_memory_equal(out + 4, "\0\0\0\0", 4);
    assert_memory_equal(out + 24, l.nonce, sizeof l.nonce);
    assert_memory_equal(out + 56, l.external.ip, 4);
}

static void test_natpmp_requests(void **state)
{
    static const uint8_t map[12] = {0, 1, 0, 0, 0x13, 0x88, 0x75, 0x30, 0, 0, 0x1c, 0x20};
    static const uint8_t unmap[12] = {0, 1, 0, 0, 0x13, 0x88, 0, 0, 0, 0, 0, 0};
    struct lease l = wanted();
    uint8_t out[PMP_PACKET_BYTES];
    (void)state;
    assert_int_equal(pmp_build_natpmp_address(out), 2);
    assert_memory_equal(out, "\0\0", 2);
    assert_int_equal(pmp_build_natpmp_map(&l, l.wanted_s, out), sizeof map);
    assert_memory_equal(out, map, sizeof map);
    assert_int_equal(pmp_build_natpmp_map(&l, 0, out), sizeof unmap);
    assert_memory_equal(out, unmap, sizeof unmap);
}

static void test_pcp_answer(void **state)
{
    struct stun_addr expected = stun_addr_v4(203, 0, 113, 10, 30001);
    uint8_t long_one[64] = {0};
    struct pmp_answer a;
    (void)state;
    assert_true(parse_exactly(pcp_answer, sizeof pcp_answer, &a));
    assert_int_equal(a.kind, PMP_PCP_MAP);
    assert_int_equal(a.result, 0);
    assert_int_equal(a.lifetime_s, 3600);
    assert_int_equal(a.epoch_s, 256);
    assert_int_equal(a.internal_port, 5000);
    assert_true(a.has_nonce);
    assert_memory_equal(a.nonce, "\1\2\3\4\5\6\7\10\11\12\13\14", sizeof a.nonce);
    assert_true(stun_addr_equal(&a.external, &expected));
    memcpy(long_one, pcp_answer, sizeof pcp_answer); /* options may follow */
    assert_true(parse_exactly(long_one, sizeof long_one, &a));
}

static void test_natpmp_answers(void **state)
{
    struct stun_addr expected = stun_addr_v4(203, 0, 113, 10, 0);
    struct pmp_answer a;
    (void)state;
    assert_true(parse_exactly(natpmp_address, sizeof natpmp_address, &a));
    assert_int_equal(a.kind, PMP_NATPMP_ADDRESS);
    assert_true(stun_addr_equal(&a.external, &expected));
    assert_true(parse_exactly(natpmp_mapping, sizeof natpmp_mapping, &a));
    assert_int_equal(a.kind, PMP_NATPMP_MAP);
    assert_int_equal(a.internal_port, 5000);
    assert_int_equal(a.external_port, 30001);
    assert_int_equal(a.lifetime_s, 3600);
    assert_int_equal(a.epoch_s, 256);
}

static void test_a_router_without_pcp(void **state)
{
    static const uint8_t from_natpmp[8] = {0, 0x81, 0, 1, 0, 0, 1, 0};
    uint8_t from_pcp[24] = {2, 129, 0, 1};
    struct pmp_answer a;
    (void)state;
    assert_true(parse_exactly(from_natpmp, sizeof from_natpmp, &a));
    assert_int_equal(a.kind, PMP_NO_PCP);
    assert_true(parse_exactly(from_pcp, sizeof from_pcp, &a));
    assert_int_equal(a.kind, PMP_NO_PCP);
}

static void test_errors_need_no_mapping(void **state)
{
    uint8_t refusal[24] = {2, 129, 0, 2};
    struct pmp_answer a;
    (void)state;
    assert_true(parse_exactly(refusal, sizeof refusal, &a));
    assert_int_equal(a.kind, PMP_PCP_MAP);
    assert_int_equal(a.result, 2);
    assert_false(a.has_nonce);
    refusal[3] = 0; /* success without a mapping is none */
    assert_false(parse_exactly(refusal, sizeof refusal, &a));
}

static void test_what_is_no_answer(void **state)
{
    uint8_t bytes[PMP_ANSWER_BYTES + 4] = {0};
    struct pmp_answer a;
    (void)state;
    for (size_t length = 0; length < sizeof pcp_answer; length++)
        assert_false(parse_exactly(pcp_answer, length, &a));
    for (size_t length = 0; length < sizeof natpmp_mapping; length++)
        assert_false(parse_exactly(natpmp_mapping, length, &a));
    assert_false(parse_exactly(pcp_request, sizeof pcp_request, &a)); /* a question */
    memcpy(bytes, pcp_answer, sizeof pcp_answer);
    assert_false(pmp_parse(bytes, 62, &a));
    assert_false(pmp_parse(bytes, sizeof bytes, &a));
    bytes[36] = 6; /* TCP */
    assert_false(pmp_parse(bytes, 60, &a));
    bytes[36] = 17;
    bytes[1] = 128; /* ANNOUNCE */
    assert_false(pmp_parse(bytes, 60, &a));
    bytes[1] = 129;
    bytes[0] = 1;
    assert_false(pmp_parse(bytes, 60, &a));
}

static void test_texts(void **state)
{
    (void)state;
    for (unsigned int result = 0; result < 300; result++) {
        assert_true(strlen(pmp_result_text(PMP_PCP_MAP, (uint16_t)result)) > 4);
        assert_true(strlen(pmp_result_text(PMP_NATPMP_MAP, (uint16_t)result)) > 4);
    }
    assert_string_equal(pmp_result_text(PMP_PCP_MAP, 2), "not authorized");
    assert_string_equal(pmp_result_text(PMP_NATPMP_MAP, 2), "not authorized");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pcp_request),          cmocka_unit_test(test_natpmp_requests),
        cmocka_unit_test(test_pcp_answer),           cmocka_unit_test(test_natpmp_answers),
        cmocka_unit_test(test_a_router_without_pcp), cmocka_unit_test(test_errors_need_no_mapping),
        cmocka_unit_test(test_what_is_no_answer),    cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
