/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "net_sim.h"
#include "punch/survey.h"

#define MS 1000u

static uint64_t seed = 7;

static void ask(struct survey *s, uint16_t socket, uint8_t server)
{
    struct survey_question q = {
        .socket = socket,
        .local = stun_addr_v4(192, 168, 1, 5, 40000),
        .server = stun_addr_v4(203, 0, 113, server, 3478),
    };

    assert_true(survey_ask(s, 0, &q, net_random_bytes, &seed));
}

static bool answer(struct survey *s, uint64_t now_us, unsigned socket, uint8_t server,
                   const uint8_t *transaction, uint16_t port)
{
    struct stun_addr from = stun_addr_v4(203, 0, 113, server, 3478);
    struct stun_addr mapped = stun_addr_v4(198, 51, 100, 1, port);
    struct stun_message msg;
    struct stun_builder b;
    uint8_t buffer[128];

    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_SUCCESS, transaction);
    stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &mapped);
    assert_int_equal(stun_parse(buffer, stun_finish(&b), &msg), STUN_OK);
    return survey_input(s, now_us, socket, &from, &msg);
}

static unsigned drain(struct survey *s, uint64_t now_us)
{
    struct stun_addr to;
    uint8_t buffer[128];
    unsigned socket, count = 0;
    size_t size;

    while (survey_output(s, now_us, &socket, &to, buffer, sizeof(buffer), &size)) {
        assert_int_equal(size, STUN_HEADER_BYTES);
        count++;
    }
    return count;
}

static void retries_come_at_punching_speed(void **state)
{
    const uint64_t expected_ms[] = {0, 20, 60, 140, 300, 600, 1000};
    struct survey s;
    uint64_t now_us = 0;

    (void)state;
    survey_init(&s, 3000 * MS);
    ask(&s, 0, 1);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(survey_next_timeout(&s), expected_ms[i] * MS);
        now_us = survey_next_timeout(&s);
        assert_int_equal(drain(&s, now_us), 1);
    }
    assert_int_equal(survey_next_timeout(&s), 3000 * MS);
    assert_false(survey_done(&s, now_us));
    assert_int_equal(drain(&s, 3000 * MS), 0);
    assert_true(survey_done(&s, 3000 * MS));
    assert_int_equal(survey_next_timeout(&s), UINT64_MAX);
}

static void only_the_server_that_was_asked_may_answer(void **state)
{
    struct nat_observation obs[4];
    struct survey s;
    uint8_t wrong[STUN_TRANSACTION_BYTES] = {0};

    (void)state;
    survey_init(&s, 3000 * MS);
    ask(&s, 0, 1);
    drain(&s, 0);
    assert_false(answer(&s, 1, 0, 1, wrong, 1111));
    assert_false(answer(&s, 1, 0, 2, s.asked[0].transaction, 1111));
    assert_false(answer(&s, 1, 1, 1, s.asked[0].transaction, 1111));
    assert_false(survey_done(&s, 1));
    assert_true(answer(&s, 1, 0, 1, s.asked[0].transaction, 2222));
    assert_true(answer(&s, 1, 0, 1, s.asked[0].transaction, 3333));
    assert_true(survey_done(&s, 1));
    assert_int_equal(survey_next_timeout(&s), UINT64_MAX);
    assert_int_equal(survey_observations(&s, obs, 4), 1);
    assert_int_equal(obs[0].mapped.port, 2222);
}

static void samples_are_mappings_in_the_order_of_the_questions(void **state)
{
    struct nat_samples samples;
    struct survey s;

    (void)state;
    survey_init(&s, 3000 * MS);
    for (uint8_t i = 1; i <= 4; i++)
        ask(&s, 1, i);
    ask(&s, 0, 5);
    drain(&s, 0);
    answer(&s, 1, 1, 3, s.asked[2].transaction, 101);
    answer(&s, 1, 1, 1, s.asked[0].transaction, 100);
    answer(&s, 1, 1, 2, s.asked[1].transaction, 100);
    answer(&s, 1, 0, 5, s.asked[4].transaction, 900);
    survey_samples(&s, 1, &samples);
    assert_int_equal(samples.count, 2);
    assert_int_equal(samples.ports[0], 100);
    assert_int_equal(samples.ports[1], 101);
    assert_int_equal(samples.public_addr.port, 101);
}

static void a_dead_server_delays_nobody(void **state)
{
    struct nat_observation obs[4];
    struct survey s;

    (void)state;
    survey_init(&s, 500 * MS);
    ask(&s, 0, 1);
    ask(&s, 0, 2);
    assert_int_equal(drain(&s, 0), 2);
    assert_true(answer(&s, 10, 0, 2, s.asked[1].transaction, 5));
    assert_int_equal(survey_observations(&s, obs, 4), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retries_come_at_punching_speed),
        cmocka_unit_test(only_the_server_that_was_asked_may_answer),
        cmocka_unit_test(samples_are_mappings_in_the_order_of_the_questions),
        cmocka_unit_test(a_dead_server_delays_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
