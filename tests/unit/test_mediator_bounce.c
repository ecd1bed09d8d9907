/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/bounce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SESSION_ID 0x0123456789abcdefu

static const uint8_t transaction[STUN_TRANSACTION_BYTES] = "transaction";

/* Two addresses x two ports, and a client. */
struct world {
    struct bounce bounce;
    struct attested session;
    struct stun_addr client;
    struct bounce_answer answer;
    struct stun_message reply;
    uint64_t now_us;
    uint8_t request[STUN_MAX_MESSAGE_BYTES];
    struct stun_builder builder;
    bool echoes;
    uint8_t nonce[NONCE_BYTES];
};

static struct attested *find(void *context, uint64_t session_id)
{
    struct world *world = context;

    return session_id == SESSION_ID ? &world->session : NULL;
}

static struct bounce_socket socket_on(const char *text)
{
    struct bounce_socket made;

    assert_true(stun_addr_parse(text, &made.bound));
    made.outside = made.bound;
    return made;
}

static void begin(struct world *world)
{
    stun_begin(&world->builder, world->request, sizeof world->request, STUN_BINDING_REQUEST,
               transaction);
}

static int set_up(void **state)
{
    static struct world world;
    struct limit_rate rate = {.per_second = 10, .burst = 20};

    world = (struct world){.now_us = 1000000};
    world.bounce = (struct bounce){
        .sockets = {socket_on("192.0.2.1:3478"), socket_on("192.0.2.1:3479"),
                    socket_on("192.0.2.2:3478"), socket_on("192.0.2.2:3479")},
        .socket_count = 4,
        .plain = limits_new(64, rate),
        .keepalive = limits_new(64, rate),
        .behaviour = limits_new(64, (struct limit_rate){.per_second = 1, .burst = 2}),
        .find = find,
        .context = &world,
    };
    world.client = stun_addr_v4(198, 51, 100, 7, 4444);
    memset(world.session.key, 7, sizeof world.session.key);
    begin(&world);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    limits_free(world->bounce.plain);
    limits_free(world->bounce.keepalive);
    limits_free(world->bounce.behaviour);
    return 0;
}

static bool ask_bytes(struct world *world, const uint8_t *bytes, size_t size)
{
    struct bounce_question question = {
        .bytes = bytes, .size = size, .socket = 0, .from = world->client};

    if (!bounce_answer(&world->bounce, &question, world->now_us, &world->answer))
        return false;
    assert_int_equal(stun_parse(world->answer.bytes, world->answer.size, &world->reply), STUN_OK);
    assert_memory_equal(world->reply.transaction, transaction, sizeof transaction);
    return true;
}

static bool ask(struct world *world)
{
    return ask_bytes(world, world->request, stun_finish(&world->builder));
}

static void test_plain_ipv4(void **state)
{
    struct world *world = *state;

    assert_true(ask(world));
    assert_int_equal(world->reply.type, STUN_BINDING_SUCCESS);
    assert_true(stun_addr_equal(&world->reply.mapped, &world->client));
    assert_true(stun_addr_equal(&world->answer.to, &world->client));
    assert_int_equal(world->answer.socket, 0);
    assert_int_equal(world->answer.size, 44);
    assert_true(stun_addr_equal(&world->reply.other_address, &world->bounce.sockets[3].bound));
    /* Without tokens for extras it is the mandatory attribute alone. */
    assert_true(ask(world));
    assert_true(ask(world));
    assert_int_equal(world->answer.size, 32);
}

static void test_plain_ipv6(void **state)
{
    struct world *world = *state;

    assert_true(stun_addr_parse("[2001:db8::7]:1", &world->client));
    world->bounce.sockets[0] = socket_on("[2001:db8::1]:3478");
    assert_true(ask(world));
    assert_int_equal(world->answer.size, 44);
    assert_true(stun_addr_equal(&world->reply.mapped, &world->client));
}

