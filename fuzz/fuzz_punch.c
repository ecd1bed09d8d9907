/* SPDX-License-Identifier: BSD-2-Clause */
/* Anything that can happen to an engine, in any order: messages with and without integrity, notes,
 * addresses, sockets, errors, clock jumps. It must neither crash nor keep the timer busy. */
#include <stdlib.h>
#include <string.h>

#include "punch/punch.h"

#define OURS   "our-password-our-password"
#define THEIRS "their-password-their-pass"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

static uint8_t byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

static uint16_t word(struct input *in)
{
    uint16_t high = byte(in);

    return (uint16_t)(high << 8 | byte(in));
}

static unsigned socket_index(struct input *in)
{
    uint8_t value = byte(in);

    return value < 200 ? value % 5 : value - 190u;
}

static void counting(void *context, uint8_t *out, size_t bytes)
{
    uint32_t *count = context;

    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)((*count)++ * 167u >> 3);
    (*count)++;
}

static struct stun_addr address(struct input *in)
{
    uint8_t kind = byte(in);
    static const uint8_t v6[16] = {0x20, 1, 0x0d, 0xb8};

    if (kind % 8 == 0)
        return stun_addr_from_ip(v6, 16, word(in));
    if (kind % 8 == 1)
        return stun_addr_v4(192, 168, 1, kind / 8, word(in));
    return stun_addr_v4(198, 51, 100, kind / 64, (uint16_t)(1000 + byte(in) % 4));
}

static size_t message(struct input *in, const uint8_t *last, uint8_t *buffer, size_t capacity)
{
    uint8_t shape = byte(in), id[STUN_TRANSACTION_BYTES] = {0};
    struct stun_addr mapped = stun_addr_v4(203, 0, 113, 9, 9);
    struct stun_builder b;

    memcpy(id, last, sizeof(id));
    if (shape & 1) {
        stun_begin(&b, buffer, capacity, STUN_BINDING_REQUEST, id);
        b.buffer[8] = byte(in);
        stun_add_bytes(&b, STUN_USERNAME, "usus:them", 9);
        if (shape & 2)
            stun_add_u64(&b, shape & 4 ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED, word(in));
        if (shape & 8)
            stun_add_flag(&b, STUN_USE_CANDIDATE);
        if (shape & 16)
            stun_add_u32(&b, STUN_PRIORITY, byte(in));
        if (shape & 32)
            stun_add_bytes(&b, word(in), in->at, in->left < 8 ? in->left : 8);
        stun_add_integrity(&b, (const uint8_t *)OURS, strlen(OURS));
    } else {
        stun_begin(&b, buffer, capacity, shape & 2 ? STUN_BINDING_ERROR : STUN_BINDING_SUCCESS, id);
        if (shape & 2)
            stun_add_error(&b, shape & 4 ? 487 : 400, "");
        else if ((shape & 8) == 0)
            stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &mapped);
        stun_add_integrity(&b, (const uint8_t *)THEIRS, strlen(THEIRS));
    }
    if (shape & 64)
        stun_add_fingerprint(&b);
    return stun_finish(&b);
}

static void note(struct input *in, struct punch *p, uint64_t now)
{
    struct punch_note n = {.kind = (enum punch_note_kind)(1 + byte(in) % 4)};

    n.samples.public_addr = address(in);
    n.samples.count = byte(in);
    for (size_t i = 0; i < NAT_MAX_SAMPLES; i++)
        n.samples.ports[i] = word(in);
    n.profile.mapping = (enum nat_mapping)(byte(in) % 5);
    n.profile.allocation = (enum nat_allocation)(byte(in) % 5);
    n.profile.filtering = (enum nat_filtering)(byte(in) % 4);
    n.profile.early = (enum nat_early)(byte(in) % 3);
    n.profile.block_ports = word(in);
    n.profile.block_first = word(in);
    n.profile.foreign_per_1000_s = word(in) * 1000u;
    n.plan.target = address(in);
    n.plan.port_count = byte(in);
    n.plan.fresh_socket = byte(in) & 1;
    n.plan.start_after_us = word(in) * 1000u;
    n.plan.technique = (enum punch_technique)(byte(in) % 10);
    n.plan.loud = byte(in) & 1;
    if (byte(in) & 1) {
        n.plan.port_count = n.plan.port_count % 3;
        n.plan.sockets = word(in) % 600;
    } else if (byte(in) & 1) {
        n.plan.probes = word(in) % 600;
        n.plan.range_first = word(in);
        n.plan.range_ports = word(in) * 2u;
    }
    n.age_us = word(in) * 1000u;
    for (size_t i = 0; i < NAT_MAX_PREDICTED; i++)
        n.plan.ports[i] = (uint16_t)(word(in) | i);
    punch_note_input(p, now, &n);
}

/* True if the driver has given the engine something that it may act on. */
static bool follow(struct input *in, struct punch *p, uint64_t now)
{
    struct stun_addr local = stun_addr_v4(192, 168, 1, 1, 1);
    struct punch_event event;
    bool any = false;

    while (punch_poll_event(p, &event)) {
        any = true;
        for (unsigned i = 0; event.kind == PUNCH_EVENT_WANT_SOCKET && i < event.socket_count; i++) {
            local.port = (uint16_t)(5000 + event.socket + i);
            if (byte(in) % 4 != 3)
                punch_add_socket(p, now, event.socket + i, &local);
        }
    }
    return any;
}

