/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "nat/profile.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { DATA_PORT = 40123, SECOND_PORT = 51877 }; /* the sockets' own ports */

/* One answer: which socket asked, which of the two addresses and two ports, what it saw. "ip" picks
 * a public address, 0 being the host's own. */
struct answer {
    uint16_t socket;
    uint8_t address, port;
    uint8_t ip;
    uint16_t mapped_port;
};

#define MAX_ANSWERS 10

struct expected {
    enum nat_mapping mapping;
    enum nat_allocation allocation;
    enum nat_pooling pooling;
    int32_t step;
    uint8_t endpoints;
    uint16_t public_port; /* 0: no public address */
};

struct nat_case {
    const char *name;
    struct answer answers[MAX_ANSWERS]; /* up to the first without an address number */
    struct expected expected;
};

static struct stun_addr local_addr(uint16_t socket)
{
    return stun_addr_v4(192, 168, 1, 7, socket == 0 ? DATA_PORT : SECOND_PORT);
}

static struct nat_observation observe(const struct answer *a)
{
    struct nat_observation o = {
        .socket = a->socket,
        .local = local_addr(a->socket),
        .server = stun_addr_v4(198, 51, 100, a->address, a->port == 1 ? 3478 : 3479),
        .mapped = stun_addr_v4(203, 0, 113, a->ip, a->mapped_port),
    };

    if (a->ip == 0)
        o.mapped = stun_addr_v4(192, 168, 1, 7, a->mapped_port);
    return o;
}

static void check(const struct nat_case *c)
{
    struct nat_observation obs[MAX_ANSWERS];
    struct nat_profile p;
    size_t count = 0;

    for (; count < MAX_ANSWERS && c->answers[count].address != 0; count++)
        obs[count] = observe(&c->answers[count]);
    nat_profile_from(obs, count, &p);
    if (p.mapping != c->expected.mapping || p.allocation != c->expected.allocation ||
        p.pooling != c->expected.pooling || p.step != c->expected.step ||
        p.endpoints_seen != c->expected.endpoints || p.public_addr.port != c->expected.public_port)
        fail_msg("%s: %s, %s, step %d, pooling %d, %u endpoints, public port %u", c->name,
                 nat_mapping_text(p.mapping), nat_allocation_text(p.allocation), p.step, p.pooling,
                 p.endpoints_seen, p.public_addr.port);
    assert_int_equal(p.filtering, NAT_FILTERING_UNKNOWN);
    assert_int_equal(nat_profile_is_consistent(&p),
                     p.mapping == NAT_MAPPING_NONE ||
                         p.mapping == NAT_MAPPING_ENDPOINT_INDEPENDENT);
}

#define UNKNOWN  NAT_MAPPING_UNKNOWN
#define NONE     NAT_MAPPING_NONE
#define EIM      NAT_MAPPING_ENDPOINT_INDEPENDENT
#define ADM      NAT_MAPPING_ADDRESS_DEPENDENT
#define APDM     NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT
#define KEPT     NAT_ALLOCATION_PRESERVING
#define COUNTING NAT_ALLOCATION_SEQUENTIAL
#define OTHER    NAT_ALLOCATION_OTHER
#define UNSEEN   NAT_ALLOCATION_UNKNOWN
#define ONE      NAT_POOLING_ONE
#define MANY     NAT_POOLING_MANY
#define NOT_SEEN NAT_POOLING_UNKNOWN

