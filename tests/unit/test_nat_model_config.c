/* SPDX-License-Identifier: BSD-2-Clause */
#include "nat_world.h"

static void reads_every_kind(void **state)
{
    (void)state;
    size_t count = 0;
    for (const struct nat_config_kind *kind = nat_config_kinds(); kind->name; kind++, count++) {
        struct nat_stack stack, again;
        const char *error = "";
        if (!nat_config_parse(kind->name, &stack, &error))
            fail_msg("%s: %s", kind->name, error);
        for (uint32_t i = 0; i < stack.layers; i++) {
            char text[NAT_CONFIG_TEXT_BYTES];
            assert_true(nat_config_parse(nat_config_text(&stack.layer[i], text), &again, &error));
            assert_memory_equal(&again.layer[0], &stack.layer[i], sizeof(again.layer[0]));
        }
    }
    assert_true(count >= 20);
}

static void reads_all_options(void **state)
{
    (void)state;
    struct nat_stack stack;
    const char *error;
    assert_true(nat_config_parse("apdm/adf/seq-2,pool=3:arbitrary,life=1500ms/90s:in,hairpin,"
                                 "foreign=20/s,poison,reject,flood=blacklist:7,sessions=99,"
                                 "ports=2000-3000,v6=fw",
                                 &stack, &error));
    const struct nat_config *c = &stack.layer[0];
    assert_int_equal(stack.layers, 1);
    assert_int_equal(c->mapping, NAT_CONFIG_APDM);
    assert_int_equal(c->filtering, NAT_CONFIG_ADF);
    assert_int_equal(c->allocation, NAT_CONFIG_SEQUENTIAL);
    assert_int_equal(c->step, -2);
    assert_int_equal(c->pool, 3);
    assert_int_equal(c->life_us, 1500000);
    assert_int_equal(c->answered_life_us, 90 * SECOND);
    assert_int_equal(c->foreign_per_s, 20);
    assert_int_equal(c->flood, NAT_CONFIG_FLOOD_BLACKLIST);
    assert_int_equal(c->flood_packets, 7);
    assert_int_equal(c->sessions, 99);
    assert_int_equal(c->port_min, 2000);
    assert_int_equal(c->port_max, 3000);
    assert_int_equal(c->ipv6, NAT_CONFIG_V6_FIREWALL);
    assert_true(c->pool_arbitrary && c->refreshed_inbound && c->hairpin && c->poison && c->reject);
}

static void reads_two_layers(void **state)
{
    (void)state;
    struct nat_stack stack;
    const char *error;
    assert_true(
        nat_config_parse("cgn(linux-drop,hairpin;apdm/apdf/block512,sessions=50)", &stack, &error));
    assert_int_equal(stack.layers, 2);
    assert_int_equal(stack.layer[0].mapping, NAT_CONFIG_FLOW);
    assert_true(stack.layer[0].hairpin);
    assert_int_equal(stack.layer[1].block, 512);
    assert_int_equal(stack.layer[1].sessions, 50);
    assert_true(nat_config_parse("cgn(random)", &stack, &error));
    assert_int_equal(stack.layers, 2);
    assert_int_equal(stack.layer[0].mapping, NAT_CONFIG_EIM);
    assert_int_equal(stack.layer[1].allocation, NAT_CONFIG_RANDOM);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ",",
        "con",
        "cone,",
        "cone,,hairpin",
        "eim",
        "eim/",
        "eim/apdf",
        "eim/apdf/",
        "eim/apdf/preservin",
        "eim/apdf/preserving/",
        "xim/apdf/random",
        "eim/xpdf/random",
        "eim/apdf/seq",
        "eim/apdf/seq+",
        "eim/apdf/seq+0",
        "eim/apdf/seq+1001",
        "eim/apdf/block",
        "eim/apdf/block1",
        "eim/apdf/block99999",
        "eim/apdf/block10-sequ",
        "fw/",
        "fw/apdf/random",
        "openx",
        "open/eif",
        "cone,pool=0",
        "cone,pool=17",
        "cone,pool=4:pair",
        "cone,life=",
        "cone,life=30",
        "cone,life=0s",
        "cone,life=30s:",
        "cone,life=30s/",
        "cone,life=99999999s",
        "cone,foreign=20",
        "cone,foreign=0/s",
        "cone,flood=drop",
        "cone,flood=close:1",
        "cone,sessions=",
        "cone,sessions=0",
        "cone,ports=0-9",
        "cone,ports=9-8",
        "cone,ports=9",
        "cone,ports=1-65536",
        "cone,v6=",
        "cone,v6=maybe",
        "cgn(",
        "cgn()",
        "cgn(;cone)",
        "cgn(cone;)",
        "cgn(cone;cone",
        "cgn(cgn(cone);cone)",
        "cgn(cone;cone),hairpin",
        "apdm/apdf/block1024,ports=1000-2000",
        "eim/apdf/seq+99999999999999999999",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct nat_stack stack;
        const char *error = NULL;
        if (nat_config_parse(texts[i], &stack, &error))
            fail_msg("\"%s\" was taken", texts[i]);
        assert_non_null(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind),
        cmocka_unit_test(reads_all_options),
        cmocka_unit_test(reads_two_layers),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
