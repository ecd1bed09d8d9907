/* SPDX-License-Identifier: BSD-2-Clause */
/* A survey and an exploration behind every kind of NAT of the lab's model, in virtual time: what
 * was learned is what was configured, or unknown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lab/dice.h"
#include "lab/nat_model.h"
#include "punch/explore.h"
#include "punch/survey.h"

#define MS             1000u
#define SECOND         1000000u
#define ONE_WAY_US     (10 * MS)
#define QUEUE          256
#define PACKET_BYTES   160
#define SESSIONS       1024
#define SURVEY_SOCKETS 2
#define SOCKETS        (SURVEY_SOCKETS + EXPLORE_SOCKETS)
#define ROUTERS        2 /* between the outermost NAT and the servers */

struct packet {
    uint64_t at_us;
    bool inwards;
    struct stun_addr src, dst;
    uint8_t bytes[PACKET_BYTES];
    size_t size;
};

struct world {
    uint64_t now_us;
    struct dice dice;
    struct nat_model nat[NAT_CONFIG_LAYERS];
    uint32_t layers;
    uint64_t memory[NAT_CONFIG_LAYERS][SESSIONS * 24];
    struct stun_addr host;
    uint16_t port[SOCKETS]; /* 0: closed */
    struct packet queue[QUEUE];
    size_t queued;
    unsigned addresses; /* of the server */
    unsigned loss_percent;
    int behaviour;       /* answers left that a server limits; refilled with */
    int behaviour_per_s; /* so many a second; 0: no limit */
    uint64_t refilled_us;
    unsigned sent, sent_early; /* packets; those of the first two seconds */
    struct survey survey;
    struct explore explore;
    bool exploring;
};

static struct world world;

static void random_bytes(void *context, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(dice_draw(context) >> 32);
}

static bool chance(struct world *w, unsigned percent)
{
    return (dice_draw(&w->dice) >> 32) * 100 >> 32 < percent;
}

static void put(struct world *w, uint64_t delay_us, bool inwards, const struct stun_addr *src,
                const struct stun_addr *dst, const uint8_t *bytes, size_t size)
{
    struct packet *p = &w->queue[w->queued++];

    assert_true(w->queued <= QUEUE && size <= PACKET_BYTES);
    *p = (struct packet){
        .at_us = w->now_us + delay_us, .inwards = inwards, .src = *src, .dst = *dst, .size = size};
    memcpy(p->bytes, bytes, size);
}

/* ---- the server ---- */

static struct stun_addr server_at(unsigned address, unsigned port)
{
    return stun_addr_v4(192, 0, 2, (uint8_t)(1 + address), (uint16_t)(3478 + port));
}

static bool may_test(struct world *w)
{
    if (w->behaviour_per_s == 0)
        return true;
    while (w->now_us - w->refilled_us >= SECOND / (uint64_t)w->behaviour_per_s) {
        w->refilled_us += SECOND / (uint64_t)w->behaviour_per_s;
        w->behaviour += w->behaviour < 30;
    }
    if (w->behaviour == 0)
        return false;
    w->behaviour--;
    return true;
}

/* As src/mediator/bounce.h tells. */
static void serve(struct world *w, const struct packet *p)
{
    struct stun_addr from = p->dst, to = p->src, other = p->dst;
    uint8_t bytes[PACKET_BYTES];
    struct stun_message msg;
    struct stun_builder b;
    bool test, told;

    if (stun_parse(p->bytes, p->size, &msg) != STUN_OK || msg.type != STUN_BINDING_REQUEST)
        return;
    test = msg.change_request != 0 || msg.has_response_port;
    told = (test || p->size < 56) && may_test(w);
    if ((test && !told) || (w->addresses == 1 && (msg.change_request & STUN_CHANGE_IP) != 0))
        return;
    other.ip[3] = other.ip[3] == 1 ? 2 : 1;
    other.port = other.port == 3478 ? 3479 : 3478;
    if (msg.change_request & STUN_CHANGE_IP)
        from.ip[3] = other.ip[3];
    if (msg.change_request & STUN_CHANGE_PORT)
        from.port = other.port;
    if (msg.has_response_port)
        to.port = msg.response_port;
    stun_begin(&b, bytes, sizeof(bytes), STUN_BINDING_SUCCESS, msg.transaction);
    stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &p->src);
    if (told && msg.has_change_request)
        stun_add_addr(&b, STUN_RESPONSE_ORIGIN, &from);
    put(w, ONE_WAY_US, true, &from, &to, bytes, stun_finish(&b));
}

