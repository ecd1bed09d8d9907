/* SPDX-License-Identifier: BSD-2-Clause */
/* One engine, and a peer whose messages are made by hand. Included by one test file at a time,
 * after cmocka.h; what it holds is that file's own. */
#ifndef HAND_PEER_H
#define HAND_PEER_H

#include <string.h>

#include "net_sim.h"
#include "punch/punch.h"

#define MS             1000u
#define SECOND         1000000u
#define THEIR_PASSWORD "their-password-their-pass"

static _Alignas(max_align_t) uint8_t memory[NET_ENGINE_BYTES];
static struct punch *p;
static struct punch_budget *host_budget; /* of the engines that start makes; NULL: none */
static uint64_t seed, now;
static struct punch_out out;
static uint8_t sent[PUNCH_MAX_PACKET_BYTES];
static struct stun_message sent_msg;

static inline struct punch_pair from(uint8_t host, uint16_t port)
{
    return (struct punch_pair){0, stun_addr_v4(198, 51, 100, host, port)};
}

static inline void start(bool caller, bool credentials)
{
    struct punch_config config = {
        .caller = caller,
        .local_ufrag = "usus",
        .local_password = "our-password-our-password",
        .remote_ufrag = credentials ? "them" : NULL,
        .remote_password = credentials ? "their-password-their-pass" : NULL,
        .profile = {.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT, .endpoints_seen = 4},
        .budget = host_budget,
        .random = net_random_bytes,
        .random_context = &seed,
    };
    struct stun_addr local = stun_addr_v4(192, 168, 1, 5, 40000);

    now = 0;
    p = punch_init(memory, &config, now);
    assert_non_null(p);
    punch_add_socket(p, now, 0, &local);
}

static inline void add(uint8_t host, uint16_t port, bool attested)
{
    struct punch_pair pair = from(host, port);

    punch_add_remote(p, now, PUNCH_SERVER_REFLEXIVE, &pair.remote, attested);
}

/* The next packet of that type, others are dropped; false: none now. */
static inline bool next(uint16_t type)
{
    while (punch_output(p, now, &out, sent)) {
        assert_int_equal(stun_parse(sent, out.size, &sent_msg), STUN_OK);
        if (sent_msg.type == type)
            return true;
    }
    return false;
}

static inline unsigned drain(uint16_t type)
{
    unsigned count = 0;

    while (next(type))
        count++;
    return count;
}

static inline bool event(enum punch_event_kind kind, struct punch_event *e)
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
    uint16_t extra;   /* an attribute */
    bool no_priority; /* 0 */
    uint8_t id;       /* transaction; 0: a new one */
};

static inline bool input_request(struct punch_pair pair, struct request r)
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
    stun_add_u32(&b, STUN_PRIORITY, r.no_priority ? 0 : 1 << 24);
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
static inline bool input_answer(struct punch_pair pair, uint16_t error, const char *password)
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

#endif
