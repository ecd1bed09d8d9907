/* SPDX-License-Identifier: BSD-2-Clause */
/* What the times of the questions add: bursts, and the rate of foreign mappings. test_profile.c has
 * the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "nat/allocation.h"

#define MS       1000u
#define PER_TIME 4

/* Sockets that ask four endpoints each, so many milliseconds after the start. */
static struct nat_profile measure(const uint16_t ports[][PER_TIME], const uint32_t *at_ms,
                                  size_t times)
{
    struct nat_observation obs[NAT_MAX_OBSERVATIONS];
    struct nat_profile p;
    size_t count = 0;

    for (size_t t = 0; t < times; t++) {
        for (unsigned i = 0; i < PER_TIME; i++) {
            obs[count++] = (struct nat_observation){
                .socket = (uint16_t)t,
                .local = stun_addr_v4(192, 168, 1, 2, (uint16_t)(50000 + t)),
                .server = stun_addr_v4(192, 0, 2, (uint8_t)(1 + i / 2), (uint16_t)(3478 + i % 2)),
                .mapped = stun_addr_v4(203, 0, 113, 7, ports[t][i]),
                .sent_us = (1000 + at_ms[t]) * MS + i * 10,
            };
        }
    }
    nat_profile_from(obs, count, &p);
    return p;
}

static void others_take_ports_between_bursts(void **state)
{
    const uint16_t ports[][PER_TIME] = {{7000, 7001, 7002, 7003}, {7104, 7105, 7106, 7107}};
    const uint32_t at_ms[] = {0, 1000};
    struct nat_profile p;

    (void)state;
    p = measure(ports, at_ms, 2);
    assert_int_equal(p.allocation, NAT_ALLOCATION_SEQUENTIAL);
    assert_int_equal(p.step, 1);
    assert_in_range(p.foreign_per_1000_s, 99000, 101000);
}

static void a_falling_sequence_over_the_end_of_the_range(void **state)
{
    const uint16_t ports[][PER_TIME] = {{1030, 1028, 1026, 1024}, {65434, 65432, 65430, 65428}};
    const uint32_t at_ms[] = {0, 2000};
    struct nat_profile p;

    (void)state;
    p = measure(ports, at_ms, 2);
    assert_int_equal(p.step, -2);
    assert_in_range(p.foreign_per_1000_s, 24000, 26000); /* 50 in 2 s */
}

static void too_short_for_a_rate(void **state)
{
    const uint16_t ports[][PER_TIME] = {{7000, 7001, 7002, 7003}, {7010, 7011, 7012, 7013}};
    const uint32_t at_ms[] = {0, 150};

    (void)state;
    assert_int_equal(measure(ports, at_ms, 2).foreign_per_1000_s, 0);
}

/* A table that was cleared in between, or a narrower range that started over. */
static void a_new_start_is_no_rate(void **state)
{
    const uint16_t ports[][PER_TIME] = {{40000, 40001, 40002, 40003}, {2000, 2001, 2002, 2003}};
    const uint32_t at_ms[] = {0, 1000};
    struct nat_profile p;

    (void)state;
    p = measure(ports, at_ms, 2);
    assert_int_equal(p.step, 1);
    assert_int_equal(p.foreign_per_1000_s, 0);
}

static void answers_in_another_order(void **state)
{
    const uint16_t ports[][PER_TIME] = {{7000, 7001, 7002, 7003}, {7014, 7013, 7015, 7016}};
    const uint32_t at_ms[] = {0, 1000};

    (void)state;
    /* One pair against the direction: no steady sequence, so nothing is claimed. */
    assert_int_equal(measure(ports, at_ms, 2).foreign_per_1000_s, 0);
}

static void a_suspicion_needs_few_mappings(void **state)
{
    struct nat_observation obs[4];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        static const uint16_t near[] = {20500, 21400, 20700, 21111};

        obs[i] = (struct nat_observation){
            .socket = (uint16_t)i,
            .local = stun_addr_v4(192, 168, 1, 2, (uint16_t)(50000 + i)),
            .server = stun_addr_v4(192, 0, 2, 1, 3478),
            .mapped = stun_addr_v4(203, 0, 113, 7, near[i]),
        };
    }
    assert_true(nat_block_suspected(obs, 4));
    assert_false(nat_block_suspected(obs, 3));
    obs[2].mapped.port = 50000;
    assert_false(nat_block_suspected(obs, 4));
    assert_false(nat_block_suspected(obs, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_take_ports_between_bursts),
        cmocka_unit_test(a_falling_sequence_over_the_end_of_the_range),
        cmocka_unit_test(too_short_for_a_rate),
        cmocka_unit_test(a_new_start_is_no_rate),
        cmocka_unit_test(answers_in_another_order),
        cmocka_unit_test(a_suspicion_needs_few_mappings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
