/* SPDX-License-Identifier: BSD-2-Clause */
/* Each behaviour that a configuration can name, seen from outside. */
#include "nat_world.h"

static struct nat_world world;

/* Which of a second remote port, a second remote address get the same public address. */
static void mapping(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool same_port, same_address;
    } table[] = {
        {"eim/apdf/preserving", true, true},
        {"eim/apdf/random", true, true},
        {"eim/apdf/seq+1", true, true},
        {"eim/apdf/block1024", true, true},
        {"adm/apdf/random", true, false},
        {"adm/apdf/seq+3", true, false},
        {"apdm/apdf/random", false, false},
        {"apdm/apdf/seq+1", false, false},
        {"apdm/apdf/preserving", false, false},
        {"flow/apdf/preserving", true, true},
        {"flow/apdf/random", false, false},
        {"fw", true, true},
        {"open", true, true},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        nat_world_make(&world, table[i].text, 1);
        struct stun_addr host = host_at(2, 5000);
        struct stun_addr first = mapped(&world, host, remote_at(1, 80));
        struct stun_addr again = mapped(&world, host, remote_at(1, 80));
        struct stun_addr port = mapped(&world, host, remote_at(1, 81));
        struct stun_addr address = mapped(&world, host, remote_at(2, 80));
        assert_true(stun_addr_equal(&first, &again));
        assert_int_equal(stun_addr_equal(&first, &port), table[i].same_port);
        assert_int_equal(stun_addr_equal(&first, &address), table[i].same_address);
    }
}

static void filtering(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool other_port, other_address;
    } table[] = {
        {"eim/eif/preserving", true, true},
        {"eim/adf/preserving", true, false},
        {"eim/apdf/preserving", false, false},
        {"apdm/eif/random", true, true},
        {"apdm/adf/random", true, false},
        {"adm/apdf/random", false, false},
        {"open", true, true},
        {"fw", false, false},
        {"fw/adf", true, false},
        {"fw/eif", true, true},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        nat_world_make(&world, table[i].text, 2);
        struct stun_addr host = host_at(2, 5000);
        struct stun_addr out = mapped(&world, host, remote_at(1, 80));
        assert_true(gets_in(&world, remote_at(1, 80), out));
        assert_int_equal(gets_in(&world, remote_at(1, 81), out), table[i].other_port);
        assert_int_equal(gets_in(&world, remote_at(2, 80), out), table[i].other_address);
        struct nat_model_verdict v = nat_world_in(&world, remote_at(1, 80), out);
        assert_true(stun_addr_equal(&v.packet.dst, &host));
        out.port ^= 1;
        /* A firewall that filters nothing is none. */
        bool open = table[i].other_address && world.nat.config.mapping == NAT_CONFIG_NONE;
        assert_int_equal(gets_in(&world, remote_at(1, 80), out), open);
    }
}

static void preserves_until_a_clash(void **state)
{
    (void)state;
    nat_world_make(&world, "eim/apdf/preserving", 3);
    assert_int_equal(mapped(&world, host_at(2, 5000), remote_at(1, 80)).port, 5000);
    uint16_t second = mapped(&world, host_at(3, 5000), remote_at(2, 80)).port;
    assert_int_not_equal(second, 5000);
    assert_true(second >= 1024);
    nat_world_make(&world, "eim/apdf/preserving+1", 3);
    assert_int_equal(mapped(&world, host_at(2, 5000), remote_at(1, 80)).port, 5000);
    assert_int_equal(mapped(&world, host_at(3, 5000), remote_at(2, 80)).port, 5001);
}

static void overloads(void **state)
{
    (void)state;
    nat_world_make(&world, "eim/eif/overload", 4);
    mapped(&world, host_at(2, 5000), remote_at(1, 80));
    struct stun_addr out = mapped(&world, host_at(3, 5000), remote_at(2, 80));
    assert_int_equal(out.port, 5000);
    struct stun_addr latest = host_at(3, 5000);
    struct nat_model_verdict v = nat_world_in(&world, remote_at(9, 9), out);
    assert_true(stun_addr_equal(&v.packet.dst, &latest));
}

/* Linux: the port is taken towards a remote, not as such. */
static void shares_ports_between_flows(void **state)
{
    (void)state;
    nat_world_make(&world, "linux-drop", 5);
    assert_int_equal(mapped(&world, host_at(2, 5000), remote_at(1, 80)).port, 5000);
    assert_int_equal(mapped(&world, host_at(3, 5000), remote_at(2, 80)).port, 5000);
    uint16_t clash = mapped(&world, host_at(3, 5000), remote_at(1, 80)).port;
    assert_int_not_equal(clash, 5000);
    struct stun_addr to = stun_addr_v4(203, 0, 113, 7, 5000), first = host_at(2, 5000);
    struct nat_model_verdict v = nat_world_in(&world, remote_at(1, 80), to);
    assert_true(stun_addr_equal(&v.packet.dst, &first));
}

