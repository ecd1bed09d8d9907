/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "nat/predict.h"
#include "nat/stride.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct nat_samples samples_of(const uint16_t *ports, uint8_t count)
{
    struct nat_samples s = {.public_addr = stun_addr_v4(203, 0, 113, 9, 0), .count = count};

    for (uint8_t i = 0; i < count && i < NAT_MAX_SAMPLES; i++)
        s.public_addr.port = s.ports[i] = ports[i];
    return s;
}

static void test_step_of_samples(void **state)
{
    static const struct {
        uint16_t ports[NAT_MAX_SAMPLES];
        uint8_t count;
        int32_t step;
    } cases[] = {
        {{0}, 0, 0},
        {{7000}, 1, 0},
        {{7000, 7001}, 2, 1},
        {{7000, 7000}, 2, 0},
        {{7000, 7001, 7002, 7003}, 4, 1},
        {{7000, 7002, 7004, 7006}, 4, 2},
        {{7003, 7002, 7001, 7000}, 4, -1},
        {{7000, 7064, 7128}, 3, 64},
        {{7000, 7065, 7130}, 3, 0},
        /* others in between */
        {{7000, 7001, 7004, 7005}, 4, 1},
        {{7000, 7002, 7008, 7010}, 4, 2},
        {{7000, 7002, 7005, 7009}, 4, 1},
        {{7010, 7008, 7004}, 3, -2},
        /* over the end of the ports */
        {{65534, 65535, 1024, 1025}, 4, 1},
        {{65533, 65535, 1025, 1027}, 4, 2},
        {{1025, 1024, 65535, 65534}, 4, -1},
        {{65535, 1024}, 2, 1},
        /* over the end of all 65536 */
        {{65534, 65535, 0, 1}, 4, 1},
        {{1, 0, 65535}, 3, -1},
        /* over the end of a narrower range: believed if enough stands for it */
        {{3999, 4000, 2000, 2001, 2002}, 5, 1},
        {{2001, 2000, 4000, 3999, 3998}, 5, -1},
        {{3999, 4000, 2000, 2001}, 4, 0},
        {{3998, 3999, 4000, 2000, 1500}, 5, 0},
        {{3998, 3999, 4000, 4001, 9000}, 5, 0},
        /* no steady direction */
        {{7000, 7001, 7000}, 3, 0},
        {{7000, 7003, 7001, 7005}, 4, 0},
        {{7000, 60000, 23000, 41000}, 4, 0},
        {{7000, 12000, 17000, 22000}, 4, 0},
        {{7000, 7001, 7002, 7002}, 4, 0},
        {{1, 2, 3, 4, 5, 6, 7, 8}, 8, 1},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nat_samples s = samples_of(cases[i].ports, cases[i].count);
        int32_t step = nat_samples_step(&s);

        if (step != cases[i].step)
            fail_msg("case %zu: step %d, not %d", i, step, cases[i].step);
    }
}

static void test_a_count_out_of_range_is_cut(void **state)
{
    static const uint16_t ports[NAT_MAX_SAMPLES] = {1, 2, 3, 4, 5, 6, 7, 2000};
    struct nat_samples s = samples_of(ports, NAT_MAX_SAMPLES);
    uint16_t predicted[4];
    (void)state;

    s.count = 255;
    assert_int_equal(nat_samples_step(&s), 0);
    assert_int_equal(nat_predict_ports(&s, 1, 0, predicted, 4), 4);
    assert_int_equal(predicted[0], 2001);
}

