/* SPDX-License-Identifier: BSD-2-Clause */
/* A survey and an exploration behind every kind of NAT of the lab's model, in virtual time: what
 * was learned is what was configured, or unknown. */
#include "explore_world.h"

#include <stdio.h>
#include <stdlib.h>

#define OPEN_FILTER NAT_FILTERING_ENDPOINT_INDEPENDENT
#define ADF         NAT_FILTERING_ADDRESS_DEPENDENT
#define APDF        NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT
#define EIM         NAT_MAPPING_ENDPOINT_INDEPENDENT
#define ADM         NAT_MAPPING_ADDRESS_DEPENDENT
#define APDM        NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT

static const struct truth {
    const char *text;
    enum nat_mapping mapping;
    enum nat_filtering filtering;
    enum nat_allocation allocation;
    enum nat_early early;
    enum nat_hairpin hairpin;
    int32_t step;
    uint32_t block_ports;
    uint8_t opener_ttl;
    uint16_t lifetime_s;
} table[] = {
    {"open", NAT_MAPPING_NONE, OPEN_FILTER, NAT_ALLOCATION_PRESERVING, NAT_EARLY_HARMLESS},
    {"fw", NAT_MAPPING_NONE, APDF, NAT_ALLOCATION_PRESERVING, NAT_EARLY_HARMLESS, .opener_ttl = 2,
     .lifetime_s = 118},
    {"fw/adf,life=60s", NAT_MAPPING_NONE, ADF, NAT_ALLOCATION_PRESERVING, NAT_EARLY_HARMLESS,
     .opener_ttl = 2, .lifetime_s = 58},
    {"eim/eif/preserving,life=180s", EIM, OPEN_FILTER, NAT_ALLOCATION_PRESERVING,
     NAT_EARLY_HARMLESS, NAT_HAIRPIN_NO, .lifetime_s = 178},
    {"eim/adf/preserving,life=30s", EIM, ADF, NAT_ALLOCATION_PRESERVING, NAT_EARLY_HARMLESS,
     NAT_HAIRPIN_NO, .opener_ttl = 2, .lifetime_s = 28},
    {"eim/apdf/preserving,life=600s", EIM, APDF, NAT_ALLOCATION_PRESERVING, NAT_EARLY_HARMLESS,
     NAT_HAIRPIN_NO, .opener_ttl = 2, .lifetime_s = 298},
    {"eim/apdf/random,life=20s", EIM, APDF, NAT_ALLOCATION_OTHER, NAT_EARLY_HARMLESS,
     NAT_HAIRPIN_NO, .opener_ttl = 2, .lifetime_s = 18},
    {"eim/apdf/preserving,hairpin,life=10s:in", EIM, APDF, NAT_ALLOCATION_PRESERVING,
     NAT_EARLY_HARMLESS, NAT_HAIRPIN_YES, .opener_ttl = 2, .lifetime_s = 9},
    {"eim/eif/random,hairpin,life=5s", EIM, OPEN_FILTER, NAT_ALLOCATION_OTHER, NAT_EARLY_HARMLESS,
     NAT_HAIRPIN_YES},
    {"eim/apdf/seq+1,life=120s", EIM, APDF, NAT_ALLOCATION_SEQUENTIAL, NAT_EARLY_HARMLESS,
     NAT_HAIRPIN_NO, .step = 1, .opener_ttl = 2, .lifetime_s = 118},
    {"eim/apdf/block512,life=120s", EIM, APDF, NAT_ALLOCATION_BLOCK, NAT_EARLY_HARMLESS,
     NAT_HAIRPIN_NO, .block_ports = 512, .opener_ttl = 2, .lifetime_s = 118},
    {"flow/apdf/preserving,life=30s/120s:in", EIM, APDF, NAT_ALLOCATION_PRESERVING,
     NAT_EARLY_HARMLESS, NAT_HAIRPIN_NO, .opener_ttl = 2, .lifetime_s = 118},
    {"flow/apdf/preserving,life=30s/120s:in,poison", EIM, APDF, NAT_ALLOCATION_PRESERVING,
     NAT_EARLY_POISONOUS, NAT_HAIRPIN_UNKNOWN, .opener_ttl = 2, .lifetime_s = 118},
    {"flow/apdf/preserving,life=30s/120s:in,reject", EIM, APDF, NAT_ALLOCATION_PRESERVING,
     NAT_EARLY_HARMLESS, NAT_HAIRPIN_NO, .opener_ttl = 2, .lifetime_s = 118},
    {"flow/apdf/random,life=60s", APDM, APDF, NAT_ALLOCATION_OTHER, .lifetime_s = 58},
    {"adm/adf/random,life=60s", ADM, ADF, NAT_ALLOCATION_OTHER, .lifetime_s = 58},
    {"adm/apdf/seq+3,life=60s", ADM, APDF, NAT_ALLOCATION_SEQUENTIAL, .step = 3, .lifetime_s = 58},
    {"adm/apdf/block1024,life=60s", ADM, APDF, NAT_ALLOCATION_BLOCK, .block_ports = 1024,
     .lifetime_s = 58},
    {"apdm/eif/random,life=60s", APDM, OPEN_FILTER, NAT_ALLOCATION_OTHER, .lifetime_s = 58},
    {"apdm/apdf/seq+1,life=60s", APDM, APDF, NAT_ALLOCATION_SEQUENTIAL, .step = 1,
     .lifetime_s = 58},
    {"apdm/apdf/seq-2,life=60s", APDM, APDF, NAT_ALLOCATION_SEQUENTIAL, .step = -2,
     .lifetime_s = 58},
    {"apdm/apdf/block256,life=60s", APDM, APDF, NAT_ALLOCATION_BLOCK, .block_ports = 256,
     .lifetime_s = 58},
    {"apdm/apdf/block1024,life=60s", APDM, APDF, NAT_ALLOCATION_BLOCK, .block_ports = 1024,
     .lifetime_s = 58},
    {"apdm/apdf/block2048,life=60s", APDM, APDF, NAT_ALLOCATION_BLOCK, .block_ports = 2048,
     .lifetime_s = 58},
    {"cgn(eim/apdf/preserving,life=60s;eim/apdf/random,life=60s)", EIM, APDF, NAT_ALLOCATION_OTHER,
     NAT_EARLY_HARMLESS, NAT_HAIRPIN_NO, .opener_ttl = 3, .lifetime_s = 58},
    {"cgn(flow/apdf/preserving,life=60s,poison;eim/eif/preserving,hairpin,life=60s)", EIM, APDF,
     NAT_ALLOCATION_PRESERVING, NAT_EARLY_POISONOUS, NAT_HAIRPIN_UNKNOWN, .opener_ttl = 2,
     .lifetime_s = 58},
    {"cgn(eim/apdf/preserving,life=60s;apdm/apdf/block1024,life=60s)", APDM, APDF,
     NAT_ALLOCATION_BLOCK, .block_ports = 1024, .lifetime_s = 58},
};

