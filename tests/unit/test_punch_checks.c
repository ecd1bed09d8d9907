/* SPDX-License-Identifier: BSD-2-Clause */
/* One engine against hand-made messages: what a peer, or somebody else, may make it do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "net_sim.h"
#include "punch/punch.h"

#define MS     1000u
#define SECOND 1000000u

static _Alignas(max_align_t) uint8_t memory[NET_ENGINE_BYTES];
static struct punch *p;
static uint64_t seed, now;
static struct punch_out out;
static uint8_t sent[PUNCH_MAX_PACKET_BYTES];
static struct stun_message sent_msg;

static struct punch_pair from(uint8_t host, uint16_t port)
{
    return (struct punch_pair){0, stun_addr_v4(198, 51, 100, host, port)};
}

static void start(bool caller, bool credentials)
{
    struct punch_config config = {
        .caller = caller,
        .local_ufrag = "usus",
        .local_password = "our-password-our-password",
        .remote_ufrag = credentials ? "them" : NULL,
        .remote_password = credentials ? "their-password-their-pass" : NULL,
        .profile = {.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT, .endpoints_seen = 4},
        .random = net_random_bytes,
        .random_context = &seed,
    };
    struct stun_addr local = stun_addr_v4(192, 168, 1, 5, 40000);

    now = 0;
    p = punch_init(memory, &config, now);
    assert_non_null(p);
    punch_add_socket(p, now, 0, &local);
}

static void add(uint8_t host, uint16_t port, bool attested)
{
    struct punch_pair pair = from(host, port);

    punch_add_remote(p, now, PUNCH_SERVER_REFLEXIVE, &pair.remote, attested);
}

/* The next packet of that type, others are dropped; false: none now. */
static bool next(uint16_t type)
{
    while (punch_output(p, now, &out, sent)) {
        assert_int_equal(stun_parse(sent, out.size, &sent_msg), STUN_OK);
        if (sent_msg.type == type)
            return true;
    }
    return false;
}

static unsigned drain(uint16_t type)
{
    unsigned count = 0;

    while (next(type))
        count++;
    return count;
}

static bool event(enum punch_event_kind kind, struct punch_event *e)
{
    struct punch_event ignored;

    if (e == NULL)
        e = &ignored;
    while (punch_poll_event(p, e)) {
        if (e->kind == kind)
            return true;
    }
    return false;
}

struct request {
    const char *username, *password;
    uint16_t role; /* attribute */
    uint64_t tie_breaker;
    bool nominates, no_integrity;
    uint16_t extra; /* an attribute */
    uint32_t priority;
    uint8_t id; /* transaction; 0: a new one */
};

static bool input_request(struct punch_pair pair, struct request r)
{
    static uint8_t fresh = 100;
    uint8_t buffer[256], id[STUN_TRANSACTION_BYTES] = {0};
    struct stun_builder b;

    id[0] = r.id != 0 ? r.id : fresh++;
    id[1] = r.id != 0;
    stun_begin(&b, buffer, sizeof(buffer), STUN_BINDING_REQUEST, id);
    if (r.username == NULL)
        r.username = "usus:them";
    stun_add_bytes(&b, STUN_USERNAME, r.username, strlen(r.username));
    stun_add_u32(&b, STUN_PRIORITY, r.priority != 0 ? r.priority : 1 << 24);
    if (r.role != 0)
        stun_add_u64(&b, r.role, r.tie_breaker);
    if (r.nominates)
        stun_add_flag(&b, STUN_USE_CANDIDATE);
    if (r.extra != 0)
        stun_add_u32(&b, r.extra, 1);
    if (r.password == NULL)
        r.password = "our-password-our-password";
    if (!r.no_integrity)
        stun_add_integrity(&b, (const uint8_t *)r.password, strlen(r.password));
    stun_add_fingerprint(&b);
    return punch_input(p, now, &pair, buffer, stun_finish(&b));
}