static void test_silence(void **state)
{
    struct world *world = *state;
    size_t size = stun_finish(&world->builder);

    for (size_t i = 0; i < size; i++)
        assert_false(ask_bytes(world, world->request, i));
    world->request[4] ^= 1; /* magic cookie */
    assert_false(ask(world));
    world->request[4] ^= 1;
    for (uint16_t type = 0; type < 0x200; type++) {
        stun_begin(&world->builder, world->request, sizeof world->request, type, transaction);
        if (type != STUN_BINDING_REQUEST)
            assert_false(ask(world));
    }
    begin(world);
    world->client.port = 0;
    assert_false(ask(world));
}

static void test_unknown_attributes(void **state)
{
    struct world *world = *state;

    stun_add_u32(&world->builder, 0x7f00, 1);
    assert_true(ask(world));
    assert_int_equal(world->reply.type, STUN_BINDING_ERROR);
    assert_int_equal(world->reply.error_code, STUN_ERROR_UNKNOWN_ATTRIBUTE);
    assert_true(world->answer.size <= 44);
}

static void test_change_request(void **state)
{
    static const struct {
        uint32_t change;
        size_t socket;
    } cases[] = {
        {0, 0}, {STUN_CHANGE_PORT, 1}, {STUN_CHANGE_IP, 2}, {STUN_CHANGE_IP | STUN_CHANGE_PORT, 3}};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(world);
        stun_add_u32(&world->builder, STUN_CHANGE_REQUEST, cases[i].change);
        world->now_us += 10000000;
        assert_true(ask(world));
        assert_int_equal(world->answer.socket, cases[i].socket);
        assert_true(stun_addr_equal(&world->reply.response_origin,
                                    &world->bounce.sockets[cases[i].socket].bound));
        assert_true(stun_addr_equal(&world->reply.other_address, &world->bounce.sockets[3].bound));
        assert_true(stun_addr_equal(&world->answer.to, &world->client));
    }
}

static void test_change_of_what_does_not_exist(void **state)
{
    struct world *world = *state;

    world->bounce.socket_count = 2; /* one address */
    stun_add_u32(&world->builder, STUN_CHANGE_REQUEST, STUN_CHANGE_IP);
    assert_true(ask(world));
    assert_int_equal(world->reply.error_code, STUN_ERROR_UNKNOWN_ATTRIBUTE);
    assert_int_equal(world->answer.socket, 0);
    begin(world);
    stun_add_u32(&world->builder, STUN_CHANGE_REQUEST, STUN_CHANGE_PORT);
    assert_true(ask(world));
    assert_int_equal(world->answer.socket, 1);
    assert_int_equal(world->reply.other_address.family, STUN_NO_FAMILY);
}

static void test_behaviour_tests_are_limited(void **state)
{
    struct world *world = *state;

    stun_add_u32(&world->builder, STUN_CHANGE_REQUEST, STUN_CHANGE_PORT);
    assert_true(ask(world));
    assert_true(ask(world));
    assert_false(ask(world));
    world->now_us += 1000000;
    assert_true(ask(world));
}

static void test_large_requests_learn_all_at_no_cost(void **state)
{
    static const uint8_t padding[64];
    struct world *world = *state;

    stun_add_bytes(&world->builder, STUN_PADDING, padding, sizeof padding);
    for (int i = 0; i < 10; i++) {
        assert_true(ask(world));
        assert_int_equal(world->answer.size, 56);
        assert_true(world->answer.size <= stun_finish(&world->builder));
    }
}

static void test_response_port(void **state)
{
    static const uint8_t port[4] = {0x12, 0x34};
    struct world *world = *state;

    stun_add_bytes(&world->builder, STUN_RESPONSE_PORT, port, sizeof port);
    assert_true(ask(world));
    assert_int_equal(world->answer.to.port, 0x1234);
    assert_true(stun_addr_same_ip(&world->answer.to, &world->client));
    assert_true(stun_addr_equal(&world->reply.mapped, &world->client));
    stun_add_bytes(&world->builder, STUN_PADDING, port, sizeof port);
    assert_true(ask(world));
    assert_int_equal(world->reply.error_code, STUN_ERROR_BAD_REQUEST);
    assert_true(stun_addr_equal(&world->answer.to, &world->client));
}