#define TABLE_SIZE (sizeof(table) / sizeof(table[0]))

static void complain(const char *text, uint64_t seed, const struct nat_profile *p)
{
    fail_msg("%s, seed %llu: mapping %s, filtering %s, allocation %s, early %s, hairpin %s, "
             "step %d, foreign %u, block %u, TTL %u, lifetime %u s",
             text, (unsigned long long)seed, nat_mapping_text(p->mapping),
             nat_filtering_text(p->filtering), nat_allocation_text(p->allocation),
             nat_early_text(p->early), nat_hairpin_text(p->hairpin), p->step, p->foreign_per_1000_s,
             p->block_ports, p->opener_ttl, p->lifetime_s);
}

static void compare(const struct truth *t, uint64_t seed, const struct nat_profile *p,
                    bool fast_only)
{
    if (p->mapping != t->mapping || p->filtering != t->filtering ||
        p->allocation != t->allocation || p->early != t->early || p->hairpin != t->hairpin ||
        p->step != t->step || p->block_ports != t->block_ports || p->opener_ttl != t->opener_ttl ||
        (!fast_only && p->lifetime_s != t->lifetime_s))
        complain(t->text, seed, p);
}

/* What is known is true. A TTL may be one too large if the packet with the right one was lost. */
static void compare_known(const struct truth *t, uint64_t seed, const struct nat_profile *p)
{
    if ((p->mapping != NAT_MAPPING_UNKNOWN && p->mapping != t->mapping) ||
        (p->filtering != NAT_FILTERING_UNKNOWN && p->filtering != t->filtering) ||
        (p->early != NAT_EARLY_UNKNOWN && p->early != t->early) ||
        (p->hairpin != NAT_HAIRPIN_UNKNOWN && p->hairpin != t->hairpin) ||
        (p->step != 0 && p->step != t->step) || p->opener_ttl > t->opener_ttl ||
        p->lifetime_s > t->lifetime_s)
        complain(t->text, seed, p);
}

static void what_is_measured_is_what_is_configured(void **state)
{
    (void)state;
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        struct nat_profile p;

        make(&world, table[i].text, 100 + i);
        p = learn(&world, 1200 * SECOND);
        compare(&table[i], 100 + i, &p, false);
        assert_int_equal(world.explore.phase, EXPLORE_DONE);
        if (getenv("EXPLORE_COUNT") != NULL)
            print_message("%-80s %u packets in the first two seconds, %u in all\n", table[i].text,
                          world.sent_early, world.sent);
        assert_true(world.sent_early <= 60);
        assert_true(world.sent <= 120);
    }
}