/* An answer to the check in sent. */
static bool input_answer(struct punch_pair pair, uint16_t error, const char *password)
{
    struct stun_addr mapped = stun_addr_v4(203, 0, 113, 5, 40000);
    uint8_t buffer[256];
    struct stun_builder b;

    stun_begin(&b, buffer, sizeof(buffer), error == 0 ? STUN_BINDING_SUCCESS : STUN_BINDING_ERROR,
               sent_msg.transaction);
    if (error == 0)
        stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &mapped);
    else
        stun_add_error(&b, error, "no");
    if (password != NULL)
        stun_add_integrity(&b, (const uint8_t *)password, strlen(password));
    stun_add_fingerprint(&b);
    return punch_input(p, now, &pair, buffer, stun_finish(&b));
}

#define THEIR_PASSWORD "their-password-their-pass"

static void a_check_is_an_ice_check(void **state)
{
    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_memory_equal(sent_msg.username, "them:usus", 9);
    assert_true(stun_integrity_ok(&sent_msg, (const uint8_t *)THEIR_PASSWORD, 25));
    assert_true(sent_msg.has_fingerprint && sent_msg.has_controlled && !sent_msg.has_controlling);
    assert_true(sent_msg.has_priority && !sent_msg.use_candidate);
    assert_int_equal(sent_msg.priority >> 24, 110);
    assert_int_equal(sent_msg.priority & 0xff, 255);
    assert_int_equal(out.ttl, 0);
}

static void no_transaction_is_used_twice(void **state)
{
    uint8_t seen[64][STUN_TRANSACTION_BYTES];
    size_t count = 0;

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    while (count < 20) {
        now = punch_next_timeout(p);
        while (count < 64 && next(STUN_BINDING_REQUEST)) {
            for (size_t i = 0; i < count; i++)
                assert_memory_not_equal(seen[i], sent_msg.transaction, STUN_TRANSACTION_BYTES);
            memcpy(seen[count++], sent_msg.transaction, STUN_TRANSACTION_BYTES);
        }
    }
}

static void retries_come_at_punching_speed(void **state)
{
    const uint64_t expected_ms[] = {0, 20, 60, 140, 300, 800, 1300};

    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    for (size_t i = 0; i < 7; i++) {
        while (!next(STUN_BINDING_REQUEST)) {
            assert_true(punch_next_timeout(p) > now);
            now = punch_next_timeout(p);
            punch_handle_timeout(p, now);
        }
        assert_int_equal(now, expected_ms[i] * MS);
    }
}

