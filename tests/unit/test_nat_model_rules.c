/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules that hold for any packets: a naive NAT that remembers everything says the same. */
#include <stdio.h>

#include "nat_world.h"

#define STEPS   4000
#define RECORDS 4096

static struct nat_world world;

/* What left, and as what: enough to say what may come in. */
struct record {
    struct stun_addr inside, remote, outside;
    uint64_t until_us;
};

struct witness {
    struct record record[RECORDS];
    size_t records;
};

static struct witness witness;

static void note(struct witness *w, uint64_t now, struct stun_addr inside, struct stun_addr remote,
                 struct stun_addr outside, uint64_t life_us)
{
    for (size_t i = 0; i < w->records; i++) {
        struct record *r = &w->record[i];
        if (stun_addr_equal(&r->inside, &inside) && stun_addr_equal(&r->remote, &remote) &&
            r->until_us > now) {
            assert_true(stun_addr_equal(&r->outside, &outside));
            r->until_us = now + life_us;
            return;
        }
    }
    assert_true(w->records < RECORDS);
    w->record[w->records++] = (struct record){inside, remote, outside, now + life_us};
}

static bool may_enter(const struct witness *w, uint64_t now, enum nat_config_filtering filtering,
                      struct stun_addr remote, struct stun_addr outside, struct stun_addr inside)
{
    for (size_t i = 0; i < w->records; i++) {
        const struct record *r = &w->record[i];
        if (r->until_us <= now || !stun_addr_equal(&r->outside, &outside) ||
            (inside.family && !stun_addr_equal(&r->inside, &inside)))
            continue;
        if (filtering == NAT_CONFIG_EIF || stun_addr_equal(&r->remote, &remote) ||
            (filtering == NAT_CONFIG_ADF && stun_addr_same_ip(&r->remote, &remote)))
            return true;
    }
    return false;
}

/* Different inside addresses or keys never share a public address, except as the mapping says. */
static void check_sharing(const struct witness *w, uint64_t now, enum nat_config_mapping mapping)
{
    const struct record *last = &w->record[w->records - 1];
    for (size_t i = 0; i + 1 < w->records; i++) {
        const struct record *r = &w->record[i];
        if (r->until_us <= now)
            continue;
        bool same_inside = stun_addr_equal(&r->inside, &last->inside);
        bool same_outside = stun_addr_equal(&r->outside, &last->outside);
        bool same_key = mapping == NAT_CONFIG_EIM ||
                        (mapping == NAT_CONFIG_ADM && stun_addr_same_ip(&r->remote, &last->remote));
        if (mapping == NAT_CONFIG_FLOW)
            assert_false(same_outside && !same_inside &&
                         stun_addr_equal(&r->remote, &last->remote));
        else
            assert_int_equal(same_outside, same_inside && same_key);
    }
}

static void run(const char *mapping, const char *filtering, const char *allocation, uint64_t seed)
{
    char text[NAT_CONFIG_TEXT_BYTES];
    snprintf(text, sizeof(text), "%s/%s/%s,life=3s", mapping, filtering, allocation);
    nat_world_make(&world, text, seed);
    witness.records = 0;
    struct dice dice = {seed * 77 + 1};
    const struct nat_config *c = &world.nat.config;
    struct stun_addr outside[16] = {{0}};
    unsigned outsides = 0;
    for (int i = 0; i < STEPS; i++) {
        uint64_t r = dice_next(&dice);
        world.now_us += (r >> 40) % 20000;
        struct stun_addr host = host_at((uint8_t)(2 + (r & 3)), (uint16_t)(5000 + (r >> 2 & 3)));
        struct stun_addr remote =
            remote_at((uint8_t)(1 + (r >> 4 & 3)), (uint16_t)(80 + (r >> 6 & 3)));
        if (r >> 8 & 1) {
            struct stun_addr out = mapped(&world, host, remote);
            size_t before = witness.records;
            note(&witness, world.now_us, host, remote, out, c->life_us);
            if (witness.records > before)
                check_sharing(&witness, world.now_us, c->mapping);
            outside[outsides++ % 16] = out;
            continue;
        }
        struct stun_addr to = outside[r >> 9 & 15];
        if (to.family == STUN_NO_FAMILY)
            continue;
        struct nat_model_verdict v = nat_world_in(&world, remote, to);
        struct stun_addr anyone = {0};
        assert_int_equal(v.action == NAT_MODEL_FORWARD,
                         may_enter(&witness, world.now_us, c->filtering, remote, to, anyone));
        if (v.action == NAT_MODEL_FORWARD)
            assert_true(may_enter(&witness, world.now_us, c->filtering, remote, to, v.packet.dst));
    }
}