static void test_one_address_is_limited(void **state)
{
    struct world *world = *state;
    size_t answers = 0;

    for (int i = 0; i < 100; i++)
        answers += ask(world);
    assert_int_equal(answers, 20);
    world->client.ip[3]++;
    assert_true(ask(world));
}

static void keepalive(struct world *world, const char *username, uint64_t sequence, uint8_t key)
{
    uint8_t bytes[WIRE_SESSION_KEY_BYTES];

    memset(bytes, key, sizeof bytes);
    begin(world);
    stun_add_bytes(&world->builder, STUN_USERNAME, username, strlen(username));
    if (world->echoes)
        stun_add_bytes(&world->builder, STUN_NONCE, world->nonce, sizeof world->nonce);
    stun_add_u64(&world->builder, STUN_EYELET_SEQUENCE, sequence);
    stun_add_integrity_sha256(&world->builder, bytes, sizeof bytes);
    stun_add_fingerprint(&world->builder);
}

/* Keepalives from now on echo what the last answer has brought. */
static bool learn_nonce(struct world *world)
{
    size_t bytes;
    const uint8_t *nonce = stun_find(&world->reply, STUN_NONCE, &bytes);

    if (nonce == NULL || bytes != sizeof world->nonce)
        return false;
    memcpy(world->nonce, nonce, bytes);
    world->echoes = true;
    return true;
}

static size_t attested_now(struct world *world)
{
    struct stun_addr fresh[ATTESTED_MAX];

    return attested_fresh(&world->session, world->now_us, fresh);
}

static void test_keepalive_attests(void **state)
{
    struct world *world = *state;
    struct stun_addr fresh[ATTESTED_MAX];
    char username[BOUNCE_USERNAME_BYTES + 1];

    bounce_username(SESSION_ID, username);
    assert_string_equal(username, "0123456789abcdef");
    keepalive(world, username, 1, 7);
    assert_true(ask(world));
    assert_true(
        stun_integrity_sha256_ok(&world->reply, world->session.key, sizeof world->session.key));
    assert_true(stun_addr_equal(&world->reply.mapped, &world->client));
    assert_int_equal(attested_now(world), 0);
    assert_true(learn_nonce(world));
    keepalive(world, username, 2, 7);
    assert_true(ask(world));
    assert_true(
        stun_integrity_sha256_ok(&world->reply, world->session.key, sizeof world->session.key));
    assert_false(learn_nonce(world));
    assert_int_equal(attested_fresh(&world->session, world->now_us, fresh), 1);
    assert_true(stun_addr_equal(&fresh[0], &world->client));
}

/* Whoever holds the key, and sends from where it does not receive, knows no nonce of there. */
static void test_a_nonce_is_of_one_address(void **state)
{
    struct world *world = *state;

    keepalive(world, "0123456789abcdef", 1, 7);
    assert_true(ask(world));
    assert_true(learn_nonce(world));
    world->client.ip[3]++;
    keepalive(world, "0123456789abcdef", 2, 7);
    assert_true(ask(world));
    assert_int_equal(attested_now(world), 0);
    uint8_t before[NONCE_BYTES];
    memcpy(before, world->nonce, sizeof before);
    assert_true(learn_nonce(world));
    assert_memory_not_equal(before, world->nonce, sizeof before);
}

static void test_a_nonce_lasts_for_as_long_as_an_address_stays_attested(void **state)
{
    struct world *world = *state;

    world->now_us = 10 * (uint64_t)NONCE_WINDOW_US;
    keepalive(world, "0123456789abcdef", 1, 7);
    assert_true(ask(world));
    assert_true(learn_nonce(world));
    world->now_us += 2 * (uint64_t)NONCE_WINDOW_US - 1;
    keepalive(world, "0123456789abcdef", 2, 7);
    assert_true(ask(world));
    assert_int_equal(attested_now(world), 1);
    world->now_us++;
    keepalive(world, "0123456789abcdef", 3, 7);
    assert_true(ask(world));
    assert_true(learn_nonce(world));
    assert_int_equal(attested_now(world), 1); /* since the last one: nothing is interrupted */
    _Static_assert(2 * NONCE_WINDOW_US <= ATTESTED_LIFETIME_US, "not longer");
}

