/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "peer/endpoint.h"

static void carry(const struct punch_note *in, struct punch_note *out)
{
    wire_Note wire, arrived;
    uint8_t bytes[WIRE_MAX_NOTE_BYTES];
    const char *why = "";
    assert_true(notes_to_wire(in, &wire));
    size_t size = wire_encode_note(&wire, bytes, sizeof bytes - DIAL_NOTE_OVERHEAD_BYTES);
    assert_true(size > 0);
    assert_true(wire_decode_note(bytes, size, &arrived, &why));
    assert_true(notes_from_wire(&arrived, out));
    assert_int_equal(in->kind, out->kind);
}

static void test_samples(void **state)
{
    (void)state;
    struct punch_note out, in = {.kind = PUNCH_NOTE_SAMPLES};
    in.samples.public_addr = stun_addr_v4(198, 51, 100, 7, 4010);
    in.samples.count = NAT_MAX_SAMPLES;
    for (size_t i = 0; i < NAT_MAX_SAMPLES; i++) {
        in.samples.ports[i] = (uint16_t)(4000 + 2 * i);
    }
    in.profile.mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
    in.profile.allocation = NAT_ALLOCATION_SEQUENTIAL;
    in.profile.step = -2;
    in.age_us = 123456;
    carry(&in, &out);
    assert_int_equal(out.age_us, 123456);
    assert_true(stun_addr_equal(&in.samples.public_addr, &out.samples.public_addr));
    assert_int_equal(out.samples.count, NAT_MAX_SAMPLES);
    assert_memory_equal(in.samples.ports, out.samples.ports, sizeof in.samples.ports);
    assert_int_equal(out.profile.mapping, in.profile.mapping);
    assert_int_equal(out.profile.allocation, in.profile.allocation);
    assert_int_equal(out.profile.step, -2);
}

static void test_full_plan_fits(void **state)
{
    (void)state;
    struct punch_note out, in = {.kind = PUNCH_NOTE_PLAN};
    in.plan.technique = PUNCH_TECHNIQUE_PREDICTED;
    in.plan.target = stun_addr_v4(203, 0, 113, 9, 1);
    in.plan.port_count = NAT_MAX_PREDICTED;
    for (size_t i = 0; i < NAT_MAX_PREDICTED; i++) {
        in.plan.ports[i] = (uint16_t)(65535 - i);
    }
    in.plan.start_after_us = 12345;
    in.plan.fresh_socket = true;
    carry(&in, &out);
    assert_int_equal(out.plan.technique, PUNCH_TECHNIQUE_PREDICTED);
    assert_true(stun_addr_same_ip(&in.plan.target, &out.plan.target));
    assert_int_equal(out.plan.port_count, NAT_MAX_PREDICTED);
    assert_memory_equal(in.plan.ports, out.plan.ports, sizeof in.plan.ports);
    assert_int_equal(out.plan.start_after_us, 12345);
    assert_true(out.plan.fresh_socket);
}

static void test_search(void **state)
{
    (void)state;
    wire_Note wire;
    uint8_t bytes[WIRE_MAX_NOTE_BYTES];
    struct punch_note out, in = {.kind = PUNCH_NOTE_PLAN};
    in.plan.technique = PUNCH_TECHNIQUE_BIRTHDAY;
    in.plan.target = stun_addr_v4(203, 0, 113, 9, 0);
    in.plan.probes = 545;
    in.plan.range_first = 1024;
    in.plan.range_ports = 64512;
    carry(&in, &out);
    assert_int_equal(out.plan.technique, PUNCH_TECHNIQUE_BIRTHDAY);
    assert_int_equal(out.plan.probes, 545);
    assert_int_equal(out.plan.range_first, 1024);
    assert_int_equal(out.plan.range_ports, 64512);
    assert_int_equal(out.plan.sockets, 0);
    in.plan.range_ports = 64513;
    assert_true(notes_to_wire(&in, &wire));
    assert_int_equal(wire_encode_note(&wire, bytes, sizeof bytes), 0);
    in.plan.probes = 0;
    in.plan.sockets = 64;
    in.plan.loud = true;
    in.plan.port_count = 1;
    in.plan.ports[0] = 4000;
    carry(&in, &out);
    assert_int_equal(out.plan.sockets, 64);
    assert_int_equal(out.plan.ports[0], 4000);
    assert_true(out.plan.loud);
    in.plan.sockets = 546;
    assert_true(notes_to_wire(&in, &wire));
    assert_int_equal(wire_encode_note(&wire, bytes, sizeof bytes), 0);
}

static void test_send_first(void **state)
{
    (void)state;
    struct punch_note out, in = {.kind = PUNCH_NOTE_SEND_FIRST};
    carry(&in, &out);
}

static void test_other_notes_are_not_the_engines(void **state)
{
    (void)state;
    struct punch_note out;
    wire_Note refuse = {.which_body = wire_Note_refuse_tag};
    assert_false(notes_from_wire(&refuse, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_full_plan_fits),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_send_first),
        cmocka_unit_test(test_other_notes_are_not_the_engines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