static const struct nat_case cases[] = {
    {"no answers at all", {{0}}, {UNKNOWN, UNSEEN, NOT_SEEN, 0, 0, 0}},
    {"no NAT",
     {{0, 1, 1, 0, DATA_PORT}, {0, 2, 2, 0, DATA_PORT}, {1, 1, 2, 0, SECOND_PORT}},
     {NONE, KEPT, ONE, 0, 3, DATA_PORT}},
    {"no NAT, one answer", {{0, 1, 1, 0, DATA_PORT}}, {NONE, KEPT, NOT_SEEN, 0, 1, DATA_PORT}},
    {"own address, but other ports",
     {{0, 1, 1, 0, 2000}, {0, 2, 1, 0, 2000}, {1, 1, 1, 0, 2001}, {1, 2, 1, 0, 2001}},
     {EIM, COUNTING, ONE, 1, 2, 2000}},
    /* A home router. */
    {"endpoint-independent, preserving",
     {{0, 1, 1, 9, DATA_PORT},
      {0, 2, 2, 9, DATA_PORT},
      {1, 1, 2, 9, SECOND_PORT},
      {1, 2, 1, 9, SECOND_PORT}},
     {EIM, KEPT, ONE, 0, 4, DATA_PORT}},
    {"endpoint-independent, random ports",
     {{0, 1, 1, 9, 7001}, {0, 2, 2, 9, 7001}, {1, 1, 2, 9, 31002}, {1, 2, 1, 9, 31002}},
     {EIM, OTHER, ONE, 0, 4, 7001}},
    {"endpoint-independent, sequential",
     {{0, 1, 1, 9, 7001}, {0, 2, 2, 9, 7001}, {1, 1, 2, 9, 7003}, {1, 2, 1, 9, 7003}},
     {EIM, COUNTING, ONE, 2, 4, 7001}},
    {"endpoint-independent, one socket",
     {{0, 1, 1, 9, 7001}, {0, 2, 2, 9, 7001}},
     {EIM, UNSEEN, ONE, 0, 2, 7001}},
    {"the second socket's port was taken",
     {{0, 1, 1, 9, DATA_PORT}, {0, 2, 2, 9, DATA_PORT}, {1, 1, 2, 9, 1024}, {1, 2, 1, 9, 1024}},
     {EIM, OTHER, ONE, 0, 4, DATA_PORT}},
    {"the second socket's port was taken towards one endpoint",
     {{0, 1, 1, 9, DATA_PORT},
      {0, 2, 2, 9, DATA_PORT},
      {1, 1, 2, 9, SECOND_PORT},
      {1, 2, 1, 9, 1024}},
     {EIM, OTHER, ONE, 0, 4, DATA_PORT}},
    {"the data socket's port was taken towards one endpoint",
     {{0, 1, 1, 9, DATA_PORT},
      {0, 2, 2, 9, 1024},
      {1, 1, 2, 9, SECOND_PORT},
      {1, 2, 1, 9, SECOND_PORT}},
     {ADM, OTHER, ONE, 0, 4, 1024}},
    {"address-dependent, sequential",
     {{0, 1, 1, 9, 7000},
      {0, 1, 2, 9, 7000},
      {0, 2, 1, 9, 7001},
      {0, 2, 2, 9, 7001},
      {1, 1, 1, 9, 7002},
      {1, 2, 1, 9, 7003}},
     {ADM, COUNTING, ONE, 1, 4, 7001}},
    {"address-dependent, random",
     {{0, 1, 1, 9, 7000}, {0, 1, 2, 9, 7000}, {0, 2, 1, 9, 52000}, {0, 2, 2, 9, 52000}},
     {ADM, OTHER, ONE, 0, 4, 52000}},
    {"depends on the address, the port was not tried",
     {{0, 1, 1, 9, 7000}, {0, 2, 1, 9, 7001}},
     {ADM, COUNTING, ONE, 1, 2, 7001}},
    {"every endpoint another port, +1",
     {{0, 1, 1, 9, 7000},
      {0, 1, 2, 9, 7001},
      {0, 2, 1, 9, 7002},
      {0, 2, 2, 9, 7003},
      {1, 1, 1, 9, 7004},
      {1, 1, 2, 9, 7005}},
     {APDM, COUNTING, ONE, 1, 4, 7003}},
    {"+2",
     {{0, 1, 1, 9, 7000}, {0, 1, 2, 9, 7002}, {0, 2, 1, 9, 7004}, {0, 2, 2, 9, 7006}},
     {APDM, COUNTING, ONE, 2, 4, 7006}},
    {"-1",
     {{0, 1, 1, 9, 7003}, {0, 1, 2, 9, 7002}, {0, 2, 1, 9, 7001}, {0, 2, 2, 9, 7000}},
     {APDM, COUNTING, ONE, -1, 4, 7000}},
    {"+1 over the end of the ports",
     {{0, 1, 1, 9, 65534}, {0, 1, 2, 9, 65535}, {0, 2, 1, 9, 1024}, {0, 2, 2, 9, 1025}},
     {APDM, COUNTING, ONE, 1, 4, 1025}},
    {"+2 over the end of the ports",
     {{0, 1, 1, 9, 65533}, {0, 1, 2, 9, 65535}, {0, 2, 1, 9, 1025}, {0, 2, 2, 9, 1027}},
     {APDM, COUNTING, ONE, 2, 4, 1027}},
    {"-1 over the end of the ports",
     {{0, 1, 1, 9, 1025}, {0, 1, 2, 9, 1024}, {0, 2, 1, 9, 65535}, {0, 2, 2, 9, 65534}},
     {APDM, COUNTING, ONE, -1, 4, 65534}},
    {"+1 over the end of a range of its own",
     {{0, 1, 1, 9, 20476},
      {0, 1, 2, 9, 20477},
      {0, 2, 1, 9, 20478},
      {0, 2, 2, 9, 20479},
      {1, 1, 1, 9, 16384},
      {1, 1, 2, 9, 16385}},
     {APDM, COUNTING, ONE, 1, 4, 20479}},
    {"two jumps are too many",
     {{0, 1, 1, 9, 7000},
      {0, 1, 2, 9, 7001},
      {0, 2, 1, 9, 5000},
      {0, 2, 2, 9, 5001},
      {1, 1, 1, 9, 3000},
      {1, 1, 2, 9, 9000}},
     {APDM, OTHER, ONE, 0, 4, 5001}},
    {"+1 with a mapping of somebody else in between",
     {{0, 1, 1, 9, 7000}, {0, 1, 2, 9, 7001}, {0, 2, 1, 9, 7003}, {0, 2, 2, 9, 7004}},
     {APDM, COUNTING, ONE, 1, 4, 7004}},
    {"+2 with others in between",
     {{0, 1, 1, 9, 7000}, {0, 1, 2, 9, 7004}, {0, 2, 1, 9, 7010}, {0, 2, 2, 9, 7014}},
     {APDM, COUNTING, ONE, 2, 4, 7014}},
    {"the largest step",
     {{0, 1, 1, 9, 7000}, {0, 1, 2, 9, 7064}, {0, 2, 1, 9, 7128}},
     {APDM, COUNTING, ONE, 64, 3, 7128}},
    {"too large a step",
     {{0, 1, 1, 9, 7000}, {0, 1, 2, 9, 7065}, {0, 2, 1, 9, 7130}},
     {APDM, OTHER, ONE, 0, 3, 7130}},
    {"random within a small block",
     {{0, 1, 1, 9, 7000}, {0, 1, 2, 9, 7031}, {0, 2, 1, 9, 7012}, {0, 2, 2, 9, 7050}},
     {APDM, OTHER, ONE, 0, 4, 7050}},
    {"random",
     {{0, 1, 1, 9, 7000},
      {0, 1, 2, 9, 60001},
      {0, 2, 1, 9, 23456},
      {0, 2, 2, 9, 1800},
      {1, 1, 1, 9, 44000},
      {1, 1, 2, 9, 39999}},
     {APDM, OTHER, ONE, 0, 4, 1800}},
    {"counting on from each socket's own port",
     {{0, 1, 1, 9, DATA_PORT},
      {1, 1, 1, 9, SECOND_PORT},
      {0, 1, 2, 9, DATA_PORT + 1},
      {1, 1, 2, 9, SECOND_PORT + 1},
      {0, 2, 1, 9, DATA_PORT + 2},
      {1, 2, 1, 9, SECOND_PORT + 2}},
     {APDM, COUNTING, ONE, 1, 3, DATA_PORT + 2}},
    {"the seed's four probes: two sockets, equal differences",
     {{1, 1, 1, 9, 7000}, {1, 1, 2, 9, 7001}, {0, 2, 1, 9, 7002}, {0, 2, 2, 9, 7003}},
     {APDM, COUNTING, ONE, 1, 4, 7003}},
    {"a pool with a counter for each address",
     {{0, 1, 1, 9, 7000},
      {0, 1, 2, 8, 31000},
      {0, 2, 1, 9, 7001},
      {0, 2, 2, 8, 31001},
      {1, 1, 1, 9, 7002}},
     {APDM, COUNTING, MANY, 1, 4, 31001}},
    {"a pool, ports preserved",
     {{0, 1, 1, 9, DATA_PORT}, {0, 2, 1, 8, DATA_PORT}, {0, 2, 2, 8, DATA_PORT}},
     {ADM, KEPT, MANY, 0, 3, DATA_PORT}},
    {"a pool, one address a socket",
     {{0, 1, 1, 9, DATA_PORT},
      {0, 2, 2, 9, DATA_PORT},
      {1, 1, 2, 8, SECOND_PORT},
      {1, 2, 1, 8, SECOND_PORT}},
     {EIM, KEPT, MANY, 0, 4, DATA_PORT}},
    {"one endpoint only", {{0, 1, 1, 9, 7000}}, {UNKNOWN, UNSEEN, NOT_SEEN, 0, 1, 7000}},
    {"one endpoint only, twice",
     {{0, 1, 1, 9, 7000}, {0, 1, 1, 9, 7000}},
     {UNKNOWN, UNSEEN, NOT_SEEN, 0, 1, 7000}},
    {"one endpoint only, port preserved",
     {{0, 1, 1, 9, DATA_PORT}},
     {UNKNOWN, KEPT, NOT_SEEN, 0, 1, DATA_PORT}},
    {"one endpoint, two sockets",
     {{0, 1, 1, 9, 7000}, {1, 1, 1, 9, 50000}},
     {UNKNOWN, OTHER, ONE, 0, 1, 7000}},
    {"one address, two ports, the same",
     {{0, 1, 1, 9, DATA_PORT}, {0, 1, 2, 9, DATA_PORT}},
     {UNKNOWN, KEPT, ONE, 0, 2, DATA_PORT}},
    {"one address, two ports, different",
     {{0, 1, 1, 9, 7000}, {0, 1, 2, 9, 7001}},
     {APDM, COUNTING, ONE, 1, 2, 7001}},
    {"different sockets are not compared",
     {{0, 1, 1, 9, 7000}, {1, 2, 1, 9, 50000}},
     {UNKNOWN, OTHER, ONE, 0, 2, 7000}},
    {"the data socket heard nothing",
     {{1, 1, 1, 9, SECOND_PORT}, {1, 2, 1, 9, SECOND_PORT}},
     {EIM, KEPT, ONE, 0, 2, 0}},
    {"the NAT restarted in between",
     {{0, 1, 1, 9, 7000}, {0, 2, 1, 9, 7000}, {0, 1, 1, 9, 9000}, {0, 2, 1, 9, 9000}},
     {EIM, UNSEEN, ONE, 0, 2, 9000}},
    {"the NAT restarted, and only one endpoint has answered since",
     {{0, 1, 1, 9, 7000}, {0, 2, 1, 9, 7000}, {0, 1, 1, 9, 9000}},
     {UNKNOWN, UNSEEN, NOT_SEEN, 0, 2, 9000}},
    {"a server inside, two outside",
     {{0, 3, 1, 0, DATA_PORT}, {0, 1, 1, 9, 7000}, {0, 2, 1, 9, 7000}},
     {EIM, UNSEEN, ONE, 0, 3, 7000}},
    {"a server inside, one outside",
     {{0, 1, 1, 9, 7000}, {0, 3, 1, 0, DATA_PORT}},
     {UNKNOWN, UNSEEN, NOT_SEEN, 0, 2, 7000}},
};