static void agrees_with_a_naive_nat(void **state)
{
    (void)state;
    static const char *const mappings[] = {"eim", "adm", "apdm", "flow"};
    static const char *const filterings[] = {"eif", "adf", "apdf"};
    static const char *const allocations[] = {"preserving",    "preserving+1", "seq+1", "seq-2",
                                              "block1024-seq", "block1024",    "random"};
    uint64_t seed = 1;
    for (size_t m = 0; m < 4; m++)
        for (size_t f = 0; f < 3; f++)
            for (size_t a = 0; a < 7; a++)
                run(mappings[m], filterings[f], allocations[a], seed++);
}

/* A digest of all verdicts. */
static uint64_t digest(const char *text, uint64_t seed)
{
    nat_world_make(&world, text, seed);
    struct dice dice = {99};
    uint64_t sum = 0;
    for (int i = 0; i < 3000; i++) {
        uint64_t r = dice_next(&dice);
        world.now_us += (r >> 40) % 50000;
        struct stun_addr host = host_at((uint8_t)(2 + (r & 3)), (uint16_t)(5000 + (r >> 2 & 7)));
        struct stun_addr remote = remote_at((uint8_t)(1 + (r >> 5 & 7)), 80);
        struct nat_model_verdict v = nat_world_out(&world, host, remote);
        sum = sum * 31 + v.packet.src.port + v.packet.src.ip[3];
        v = nat_world_in(&world, remote_at(1, (uint16_t)(r >> 9)), v.packet.src);
        sum = sum * 31 + (uint64_t)v.action + (uint64_t)v.reason;
    }
    return sum;
}

static void follows_its_seed(void **state)
{
    (void)state;
    for (const struct nat_config_kind *kind = nat_config_kinds(); kind->name; kind++) {
        uint64_t one = digest(kind->name, 5);
        assert_true(one == digest(kind->name, 5));
        if (strstr(kind->text, "random"))
            assert_true(one != digest(kind->name, 6));
    }
}

static void spreads_random_ports(void **state)
{
    (void)state;
    nat_world_make(&world, "random", 4);
    unsigned quarter[4] = {0};
    for (uint16_t i = 1; i <= 4000; i++) {
        uint16_t port = mapped(&world, host_at(2, 5000), remote_at(1, i)).port;
        assert_true(port >= 1024);
        quarter[(port - 1024) / 16128]++;
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(quarter[i], 900, 1100);
}

/* Crossing without a model of a peer: two NATs, each side sends, and it works or not as theory
 * says. */
static bool punches(const char *one_text, const char *other_text)
{
    static struct nat_world one, other;
    nat_world_make(&one, one_text, 1);
    nat_world_make(&other, other_text, 2);
    other.nat.public_ip = stun_addr_v4(203, 0, 113, 77, 0);
    struct stun_addr a = host_at(2, 5000), b = host_at(2, 6000);
    struct stun_addr a_seen = mapped(&one, a, remote_at(1, 3478));
    struct stun_addr b_seen = mapped(&other, b, remote_at(1, 3478));
    bool passed = false;
    for (int i = 0; i < 3; i++) {
        struct nat_model_verdict v = nat_world_out(&one, a, b_seen);
        if (nat_world_in(&other, v.packet.src, b_seen).action == NAT_MODEL_FORWARD) {
            b_seen = v.packet.dst;
            a_seen = v.packet.src; /* peer-reflexive */
        }
        v = nat_world_out(&other, b, a_seen);
        struct nat_model_verdict in = nat_world_in(&one, v.packet.src, a_seen);
        passed |= in.action == NAT_MODEL_FORWARD && stun_addr_equal(&in.packet.dst, &a);
        if (in.action == NAT_MODEL_FORWARD)
            b_seen = v.packet.src;
    }
    return passed;
}

static void is_crossed_as_theory_says(void **state)
{
    (void)state;
    static const struct {
        const char *one, *other;
        bool works;
    } table[] = {
        {"cone", "cone", true},          {"cone", "cone-clash", true},
        {"full-cone", "random", true},   {"eim-adf", "random", true},
        {"cone", "random", false},       {"cone", "sym-seq1", false},
        {"random", "random", false},     {"fw", "cone", true},
        {"eim-seq", "cone", true},       {"linux-drop", "cone", true},
        {"pool", "cone", true},          {"linux-drop", "random", false},
        {"cone-short", "eim-adf", true},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (punches(table[i].one, table[i].other) != table[i].works)
            fail_msg("%s and %s", table[i].one, table[i].other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_naive_nat),
        cmocka_unit_test(follows_its_seed),
        cmocka_unit_test(spreads_random_ports),
        cmocka_unit_test(is_crossed_as_theory_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