static void sequences(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int step;
    } table[] = {{"apdm/apdf/seq+1", 1}, {"apdm/apdf/seq+2", 2}, {"apdm/apdf/seq-3", -3}};
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        nat_world_make(&world, table[i].text, 6);
        uint16_t last = mapped(&world, host_at(2, 5000), remote_at(1, 1)).port;
        for (uint16_t k = 2; k < 50; k++) {
            /* TCP in between takes no port of the sequence. */
            struct nat_model_packet tcp = {host_at(2, 99), remote_at(1, k), NAT_MODEL_TCP, 64};
            nat_model_outbound(&world.nat, world.now_us, &tcp);
            uint16_t port = mapped(&world, host_at(2, 5000), remote_at(1, k)).port;
            assert_int_equal((int)port, last + table[i].step);
            last = port;
        }
    }
}

static void wraps_a_sequence(void **state)
{
    (void)state;
    nat_world_make(&world, "apdm/apdf/seq+1,ports=2000-2009", 7);
    bool seen[10] = {0};
    for (uint16_t k = 0; k < 10; k++) {
        uint16_t port = mapped(&world, host_at(2, 5000), remote_at(1, (uint16_t)(1 + k))).port;
        assert_in_range(port, 2000, 2009);
        assert_false(seen[port - 2000]);
        seen[port - 2000] = true;
    }
    struct nat_model_verdict v = nat_world_out(&world, host_at(2, 5000), remote_at(1, 99));
    assert_int_equal(v.action, NAT_MODEL_DROP);
    assert_int_equal(v.reason, NAT_MODEL_NO_PORT);
}

static void lets_others_take_ports(void **state)
{
    (void)state;
    nat_world_make(&world, "apdm/apdf/seq+1,foreign=20/s,ports=1-65535", 8);
    uint32_t first = mapped(&world, host_at(2, 5000), remote_at(1, 1)).port;
    world.now_us += 100u * SECOND;
    uint32_t then = mapped(&world, host_at(2, 5000), remote_at(1, 2)).port;
    uint32_t taken = (then - first + 65535u) % 65535u;
    assert_in_range(taken, 1800, 2200);
    world.now_us += 1000000ull * SECOND; /* and this ends, too */
    mapped(&world, host_at(2, 5000), remote_at(1, 3));
}

static void gives_blocks(void **state)
{
    (void)state;
    nat_world_make(&world, "apdm/apdf/block1024", 9);
    unsigned block[3];
    for (uint8_t host = 0; host < 3; host++) {
        block[host] = 0;
        for (uint16_t k = 1; k < 100; k++) {
            unsigned port =
                mapped(&world, host_at((uint8_t)(2 + host), 5000), remote_at(1, k)).port;
            if (k == 1)
                block[host] = (port - 1024) / 1024;
            assert_int_equal((port - 1024) / 1024, block[host]);
        }
    }
    assert_true(block[0] != block[1] && block[1] != block[2] && block[0] != block[2]);
    nat_world_make(&world, "block2048-seq", 9);
    uint16_t last = mapped(&world, host_at(2, 5000), remote_at(1, 1)).port;
    uint16_t next = mapped(&world, host_at(2, 5000), remote_at(1, 2)).port;
    assert_true(next == last + 1 || next + 2047 == last);
}

static void runs_out_of_a_block(void **state)
{
    (void)state;
    nat_world_make(&world, "apdm/apdf/block16", 10);
    for (uint16_t k = 0; k < 16; k++)
        mapped(&world, host_at(2, 5000), remote_at(1, (uint16_t)(k + 1)));
    assert_int_equal(nat_world_out(&world, host_at(2, 5000), remote_at(2, 1)).reason,
                     NAT_MODEL_NO_PORT);
    mapped(&world, host_at(3, 5000), remote_at(2, 1));
}

