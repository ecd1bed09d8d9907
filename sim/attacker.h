/* SPDX-License-Identifier: BSD-2-Clause */
/* Somebody on the Internet who sees what passes and sends what he likes, from any address. He
 * cannot stop packets and is never faster than what he copies. */
#ifndef SIM_ATTACKER_H
#define SIM_ATTACKER_H

#include <stdint.h>

#include "punch/punch.h"

#define ATTACKER_CAPTURED 32

struct world;
struct world_packet;

enum attacker_kind {
    ATTACKER_RUBBISH,       /* random bytes */
    ATTACKER_RUBBISH_STUN,  /* the same behind a header of STUN */
    ATTACKER_WRONG_KEY,     /* a check with the right names and a guessed password */
    ATTACKER_REPLAY,        /* of a packet to the same receiver, from elsewhere */
    ATTACKER_REPLAY_SOURCE, /* the same from the same source */
    ATTACKER_REFLECT,       /* to whom it came from */
    ATTACKER_FLIPPED,       /* a copy with a changed bit */
    ATTACKER_WRONG_ANSWER,  /* to a check that he has seen, with a guessed password */
    ATTACKER_WRONG_ERROR,   /* 487 to a check that he has seen, without integrity */
    ATTACKER_KINDS
};

struct attacker_captured {
    struct stun_addr src, dst; /* as on the Internet */
    uint8_t who;
    uint16_t size;
    uint64_t sent_us;
    uint8_t bytes[PUNCH_MAX_PACKET_BYTES];
};

struct attacker {
    struct attacker_captured captured[ATTACKER_CAPTURED];
    uint32_t seen;
};

void attacker_begin(struct world *w);
/* A packet passes on the Internet. */
void attacker_watch(struct world *w, const struct world_packet *p);
void attacker_act(struct world *w);
const char *attacker_kind_text(enum attacker_kind kind);

#endif
