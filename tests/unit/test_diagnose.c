/* SPDX-License-Identifier: BSD-2-Clause */
/* What people are told, case by case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "punch/diagnose.h"

#define EIM                                                                                        \
    {                                                                                              \
        .mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT, .endpoints_seen = 4                           \
    }
#define POISONOUS                                                                                  \
    {                                                                                              \
        .mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT, .early = NAT_EARLY_POISONOUS,                 \
        .endpoints_seen = 4                                                                        \
    }
#define RANDOM                                                                                     \
    {                                                                                              \
        .mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT, .allocation = NAT_ALLOCATION_OTHER,     \
        .endpoints_seen = 4                                                                        \
    }
#define BLOCK                                                                                      \
    {                                                                                              \
        .mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT, .allocation = NAT_ALLOCATION_BLOCK,     \
        .block_ports = 1024, .endpoints_seen = 4                                                   \
    }
#define STEPS                                                                                      \
    {                                                                                              \
        .mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT,                                         \
        .allocation = NAT_ALLOCATION_SEQUENTIAL, .step = 1, .endpoints_seen = 4                    \
    }
#define OPEN                                                                                       \
    {                                                                                              \
        .mapping = NAT_MAPPING_NONE, .endpoints_seen = 4                                           \
    }

static const struct {
    struct diagnose_case given;
    const char *reason, *remedy;
} cases[] = {
    {{.mine = {.profile = EIM}, .theirs = {.profile = EIM}}, "", ""},
    {{.mine = {.profile = EIM}, .theirs = {.hidden = true}},
     "the peer shows no address: it wants to be reached by the relay alone",
     ""},
    {{.mine = {.profile = EIM, .hidden = true},
      .theirs = {.profile = EIM},
      .failure = PUNCH_FAILURE_NO_CANDIDATES},
     "this side shows no address: only the relay is allowed",
     ""},
    {{.mine = {.profile = RANDOM},
      .theirs = {.profile = RANDOM},
      .failure = PUNCH_FAILURE_UNPREDICTABLE},
     "both NATs allocate ports at random: neither side can know where to send to",
     "turning on UPnP or PCP on either router, or IPv6 on both sides, would make this direct"},
    {{.mine = {.profile = RANDOM, .ipv6 = true, .behind_provider = true},
      .theirs = {.profile = BLOCK},
      .failure = PUNCH_FAILURE_UNPREDICTABLE},
     "our NAT allocates ports at random, and the peer's gives each destination another port of one "
     "block, at random: neither side can know where to send to",
     "turning on UPnP or PCP on the peer's router, or IPv6 on the peer's side, would make this "
     "direct"},
    {{.mine = {.profile = RANDOM, .port_mapped = true},
      .theirs = {.profile = STEPS, .ipv6 = true, .port_mapped = true},
      .failure = PUNCH_FAILURE_UNPREDICTABLE},
     "our NAT allocates ports at random, and the peer's gives each destination another port, in "
     "steps: neither side can know where to send to",
     "IPv6 on our side would make this direct"},
    {{.mine = {.profile = RANDOM, .ipv6 = true},
      .theirs = {.profile = RANDOM, .ipv6 = true},
      .failure = PUNCH_FAILURE_UNPREDICTABLE},
     "both NATs allocate ports at random: neither side can know where to send to; IPv6 does not "
     "get "
     "through either",
     "turning on UPnP or PCP on either router would make this direct"},
    {{.mine = {.profile = STEPS}, .theirs = {.profile = STEPS}, .failure = PUNCH_FAILURE_NO_ANSWER},
     "our NAT gives each destination another port, in steps, and the peer's gives each destination "
     "another port, in steps, and others there take more ports in between than could be tried",
     "turning on UPnP or PCP on either router, or IPv6 on both sides, would make this direct"},
    {{.mine = {.profile = EIM},
      .theirs = {.profile = RANDOM},
      .failure = PUNCH_FAILURE_UNPREDICTABLE,
      .searched = true},
     "the peer's NAT allocates ports at random, and a search among them did not find the right one",
     "turning on UPnP or PCP on either router, or IPv6 on both sides, would make this direct"},
    {{.mine = {.profile = BLOCK},
      .theirs = {.profile = OPEN},
      .failure = PUNCH_FAILURE_UNPREDICTABLE,
      .no_search = true},
     "our NAT gives each destination another port of one block, at random, and searching for the "
     "right one is switched off here",
     "turning on UPnP or PCP on our router, or IPv6 on both sides, would make this direct"},
    {{.mine = {.profile = EIM},
      .theirs = {.profile = RANDOM},
      .failure = PUNCH_FAILURE_UNPREDICTABLE},
     "the peer's NAT allocates ports at random, and the right one was not searched for: one search "
     "at a time, and none for an hour between networks where one has failed",
     "turning on UPnP or PCP on either router, or IPv6 on both sides, would make this direct"},
    {{.mine = {.profile = EIM}, .theirs = {.profile = STEPS}, .failure = PUNCH_FAILURE_NO_ANSWER},
     "the peer's NAT gives each destination another port, in steps, and the ports that were tried "
     "were not the right ones: others there take many",
     "turning on UPnP or PCP on either router, or IPv6 on both sides, would make this direct"},
    {{.mine = {.no_udp = true}, .theirs = {.profile = EIM}, .failure = PUNCH_FAILURE_NO_ANSWER},
     "no UDP comes through the network on our side",
     "allowing outgoing UDP in the firewall of our network would help"},
    {{.mine = {.profile = EIM}, .theirs = {.no_udp = true}, .failure = PUNCH_FAILURE_NO_CANDIDATES},
     "no UDP comes through the network on the peer's side",
     "allowing outgoing UDP in the firewall of the peer's network would help"},
    {{.mine = {.no_udp = true}, .theirs = {.no_udp = true}, .failure = PUNCH_FAILURE_LINK_DOWN},
     "no UDP comes through, neither here nor on the peer's side",
     "allowing outgoing UDP in the firewall of both networks would help"},
    {{.failure = PUNCH_FAILURE_LINK_DOWN},
     "no UDP comes through the network on our side",
     "allowing outgoing UDP in the firewall of our network would help"},
    {{.mine = {.profile = EIM},
      .theirs = {.profile = EIM},
      .failure = PUNCH_FAILURE_NO_ANSWER,
      .same_public_address = true},
     "both sides are behind the same NAT, which passes nothing from one to the other by its public "
     "address",
     "IPv6 on both sides would make this direct"},
    {{.mine = {.profile = POISONOUS},
      .theirs = {.profile = EIM},
      .failure = PUNCH_FAILURE_NO_ANSWER},
     "our router takes packets that come early for its own, and then shuts out the host behind it",
     "turning on UPnP or PCP on either router, or IPv6 on both sides, would make this direct"},
    {{.mine = {.profile = EIM}, .theirs = {.profile = EIM}, .failure = PUNCH_FAILURE_NO_ANSWER},
     "every address of the peer was tried, and nothing ever came back: a firewall on the way, or a "
     "router that bars addresses it did not expect",
     "turning on UPnP or PCP on either router, or IPv6 on both sides, would make this direct"},
    {{.mine = {.profile = EIM}, .theirs = {.profile = EIM}, .failure = PUNCH_FAILURE_ONE_WAY},
     "the peer's packets arrive here, but ours do not arrive there",
     "check the firewalls: one of them lets UDP through in one direction only"},
    {{.failure = PUNCH_FAILURE_SEND, .error = EPERM, .mine = {.no_udp = true}},
     "the system refused to send every packet: Operation not permitted",
     "check the network connection, the routes and the local firewall of this host"},
    {{.failure = PUNCH_FAILURE_NO_CANDIDATES}, "the peer gave no address that could be tried", ""},
    {{.mine = {.profile = EIM}, .theirs = {.profile = EIM}, .failure = PUNCH_FAILURE_CONSENT_LOST},
     "the path went silent and could not be opened again",
     ""},
};

static void each_case_has_its_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct diagnosis d;

        diagnose(&cases[i].given, &d);
        if (strcmp(d.reason, cases[i].reason) != 0 || strcmp(d.remedy, cases[i].remedy) != 0)
            print_error("case %zu\n", i);
        assert_string_equal(d.reason, cases[i].reason);
        assert_string_equal(d.remedy, cases[i].remedy);
    }
}

/* Whatever comes together, something is said, and it fits. */
static void every_failure_has_a_reason_that_fits(void **state)
{
    static const struct nat_profile profiles[] = {EIM, POISONOUS, RANDOM, BLOCK, STEPS, OPEN, {0}};
    const size_t count = sizeof(profiles) / sizeof(profiles[0]);

    (void)state;
    for (unsigned i = 0; i < 8 * 2048 * count * count; i++) {
        struct diagnose_case c = {
            .failure = (enum punch_failure)(1 + i % 7),
            .mine = {.profile = profiles[i / 8 / 2048 % count],
                     .no_udp = i / 8 & 1,
                     .ipv6 = i / 16 & 1,
                     .port_mapped = i / 32 & 1,
                     .behind_provider = i / 64 & 1},
            .theirs = {.profile = profiles[i / 8 / 2048 / count],
                       .no_udp = i / 128 & 1,
                       .ipv6 = i / 256 & 1,
                       .port_mapped = i / 512 & 1,
                       .behind_provider = i / 1024 & 1},
            .searched = i / 2048 & 1,
            .no_search = i / 4096 & 1,
            .same_public_address = i / 8192 & 1,
        };
        struct diagnosis d;

        diagnose(&c, &d);
        assert_in_range(strlen(d.reason), 10, DIAGNOSE_REASON_BYTES - 2);
        assert_true(strlen(d.remedy) < DIAGNOSE_REMEDY_BYTES - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_has_its_sentence),
        cmocka_unit_test(every_failure_has_a_reason_that_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