static void spreads_over_a_pool(void **state)
{
    (void)state;
    nat_world_make(&world, "eim/apdf/random,pool=4:paired", 11);
    unsigned seen = 0;
    for (uint8_t host = 1; host < 40; host++) {
        struct stun_addr first = mapped(&world, host_at(host, 5000), remote_at(1, 80));
        struct stun_addr second = mapped(&world, host_at(host, 5001), remote_at(1, 80));
        assert_true(stun_addr_same_ip(&first, &second));
        assert_in_range(first.ip[3], 7, 10);
        assert_true(nat_model_owns(&world.nat, &first));
        seen |= 1u << first.ip[3];
    }
    assert_int_equal(seen, 0xfu << 7);
    nat_world_make(&world, "eim/apdf/random,pool=4:arbitrary", 11);
    seen = 0;
    for (uint16_t port = 1; port < 100; port++) {
        struct stun_addr one = mapped(&world, host_at(2, port), remote_at(1, 80));
        struct stun_addr other = mapped(&world, host_at(2, port), remote_at(2, 80));
        assert_true(stun_addr_equal(&one, &other));
        assert_true(gets_in(&world, remote_at(2, 80), one));
        seen |= 1u << one.ip[3];
    }
    assert_int_equal(seen, 0xfu << 7);
}

static void hairpins(void **state)
{
    (void)state;
    nat_world_make(&world, "eim/apdf/preserving,hairpin", 12);
    struct stun_addr one = host_at(2, 5000), other = host_at(3, 6000);
    struct stun_addr one_out = mapped(&world, one, remote_at(1, 80));
    struct stun_addr other_out = mapped(&world, other, remote_at(1, 80));
    /* Filtered like anything else that comes to the public address (RFC 4787, REQ-9). */
    assert_int_equal(nat_world_out(&world, one, other_out).reason, NAT_MODEL_FILTERED);
    struct nat_model_verdict v = nat_world_out(&world, other, one_out);
    assert_int_equal(v.action, NAT_MODEL_HAIRPIN);
    assert_true(stun_addr_equal(&v.packet.src, &other_out));
    assert_true(stun_addr_equal(&v.packet.dst, &one));
    nat_world_make(&world, "eim/apdf/preserving", 12);
    one_out = mapped(&world, one, remote_at(1, 80));
    assert_int_equal(nat_world_out(&world, other, one_out).reason, NAT_MODEL_NO_HAIRPIN);
}

static void expires(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool inbound_refreshes;
        unsigned life_s, answered_life_s;
    } table[] = {
        {"eim/apdf/preserving,life=30s", false, 30, 30},
        {"eim/apdf/preserving,life=30s:in", true, 30, 30},
        {"eim/eif/random,life=5s:in", true, 5, 5},
        {"flow/apdf/preserving,life=30s/120s:in", true, 30, 120},
        {"fw/apdf,life=10s", false, 10, 10},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        unsigned life = table[i].life_s;
        nat_world_make(&world, table[i].text, 13);
        struct stun_addr host = host_at(2, 5000), remote = remote_at(1, 80);
        struct stun_addr out = mapped(&world, host, remote);
        world.now_us += life * SECOND;
        assert_false(gets_in(&world, remote, out));
        assert_int_equal(nat_model_sessions(&world.nat, world.now_us), 0);
        out = mapped(&world, host, remote);
        world.now_us += life * SECOND - 1;
        assert_true(gets_in(&world, remote, out));
        world.now_us += 1;
        assert_int_equal(gets_in(&world, remote, out), table[i].inbound_refreshes);
        out = mapped(&world, host, remote);
        assert_true(gets_in(&world, remote, out));
        mapped(&world, host, remote);
        world.now_us += table[i].answered_life_s * SECOND - 1;
        assert_true(gets_in(&world, remote, out));
    }
}

static void router_takes_a_poisoned_port(void **state)
{
    (void)state;
    nat_world_make(&world, "linux-accept", 14);
    struct stun_addr host = host_at(2, 5000), peer = remote_at(1, 80);
    struct stun_addr out = mapped(&world, host, remote_at(9, 3478));
    struct nat_model_verdict v = nat_world_in(&world, peer, out);
    assert_int_equal(v.action, NAT_MODEL_REFUSE);
    assert_int_equal(v.reason, NAT_MODEL_ROUTER);
    struct stun_addr moved = mapped(&world, host, peer);
    assert_int_not_equal(moved.port, 5000);
    assert_false(gets_in(&world, peer, out));
    assert_true(gets_in(&world, peer, moved));
    /* Every try to get in keeps the bad entry. */
    for (int i = 0; i < 5; i++) {
        world.now_us += 20 * SECOND;
        assert_false(gets_in(&world, peer, out));
    }
    /* New flows share the latest mapping of their socket, as Linux looks for it. */
    assert_int_equal(mapped(&world, host, remote_at(2, 80)).port, moved.port);
    /* Who sends first is safe. */
    nat_world_make(&world, "linux-accept", 14);
    assert_int_equal(mapped(&world, host, peer).port, 5000);
    assert_true(gets_in(&world, peer, out));
    nat_world_make(&world, "linux-drop", 14);
    out = mapped(&world, host, remote_at(9, 3478));
    assert_int_equal(nat_world_in(&world, peer, out).action, NAT_MODEL_DROP);
    assert_int_equal(mapped(&world, host, peer).port, 5000);
    nat_world_make(&world, "linux-reject", 14);
    out = mapped(&world, host, remote_at(9, 3478));
    assert_int_equal(nat_world_in(&world, peer, out).action, NAT_MODEL_REFUSE);
    assert_int_equal(mapped(&world, host, peer).port, 5000);
}