static void test_predicted_ports(void **state)
{
    static const struct {
        uint16_t newest;
        int32_t step;
        unsigned skip;
        size_t max;
        uint16_t want[4];
        size_t count;
    } cases[] = {
        {7000, 1, 0, 4, {7001, 7002, 7003, 7004}, 4},
        {7000, 2, 0, 3, {7002, 7004, 7006}, 3},
        {7000, -1, 0, 3, {6999, 6998, 6997}, 3},
        /* the seed: one mapping in between */
        {7000, 2, 1, 1, {7004}, 1},
        {7000, 1, 3, 2, {7004, 7005}, 2},
        {65534, 1, 0, 4, {65535, 1024, 1025, 1026}, 4},
        {65535, 2, 0, 2, {1025, 1027}, 2},
        {1025, -1, 0, 3, {1024, 65535, 65534}, 3},
        /* never below 1024, and never something far off instead */
        {1022, 1, 0, 4, {1024, 1025, 1026}, 3},
        {2, -1, 0, 4, {65535, 65534}, 2},
        {500, 1, 0, 4, {0}, 0},
        {7000, 0, 0, 4, {0}, 0},
        {7000, 1, 0, 0, {0}, 0},
        /* absurd steps: once round is no step, and each port comes once */
        {7000, 65536 - 1024, 0, 4, {0}, 0},
        {7000, (65536 - 1024) / 2, 0, 4, {39256}, 1},
        {7000, (65536 - 1024) / 4, 0, 4, {23128, 39256, 55384}, 3},
        {7000, 65536 - 1024 + 1, 0, 2, {7001, 7002}, 2},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nat_samples s = samples_of(&cases[i].newest, 1);
        uint16_t ports[4] = {0};
        size_t count = nat_predict_ports(&s, cases[i].step, cases[i].skip, ports, cases[i].max);

        if (count != cases[i].count || memcmp(ports, cases[i].want, sizeof(ports)) != 0)
            fail_msg("case %zu: %zu ports, %u %u %u %u", i, count, ports[0], ports[1], ports[2],
                     ports[3]);
    }
}

static void test_the_window_is_bounded(void **state)
{
    static const uint16_t newest = 65530;
    struct nat_samples s = samples_of(&newest, 1), none = samples_of(&newest, 0);
    uint16_t ports[2 * NAT_MAX_PREDICTED];
    (void)state;

    assert_int_equal(nat_predict_ports(&s, 1, 0, ports, COUNT(ports)), NAT_MAX_PREDICTED);
    assert_int_equal(nat_predict_ports(&none, 1, 0, ports, COUNT(ports)), 0);
}

/* Numbers may come from a peer: none may overflow, repeat a port or leave the range. */
static void test_any_numbers(void **state)
{
    static const int32_t steps[] = {1,     -1,    64,    -64,       1024,      32256,        64512,
                                    65535, 65536, 99999, INT32_MAX, INT32_MIN, INT32_MIN + 1};
    static const uint16_t newest[] = {0, 1, 1023, 1024, 1025, 40000, 65534, 65535};
    static const unsigned skips[] = {0, 1, 7, 65535, 0x7fffffff, 0xffffffff};
    (void)state;

    for (size_t i = 0; i < COUNT(steps) * COUNT(newest) * COUNT(skips); i++) {
        struct nat_samples s = samples_of(&newest[i % COUNT(newest)], 1);
        uint16_t ports[NAT_MAX_PREDICTED];
        size_t count =
            nat_predict_ports(&s, steps[i / COUNT(newest) % COUNT(steps)],
                              skips[i / COUNT(newest) / COUNT(steps)], ports, COUNT(ports));

        assert_true(count <= COUNT(ports));
        for (size_t j = 0; j < count; j++) {
            assert_true(ports[j] >= NAT_LOWEST_PORT);
            for (size_t k = 0; k < j; k++)
                assert_int_not_equal(ports[j], ports[k]);
        }
    }
}

/* A NAT that counts, with and without others, is hit by the window. */
static void test_predicts_a_counting_nat(void **state)
{
    (void)state;

    for (int32_t step = -8; step <= 8; step++) {
        for (uint32_t start = 1024; step != 0 && start <= 65535; start += 97) {
            uint16_t seen[4], ports[8];
            struct nat_samples s;

            for (uint8_t i = 0; i < 4; i++)
                seen[i] = nat_port_advance((uint16_t)start, step, i);
            s = samples_of(seen, 4);
            assert_int_equal(nat_samples_step(&s), step);
            assert_int_equal(nat_predict_ports(&s, step, 0, ports, 8), 8);
            assert_int_equal(ports[0], nat_port_advance((uint16_t)start, step, 4));
            assert_int_equal(ports[7], nat_port_advance((uint16_t)start, step, 11));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_of_samples), cmocka_unit_test(test_a_count_out_of_range_is_cut),
        cmocka_unit_test(test_predicted_ports), cmocka_unit_test(test_the_window_is_bounded),
        cmocka_unit_test(test_any_numbers),     cmocka_unit_test(test_predicts_a_counting_nat),
    };

    return cmocka_run_group_tests_name("predict", tests, NULL, NULL);
}
