/* SPDX-License-Identifier: BSD-2-Clause */
/* A host with the real engine: what src/peer does, in virtual time. Before the dial it learns its
 * profile (warm.c, learn.c); then the engine is driven (dial.c).
 *
 * Everything of a peer is in the time of its own clock, which leaps. */
#ifndef SIM_PEER_H
#define SIM_PEER_H

#include "mediator/nonce.h"
#include "nat/profile.h"
#include "punch/explore.h"
#include "punch/punch.h"
#include "punch/survey.h"
#include "rendezvous/wire.h"
#include "sim/scene.h"

#define PEER_BARE    PUNCH_MAX_SOCKETS /* a second warm socket, only for the survey */
#define PEER_LEARN   (PEER_BARE + 1)   /* the first of those that explore the NAT */
#define PEER_SOCKETS (PEER_LEARN + EXPLORE_SOCKETS)
#define PEER_PORTS   65536

struct world;
struct world_packet;

struct peer_keepalive {
    uint8_t transaction[STUN_TRANSACTION_BYTES];
    uint64_t sequence, next_us;
    unsigned tries;
    bool attested;
    uint8_t nonce[NONCE_BYTES]; /* zeros before the first challenge, which is no right one */
};

struct peer_talk {
    uint64_t next_us;
    unsigned sent, heard, unanswered;
    bool guessed; /* its first packet went to predicted ports as well */
};

struct peer {
    struct dice dice;                     /* of the engine's secrets */
    uint64_t clock_us;                    /* its clock minus the world's */
    uint64_t wake_us;                     /* the world's time when it wants to be called */
    struct stun_addr local[PEER_SOCKETS]; /* none: closed */
    uint8_t *bytes_of_engine;
    uint16_t *socket_at; /* by port: 1 + socket, 0: none */
    struct {
        uint64_t at_us; /* the world's time */
        uint16_t port;
    } closed[PEER_SOCKETS]; /* the last of each */

    struct survey survey;
    bool surveying;
    uint64_t survey_began_us;
    size_t published;
    struct nat_profile profile;
    struct stun_addr reflexive;
    struct peer_keepalive keepalive;
    struct {
        bool wanted, running;
        struct explore machine;
    } learn;

    struct punch *engine; /* NULL until introduced */
    struct punch_budget budget;
    struct peer_talk talk;
    bool connected;                         /* a path, now */
    bool failed;                            /* the last thing heard of the engine */
    bool ever;                              /* a path, ever */
    bool lost;                              /* a path was lost */
    uint64_t path_us, failed_us, usable_us; /* the world's time of the first; UINT64_MAX: never */
    enum punch_technique technique;
    enum punch_failure failure;
};

bool peer_new(struct peer *p);
void peer_free(struct peer *p);
void peer_begin(struct world *w, uint32_t host);

uint64_t peer_now(const struct world *w, uint32_t host);
void peer_receive(struct world *w, uint32_t host, const struct world_packet *packet);
void peer_wake(struct world *w, uint32_t host);
void peer_move(struct world *w, uint32_t host); /* to another address of its network */
void peer_leap(struct world *w, uint32_t host); /* its clock */
bool peer_is_link(const uint8_t *bytes, size_t size);

/* For the files of the peer. */
void peer_open_socket(struct world *w, uint32_t host, unsigned socket);
void peer_close_socket(struct world *w, uint32_t host, unsigned socket);
/* Whether a socket had this port at that time or later, in the time of the world. */
bool peer_had_socket(const struct peer *p, uint16_t port, uint64_t since_us);
/* 0 or an errno. */
int peer_send(struct world *w, uint32_t host, unsigned socket, const struct stun_addr *to,
              uint8_t ttl, const uint8_t *bytes, size_t size);
void peer_random(void *dice, uint8_t *out, size_t bytes);

/* ---- warm.c ---- */
void warm_begin(struct world *w, uint32_t host);
bool warm_receive(struct world *w, uint32_t host, unsigned socket, const struct stun_addr *from,
                  const struct stun_message *msg);
void warm_advance(struct world *w, uint32_t host);
uint64_t warm_next(const struct peer *p);

void warm_keepalive(struct world *w, uint32_t host); /* one is due at once */
void warm_publish(struct world *w, uint32_t host);   /* what is known now */

/* ---- learn.c ---- */
void learn_want(struct world *w, uint32_t host); /* from the beginning, when the survey is done */
void learn_receive(struct world *w, uint32_t host, unsigned socket, const struct stun_addr *from,
                   const struct stun_message *msg);
void learn_advance(struct world *w, uint32_t host);
uint64_t learn_next(const struct peer *p);

/* ---- dial.c ---- */
#define DIAL_CREDENTIAL_BYTES 40
void dial_credentials(uint64_t seed, uint32_t host, char ufrag[static DIAL_CREDENTIAL_BYTES],
                      char password[static DIAL_CREDENTIAL_BYTES]);
void dial_introduced(struct world *w, uint32_t host);
void dial_note(struct world *w, uint32_t host, const struct punch_note *note);
void dial_receive(struct world *w, uint32_t host, unsigned socket,
                  const struct world_packet *packet);
void dial_relayed(struct world *w, uint32_t host);    /* a link packet has come by the relay */
void dial_candidates(struct world *w, uint32_t host); /* the other has told where it is now */
void dial_elsewhere(struct world *w, uint32_t host);  /* our public address has changed */
void dial_moved(struct world *w, uint32_t host);      /* our sockets have gone */
void dial_advance(struct world *w, uint32_t host);
uint64_t dial_next(const struct peer *p, uint64_t now_us);

#endif