/* ---- between ---- */

static void arrive(struct world *w, struct packet *p)
{
    struct stun_message msg;

    for (unsigned i = 0; i < SOCKETS; i++) {
        if (w->port[i] == 0 || w->port[i] != p->dst.port)
            continue;
        if (stun_parse(p->bytes, p->size, &msg) != STUN_OK)
            return;
        if (i < SURVEY_SOCKETS)
            survey_input(&w->survey, w->now_us, i, &p->src, &msg);
        else
            explore_input(&w->explore, w->now_us, i - SURVEY_SOCKETS, &p->src, &msg);
    }
}

static void come_in(struct world *w, struct packet *p, uint32_t layer)
{
    while (layer-- > 0) {
        struct nat_model_packet np = {p->src, p->dst, NAT_MODEL_UDP, 64};
        struct nat_model_verdict v = nat_model_inbound(&w->nat[layer], w->now_us, &np);

        if (v.action != NAT_MODEL_FORWARD)
            return;
        p->src = v.packet.src;
        p->dst = v.packet.dst;
    }
    arrive(w, p);
}

static void go_out(struct world *w, unsigned socket, const struct stun_addr *to, unsigned ttl,
                   const uint8_t *bytes, size_t size)
{
    struct nat_model_packet np = {w->host, *to, NAT_MODEL_UDP, 64};

    ttl = ttl == 0 ? 64 : ttl;
    w->sent++;
    w->sent_early += w->now_us < 2 * SECOND;
    np.src.port = w->port[socket];
    if (chance(w, w->loss_percent))
        return;
    for (uint32_t i = 0; i < w->layers; i++, ttl--) {
        struct nat_model_verdict v;

        if (ttl <= 1)
            return;
        v = nat_model_outbound(&w->nat[i], w->now_us, &np);
        if (v.action == NAT_MODEL_HAIRPIN) {
            struct packet back = {.src = v.packet.src, .dst = v.packet.dst, .size = size};

            memcpy(back.bytes, bytes, size);
            come_in(w, &back, i);
            return;
        }
        if (v.action != NAT_MODEL_FORWARD)
            return;
        np = v.packet;
    }
    if (ttl > ROUTERS)
        put(w, ONE_WAY_US, false, &np.src, &np.dst, bytes, size);
}

static void deliver(struct world *w)
{
    for (size_t i = 0; i < w->queued;) {
        struct packet p = w->queue[i];

        if (p.at_us > w->now_us) {
            i++;
            continue;
        }
        memmove(&w->queue[i], &w->queue[i + 1], (w->queued - i - 1) * sizeof(p));
        w->queued--;
        if (p.inwards && !chance(w, w->loss_percent))
            come_in(w, &p, w->layers);
        else if (!p.inwards)
            serve(w, &p);
    }
}

/* ---- the host ---- */

static struct stun_addr open_socket(struct world *w, unsigned i)
{
    struct stun_addr local = w->host;

    w->port[i] = (uint16_t)(32768 + (dice_draw(&w->dice) >> 32) * 28000 / (UINT64_C(1) << 32));
    local.port = w->port[i];
    return local;
}

static bool sync_sockets(struct world *w)
{
    bool open, changed = false;
    unsigned i;

    while (explore_poll_socket(&w->explore, &i, &open)) {
        w->port[SURVEY_SOCKETS + i] = 0;
        if (open) {
            struct stun_addr local = open_socket(w, SURVEY_SOCKETS + i);

            explore_opened(&w->explore, w->now_us, i, &local);
        }
        changed = true;
    }
    return changed;
}