static struct truth truth_of(const struct nat_config *c)
{
    static const enum nat_mapping mappings[] = {[NAT_CONFIG_EIM] = EIM,
                                                [NAT_CONFIG_ADM] = ADM,
                                                [NAT_CONFIG_APDM] = APDM,
                                                [NAT_CONFIG_FLOW] = EIM,
                                                [NAT_CONFIG_NONE] = NAT_MAPPING_NONE};
    static const enum nat_filtering filterings[] = {
        [NAT_CONFIG_EIF] = OPEN_FILTER, [NAT_CONFIG_ADF] = ADF, [NAT_CONFIG_APDF] = APDF};
    struct truth t = {.mapping = mappings[c->mapping], .filtering = filterings[c->filtering]};

    if (c->mapping == NAT_CONFIG_FLOW && c->allocation != NAT_CONFIG_PRESERVING)
        t.mapping = APDM;
    t.early = c->poison ? NAT_EARLY_POISONOUS : NAT_EARLY_HARMLESS;
    t.hairpin = c->hairpin ? NAT_HAIRPIN_YES : NAT_HAIRPIN_NO;
    t.step = c->allocation == NAT_CONFIG_SEQUENTIAL ? c->step : 0;
    t.step = c->allocation == NAT_CONFIG_BLOCK ? c->step : t.step;
    t.opener_ttl = c->filtering == NAT_CONFIG_EIF ? 0 : 2;
    t.lifetime_s = (uint16_t)(c->answered_life_us / SECOND);
    return t;
}

/* Derived from the configuration, so that a kind that is added to the lab is measured too. */
static void every_named_kind_of_the_lab(void **state)
{
    (void)state;
    for (const struct nat_config_kind *kind = nat_config_kinds(); kind->name != NULL; kind++) {
        struct nat_stack stack;
        const char *error;
        struct nat_profile p;
        struct truth t;

        assert_true(nat_config_parse(kind->text, &stack, &error));
        if (stack.layers > 1 || stack.layer[0].udp_blocked)
            continue;
        t = truth_of(&stack.layer[0]);
        t.text = kind->name;
        make(&world, kind->text, 77);
        p = learn(&world, 1200 * SECOND);
        compare_known(&t, 77, &p);
        if (p.mapping != t.mapping || p.filtering != t.filtering || p.step != t.step)
            complain(kind->name, 77, &p);
    }
}

static void a_quick_part_is_known_within_three_seconds(void **state)
{
    (void)state;
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        struct nat_profile p;

        make(&world, table[i].text, 300 + i);
        p = learn(&world, 3 * SECOND);
        assert_true(explore_is_settled(&world.explore));
        compare(&table[i], 300 + i, &p, true);
    }
}

static void lost_packets_are_not_taken_for_filtering(void **state)
{
    unsigned runs = 0, unknown = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        const struct truth *t = &table[seed % TABLE_SIZE];
        struct nat_profile p;

        make(&world, t->text, 1000 + seed);
        world.loss_percent = seed % 2 == 0 ? 5 : 15;
        p = learn(&world, 900 * SECOND);
        compare_known(t, 1000 + seed, &p);
        runs++;
        unknown += p.filtering == NAT_FILTERING_UNKNOWN;
    }
    assert_true(unknown * 20 < runs);
}

/* Neighbours behind the same address have used up what the server gives. */
static void a_server_that_refuses_more_tests_is_not_taken_for_filtering(void **state)
{
    (void)state;
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        struct nat_profile p;

        make(&world, table[i].text, 500 + i);
        world.behaviour_per_s = 4;
        p = learn(&world, 900 * SECOND);
        compare_known(&table[i], 500 + i, &p);
        assert_int_equal(p.filtering, table[i].filtering);
    }
}

static void a_server_with_one_address_leaves_things_unknown(void **state)
{
    struct nat_profile p;

    (void)state;
    make(&world, "eim/apdf/preserving,life=60s", 1);
    world.addresses = 1;
    p = learn(&world, 900 * SECOND);
    assert_int_equal(p.mapping, NAT_MAPPING_UNKNOWN);
    assert_int_equal(p.filtering, APDF);
    assert_int_equal(p.lifetime_s, 58);
    assert_int_equal(p.early, NAT_EARLY_UNKNOWN);
    assert_int_equal(p.opener_ttl, 0);
    make(&world, "eim/eif/preserving,life=60s", 1);
    world.addresses = 1;
    p = learn(&world, 900 * SECOND);
    assert_int_equal(p.filtering, NAT_FILTERING_UNKNOWN);
}

