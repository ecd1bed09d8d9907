/* SPDX-License-Identifier: BSD-2-Clause */
/* What a seed stands for: who is where, behind what, and what goes wrong. Pure. */
#ifndef SIM_SCENE_H
#define SIM_SCENE_H

#include "lab/dice.h"
#include "lab/nat_config.h"
#include "stun/addr.h"

#define SCENE_HOSTS    2
#define SCENE_NATS     4
#define SCENE_NETWORKS (SCENE_NATS + 1)
#define SCENE_INTERNET 0 /* network n + 1 is the inside of NAT n */
#define SCENE_BOUNCE   4
#define SCENE_LIES     6
#define SCENE_NO_NAT   UINT32_MAX

/* What happens to a link that is made. */
enum scene_trouble { SCENE_NO_TROUBLE, SCENE_REBOOT, SCENE_MOVE, SCENE_BLACKOUT, SCENE_TROUBLES };

enum scene_shape { SCENE_APART, SCENE_SAME_LAN, SCENE_SAME_CGN };

/* What the NATs before a host mean for whoever wants to reach it, worst layer. */
enum scene_class {
    SCENE_OPEN,       /* no NAT, or one that drops nothing */
    SCENE_CONE,       /* one public port for all remotes */
    SCENE_SEQUENTIAL, /* another for each, in steps */
    SCENE_BLOCK,      /* another for each, out of a block */
    SCENE_RANDOM,     /* another for each, any */
    SCENE_BLOCKED,    /* no UDP */
    SCENE_CLASSES
};

struct scene_nat {
    struct nat_config config;
    uint32_t parent; /* network outside of it */
    struct stun_addr public_ip;
    struct stun_addr lan; /* port 0; the /24 inside; none if it does not translate */
    uint64_t delay_us;    /* one way, to the middle of the parent */
    uint8_t hops;         /* routers on that way */
};

struct scene_host {
    uint32_t network;
    enum scene_class kind;
    struct stun_addr ip;    /* port 0 */
    struct stun_addr outer; /* of its home, in a provider's network, if it knows it; or none */
    uint64_t delay_us;
    uint8_t hops;
    uint8_t opener_ttl;    /* as measured; 0: unknown */
    uint64_t mediator_us;  /* one way */
    uint64_t clock_us;     /* what its clock shows when the world begins */
    uint64_t late_us;      /* it wakes up so long after its timers */
    uint64_t coord_us;     /* so much longer its coordinates take */
    uint32_t refused_ppm;  /* sends that its system refuses */
    bool no_sockets;       /* it can't open another one */
    bool learns;           /* explores its NAT in the background */
    bool hears_every_link; /* its driver tells the engine of link packets on any pair */
    uint32_t lies;         /* addresses of strangers that it publishes */
    struct stun_addr lie[SCENE_LIES];
    uint64_t jump_at_us, jump_us; /* its clock leaps; 0: never */
};

struct scene {
    uint64_t seed;
    enum scene_shape shape;
    uint32_t nats;
    struct scene_nat nat[SCENE_NATS];
    struct scene_host host[SCENE_HOSTS];
    struct stun_addr bounce[SCENE_BOUNCE];
    uint64_t bounce_us;   /* one way, to the middle of the Internet */
    uint32_t bounce_down; /* bit for each */
    uint64_t core_us;
    uint8_t core_hops;
    uint64_t jitter_us;
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm;
    uint32_t note_loss_ppm;
    uint64_t note_delay_us; /* at most, on top */
    uint64_t dial_us;
    uint32_t attacks;
    uint32_t reboot_nat; /* or SCENE_NO_NAT */
    uint64_t reboot_us;
    uint64_t talk_us;     /* how long link packets flow after both have a path */
    uint64_t talk_gap_us; /* between them */
    bool relay;           /* the mediator carries link packets */
    enum scene_trouble trouble;
    uint32_t trouble_host;
    uint64_t trouble_after_us; /* both have a path */
    uint64_t trouble_long_us;  /* the blackout */
    bool calm;                 /* nothing goes wrong: no loss, no attack, no accident */
};

void scene_make(struct scene *s, uint64_t seed);

/* Calm, and no NAT that has a small session table, several addresses, or a fear of floods. */
bool scene_is_ordinary(const struct scene *s);
/* Whether a host may show several public addresses. */
bool scene_has_pool(const struct scene *s);
/* False: behind one CGN that does not hairpin, and the hosts don't know their homes' addresses. */
bool scene_has_way(const struct scene *s);
const char *scene_class_text(enum scene_class kind);
const char *scene_trouble_text(enum scene_trouble trouble);
const char *scene_shape_text(enum scene_shape shape);
/* The layers between a host and the Internet, from the host on; returns how many. */
uint32_t scene_layers(const struct scene *s, uint32_t host, uint32_t nat[static SCENE_NATS]);
/* Prints it for people. */
void scene_print(const struct scene *s);

#endif
