/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "portmap/portmap.h"

static struct portmap_state mapped_at(struct stun_addr addr)
{
    return (struct portmap_state){.status = PORTMAP_MAPPED, .mapped = addr};
}

static void test_how_a_mapping_is_proven(void **state)
{
    struct portmap_state s = mapped_at(stun_addr_v4(203, 0, 113, 10, 30000));
    struct stun_addr same = stun_addr_v4(203, 0, 113, 10, 30000);
    struct stun_addr port = stun_addr_v4(203, 0, 113, 10, 40000);
    struct stun_addr other = stun_addr_v4(203, 0, 113, 11, 30000);
    struct stun_addr none = {0};
    (void)state;

    assert_int_equal(portmap_proof(&s, &port), PORTMAP_BY_RESPONSE_PORT);
    assert_int_equal(portmap_proof(&s, &same), PORTMAP_BY_CHANGE_REQUEST);
    assert_int_equal(portmap_proof(&s, &other), PORTMAP_NOT_PROVABLE);
    assert_int_equal(portmap_proof(&s, &none), PORTMAP_NOT_PROVABLE);
    s.status = PORTMAP_INNER;
    assert_int_equal(portmap_proof(&s, &port), PORTMAP_NOT_PROVABLE);
    s = (struct portmap_state){.status = PORTMAP_NONE};
    assert_int_equal(portmap_proof(&s, &none), PORTMAP_NOT_PROVABLE);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(portmap_protocol_name(PORTMAP_PCP), "PCP");
    assert_string_equal(portmap_protocol_name(PORTMAP_NAT_PMP), "NAT-PMP");
    assert_string_equal(portmap_protocol_name(PORTMAP_UPNP), "UPnP");
    assert_string_equal(portmap_protocol_name(PORTMAP_NO_PROTOCOL), "none");
}

static void test_no_port_no_mapping(void **state)
{
    struct portmap_config config = {0};
    (void)state;
    assert_null(portmap_start(&config));
    portmap_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_a_mapping_is_proven),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_no_port_no_mapping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