static void nobody_answers(void **state)
{
    struct nat_profile p;

    (void)state;
    make(&world, "blocked", 1);
    p = learn(&world, 60 * SECOND);
    assert_int_equal(p.mapping, NAT_MAPPING_UNKNOWN);
    assert_int_equal(p.filtering, NAT_FILTERING_UNKNOWN);
    assert_int_equal(p.lifetime_s, 0);
    assert_int_equal(world.explore.phase, EXPLORE_DONE);
}

static void the_rate_of_foreign_mappings(void **state)
{
    static const struct {
        const char *text;
        uint32_t per_s;
    } rates[] = {
        {"apdm/apdf/seq+1", 0},
        {"apdm/apdf/seq+1,foreign=5/s", 5},
        {"apdm/apdf/seq+2,foreign=20/s", 20},
        {"apdm/apdf/seq-1,foreign=50/s", 50},
        {"adm/apdf/seq+1,foreign=20/s", 20},
        {"apdm/apdf/seq+1,foreign=200/s", 200},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        double mean = 0;

        for (uint64_t seed = 0; seed < 20; seed++) {
            struct nat_profile p;

            make(&world, rates[i].text, seed);
            p = learn(&world, 5 * SECOND);
            if (p.allocation != NAT_ALLOCATION_SEQUENTIAL)
                complain(rates[i].text, seed, &p);
            mean += p.foreign_per_1000_s / 1000.0 / 20;
        }
        if (mean < rates[i].per_s * 0.85 || mean > rates[i].per_s * 1.15)
            fail_msg("%s: %.1f a second", rates[i].text, mean);
    }
}

static void blocks_are_not_underestimated(void **state)
{
    static const uint32_t sizes[] = {128, 256, 512, 1024, 2048, 4096};
    unsigned wrong = 0, runs = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (uint64_t seed = 0; seed < 50; seed++) {
            struct nat_profile p;
            char text[64];

            snprintf(text, sizeof(text), "apdm/apdf/block%u", sizes[i]);
            make(&world, text, seed);
            p = learn(&world, 3 * SECOND);
            if (p.allocation != NAT_ALLOCATION_BLOCK)
                complain(text, seed, &p);
            runs++;
            wrong += p.block_ports != sizes[i] || (p.block_first - 1024u) % sizes[i] != 0;
        }
    }
    assert_true(wrong * 50 < runs);
}

static void random_ports_are_no_block(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct nat_profile p;

        make(&world, seed % 2 == 0 ? "apdm/apdf/random" : "eim/apdf/random", seed);
        p = learn(&world, 4 * SECOND);
        assert_int_equal(p.allocation, NAT_ALLOCATION_OTHER);
    }
}

static void several_public_addresses(void **state)
{
    struct nat_profile p;

    (void)state;
    make(&world, "eim/apdf/random,pool=4:arbitrary,life=60s", 3);
    p = learn(&world, 900 * SECOND);
    assert_int_equal(p.pooling, NAT_POOLING_MANY);
    assert_int_equal(p.filtering, APDF);
    assert_true(p.lifetime_s == 0 || p.lifetime_s == 58 || p.lifetime_s == 28);
    make(&world, "eim/apdf/random,pool=4:paired,life=60s", 3);
    p = learn(&world, 900 * SECOND);
    assert_int_equal(p.pooling, NAT_POOLING_ONE);
    assert_int_equal(p.lifetime_s, 58);
}

/* The dial's own mappings would come between, and ours between the dial's. */
static void nothing_is_sent_during_a_dial(void **state)
{
    struct nat_profile p;
    unsigned before;

    (void)state;
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        for (uint64_t at_ms = 150; at_ms < 1500; at_ms += 170) {
            make(&world, table[i].text, 900 + i);
            start(&world);
            run(&world, at_ms * MS);
            if (!world.exploring)
                continue;
            explore_hold(&world.explore, world.now_us, true);
            before = world.sent;
            run(&world, (at_ms + 700) * MS);
            assert_int_equal(world.sent, before);
            assert_int_equal(explore_next_timeout(&world.explore), UINT64_MAX);
            explore_hold(&world.explore, world.now_us, false);
            run(&world, 900 * SECOND);
            explore_profile(&world.explore, &p);
            compare(&table[i], 900 + i, &p, false);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_measured_is_what_is_configured),
        cmocka_unit_test(every_named_kind_of_the_lab),
        cmocka_unit_test(a_quick_part_is_known_within_three_seconds),
        cmocka_unit_test(lost_packets_are_not_taken_for_filtering),
        cmocka_unit_test(a_server_that_refuses_more_tests_is_not_taken_for_filtering),
        cmocka_unit_test(a_server_with_one_address_leaves_things_unknown),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(the_rate_of_foreign_mappings),
        cmocka_unit_test(blocks_are_not_underestimated),
        cmocka_unit_test(random_ports_are_no_block),
        cmocka_unit_test(several_public_addresses),
        cmocka_unit_test(nothing_is_sent_during_a_dial),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