static void defends_against_floods(void **state)
{
    (void)state;
    struct stun_addr host = host_at(2, 5000), server = remote_at(9, 3478);
    nat_world_make(&world, "eim/apdf/random,flood=drop:10", 15);
    struct stun_addr out = mapped(&world, host, server);
    mapped(&world, host, remote_at(8, 1));
    for (uint16_t i = 0; i < 10; i++)
        assert_false(gets_in(&world, remote_at(1, (uint16_t)(i + 1)), out));
    assert_true(gets_in(&world, server, out));
    assert_false(gets_in(&world, remote_at(1, 99), out));
    assert_false(gets_in(&world, server, out));
    assert_int_equal(nat_model_sessions(&world.nat, world.now_us), 0);
    assert_int_not_equal(mapped(&world, host, server).port, out.port);

    nat_world_make(&world, "eim/apdf/preserving,flood=blacklist:10", 15);
    out = mapped(&world, host, server);
    for (uint16_t i = 0; i < 11; i++)
        assert_false(gets_in(&world, remote_at(1, (uint16_t)(i + 1)), out));
    assert_int_equal(nat_world_in(&world, server, out).reason, NAT_MODEL_BLACKLISTED);
    mapped(&world, host, remote_at(1, 50));
    assert_int_equal(nat_world_in(&world, remote_at(1, 50), out).reason, NAT_MODEL_BLACKLISTED);

    /* Slowly is no flood. */
    nat_world_make(&world, "eim/apdf/preserving,flood=drop:10", 15);
    out = mapped(&world, host, server);
    for (uint16_t i = 0; i < 100; i++) {
        world.now_us += SECOND / 9;
        assert_false(gets_in(&world, remote_at(1, (uint16_t)(i + 1)), out));
    }
    assert_true(gets_in(&world, server, out));
}

static void limits_its_table(void **state)
{
    (void)state;
    nat_world_make(&world, "apdm/apdf/random,sessions=100,life=10s", 16);
    for (uint16_t i = 0; i < 100; i++)
        mapped(&world, host_at(2, 5000), remote_at(1, (uint16_t)(i + 1)));
    struct nat_model_verdict v = nat_world_out(&world, host_at(2, 5000), remote_at(2, 1));
    assert_int_equal(v.reason, NAT_MODEL_FULL);
    assert_int_equal(world.nat.drops[NAT_MODEL_FULL], 1);
    mapped(&world, host_at(2, 5000), remote_at(1, 1));
    world.now_us += 10 * SECOND;
    for (uint16_t i = 0; i < 100; i++)
        mapped(&world, host_at(2, 5000), remote_at(3, (uint16_t)(i + 1)));
    assert_int_equal(nat_model_sessions(&world.nat, world.now_us), 100);
}

static void blocks_udp_alone(void **state)
{
    (void)state;
    nat_world_make(&world, "blocked", 17);
    struct nat_model_packet p = {host_at(2, 5000), remote_at(1, 80), NAT_MODEL_UDP, 64};
    assert_int_equal(nat_model_outbound(&world.nat, 0, &p).reason, NAT_MODEL_BLOCKED);
    p.protocol = NAT_MODEL_TCP;
    struct nat_model_verdict v = nat_model_outbound(&world.nat, 0, &p);
    assert_int_equal(v.action, NAT_MODEL_FORWARD);
    struct nat_model_packet back = {p.dst, v.packet.src, NAT_MODEL_TCP, 64};
    assert_int_equal(nat_model_inbound(&world.nat, 7200ull * SECOND, &back).action,
                     NAT_MODEL_FORWARD);
    back.protocol = NAT_MODEL_UDP;
    assert_int_equal(nat_model_inbound(&world.nat, 7200ull * SECOND, &back).reason,
                     NAT_MODEL_BLOCKED);
}