static void role_conflicts_are_settled_in_all_four_cases(void **state)
{
    const struct {
        bool caller;
        uint16_t role;
        uint64_t tie_breaker;
        bool refused, controls_then;
    } table[] = {
        {true, STUN_ICE_CONTROLLING, 0, true, true},
        {true, STUN_ICE_CONTROLLING, UINT64_MAX, false, false},
        {false, STUN_ICE_CONTROLLED, 0, false, true},
        {false, STUN_ICE_CONTROLLED, UINT64_MAX, true, false},
        {true, STUN_ICE_CONTROLLED, UINT64_MAX, false, true},
        {false, STUN_ICE_CONTROLLING, 0, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct request r = {.role = table[i].role, .tie_breaker = table[i].tie_breaker};

        start(table[i].caller, true);
        add(1, 1000, true);
        punch_start(p, now, now);
        assert_true(input_request(from(1, 1000), r));
        assert_true(punch_output(p, now, &out, sent));
        assert_int_equal(stun_parse(sent, out.size, &sent_msg), STUN_OK);
        assert_int_equal(sent_msg.type,
                         table[i].refused ? STUN_BINDING_ERROR : STUN_BINDING_SUCCESS);
        if (table[i].refused)
            assert_int_equal(sent_msg.error_code, STUN_ERROR_ROLE_CONFLICT);
        assert_true(stun_integrity_ok(&sent_msg, (const uint8_t *)"our-password-our-password", 25));
        assert_true(next(STUN_BINDING_REQUEST));
        assert_int_equal(sent_msg.has_controlling, table[i].controls_then);
    }
}

static void a_487_switches_the_role_once(void **state)
{
    struct stun_message first;
    uint8_t first_bytes[PUNCH_MAX_PACKET_BYTES];

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    memcpy(first_bytes, sent, out.size);
    assert_int_equal(stun_parse(first_bytes, out.size, &first), STUN_OK);
    now += 20 * MS;
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(sent_msg.has_controlling);
    assert_true(input_answer(from(1, 1000), 487, NULL)); /* no integrity: ignored */
    assert_true(input_answer(from(1, 1000), 487, THEIR_PASSWORD));
    now += 20 * MS;
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(sent_msg.has_controlled);
    sent_msg = first; /* the other one is answered late: stale */
    assert_true(input_answer(from(1, 1000), 487, THEIR_PASSWORD));
    now += 100 * MS;
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(sent_msg.has_controlled);
}

static void only_the_address_asked_may_answer_and_only_with_the_password(void **state)
{
    struct punch_event e;

    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    now += 10 * MS;
    assert_true(input_answer(from(1, 1001), 0, THEIR_PASSWORD));
    assert_true(input_answer(from(1, 1000), 0, "wrong-password-wrong-pass"));
    assert_true(input_answer(from(1, 1000), 0, NULL));
    assert_true(input_answer(from(1, 1000), 400, NULL));
    assert_false(punch_is_connected(p));
    assert_false(event(PUNCH_EVENT_PROVEN, NULL));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(punch_is_connected(p));
    assert_true(event(PUNCH_EVENT_PROVEN, &e));
    assert_int_equal(e.rtt_us, 10 * MS);
    assert_false(input_answer(from(1, 1000), 0, THEIR_PASSWORD)); /* a replay is nobody's */
    assert_true(event(PUNCH_EVENT_PATH, NULL));
    assert_false(event(PUNCH_EVENT_PATH, NULL));
}

static void wrong_checks_make_nothing_usable(void **state)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES];

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    drain(STUN_BINDING_REQUEST);
    assert_true(input_request(from(1, 1000), (struct request){.password = "wrong"}));
    assert_true(input_request(from(1, 1000), (struct request){.no_integrity = true}));
    assert_false(input_request(from(1, 1000), (struct request){.username = "someone:else"}));
    assert_false(input_request(from(1, 1000), (struct request){.username = "usu"}));
    assert_false(input_request(from(1, 1000), (struct request){.username = "usus"}));
    assert_false(punch_output(p, now, &out, sent));
    assert_false(event(PUNCH_EVENT_USABLE, NULL));
    assert_int_equal(punch_routes(p, now, routes), 0);
    assert_true(input_request(from(1, 1000), (struct request){0}));
    assert_true(event(PUNCH_EVENT_USABLE, NULL));
    assert_int_equal(punch_routes(p, now, routes), 1);
}

static void unknown_attributes_get_420(void **state)
{
    (void)state;
    start(true, true);
    punch_start(p, now, now);
    assert_true(input_request(from(1, 1000), (struct request){.extra = 0x7eee}));
    assert_true(punch_output(p, now, &out, sent));
    assert_int_equal(stun_parse(sent, out.size, &sent_msg), STUN_OK);
    assert_int_equal(sent_msg.error_code, STUN_ERROR_UNKNOWN_ATTRIBUTE);
    assert_non_null(stun_find(&sent_msg, STUN_UNKNOWN_ATTRIBUTES, &(size_t){0}));
    assert_false(event(PUNCH_EVENT_USABLE, NULL));
    assert_true(input_request(from(1, 1000), (struct request){.extra = 0x8eee}));
    assert_true(next(STUN_BINDING_SUCCESS));
}

static void early_checks_are_answered_and_remembered(void **state)
{
    (void)state;
    start(false, false);
    assert_true(input_request(from(1, 1000), (struct request){0}));
    assert_true(next(STUN_BINDING_SUCCESS));
    assert_true(stun_addr_equal(&sent_msg.mapped, &out.pair.remote));
    assert_false(next(STUN_BINDING_REQUEST));
    assert_true(event(PUNCH_EVENT_USABLE, NULL));
    now += SECOND;
    assert_true(punch_set_remote_credentials(p, now, "them", THEIR_PASSWORD));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.port, 1000);
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(punch_is_connected(p));
}

