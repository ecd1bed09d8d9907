/* SPDX-License-Identifier: BSD-2-Clause */
/* One run: two peers with real engines, their NATs, servers, an attacker, in virtual time.
 *
 *     peer.c --> network.c --> NAT --> network.c --> NAT --> network.c --> peer.c
 *       |  what it sent            |                                         |
 *       +--> rules.c <-------------+--------------- what came out of it -----+
 *
 * The rules look at every packet and every event; what breaks one is the world's fault. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdlib.h>

#include "lab/nat_model.h"
#include "sim/agenda.h"
#include "sim/attacker.h"
#include "sim/mediator.h"
#include "sim/network.h"
#include "sim/peer.h"
#include "sim/rules.h"
#include "sim/scene.h"
#include "sim/trouble.h"

#define WORLD_PACKETS      4096
#define WORLD_PACKET_BYTES PUNCH_MAX_PACKET_BYTES
#define WORLD_NAT_SESSIONS 2048
#define WORLD_FAULT_BYTES  200
#define WORLD_DEFAULT_TTL  64

/* Who has sent a packet. */
enum world_who { WORLD_CALLER, WORLD_CALLEE, WORLD_SERVER, WORLD_ATTACKER };

/* Where a packet comes in: hosts by number, NATs behind them, and the rest. */
enum world_gate {
    WORLD_GATE_NAT_OUTSIDE = 8,
    WORLD_GATE_NAT_INSIDE = 16,
    WORLD_GATE_SERVERS = 24,
    WORLD_GATE_NOBODY = 25
};

struct world_packet {
    struct nat_model_packet head;
    uint16_t size;
    uint8_t who;  /* enum world_who: who has sent these bytes at this moment */
    uint8_t kind; /* enum attacker_kind, if the attacker has */
    uint32_t network;
    uint32_t gate;
    uint64_t sent_us; /* of a copy: when the original was */
    uint8_t bytes[WORLD_PACKET_BYTES];
};

struct world_nat {
    struct nat_model model;
    uint64_t disturbed_us; /* when its state was last lost; 0: never */
};

struct world {
    struct scene scene;
    uint64_t now_us;
    struct dice dice; /* of the network: delays, losses */
    struct dice nat_dice[SCENE_NATS];
    struct agenda agenda;
    struct world_nat nat[SCENE_NATS];
    void *nat_memory[SCENE_NATS];
    size_t nat_memory_bytes;
    struct peer peer[SCENE_HOSTS];
    struct mediator mediator;
    struct attacker attacker;
    struct rules rules;
    struct trouble trouble;
    struct world_packet packet[WORLD_PACKETS];
    uint32_t free_packet[WORLD_PACKETS];
    uint32_t free_packets;

    bool tracing;
    uint64_t hash; /* of everything that happened */
    uint64_t steps;
    char fault[WORLD_FAULT_BYTES]; /* the first rule that was broken; "" if none */
    uint64_t fault_us;
};

/* Memory for any number of runs, one after the other. NULL: out of memory. */
struct world *world_new(void);
void world_free(struct world *w);
/* Everything as the seed has it, before anything happens. */
void world_begin(struct world *w, uint64_t seed);
/* Until the dial has ended and been talked over, or a rule was broken. */
void world_run(struct world *w);

/* 0..limit-1, from the network's own dice. */
uint64_t world_below(struct world *w, uint64_t limit);
bool world_chance_ppm(struct world *w, uint32_t ppm);
/* A rule was broken. Only the first one counts. */
void world_fault(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