static struct nat_profile profile(uint8_t value)
{
    struct nat_profile n = {.mapping = (enum nat_mapping)(value % 5),
                            .allocation = (enum nat_allocation)(value / 5 % 5),
                            .lifetime_s = value};

    return n;
}

/* Who may carry link packets, and what they tell. */
static void link_packets(struct input *in, struct punch *p, uint64_t now)
{
    struct punch_pair routes[PUNCH_MAX_ROUTES], pair = {.socket = PUNCH_RELAY};
    uint8_t what = byte(in);
    size_t count;

    if (what & 1) {
        bool has = punch_has_route(p, now);

        count = punch_routes(p, now, routes);
        if (count > PUNCH_MAX_ROUTES || (!has && count > 0))
            abort();
    }
    if (what & 2)
        punch_sent_link(p, now);
    if ((what & 4) == 0) {
        pair.socket = socket_index(in);
        pair.remote = address(in);
    }
    punch_heard_link(p, now, &pair);
}

/* What changes in the life of a link. */
static void change(struct input *in, struct punch *p, uint64_t now)
{
    struct nat_profile ours;

    switch (byte(in) % 5) {
    case 0:
        punch_set_relay(p, now, true);
        break;
    case 1:
        punch_set_relay(p, now, false);
        break;
    case 2:
        punch_again(p, now);
        break;
    case 3:
        punch_new_candidates(p, now);
        break;
    default:
        ours = profile(byte(in));
        punch_set_profile(p, now, &ours);
        break;
    }
}

static void drain(struct input *in, struct punch *p, uint64_t now, uint8_t *transaction,
                  struct punch_pair *last)
{
    uint8_t buffer[PUNCH_MAX_PACKET_BYTES];
    struct punch_out out;
    unsigned count = 0;

    do {
        while (punch_output(p, now, &out, buffer)) {
            if (++count > 4000 || out.size > sizeof(buffer))
                abort();
            if (buffer[1] == 1 && buffer[0] == 0) {
                memcpy(transaction, buffer + 8, STUN_TRANSACTION_BYTES);
                *last = out.pair;
            }
            punch_sent(p, now, &out, byte(in) == 7 ? 1 : 0);
        }
    } while (follow(in, p, now));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t setup = byte(&in), transaction[STUN_TRANSACTION_BYTES] = {0}, buffer[512];
    struct punch_budget budget = {0};
    uint32_t count = setup;
    struct punch_config config = {
        .caller = setup & 1,
        .local_ufrag = "usus",
        .local_password = OURS,
        .remote_ufrag = setup & 2 ? NULL : "them",
        .remote_password = THEIRS,
        .profile = {.mapping = (enum nat_mapping)(setup / 4 % 5),
                    .allocation = (enum nat_allocation)(setup / 20 % 5),
                    .public_addr = stun_addr_v4(203, 0, 113, 9, 9)},
        .bounce = {stun_addr_v4(203, 0, 113, 1, 3478), stun_addr_v4(203, 0, 113, 2, 3478)},
        .bounce_count = 2,
        .budget = &budget,
        .random = counting,
        .random_context = &count,
    };
    uint64_t now = byte(&in), highest = now;
    void *memory = malloc(punch_size());
    struct punch *p = punch_init(memory, &config, now);
    struct punch_pair pair, last = {0};
    struct stun_addr addr;
    size_t bytes;

    while (p != NULL && in.left > 0) {
        switch (byte(&in) % 17) {
        case 0:
            addr = address(&in);
            punch_add_socket(p, now, socket_index(&in), &addr);
            break;
        case 1:
            punch_remove_socket(p, now, socket_index(&in));
            break;
        case 2:
        case 3:
            addr = address(&in);
            punch_add_remote(p, now, (enum punch_kind)(byte(&in) % 7), &addr, byte(&in) & 1);
            break;
        case 4:
            punch_start(p, now, now + byte(&in) * 1000u);
            break;
        case 5:
        case 6:
        case 7:
            pair.socket = socket_index(&in);
            pair.remote = address(&in);
            bytes = message(&in, transaction, buffer, sizeof(buffer));
            punch_input(p, now, &pair, buffer, bytes);
            break;
        case 8:
            bytes = message(&in, transaction, buffer, sizeof(buffer));
            punch_input(p, now, &last, buffer, bytes);
            break;
        case 9:
            bytes = in.left < 64 ? in.left : 64;
            punch_input(p, now, &last, in.at, bytes);
            break;
        case 10:
            note(&in, p, now);
            break;
        case 11:
            link_packets(&in, p, now);
            break;
        case 12:
            punch_set_remote_credentials(p, now, "them", THEIRS);
            break;
        case 15:
            change(&in, p, now);
            break;
        case 13:
            now += word(&in) * 1000u;
            break;
        case 14:
            now = byte(&in) < 250 ? now + byte(&in) * 1000u : now / 2;
            break;
        default:
            if (punch_next_timeout(p) != UINT64_MAX)
                now = punch_next_timeout(p);
            break;
        }
        if (now > highest)
            highest = now;
        punch_handle_timeout(p, now);
        drain(&in, p, now, transaction, &last);
        if (punch_next_timeout(p) <= highest)
            abort();
    }
    free(memory);
    return 0;
}