static void a_triggered_check_leaves_at_once_at_full_ttl(void **state)
{
    (void)state;
    start(true, true);
    add(1, 1000, true);
    add(2, 2000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.ttl, 2);
    now += 1;
    assert_true(input_request(from(2, 2000), (struct request){0}));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.port, 2000);
    assert_int_equal(out.ttl, 0);
}

static void a_peer_reflexive_address_keeps_its_state_when_signalled(void **state)
{
    struct punch_event e;

    (void)state;
    start(true, true);
    punch_start(p, now, now);
    assert_true(input_request(from(9, 999), (struct request){0}));
    assert_true(event(PUNCH_EVENT_USABLE, &e));
    assert_int_equal(e.technique, PUNCH_TECHNIQUE_PEER_REFLEXIVE);
    assert_true(next(STUN_BINDING_REQUEST));
    add(9, 999, true);
    assert_true(input_answer(from(9, 999), 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PROVEN, &e));
    assert_int_equal(e.technique, PUNCH_TECHNIQUE_PUBLIC);
    assert_int_equal(drain(STUN_BINDING_REQUEST), 1); /* the nomination, and no new round */
    assert_true(sent_msg.use_candidate);
}

static void no_ping_pong_once_connected(void **state)
{
    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    for (unsigned i = 0; i < 50; i++) {
        assert_true(input_request(from(1, 1000), (struct request){0}));
        assert_true(next(STUN_BINDING_SUCCESS));
        assert_false(next(STUN_BINDING_REQUEST));
        now += MS;
    }
    assert_true(punch_next_timeout(p) > now + SECOND);
}

static void a_burst_of_a_thousand_is_bounded(void **state)
{
    (void)state;
    start(false, true);
    punch_start(p, now, now);
    for (unsigned i = 0; i < 1000; i++)
        input_request(from((uint8_t)(i % 200 + 1), (uint16_t)(1000 + i)), (struct request){0});
    assert_in_range(drain(STUN_BINDING_REQUEST), 1, PUNCH_BUDGET_FIRST_100_MS);
    now += 10 * SECOND;
    drain(STUN_BINDING_REQUEST);
}

static void a_copied_check_does_not_count_from_elsewhere(void **state)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES];

    (void)state;
    start(true, true);
    punch_start(p, now, now);
    assert_true(input_request(from(1, 1000), (struct request){.id = 5}));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_request(from(66, 6666), (struct request){.id = 5}));
    assert_int_equal(punch_routes(p, now, routes), 1);
    assert_int_equal(routes[0].remote.port, 1000);
    assert_false(next(STUN_BINDING_REQUEST));
}

static void the_copies_to_an_unproven_pair_are_limited(void **state)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES];
    unsigned copies = 0;

    (void)state;
    start(true, true);
    punch_start(p, now, now);
    assert_true(input_request(from(1, 1000), (struct request){0}));
    for (unsigned i = 0; i < 1000; i++)
        copies += (unsigned)punch_routes(p, now, routes);
    assert_in_range(copies, 20, 100);
}

static void the_callee_copies_its_flight_with_the_first_burst(void **state)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES];
    struct stun_addr lan = stun_addr_v4(192, 168, 1, 9, 9);
    unsigned copies, checks;

    (void)state;
    start(false, true);
    for (uint8_t i = 1; i <= 5; i++)
        add(i, 1000, i <= 4);
    punch_add_remote(p, now, PUNCH_HOST, &lan, false);
    punch_start(p, now, 10 * MS);
    assert_int_equal(punch_routes(p, now, routes), 0);
    now = 10 * MS;
    copies = (unsigned)punch_routes(p, now, routes);
    assert_int_equal(copies, 3);
    for (unsigned i = 0; i < copies; i++)
        assert_true(routes[i].remote.ip[3] <= 4 && routes[i].remote.ip[0] == 198);
    checks = 0;
    for (; now < 109 * MS; now += MS) {
        checks += drain(STUN_BINDING_REQUEST);
        copies += (unsigned)punch_routes(p, now, routes);
    }
    assert_in_range(checks, 5, 9);
    assert_true(checks + copies <= PUNCH_BUDGET_FIRST_100_MS);
}