static void test_every_kind_of_nat(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++)
        check(&cases[i]);
}

/* Which of the two servers is asked first must not decide what is seen. */
static void test_order_of_sockets_does_not_change_the_mapping(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nat_observation obs[MAX_ANSWERS], reversed[MAX_ANSWERS];
        struct nat_profile p, q;
        size_t count = 0;

        for (; count < MAX_ANSWERS && cases[i].answers[count].address != 0; count++)
            obs[count] = observe(&cases[i].answers[count]);
        for (size_t j = 0; j < count; j++)
            reversed[j] = obs[count - 1 - j];
        nat_profile_from(obs, count, &p);
        nat_profile_from(reversed, count, &q);
        /* Of a restart only the order tells what is old. */
        if (strstr(cases[i].name, "restarted") != NULL)
            continue;
        if (p.mapping != q.mapping || p.pooling != q.pooling ||
            p.endpoints_seen != q.endpoints_seen)
            fail_msg("%s", cases[i].name);
        if (p.step != -q.step)
            fail_msg("%s: step %d and reversed %d", cases[i].name, p.step, q.step);
    }
}

static void test_a_public_host_behind_a_partial_nat_is_not_consistent(void **state)
{
    /* Unlike a private address, a public one that one server sees unchanged is seen from outside.
     */
    struct stun_addr own = stun_addr_v4(203, 0, 113, 50, 5000);
    struct nat_observation obs[2] = {
        {0, own, stun_addr_v4(198, 51, 100, 1, 3478), own},
        {0, own, stun_addr_v4(198, 51, 100, 2, 3478), stun_addr_v4(203, 0, 113, 9, 7000)},
    };
    struct nat_profile p;
    (void)state;

    nat_profile_from(obs, 2, &p);
    assert_int_equal(p.mapping, NAT_MAPPING_ADDRESS_DEPENDENT);
    assert_false(nat_profile_is_consistent(&p));
}

