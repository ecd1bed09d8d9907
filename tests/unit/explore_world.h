/* SPDX-License-Identifier: BSD-2-Clause */
/* A host that surveys and explores, NATs of the lab's model, routers and a server, in virtual time.
 */
#ifndef TESTS_EXPLORE_WORLD_H
#define TESTS_EXPLORE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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

static inline void random_bytes(void *context, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(dice_draw(context) >> 32);
}

static inline bool chance(struct world *w, unsigned percent)
{
    return (dice_draw(&w->dice) >> 32) * 100 >> 32 < percent;
}

static inline void put(struct world *w, uint64_t delay_us, bool inwards,
                       const struct stun_addr *src, const struct stun_addr *dst,
                       const uint8_t *bytes, size_t size)
{
    struct packet *p = &w->queue[w->queued++];

    assert_true(w->queued <= QUEUE && size <= PACKET_BYTES);
    *p = (struct packet){
        .at_us = w->now_us + delay_us, .inwards = inwards, .src = *src, .dst = *dst, .size = size};
    memcpy(p->bytes, bytes, size);
}

/* ---- the server ---- */

static inline struct stun_addr server_at(unsigned address, unsigned port)
{
    return stun_addr_v4(192, 0, 2, (uint8_t)(1 + address), (uint16_t)(3478 + port));
}

static inline bool may_test(struct world *w)
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
static inline void serve(struct world *w, const struct packet *p)
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

static inline void arrive(struct world *w, struct packet *p)
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

static inline void come_in(struct world *w, struct packet *p, uint32_t layer)
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

static inline void go_out(struct world *w, unsigned socket, const struct stun_addr *to,
                          unsigned ttl, const uint8_t *bytes, size_t size)
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

static inline void deliver(struct world *w)
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

static inline struct stun_addr open_socket(struct world *w, unsigned i)
{
    struct stun_addr local = w->host;

    w->port[i] = (uint16_t)(32768 + (dice_draw(&w->dice) >> 32) * 28000 / (UINT64_C(1) << 32));
    local.port = w->port[i];
    return local;
}

static inline bool sync_sockets(struct world *w)
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

static inline void begin_exploring(struct world *w)
{
    struct nat_observation seen[NAT_MAX_OBSERVATIONS];
    struct explore_config config = {
        .seen = seen, .random = random_bytes, .random_context = &w->dice};

    config.seen_count = survey_observations(&w->survey, seen, NAT_MAX_OBSERVATIONS);
    explore_init(&w->explore, w->now_us, &config);
    w->exploring = true;
}

static inline void send_all(struct world *w)
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

static inline uint64_t next_event(const struct world *w)
{
    uint64_t next = survey_next_timeout(&w->survey);

    if (w->exploring && explore_next_timeout(&w->explore) < next)
        next = explore_next_timeout(&w->explore);
    for (size_t i = 0; i < w->queued; i++)
        next = w->queue[i].at_us < next ? w->queue[i].at_us : next;
    return next;
}

static inline void make(struct world *w, const char *text, uint64_t seed)
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

static inline void start(struct world *w)
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

static inline void run(struct world *w, uint64_t until_us)
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

static inline struct nat_profile learn(struct world *w, uint64_t until_us)
{
    struct nat_profile p;

    start(w);
    run(w, until_us);
    explore_profile(&w->explore, &p);
    return p;
}

#endif