static void walls_ipv6(void **state)
{
    (void)state;
    static const uint8_t host_ip[16] = {0x20, 1, 0xd, 0xb8, 1, [15] = 2};
    static const uint8_t remote_ip[16] = {0x20, 1, 0xd, 0xb8, 2, [15] = 3};
    struct stun_addr host = stun_addr_from_ip(host_ip, 16, 5000);
    struct stun_addr remote = stun_addr_from_ip(remote_ip, 16, 80);
    nat_world_make(&world, "cone", 18);
    assert_int_equal(nat_world_out(&world, host, remote).reason, NAT_MODEL_NO_ROUTE);
    nat_world_make(&world, "cone,v6=open", 18);
    assert_true(gets_in(&world, remote, host));
    nat_world_make(&world, "fw6", 18);
    assert_int_equal(nat_world_in(&world, remote, host).reason, NAT_MODEL_UNMAPPED);
    struct stun_addr out = mapped(&world, host, remote);
    assert_true(stun_addr_equal(&out, &host));
    assert_true(gets_in(&world, remote, host));
    remote.port = 81;
    assert_int_equal(nat_world_in(&world, remote, host).reason, NAT_MODEL_FILTERED);
}

static void carries_errors(void **state)
{
    (void)state;
    nat_world_make(&world, "random", 19);
    struct stun_addr host = host_at(2, 5000), remote = remote_at(1, 80);
    struct stun_addr out = mapped(&world, host, remote);
    struct nat_model_packet sent = {out, remote, NAT_MODEL_UDP, 1};
    assert_true(nat_model_inbound_error(&world.nat, world.now_us, &sent));
    assert_true(stun_addr_equal(&sent.src, &host));
    struct nat_model_packet received = {remote, host, NAT_MODEL_UDP, 1};
    assert_true(nat_model_outbound_error(&world.nat, world.now_us, &received));
    assert_true(stun_addr_equal(&received.dst, &out));
    struct nat_model_packet stranger = {out, remote_at(2, 80), NAT_MODEL_UDP, 1};
    assert_false(nat_model_inbound_error(&world.nat, world.now_us, &stranger));
}

static void reboots(void **state)
{
    (void)state;
    nat_world_make(&world, "cone", 20);
    struct stun_addr out = mapped(&world, host_at(2, 5000), remote_at(1, 80));
    nat_model_reboot(&world.nat);
    assert_int_equal(nat_world_in(&world, remote_at(1, 80), out).reason, NAT_MODEL_UNMAPPED);
    assert_int_equal(nat_model_sessions(&world.nat, world.now_us), 0);
}

static void needs_memory_and_an_address(void **state)
{
    (void)state;
    struct nat_stack stack;
    const char *error;
    struct nat_model_random random = {dice_draw, &world.dice};
    struct stun_addr none = {0}, good = stun_addr_v4(203, 0, 113, 7, 0);
    assert_true(nat_config_parse("cone", &stack, &error));
    struct nat_config *c = &stack.layer[0];
    size_t least = nat_model_memory_bytes(1);
    assert_false(nat_model_init(&world.nat, c, &good, world.memory, least - 1, random));
    assert_true(nat_model_init(&world.nat, c, &good, world.memory, least, random));
    assert_false(nat_model_init(&world.nat, c, &none, world.memory, least, random));
    for (uint32_t sessions = 1; sessions < 3000; sessions += 37) {
        size_t bytes = nat_model_memory_bytes(sessions);
        assert_true(nat_model_init(&world.nat, c, &good, world.memory, bytes, random));
        assert_true(world.nat.table.room >= sessions * 9 / 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapping),
        cmocka_unit_test(filtering),
        cmocka_unit_test(preserves_until_a_clash),
        cmocka_unit_test(overloads),
        cmocka_unit_test(shares_ports_between_flows),
        cmocka_unit_test(sequences),
        cmocka_unit_test(wraps_a_sequence),
        cmocka_unit_test(lets_others_take_ports),
        cmocka_unit_test(gives_blocks),
        cmocka_unit_test(runs_out_of_a_block),
        cmocka_unit_test(spreads_over_a_pool),
        cmocka_unit_test(hairpins),
        cmocka_unit_test(expires),
        cmocka_unit_test(router_takes_a_poisoned_port),
        cmocka_unit_test(defends_against_floods),
        cmocka_unit_test(limits_its_table),
        cmocka_unit_test(blocks_udp_alone),
        cmocka_unit_test(walls_ipv6),
        cmocka_unit_test(carries_errors),
        cmocka_unit_test(reboots),
        cmocka_unit_test(needs_memory_and_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