static void test_answers_without_use_are_left_out(void **state)
{
    struct answer first = {0, 1, 1, 9, DATA_PORT}, second = {0, 2, 1, 9, DATA_PORT};
    struct nat_observation obs[4] = {observe(&first), observe(&first), observe(&second)};
    struct nat_profile p;
    (void)state;

    obs[1].mapped = (struct stun_addr){0};
    obs[3] = obs[2];
    assert_true(stun_addr_parse("[2001:db8::1]:5000", &obs[3].mapped));
    assert_true(stun_addr_parse("[2001:db8::1]:5000", &obs[3].local));
    assert_true(stun_addr_parse("[2001:db8:1::1]:3478", &obs[3].server));
    nat_profile_from(obs, 4, &p);
    assert_int_equal(p.mapping, NAT_MAPPING_ENDPOINT_INDEPENDENT);
    assert_int_equal(p.endpoints_seen, 2);
    assert_int_equal(p.public_addr.family, STUN_IPV4);
    /* IPv6 alone works as IPv4 does. */
    nat_profile_from(&obs[3], 1, &p);
    assert_int_equal(p.mapping, NAT_MAPPING_NONE);
}

static void test_a_socket_that_moved_starts_over(void **state)
{
    struct answer a = {0, 1, 1, 9, DATA_PORT}, b = {0, 2, 1, 8, 7000}, c = {0, 1, 2, 8, 7000};
    struct nat_observation obs[3] = {observe(&a), observe(&b), observe(&c)};
    struct nat_profile p;
    (void)state;

    obs[1].local = obs[2].local = stun_addr_v4(10, 0, 0, 2, DATA_PORT);
    nat_profile_from(obs, 3, &p);
    assert_int_equal(p.mapping, NAT_MAPPING_ENDPOINT_INDEPENDENT);
    assert_int_equal(p.pooling, NAT_POOLING_ONE);
    assert_int_equal(p.public_addr.ip[3], 8);
}

