/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/attested.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool keepalive(struct attested *attested, const struct stun_addr *from, uint64_t sequence,
                      uint64_t now_us)
{
    struct attested_address at = {.addr = *from, .socket = (uint8_t)(sequence % 8)};

    return attested_keepalive(attested, &at, sequence, true, now_us) == ATTESTED_ANSWER;
}

static void test_one_address_a_family(void **state)
{
    struct attested attested = {0};
    struct stun_addr v4 = stun_addr_v4(192, 0, 2, 1, 1), moved = stun_addr_v4(192, 0, 2, 1, 2), v6;
    struct stun_addr fresh[ATTESTED_MAX];

    (void)state;
    stun_addr_parse("[2001:db8::1]:5", &v6);
    assert_int_equal(attested_fresh(&attested, 0, fresh), 0);
    assert_true(keepalive(&attested, &v4, 1, 0));
    assert_true(keepalive(&attested, &v6, 2, 0));
    assert_true(keepalive(&attested, &moved, 3, 0));
    assert_int_equal(attested_fresh(&attested, 1, fresh), 2);
    assert_true(stun_addr_equal(&fresh[0], &moved));
    assert_true(stun_addr_equal(&fresh[1], &v6));
}

static void test_an_old_sequence_attests_nothing(void **state)
{
    struct attested attested = {0};
    struct stun_addr owner = stun_addr_v4(192, 0, 2, 1, 1), thief = stun_addr_v4(192, 0, 2, 2, 1);
    struct stun_addr fresh[ATTESTED_MAX];

    (void)state;
    assert_false(keepalive(&attested, &owner, 0, 0));
    assert_true(keepalive(&attested, &owner, 10, 0));
    assert_false(keepalive(&attested, &thief, 10, 1));
    assert_false(keepalive(&attested, &thief, 9, 1));
    assert_int_equal(attested_fresh(&attested, 1, fresh), 1);
    assert_true(stun_addr_equal(&fresh[0], &owner));
}

/* By IPv6 one may overtake one by IPv4. */
static void test_each_family_has_its_sequence(void **state)
{
    struct attested attested = {0};
    struct stun_addr v4 = stun_addr_v4(192, 0, 2, 1, 1), v6, fresh[ATTESTED_MAX];

    (void)state;
    stun_addr_parse("[2001:db8::1]:5", &v6);
    assert_true(keepalive(&attested, &v6, 10, 0));
    assert_true(keepalive(&attested, &v4, 9, 0));
    assert_int_equal(attested_fresh(&attested, 1, fresh), 2);
}

static void test_who_does_not_echo_is_challenged(void **state)
{
    struct attested attested = {0};
    struct stun_addr fresh[ATTESTED_MAX];
    struct attested_address owner = {.addr = stun_addr_v4(192, 0, 2, 1, 1)};
    struct attested_address moved = {.addr = stun_addr_v4(192, 0, 2, 1, 2)};

    (void)state;
    assert_int_equal(attested_keepalive(&attested, &owner, 1, false, 0), ATTESTED_CHALLENGE);
    assert_int_equal(attested_keepalive(&attested, &owner, 1, true, 0), ATTESTED_SILENCE);
    assert_int_equal(attested_fresh(&attested, 0, fresh), 0);
    assert_int_equal(attested_keepalive(&attested, &owner, 2, true, 0), ATTESTED_ANSWER);
    assert_int_equal(attested_keepalive(&attested, &moved, 3, false, 1), ATTESTED_CHALLENGE);
    assert_int_equal(attested_keepalive(&attested, &owner, 4, false, ATTESTED_LIFETIME_US - 1),
                     ATTESTED_CHALLENGE);
    assert_int_equal(attested_fresh(&attested, ATTESTED_LIFETIME_US - 1, fresh), 1);
    assert_true(stun_addr_equal(&fresh[0], &owner.addr));
    assert_int_equal(attested_fresh(&attested, ATTESTED_LIFETIME_US, fresh), 0);
}

static void test_a_repeated_keepalive_is_answered_but_keeps_nothing_alive(void **state)
{
    struct attested attested = {0};
    struct stun_addr owner = stun_addr_v4(192, 0, 2, 1, 1), fresh[ATTESTED_MAX];

    (void)state;
    assert_true(keepalive(&attested, &owner, 10, 0));
    assert_true(keepalive(&attested, &owner, 10, ATTESTED_LIFETIME_US - 1));
    assert_int_equal(attested_fresh(&attested, ATTESTED_LIFETIME_US - 1, fresh), 1);
    assert_int_equal(attested_fresh(&attested, ATTESTED_LIFETIME_US, fresh), 0);
    assert_true(keepalive(&attested, &owner, 11, ATTESTED_LIFETIME_US));
    assert_int_equal(attested_fresh(&attested, ATTESTED_LIFETIME_US, fresh), 1);
}

static void test_knows_its_own_and_the_way_back(void **state)
{
    struct attested attested = {0};
    struct stun_addr v4 = stun_addr_v4(192, 0, 2, 1, 1), moved = stun_addr_v4(192, 0, 2, 1, 2), v6;

    (void)state;
    stun_addr_parse("[2001:db8::1]:5", &v6);
    assert_false(attested_heard(&attested, &v4, 0));
    assert_null(attested_latest(&attested, 0));
    assert_true(keepalive(&attested, &v4, 1, 0));
    assert_true(keepalive(&attested, &v6, 2, 1));
    assert_true(stun_addr_equal(&attested_latest(&attested, 1)->addr, &v6));
    assert_true(attested_heard(&attested, &v6, 1) && attested_heard(&attested, &v4, 2));
    assert_true(stun_addr_equal(&attested_latest(&attested, 2)->addr, &v4));
    assert_true(attested_heard(&attested, &v6, 3));
    assert_true(stun_addr_equal(&attested_latest(&attested, 3)->addr, &v6));
    assert_true(keepalive(&attested, &moved, 3, 4));
    assert_false(attested_heard(&attested, &v4, 4));
    const struct attested_address *latest = attested_latest(&attested, 4);
    assert_true(stun_addr_equal(&latest->addr, &moved));
    assert_int_equal(latest->socket, 3);
    /* Only keepalives keep an address attested. */
    assert_true(attested_heard(&attested, &moved, ATTESTED_LIFETIME_US));
    assert_false(attested_heard(&attested, &v6, ATTESTED_LIFETIME_US + 1));
    assert_true(attested_latest(&attested, ATTESTED_LIFETIME_US + 3) == latest);
    assert_null(attested_latest(&attested, ATTESTED_LIFETIME_US + 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_address_a_family),
        cmocka_unit_test(test_an_old_sequence_attests_nothing),
        cmocka_unit_test(test_knows_its_own_and_the_way_back),
        cmocka_unit_test(test_each_family_has_its_sequence),
        cmocka_unit_test(test_who_does_not_echo_is_challenged),
        cmocka_unit_test(test_a_repeated_keepalive_is_answered_but_keeps_nothing_alive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
