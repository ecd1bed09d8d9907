/* SPDX-License-Identifier: BSD-2-Clause */
/* Some questions to bounce servers that are asked together, and again in rounds until all have been
 * answered or their silence means something. Same rules as punch.h: no clock, no socket, no
 * allocation.
 *
 * A lost answer must not be read as a filtered one. Where silence is a result, each round ends with
 * a control: a question with an empty CHANGE-REQUEST over the same way, whose answer tells that the
 * way carries, and by RESPONSE-ORIGIN that the server still answers behaviour tests. Silence counts
 * once chance could explain it, given the losses among the controls, in less than one case of a
 * thousand. */
#ifndef PUNCH_EXPLORE_ROUND_H
#define PUNCH_EXPLORE_ROUND_H

#include "stun/stun.h"

#define EXPLORE_MAX_ASKS 12

struct explore_ask {
    uint8_t socket, hears;      /* which sends it, and which gets the answer */
    bool is_opener;             /* nothing answers; sent until ask `serves` has its answer */
    bool is_indication;         /* it is itself what arrives, from wherever */
    bool is_sample;             /* a new mapping: an observation for the profile */
    uint8_t serves;             /* index */
    uint8_t ttl;                /* 0: the default */
    uint32_t change;            /* STUN_CHANGE_* */
    uint16_t response_port;     /* 0: none */
    struct stun_addr to, from;  /* from: who answers */
    struct stun_addr mapped;    /* once answered */
    uint64_t first_us, last_us; /* sent; first_us 0: not yet */
    uint8_t transaction[STUN_TRANSACTION_BYTES];
    bool answered, due;
};

struct explore_round {
    struct explore_ask asks[EXPLORE_MAX_ASKS];
    size_t count;
    bool tests; /* silence is a result: controlled by */
    struct explore_ask control;
    bool control_told_origin;
    unsigned rounds, limited, controls, controls_lost;
    bool pausing;     /* until the server is willing again */
    bool refused;     /* the server cannot do what a test asks for */
    uint64_t ends_us; /* of this round; 0: not begun */
    uint64_t rtt_us;  /* the least that was seen, 0: not known; kept by round_clear */
    bool over;
    void (*random)(void *context, uint8_t *bytes, size_t count);
    void *random_context;
};

/* Forgets the questions; rtt_us and the random source stay. */
void round_clear(struct explore_round *r);
/* The new question, to be changed at will until the round begins: from `to` by default, heard by
 * the sender. There is room for EXPLORE_MAX_ASKS. */
struct explore_ask *round_add(struct explore_round *r, unsigned socket, const struct stun_addr *to);
/* Turns the round into one of tests. */
void round_control(struct explore_round *r, unsigned socket, const struct stun_addr *to);

bool round_input(struct explore_round *r, uint64_t now_us, unsigned socket,
                 const struct stun_addr *from, const struct stun_message *msg);
bool round_output(struct explore_round *r, uint64_t now_us, unsigned *socket, struct stun_addr *to,
                  unsigned *ttl, uint8_t *buffer, size_t capacity, size_t *size);
/* True once it is over: everything answered, or no more rounds. Begins the next one if need be. */
bool round_advance(struct explore_round *r, uint64_t now_us);
uint64_t round_next_timeout(const struct explore_round *r);
/* Whether the silence of those that were not answered counts. */
bool round_convinced(const struct explore_round *r);

#endif