static void test_more_observations_than_are_looked_at(void **state)
{
    struct answer a = {0, 1, 1, 9, 7000}, late = {0, 2, 1, 9, 9000};
    struct nat_observation obs[NAT_MAX_OBSERVATIONS + 1];
    struct nat_profile p;
    (void)state;

    for (size_t i = 0; i < NAT_MAX_OBSERVATIONS; i++)
        obs[i] = observe(&a);
    obs[NAT_MAX_OBSERVATIONS] = observe(&late);
    nat_profile_from(obs, COUNT(obs), &p);
    assert_int_equal(p.mapping, NAT_MAPPING_UNKNOWN);
    assert_int_equal(p.endpoints_seen, 1);
    nat_profile_from(NULL, 0, &p);
    assert_int_equal(p.mapping, NAT_MAPPING_UNKNOWN);
}

static void test_texts(void **state)
{
    (void)state;

    assert_string_equal(nat_mapping_text(UNKNOWN), "unknown");
    assert_string_equal(nat_mapping_text(NONE), "none");
    assert_string_equal(nat_mapping_text(EIM), "endpoint-independent");
    assert_string_equal(nat_mapping_text(ADM), "address-dependent");
    assert_string_equal(nat_mapping_text(APDM), "address-and-port-dependent");
    assert_string_equal(nat_mapping_text((enum nat_mapping)99), "unknown");
    assert_string_equal(nat_allocation_text(UNSEEN), "unknown");
    assert_string_equal(nat_allocation_text(KEPT), "preserving");
    assert_string_equal(nat_allocation_text(COUNTING), "sequential");
    assert_string_equal(nat_allocation_text(OTHER), "other");
    assert_string_equal(nat_allocation_text((enum nat_allocation)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_nat),
        cmocka_unit_test(test_order_of_sockets_does_not_change_the_mapping),
        cmocka_unit_test(test_a_public_host_behind_a_partial_nat_is_not_consistent),
        cmocka_unit_test(test_answers_without_use_are_left_out),
        cmocka_unit_test(test_a_socket_that_moved_starts_over),
        cmocka_unit_test(test_more_observations_than_are_looked_at),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