static void test_keepalive_over_ipv6_is_not_amplified(void **state)
{
    struct world *world = *state;

    assert_true(stun_addr_parse("[2001:db8::7]:1", &world->client));
    for (uint64_t sequence = 1; sequence <= 2; sequence++) {
        keepalive(world, "0123456789abcdef", sequence, 7);
        assert_true(ask(world));
        assert_true(world->answer.size <= stun_finish(&world->builder));
        assert_int_equal(learn_nonce(world), sequence == 1);
    }
    assert_int_equal(attested_now(world), 1);
}

static void test_false_keepalives_are_met_with_silence(void **state)
{
    struct world *world = *state;
    struct stun_addr fresh[ATTESTED_MAX];

    keepalive(world, "0123456789abcdef", 1, 8);
    assert_false(ask(world));
    keepalive(world, "0123456789abcdee", 1, 7);
    assert_false(ask(world));
    keepalive(world, "0123456789ABCDEF", 1, 7);
    assert_false(ask(world));
    keepalive(world, "123456789abcdef", 1, 7);
    assert_false(ask(world));
    begin(world);
    stun_add_bytes(&world->builder, STUN_USERNAME, "0123456789abcdef", 16);
    stun_add_u64(&world->builder, STUN_EYELET_SEQUENCE, 1);
    assert_false(ask(world));
    assert_int_equal(attested_fresh(&world->session, world->now_us, fresh), 0);
}

static void test_a_captured_keepalive_is_of_no_use_elsewhere(void **state)
{
    struct world *world = *state;
    struct stun_addr owner = world->client, fresh[ATTESTED_MAX];

    keepalive(world, "0123456789abcdef", 4, 7);
    assert_true(ask(world));
    assert_true(learn_nonce(world));
    keepalive(world, "0123456789abcdef", 5, 7);
    world->client.ip[3]++;
    assert_true(ask(world)); /* by whoever has held it back: a challenge, no more */
    assert_int_equal(attested_now(world), 0);
    world->client = owner;
    keepalive(world, "0123456789abcdef", 6, 7);
    assert_true(ask(world));
    world->client.port++;
    assert_false(ask(world));
    assert_int_equal(attested_fresh(&world->session, world->now_us, fresh), 1);
    assert_true(stun_addr_equal(&fresh[0], &owner));
    /* The owner's own retransmission still gets its answer. */
    world->client = owner;
    assert_true(ask(world));
}

static void test_endpoints(void **state)
{
    struct world *world = *state;
    struct stun_addr control = stun_addr_v4(192, 0, 2, 77, 9856), out[BOUNCE_MAX_SOCKETS];

    assert_int_equal(bounce_endpoints(&world->bounce, &control, out), 4);
    assert_true(stun_addr_equal(&out[3], &world->bounce.sockets[3].bound));
    /* Bound to every address: the one that the client has found is good. */
    memset(world->bounce.sockets[0].outside.ip, 0, 4);
    world->bounce.sockets[1].outside = (struct stun_addr){.family = STUN_IPV6, .port = 1};
    world->bounce.socket_count = 2;
    assert_int_equal(bounce_endpoints(&world->bounce, &control, out), 1);
    assert_true(stun_addr_same_ip(&out[0], &control));
    assert_int_equal(out[0].port, 3478);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_plain_ipv4),
        TEST(test_plain_ipv6),
        TEST(test_silence),
        TEST(test_unknown_attributes),
        TEST(test_change_request),
        TEST(test_change_of_what_does_not_exist),
        TEST(test_behaviour_tests_are_limited),
        TEST(test_large_requests_learn_all_at_no_cost),
        TEST(test_response_port),
        TEST(test_one_address_is_limited),
        TEST(test_keepalive_attests),
        TEST(test_a_nonce_is_of_one_address),
        TEST(test_a_nonce_lasts_for_as_long_as_an_address_stays_attested),
        TEST(test_keepalive_over_ipv6_is_not_amplified),
        TEST(test_false_keepalives_are_met_with_silence),
        TEST(test_a_captured_keepalive_is_of_no_use_elsewhere),
        TEST(test_endpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
