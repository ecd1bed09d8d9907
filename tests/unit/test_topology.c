/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lab/topology.h"

static struct topology topology;
static char text[2048];

static void read_good(const char *lines)
{
    unsigned line;
    const char *error = "";
    snprintf(text, sizeof(text), "%s", lines);
    topology_init(&topology);
    if (!topology_read(&topology, text, &line, &error) || !topology_finish(&topology, &error))
        fail_msg("line %u: %s", line, error);
}

static void reads_a_file(void **state)
{
    (void)state;
    read_good("# two homes of one provider\n"
              "network isp apdm/apdf/block1024,hairpin\n"
              "network home-a cone in isp\n"
              "network home-b nf-drop,v6=fw in isp lan 10.0.0.0/16\n"
              "\n"
              "host server   # two addresses\n"
              "host a in home-a\n"
              "host b in home-b at 10.0.3.4,10.0.3.5\n"
              "rtt 30\n"
              "rtt a b 8ms\n"
              "loss 2.5%\n"
              "jitter 3\n"
              "hops 4\n"
              "run server: eyeletd --address $LAB_SERVER # as it is\n"
              "run a after server \"eyeletd ready: x\" :  eyelet connect b: c\n");
    const struct topology *t = &topology;
    unsigned a = topology_find(t, "a"), b = topology_find(t, "b"), isp = topology_find(t, "isp");
    unsigned server = topology_find(t, "server"), one, other;
    topology_meet(t, a, b, &one, &other);
    assert_string_equal(t->node[one].name, "home-a");
    assert_string_equal(t->node[other].name, "home-b");
    assert_int_equal(t->way[other][one].delay_us, 4000);
    topology_meet(t, a, server, &one, &other);
    assert_int_equal(one, isp);
    assert_int_equal(t->way[one][other].delay_us, 15000);
    assert_true(t->loss > 0.0249 && t->loss < 0.0251);
    assert_int_equal(t->hops, 4);
    struct stun_addr given = stun_addr_v4(10, 0, 3, 5, 0);
    assert_true(stun_addr_equal(&t->node[b].address[1], &given));
    struct stun_addr seen = topology_public(t, a), same = topology_public(t, b);
    assert_true(stun_addr_equal(&seen, &same) && topology_leads_to(t, isp, &seen));
    assert_int_equal(t->node[b].ipv6, NAT_CONFIG_V6_OPEN);
    assert_int_equal(t->node[isp].config.ipv6, NAT_CONFIG_V6_OPEN);
    assert_true(topology_leads_to(t, isp, &t->node[b].address6));
    assert_false(topology_leads_to(t, topology_find(t, "home-a"), &t->node[b].address6));
    assert_int_equal(t->programs, 2);
    assert_string_equal(t->program[0].command, "eyeletd --address $LAB_SERVER # as it is");
    assert_string_equal(t->program[1].command, "eyelet connect b: c");
    assert_string_equal(t->program[1].text, "eyeletd ready: x");
    assert_int_equal(t->program[1].after, server);
}

static void makes_two_networks_of_two_layers(void **state)
{
    (void)state;
    read_good("network home cgn-block\nhost a in home\nnetwork other random\nhost b in other\n");
    unsigned home = topology_find(&topology, "home"), isp = topology_find(&topology, "home-isp");
    assert_int_equal(topology.node[home].parent, isp);
    assert_int_equal(topology.node[isp].config.allocation, NAT_CONFIG_BLOCK);
    assert_true(stun_addr_is_private(&topology.node[home].outside));
    assert_false(stun_addr_is_private(&topology.node[isp].outside));
}

/* Nobody has the address of another in the same network, and all public ones differ. */
static void gives_every_node_its_own_address(void **state)
{
    (void)state;
    read_good(
        "network n1 pool\nnetwork n2 open\nnetwork n3 fw\nnetwork n4 cone\nnetwork n5 pool in n4\n"
        "network n6 cone in n4\nhost s1\nhost s2\nhost h1 in n2\nhost h2 in n2\nhost h3 in n3\n"
        "host h4 in n4\nhost h5 in n6\nhost h6 in n6\n");
    for (unsigned i = 1; i < topology.nodes; i++)
        for (unsigned k = 1; k < topology.nodes; k++) {
            const struct topology_node *one = &topology.node[i];
            struct stun_addr addr = one->host ? one->address[0] : one->outside;
            if (one->parent == topology.node[k].parent)
                assert_int_equal(topology_leads_to(&topology, k, &addr), i == k);
        }
}

static void names_the_line_of_an_error(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "network\n",
        "network x\n",
        "network x con\n",
        "network x cone in\n",
        "network x cone in y\n",
        "network x cone lan 1.2.3.4/31\n",
        "network X cone\n",
        "network x cone\nnetwork x cone\n",
        "network x cgn(cgn-cone;cone)\n",
        "host\n",
        "host x in y\n",
        "host x at 1.2.3\n",
        "host x at 1.2.3.4,\n",
        "host x\nhost y in x\n",
        "rtt\n",
        "rtt -1\n",
        "rtt 1e9\n",
        "rtt a b 3\n",
        "host a\nrtt a a 3\n",
        "loss 101\n",
        "loss x\n",
        "jitter\n",
        "hops 1000\n",
        "run\n",
        "run x: y\n",
        "host x\nrun x:\n",
        "host x\nrun x y\n",
        "host x\nrun x after: y\n",
        "host x\nrun x after x \": y\n",
        "host x\nrun x after y \"z\": y\n",
        "host x\nrun internet: y\n",
        "nonsense 1\n",
        "loss 1 2 3 4 5 6 7 8 9\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        unsigned line = 0;
        const char *error = NULL;
        snprintf(text, sizeof(text), "# first\n%s", bad[i]);
        topology_init(&topology);
        if (topology_read(&topology, text, &line, &error))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(error);
        assert_in_range(line, 2, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_file),
        cmocka_unit_test(makes_two_networks_of_two_layers),
        cmocka_unit_test(gives_every_node_its_own_address),
        cmocka_unit_test(names_the_line_of_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