static void nomination_is_honoured_and_given(void **state)
{
    struct punch_event e;

    (void)state;
    start(false, true);
    add(1, 1000, true);
    add(2, 2000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.port, 1000);
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PATH, &e));
    assert_true(input_request(from(2, 2000), (struct request){.nominates = true}));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.port, 2000);
    assert_false(event(PUNCH_EVENT_PATH, &e));
    assert_true(input_answer(from(2, 2000), 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PATH, &e));
    assert_int_equal(e.pair.remote.port, 2000);

    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_false(sent_msg.use_candidate);
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    for (unsigned i = 0; i < 3; i++) { /* until it is answered */
        assert_true(next(STUN_BINDING_REQUEST));
        assert_true(sent_msg.use_candidate && sent_msg.has_controlling);
        now = punch_next_timeout(p);
    }
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    now += 500 * MS;
    assert_false(next(STUN_BINDING_REQUEST));
}

static void a_better_path_is_taken_later(void **state)
{
    struct stun_addr lan = stun_addr_v4(192, 168, 1, 9, 9);
    struct punch_pair lan_pair = {0, lan};
    struct punch_event e;

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PATH, &e));
    drain(STUN_BINDING_REQUEST);
    now += SECOND;
    punch_add_remote(p, now, PUNCH_HOST, &lan, false);
    while (next(STUN_BINDING_REQUEST) && out.pair.remote.port != 9)
        ;
    assert_int_equal(out.pair.remote.port, 9);
    now += MS;
    assert_true(input_answer(lan_pair, 0, THEIR_PASSWORD));
    assert_true(event(PUNCH_EVENT_PATH, &e));
    assert_int_equal(e.technique, PUNCH_TECHNIQUE_PRIVATE);
    assert_int_equal(e.rtt_us, MS);
}

static void a_link_packet_is_as_good_as_a_check(void **state)
{
    struct punch_pair pair = from(3, 3000);
    struct punch_event e;

    (void)state;
    start(true, true);
    punch_start(p, now, now);
    punch_heard_link(p, now, &pair);
    assert_true(event(PUNCH_EVENT_USABLE, &e));
    assert_true(next(STUN_BINDING_REQUEST));
    assert_int_equal(out.pair.remote.port, 3000);
    assert_int_equal(out.ttl, 0);
}

static void a_socket_that_is_gone_takes_its_pairs_along(void **state)
{
    struct stun_addr local = stun_addr_v4(192, 168, 7, 7, 777);

    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    punch_remove_socket(p, now, 0);
    assert_true(event(PUNCH_EVENT_PATH_LOST, NULL));
    assert_false(punch_output(p, now, &out, sent));
    assert_true(input_request(from(1, 1000), (struct request){0}));
    assert_false(punch_output(p, now, &out, sent));
    punch_add_socket(p, now, 0, &local);
    now = punch_next_timeout(p);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(punch_is_connected(p));
}

