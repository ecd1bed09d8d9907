/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/coordinates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HOST      wire_CandidateKind_CANDIDATE_HOST
#define REFLEXIVE wire_CandidateKind_CANDIDATE_SERVER_REFLEXIVE

static struct stun_addr parsed(const char *text)
{
    struct stun_addr addr = {0};

    assert_true(stun_addr_parse(text, &addr));
    return addr;
}

static void claim(wire_Coordinates *coordinates, wire_CandidateKind kind, const char *text)
{
    struct stun_addr addr = parsed(text);
    wire_Candidate *candidate = &coordinates->candidates[coordinates->candidates_count++];

    candidate->kind = kind;
    candidate->attested = true; /* a lie, to be cleared */
    candidate->has_address = true;
    wire_from_addr(&addr, &candidate->address);
}

static void assert_shown(const wire_Coordinates *shown, size_t i, wire_CandidateKind kind,
                         const char *text, bool attested)
{
    struct stun_addr expected = parsed(text);
    struct stun_addr addr = wire_to_addr(&shown->candidates[i].address);

    assert_true(i < shown->candidates_count);
    assert_true(stun_addr_equal(&addr, &expected));
    assert_int_equal(shown->candidates[i].kind, kind);
    assert_int_equal(shown->candidates[i].attested, attested);
}

static void test_attested_comes_first_and_merges(void **state)
{
    wire_Coordinates in = {.profile = {.mapping = 2}}, out;
    struct coordinates kept;
    struct coordinates_whereabouts where = {.attested = {parsed("192.0.2.1:5")},
                                            .attested_count = 1};

    (void)state;
    claim(&in, REFLEXIVE, "192.0.2.9:9");
    claim(&in, HOST, "192.0.2.1:5");
    coordinates_take(&in, &kept);
    coordinates_show(&kept, &where, false, &out);
    assert_int_equal(out.candidates_count, 2);
    assert_shown(&out, 0, REFLEXIVE, "192.0.2.1:5", true);
    assert_shown(&out, 1, REFLEXIVE, "192.0.2.9:9", false);
    assert_true(out.has_profile);
    assert_int_equal(out.profile.mapping, 2);
}

static void test_private_addresses_are_for_neighbours(void **state)
{
    wire_Coordinates in = {0}, out;
    struct coordinates kept;
    struct coordinates_whereabouts where = {.attested = {parsed("10.9.9.9:5")},
                                            .attested_count = 1};

    (void)state;
    claim(&in, HOST, "192.168.1.2:7");
    claim(&in, REFLEXIVE, "192.168.1.3:7"); /* calling it so makes it no better */
    claim(&in, HOST, "[fd00::1]:7");
    claim(&in, HOST, "[2001:db8::1]:7");
    coordinates_take(&in, &kept);
    coordinates_show(&kept, &where, false, &out);
    assert_int_equal(out.candidates_count, 2);
    assert_shown(&out, 0, REFLEXIVE, "10.9.9.9:5", true);
    assert_shown(&out, 1, HOST, "[2001:db8::1]:7", false);
    coordinates_show(&kept, &where, true, &out);
    assert_int_equal(out.candidates_count, 5);
}

static void test_drops_what_nobody_can_use(void **state)
{
    wire_Coordinates in = {0};
    struct coordinates kept;

    (void)state;
    claim(&in, HOST, "127.0.0.1:7");
    claim(&in, HOST, "[::1]:7");
    claim(&in, HOST, "[fe80::1]:7");
    claim(&in, HOST, "169.254.1.1:7");
    claim(&in, HOST, "224.0.0.1:7");
    coordinates_take(&in, &kept);
    assert_int_equal(kept.count, 0);
}

static void test_caps_at_twelve(void **state)
{
    wire_Coordinates in = {0}, out;
    struct coordinates kept;
    struct coordinates_whereabouts where = {
        .attested = {parsed("192.0.2.1:5"), parsed("[2001:db8::1]:5")}, .attested_count = 2};

    (void)state;
    for (int i = 0; i < WIRE_MAX_CANDIDATES; i++)
        claim(&in, REFLEXIVE, "192.0.2.7:7");
    coordinates_take(&in, &kept);
    coordinates_show(&kept, &where, false, &out);
    assert_int_equal(out.candidates_count, WIRE_MAX_CANDIDATES);
    assert_true(out.candidates[0].attested && out.candidates[1].attested);
}

static void test_same_public_address(void **state)
{
    struct coordinates_whereabouts a = {.attested = {parsed("192.0.2.1:5")},
                                        .attested_count = 1,
                                        .control = parsed("198.51.100.1:1")};
    struct coordinates_whereabouts b = {.attested = {parsed("192.0.2.1:6")},
                                        .attested_count = 1,
                                        .control = parsed("198.51.100.2:1")};
    struct coordinates_whereabouts only_control = {.control = parsed("192.0.2.1:9")};
    struct coordinates_whereabouts elsewhere = {.control = parsed("198.51.100.1:1")};
    struct coordinates_whereabouts other_family = {.control = parsed("[2001:db8::1]:1")};
    struct coordinates_whereabouts nowhere = {0};

    (void)state;
    assert_true(coordinates_same_public(&a, &b));
    assert_true(coordinates_same_public(&a, &only_control));
    /* What is attested outweighs the source of the session. */
    assert_false(coordinates_same_public(&a, &elsewhere));
    assert_false(coordinates_same_public(&a, &other_family));
    assert_true(coordinates_same_public(&other_family, &other_family));
    assert_false(coordinates_same_public(&nowhere, &nowhere));
}

static void test_over_ipv6_a_64_is_one_place(void **state)
{
    struct coordinates_whereabouts a = {
        .attested = {parsed("192.0.2.1:5"), parsed("[2001:db8:0:1::1]:5")}, .attested_count = 2};
    struct coordinates_whereabouts near = {.control = parsed("[2001:db8:0:1:ffff::2]:1")};
    struct coordinates_whereabouts far = {.control = parsed("[2001:db8:0:2::1]:1")};

    (void)state;
    assert_true(coordinates_same_public(&a, &near));
    assert_true(coordinates_same_public(&near, &a));
    assert_false(coordinates_same_public(&a, &far));
}

static void test_who_hides_shows_nothing(void **state)
{
    wire_Coordinates in = {.hidden = true, .profile = {.mapping = 2}}, out;
    struct coordinates kept;
    struct coordinates_whereabouts where = {.attested = {parsed("192.0.2.1:5")},
                                            .attested_count = 1};

    (void)state;
    claim(&in, HOST, "192.0.2.1:5");
    coordinates_take(&in, &kept);
    coordinates_show(&kept, &where, true, &out);
    assert_int_equal(out.candidates_count, 0);
    assert_true(out.hidden);
    assert_int_equal(out.profile.mapping, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attested_comes_first_and_merges),
        cmocka_unit_test(test_private_addresses_are_for_neighbours),
        cmocka_unit_test(test_drops_what_nobody_can_use),
        cmocka_unit_test(test_caps_at_twelve),
        cmocka_unit_test(test_same_public_address),
        cmocka_unit_test(test_over_ipv6_a_64_is_one_place),
        cmocka_unit_test(test_who_hides_shows_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
