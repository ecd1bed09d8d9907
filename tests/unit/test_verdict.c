/* SPDX-License-Identifier: BSD-2-Clause */
/* What netcheck promises is what the engine plans. */
#include "cli/verdict.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "punch/plan.h"

enum kind { LENIENT, STEADY, COUNTING, IN_A_BLOCK, AT_RANDOM, KINDS };

static struct plan_side side_of(enum kind kind, uint8_t host)
{
    struct plan_side s = {0};
    bool varies = kind >= COUNTING;
    s.public_addr = stun_addr_v4(198, 51, 100, host, 40000);
    s.profile.mapping =
        varies ? NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT : NAT_MAPPING_ENDPOINT_INDEPENDENT;
    s.profile.filtering = kind == LENIENT ? NAT_FILTERING_ADDRESS_DEPENDENT
                                          : NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT;
    s.profile.allocation = kind == COUNTING     ? NAT_ALLOCATION_SEQUENTIAL
                           : kind == IN_A_BLOCK ? NAT_ALLOCATION_BLOCK
                                                : NAT_ALLOCATION_OTHER;
    s.profile.early = NAT_EARLY_HARMLESS;
    s.profile.block_ports = kind == IN_A_BLOCK ? 1024 : 0;
    s.samples.public_addr = s.public_addr;
    for (unsigned i = 0; varies && i < 4; i++) {
        static const uint16_t random[] = {23000, 30919, 58838, 46757};
        static const uint16_t block[] = {50500, 50611, 50399, 51000};
        s.samples.ports[s.samples.count++] = kind == COUNTING     ? (uint16_t)(50000 + i)
                                             : kind == IN_A_BLOCK ? block[i]
                                                                  : random[i];
    }
    return s;
}

static eyelet_nat nat_of(enum kind kind)
{
    struct plan_side s = side_of(kind, 1);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = 1, .sin_addr.s_addr = 1};
    eyelet_nat nat = {.size = sizeof(nat),
                      .mapping = nat_mapping_text(s.profile.mapping),
                      .filtering = nat_filtering_text(s.profile.filtering),
                      .allocation = nat_allocation_text(s.profile.allocation),
                      .port_mapping = "none",
                      .udp = true,
                      .relay = true,
                      .servers = 4,
                      .public_address_bytes = sizeof(addr)};
    memcpy(&nat.public_address, &addr, sizeof(addr));
    return nat;
}

static void add_ipv6(eyelet_nat *nat)
{
    nat->public_ipv6.ss_family = AF_INET6;
    nat->public_ipv6_bytes = sizeof(struct sockaddr_in6);
}

static enum verdict_reach reach_of(enum plan_kind kind)
{
    return kind == PLAN_IMPOSSIBLE                       ? VERDICT_NO
           : kind == PLAN_BLOCK || kind == PLAN_BIRTHDAY ? VERDICT_SEARCH
                                                         : VERDICT_DIRECT;
}

static void the_verdict_is_what_is_planned(void **state)
{
    static const enum kind peers[] = {STEADY, COUNTING, IN_A_BLOCK, AT_RANDOM};
    (void)state;
    for (int mine = LENIENT; mine < KINDS; mine++) {
        eyelet_nat nat = nat_of((enum kind)mine);
        struct verdict verdict = verdict_of(&nat);
        for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
            struct plan_side ours = side_of((enum kind)mine, 1);
            struct plan_side theirs = side_of(peers[i], 2);
            struct plan plan;
            plan_make(&ours, &theirs, &plan);
            assert_int_not_equal(plan.kind, PLAN_WAIT);
            assert_int_equal(verdict.reach[i], reach_of(plan.kind));
            plan_make(&theirs, &ours, &plan);
            assert_int_equal(verdict.reach[i], reach_of(plan.kind));
        }
        assert_int_equal(verdict.reach[VERDICT_UDP_BLOCKED], VERDICT_NO);
    }
}

static const char *say(const eyelet_nat *nat)
{
    static char text[VERDICT_TEXT_BYTES];
    struct verdict verdict = verdict_of(nat);
    return verdict_text(&verdict, text);
}

static void it_is_said_in_words(void **state)
{
    eyelet_nat nat = nat_of(LENIENT);
    (void)state;
    assert_string_equal(say(&nat), "everybody except peers whose UDP is blocked");
    nat = nat_of(STEADY);
    assert_string_equal(say(&nat),
                        "everybody except peers whose UDP is blocked; after a search of some "
                        "seconds where the NAT takes ports from one block or takes ports at "
                        "random");
    nat = nat_of(COUNTING);
    add_ipv6(&nat);
    assert_string_equal(say(&nat),
                        "everybody except peers whose NAT takes ports from one block or takes "
                        "ports at random, or whose UDP is blocked; at once whoever has IPv6");
    nat = nat_of(AT_RANDOM);
    assert_string_equal(say(&nat), "only peers whose NAT keeps one port for all destinations, "
                                   "after a search of some seconds");
    nat.port_mapping = "UPnP";
    nat.mapped_address_bytes = sizeof(struct sockaddr_in);
    assert_string_equal(say(&nat), "everybody except peers whose UDP is blocked");
    nat = nat_of(STEADY);
    nat.mapping = "unknown";
    assert_non_null(strstr(say(&nat), "cannot be told"));
    nat.udp = false;
    nat.servers = 0;
    assert_string_equal(say(&nat), "nobody");
    nat = (eyelet_nat){.udp = true, .servers = 2}; /* IPv6 alone */
    add_ipv6(&nat);
    assert_string_equal(say(&nat), "whoever has IPv6");
}

static void advice_fits(void **state)
{
    const char *advice[VERDICT_MAX_ADVICE];
    eyelet_nat nat = nat_of(AT_RANDOM);
    (void)state;
    assert_int_equal(verdict_advice(&nat, advice), 2);
    assert_non_null(strstr(advice[0], "UPnP"));
    assert_non_null(strstr(advice[1], "IPv6"));
    nat.behind_provider = true;
    assert_int_equal(verdict_advice(&nat, advice), 1);
    assert_non_null(strstr(advice[0], "provider"));
    nat = nat_of(AT_RANDOM);
    nat.port_mapping = "off";
    assert_int_equal(verdict_advice(&nat, advice), 2);
    assert_non_null(strstr(advice[0], "turned off"));
    nat = nat_of(STEADY);
    nat.mapping = "none";
    assert_int_equal(verdict_advice(&nat, advice), 1);
    assert_non_null(strstr(advice[0], "firewall"));
    nat = nat_of(LENIENT);
    assert_int_equal(verdict_advice(&nat, advice), 0);
    nat.relay = false;
    assert_int_equal(verdict_advice(&nat, advice), 1);
    nat = (eyelet_nat){.relay = true};
    assert_int_equal(verdict_advice(&nat, advice), 1);
    assert_non_null(strstr(advice[0], "UDP"));
}

static void nothing_known_breaks_nothing(void **state)
{
    eyelet_nat nat = {0};
    json_t *json = verdict_json(&nat);
    (void)state;
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "text")), "nobody");
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_verdict_is_what_is_planned),
        cmocka_unit_test(it_is_said_in_words),
        cmocka_unit_test(advice_fits),
        cmocka_unit_test(nothing_known_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