static void clocks_may_start_at_zero_stand_still_or_jump(void **state)
{
    (void)state;
    start(false, true);
    add(1, 1000, true);
    punch_start(p, 0, 0);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    now = 100 * SECOND * 3600;
    punch_handle_timeout(p, now);
    assert_true(event(PUNCH_EVENT_PATH_LOST, NULL));
    now = 5; /* back: time stands still until it is caught up with */
    punch_handle_timeout(p, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(input_answer(from(1, 1000), 0, THEIR_PASSWORD));
    assert_true(punch_is_connected(p));
}

static void a_plan_may_not_aim_at_strangers(void **state)
{
    struct punch_note plan = {.kind = PUNCH_NOTE_PLAN};

    (void)state;
    start(true, true);
    add(1, 1000, true);
    add(2, 2000, false);
    punch_start(p, now, now);
    now += SECOND;
    while (next(STUN_BINDING_REQUEST))
        now += 2 * MS;
    plan.plan.technique = PUNCH_TECHNIQUE_PREDICTED;
    plan.plan.target = stun_addr_v4(198, 51, 100, 2, 0);
    plan.plan.port_count = NAT_MAX_PREDICTED;
    for (uint16_t i = 0; i < NAT_MAX_PREDICTED; i++)
        plan.plan.ports[i] = (uint16_t)(5000 + i);
    punch_note_input(p, now, &plan);
    for (unsigned i = 0; i < 200; i++, now += MS) {
        while (next(STUN_BINDING_REQUEST))
            assert_true(out.pair.remote.port < 5000);
    }
}

static void windows_are_bounded(void **state)
{
    struct punch_note plan = {.kind = PUNCH_NOTE_PLAN};
    unsigned guesses = 0;

    (void)state;
    start(true, true);
    add(1, 1000, true);
    punch_start(p, now, now);
    plan.plan.target = stun_addr_v4(198, 51, 100, 1, 0);
    plan.plan.port_count = NAT_MAX_PREDICTED;
    for (unsigned round = 0; round < 3; round++) {
        for (uint16_t i = 0; i < NAT_MAX_PREDICTED; i++)
            plan.plan.ports[i] = (uint16_t)(5000 + i + round * 100);
        punch_note_input(p, now, &plan);
        for (unsigned i = 0; i < 2000; i++, now += MS) {
            while (next(STUN_BINDING_REQUEST))
                guesses += out.pair.remote.port >= 5000;
        }
    }
    assert_int_equal(guesses, 2 * NAT_MAX_PREDICTED);
}

static void credentials_that_do_not_fit_are_refused(void **state)
{
    char longest[300];

    (void)state;
    start(true, false);
    memset(longest, 'x', sizeof(longest));
    longest[PUNCH_MAX_CREDENTIAL] = '\0';
    assert_false(punch_set_remote_credentials(p, now, longest, "password"));
    longest[167] = '\0';
    assert_true(punch_set_remote_credentials(p, now, longest, "password"));
    add(1, 1000, true);
    punch_start(p, now, now);
    assert_true(next(STUN_BINDING_REQUEST));
    assert_true(out.size <= PUNCH_MAX_PACKET_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_is_an_ice_check),
        cmocka_unit_test(no_transaction_is_used_twice),
        cmocka_unit_test(retries_come_at_punching_speed),
        cmocka_unit_test(role_conflicts_are_settled_in_all_four_cases),
        cmocka_unit_test(a_487_switches_the_role_once),
        cmocka_unit_test(only_the_address_asked_may_answer_and_only_with_the_password),
        cmocka_unit_test(wrong_checks_make_nothing_usable),
        cmocka_unit_test(unknown_attributes_get_420),
        cmocka_unit_test(early_checks_are_answered_and_remembered),
        cmocka_unit_test(a_triggered_check_leaves_at_once_at_full_ttl),
        cmocka_unit_test(a_peer_reflexive_address_keeps_its_state_when_signalled),
        cmocka_unit_test(no_ping_pong_once_connected),
        cmocka_unit_test(a_burst_of_a_thousand_is_bounded),
        cmocka_unit_test(a_copied_check_does_not_count_from_elsewhere),
        cmocka_unit_test(the_copies_to_an_unproven_pair_are_limited),
        cmocka_unit_test(the_callee_copies_its_flight_with_the_first_burst),
        cmocka_unit_test(nomination_is_honoured_and_given),
        cmocka_unit_test(a_better_path_is_taken_later),
        cmocka_unit_test(a_link_packet_is_as_good_as_a_check),
        cmocka_unit_test(a_socket_that_is_gone_takes_its_pairs_along),
        cmocka_unit_test(clocks_may_start_at_zero_stand_still_or_jump),
        cmocka_unit_test(a_plan_may_not_aim_at_strangers),
        cmocka_unit_test(windows_are_bounded),
        cmocka_unit_test(credentials_that_do_not_fit_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
