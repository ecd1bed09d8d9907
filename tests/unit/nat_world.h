/* SPDX-License-Identifier: BSD-2-Clause */
/* A NAT of the model with addresses to send between, for its tests. */
#ifndef TESTS_NAT_WORLD_H
#define TESTS_NAT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lab/dice.h"
#include "lab/nat_model.h"

#define NAT_WORLD_SESSIONS 4096
#define SECOND             1000000u

struct nat_world {
    struct nat_model nat;
    struct dice dice;
    uint64_t now_us;
    uint64_t memory[NAT_WORLD_SESSIONS * 24];
};

/* Layer of a text; public address 203.0.113.7. */
static inline void nat_world_make(struct nat_world *w, const char *text, uint64_t seed)
{
    struct nat_stack stack;
    const char *error = "";
    if (!nat_config_parse(text, &stack, &error))
        fail_msg("%s: %s", text, error);
    w->dice.state = seed;
    w->now_us = 1000;
    struct stun_addr public_ip = stun_addr_v4(203, 0, 113, 7, 0);
    struct nat_model_random random = {dice_draw, &w->dice};
    assert_true(
        nat_model_init(&w->nat, &stack.layer[0], &public_ip, w->memory, sizeof(w->memory), random));
}

static inline struct stun_addr host_at(uint8_t number, uint16_t port)
{
    return stun_addr_v4(192, 168, 1, number, port);
}

static inline struct stun_addr remote_at(uint8_t number, uint16_t port)
{
    return stun_addr_v4(198, 51, 100, number, port);
}

static inline struct nat_model_verdict nat_world_out(struct nat_world *w, struct stun_addr src,
                                                     struct stun_addr dst)
{
    struct nat_model_packet p = {src, dst, NAT_MODEL_UDP, 64};
    return nat_model_outbound(&w->nat, w->now_us, &p);
}

static inline struct nat_model_verdict nat_world_in(struct nat_world *w, struct stun_addr src,
                                                    struct stun_addr dst)
{
    struct nat_model_packet p = {src, dst, NAT_MODEL_UDP, 64};
    return nat_model_inbound(&w->nat, w->now_us, &p);
}

/* The public address that a packet gets, which must pass. */
static inline struct stun_addr mapped(struct nat_world *w, struct stun_addr src,
                                      struct stun_addr dst)
{
    struct nat_model_verdict v = nat_world_out(w, src, dst);
    assert_int_equal(v.action, NAT_MODEL_FORWARD);
    assert_true(stun_addr_equal(&v.packet.dst, &dst));
    return v.packet.src;
}

static inline bool gets_in(struct nat_world *w, struct stun_addr src, struct stun_addr dst)
{
    return nat_world_in(w, src, dst).action == NAT_MODEL_FORWARD;
}

#endif
