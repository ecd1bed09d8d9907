/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "portmap/gateway.h"

/* What the kernel answers: 192.0.0.9 via 192.168.1.1 dev 2 src 192.168.1.5. */
struct answer {
    struct nlmsghdr header;
    struct rtmsg route;
    struct {
        struct rtattr head;
        uint8_t value[4];
    } attributes[4];
};

enum { DESTINATION, DEVICE, SOURCE, GATEWAY };

static struct answer answer_of_kernel(void)
{
    struct answer a = {.header = {.nlmsg_len = sizeof a, .nlmsg_type = RTM_NEWROUTE},
                       .route = {.rtm_family = AF_INET, .rtm_dst_len = 32},
                       .attributes = {{{8, RTA_DST}, {192, 0, 0, 9}},
                                      {{8, RTA_OIF}, {0}},
                                      {{8, RTA_PREFSRC}, {192, 168, 1, 5}},
                                      {{8, RTA_GATEWAY}, {192, 168, 1, 1}}}};
    uint32_t device = 2;
    memcpy(a.attributes[DEVICE].value, &device, 4);
    return a;
}

static enum gateway_result parse_exactly(const void *bytes, size_t length, struct gateway *g)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    enum gateway_result result = gateway_parse(copy, length, g);
    free(copy);
    return result;
}

static void test_a_router(void **state)
{
    struct stun_addr router = stun_addr_v4(192, 168, 1, 1, 0);
    struct stun_addr local = stun_addr_v4(192, 168, 1, 5, 0);
    struct answer answer = answer_of_kernel();
    struct gateway g;
    (void)state;
    assert_int_equal(parse_exactly(&answer, sizeof answer, &g), GATEWAY_FOUND);
    assert_true(stun_addr_equal(&g.router, &router));
    assert_true(stun_addr_equal(&g.local, &local));
    assert_int_equal(g.device, 2);
}

static void test_other_answers(void **state)
{
    struct answer answer = answer_of_kernel();
    struct gateway g;
    (void)state;
    assert_int_equal(parse_exactly(&answer, sizeof answer - 8, &g), GATEWAY_ON_LINK);
    for (size_t length = 0; length <= sizeof answer - 16; length++)
        assert_int_equal(parse_exactly(&answer, length, &g), GATEWAY_NO_ROUTE);
    answer.header.nlmsg_type = NLMSG_ERROR;
    assert_int_equal(parse_exactly(&answer, sizeof answer, &g), GATEWAY_NO_ROUTE);
    answer = answer_of_kernel();
    for (unsigned int length = 0; length < 256; length++) { /* attributes of any length */
        answer.attributes[SOURCE].head.rta_len = (unsigned short)length;
        parse_exactly(&answer, sizeof answer, &g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_router),
        cmocka_unit_test(test_other_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
