/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/attacker.h"

#include <stdio.h>
#include <string.h>

#include "sim/network.h"
#include "sim/world.h"

#define FIRST_US          3000000u /* all his packets come in that time after the dial */
#define FINGERPRINT_BYTES 8u

void attacker_begin(struct world *w)
{
    w->attacker.seen = 0;
    for (uint32_t i = 0; i < w->scene.attacks; i++)
        agenda_add(&w->agenda, w->scene.dial_us + world_below(w, FIRST_US), AGENDA_ATTACK, 0, 0);
}

void attacker_watch(struct world *w, const struct world_packet *p)
{
    struct attacker_captured *c;

    /* What the bounce servers get is nobody's secret, and their answers prove nothing. */
    if (w->scene.attacks == 0 || p->who > WORLD_CALLEE ||
        stun_addr_same_ip(&p->head.dst, &w->scene.bounce[0]) ||
        stun_addr_same_ip(&p->head.dst, &w->scene.bounce[2]))
        return;
    c = &w->attacker.captured[w->attacker.seen++ % ATTACKER_CAPTURED];
    c->src = p->head.src;
    c->dst = p->head.dst;
    c->who = p->who;
    c->size = p->size;
    c->sent_us = p->sent_us;
    memcpy(c->bytes, p->bytes, p->size);
}

static const struct attacker_captured *any_captured(struct world *w)
{
    uint32_t count = w->attacker.seen < ATTACKER_CAPTURED ? w->attacker.seen : ATTACKER_CAPTURED;

    return count == 0 ? NULL : &w->attacker.captured[world_below(w, count)];
}

static struct stun_addr anywhere(struct world *w)
{
    return stun_addr_v4(8, 8, (uint8_t)world_below(w, 4), (uint8_t)(1 + world_below(w, 3)),
                        (uint16_t)(1024 + world_below(w, 64000)));
}

static void rubbish(struct world *w, uint8_t *bytes, uint16_t *size, bool as_stun)
{
    *size = (uint16_t)(1 + world_below(w, PUNCH_MAX_PACKET_BYTES));
    peer_random(&w->dice, bytes, *size);
    if (!as_stun)
        return;
    *size = (uint16_t)(*size < STUN_HEADER_BYTES ? STUN_HEADER_BYTES : *size & ~3u);
    bytes[0] = (uint8_t)world_below(w, 2);
    bytes[1] = (uint8_t)(1 + world_below(w, 2) * 16);
    bytes[2] = 0;
    bytes[3] = (uint8_t)(*size - STUN_HEADER_BYTES);
    memcpy(bytes + 4, (const uint8_t[]){0x21, 0x12, 0xa4, 0x42}, 4);
}

static uint16_t wrong_check(struct world *w, uint8_t *bytes, uint32_t victim)
{
    static const char guess[] = "password";
    char ufrag[SCENE_HOSTS][DIAL_CREDENTIAL_BYTES], password[DIAL_CREDENTIAL_BYTES];
    char username[2 * DIAL_CREDENTIAL_BYTES];
    uint8_t transaction[STUN_TRANSACTION_BYTES];
    struct stun_builder b;

    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        dial_credentials(w->scene.seed, h, ufrag[h], password);
    snprintf(username, sizeof(username), "%s:%s", ufrag[victim], ufrag[1 - victim]);
    peer_random(&w->dice, transaction, sizeof(transaction));
    stun_begin(&b, bytes, PUNCH_MAX_PACKET_BYTES, STUN_BINDING_REQUEST, transaction);
    stun_add_bytes(&b, STUN_USERNAME, username, strlen(username));
    stun_add_u32(&b, STUN_PRIORITY, 1);
    stun_add_u64(&b, world_below(w, 2) ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED,
                 dice_next(&w->dice));
    if (world_below(w, 2) != 0)
        stun_add_flag(&b, STUN_USE_CANDIDATE);
    stun_add_integrity(&b, (const uint8_t *)guess, sizeof(guess) - 1);
    stun_add_fingerprint(&b);
    return (uint16_t)stun_finish(&b);
}

static uint16_t wrong_answer(const struct attacker_captured *c, uint8_t *bytes, bool error)
{
    static const char guess[] = "password";
    struct stun_builder b;

    stun_begin(&b, bytes, PUNCH_MAX_PACKET_BYTES, error ? STUN_BINDING_ERROR : STUN_BINDING_SUCCESS,
               c->bytes + STUN_HEADER_BYTES - STUN_TRANSACTION_BYTES);
    if (error) {
        stun_add_error(&b, STUN_ERROR_ROLE_CONFLICT, "Role Conflict");
    } else {
        stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &c->src);
        stun_add_integrity(&b, (const uint8_t *)guess, sizeof(guess) - 1);
    }
    stun_add_fingerprint(&b);
    return (uint16_t)stun_finish(&b);
}

static struct stun_addr some_source(struct world *w, const struct attacker_captured *c)
{
    uint64_t which = world_below(w, 8);

    return which < 5    ? anywhere(w)
           : which == 5 ? w->scene.bounce[world_below(w, SCENE_BOUNCE)]
           : which == 6 ? c->dst
                        : c->src;
}

void attacker_act(struct world *w)
{
    const struct attacker_captured *c = any_captured(w);
    uint8_t bytes[PUNCH_MAX_PACKET_BYTES];
    struct network_datagram d = {.who = WORLD_ATTACKER, .bytes = bytes};

    if (c == NULL)
        return;
    d.kind = (uint8_t)world_below(w, ATTACKER_KINDS);
    d.src = some_source(w, c);
    d.dst = c->dst;
    d.size = c->size;
    d.sent_us = c->sent_us;
    memcpy(bytes, c->bytes, c->size);
    if (d.kind == ATTACKER_REPLAY && stun_addr_equal(&d.src, &c->src))
        d.kind = ATTACKER_REPLAY_SOURCE;
    switch ((enum attacker_kind)d.kind) {
    case ATTACKER_RUBBISH:
    case ATTACKER_RUBBISH_STUN:
        rubbish(w, bytes, &d.size, d.kind == ATTACKER_RUBBISH_STUN);
        break;
    case ATTACKER_WRONG_KEY:
        d.size = wrong_check(w, bytes, 1 - c->who);
        break;
    case ATTACKER_REPLAY_SOURCE:
        d.src = c->src;
        break;
    case ATTACKER_REFLECT:
        d.dst = c->src;
        d.src = world_below(w, 2) ? c->dst : d.src;
        break;
    case ATTACKER_FLIPPED: /* integrity does not cover the fingerprint behind it */
        bytes[world_below(w, c->size - FINGERPRINT_BYTES)] ^= (uint8_t)(1u << world_below(w, 8));
        break;
    case ATTACKER_WRONG_ANSWER:
    case ATTACKER_WRONG_ERROR:
        d.src = c->dst;
        d.dst = c->src;
        d.size = wrong_answer(c, bytes, d.kind == ATTACKER_WRONG_ERROR);
        break;
    default:
        break;
    }
    network_inject(w, &d);
}

const char *attacker_kind_text(enum attacker_kind kind)
{
    static const char *const text[ATTACKER_KINDS] = {"rubbish",
                                                     "rubbish",
                                                     "wrong key",
                                                     "replayed from elsewhere",
                                                     "replayed",
                                                     "reflected",
                                                     "changed bit",
                                                     "answer with a wrong key",
                                                     "error without integrity"};

    return text[kind];
}