static void begin_exploring(struct world *w)
{
    struct nat_observation seen[NAT_MAX_OBSERVATIONS];
    struct explore_config config = {
        .seen = seen, .random = random_bytes, .random_context = &w->dice};

    config.seen_count = survey_observations(&w->survey, seen, NAT_MAX_OBSERVATIONS);
    explore_init(&w->explore, w->now_us, &config);
    w->exploring = true;
}

static void send_all(struct world *w)
{
    uint8_t bytes[PACKET_BYTES];
    struct stun_addr to;
    unsigned socket, ttl;
    size_t size;

    while (survey_output(&w->survey, w->now_us, &socket, &to, bytes, sizeof(bytes), &size))
        go_out(w, socket, &to, 0, bytes, size);
    if (!w->exploring && survey_done(&w->survey, w->now_us))
        begin_exploring(w);
    if (!w->exploring)
        return;
    do {
        while (
            explore_output(&w->explore, w->now_us, &socket, &to, &ttl, bytes, sizeof(bytes), &size))
            go_out(w, SURVEY_SOCKETS + socket, &to, ttl, bytes, size);
    } while (sync_sockets(w));
}

static uint64_t next_event(const struct world *w)
{
    uint64_t next = survey_next_timeout(&w->survey);

    if (w->exploring && explore_next_timeout(&w->explore) < next)
        next = explore_next_timeout(&w->explore);
    for (size_t i = 0; i < w->queued; i++)
        next = w->queue[i].at_us < next ? w->queue[i].at_us : next;
    return next;
}

static void make(struct world *w, const char *text, uint64_t seed)
{
    struct nat_stack stack;
    const char *error = "";

    memset(w, 0, sizeof(*w));
    if (!nat_config_parse(text, &stack, &error))
        fail_msg("%s: %s", text, error);
    w->dice.state = seed;
    w->addresses = 2;
    w->now_us = SECOND / 10;
    w->layers = stack.layers;
    for (uint32_t i = 0; i < stack.layers; i++) {
        struct stun_addr outside = i + 1 == stack.layers ? stun_addr_v4(203, 0, 113, 7, 0)
                                                         : stun_addr_v4(100, 64, 0, 7, 0);
        struct nat_model_random random = {dice_draw, &w->dice};

        assert_true(nat_model_init(&w->nat[i], &stack.layer[i], &outside, w->memory[i],
                                   sizeof(w->memory[i]), random));
    }
    w->host = stun_addr_v4(192, 168, 1, 2, 0);
    if (stack.layer[0].mapping == NAT_CONFIG_NONE)
        w->host = stun_addr_v4(203, 0, 113, 99, 0);
}

static void start(struct world *w)
{
    survey_init(&w->survey, w->now_us + 2 * SECOND);
    for (unsigned socket = 0; socket < SURVEY_SOCKETS; socket++) {
        struct stun_addr local = open_socket(w, socket);

        for (unsigned i = 0; i < 2 * w->addresses; i++) {
            struct survey_question q = {.socket = (uint16_t)socket, .local = local};

            q.server = server_at(i / 2, i % 2);
            assert_true(survey_ask(&w->survey, w->now_us, &q, random_bytes, &w->dice));
        }
    }
}

static void run(struct world *w, uint64_t until_us)
{
    while (w->now_us < until_us) {
        uint64_t next;

        deliver(w);
        send_all(w);
        next = next_event(w);
        assert_true(next > w->now_us);
        w->now_us = next < until_us ? next : until_us;
    }
}

static struct nat_profile learn(struct world *w, uint64_t until_us)
{
    struct nat_profile p;

    start(w);
    run(w, until_us);
    explore_profile(&w->explore, &p);
    return p;
}

/* ---- truth against measurement ---- */

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
