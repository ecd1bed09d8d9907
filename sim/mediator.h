/* SPDX-License-Identifier: BSD-2-Clause */
/* The mediator in virtual time: the real bounce server, attestation and choice of coordinates of
 * src/mediator; introductions and notes as its sessions carry them, but late or lost if the scene
 * wants it. */
#ifndef SIM_MEDIATOR_H
#define SIM_MEDIATOR_H

#include "mediator/bounce.h"
#include "mediator/coordinates.h"
#include "punch/punch.h"
#include "sim/scene.h"

#define MEDIATOR_NOTES 128

struct world;
struct world_packet;

struct mediator {
    struct bounce bounce;
    struct attested attested[SCENE_HOSTS];
    struct coordinates published[SCENE_HOSTS];
    wire_Coordinates shown[SCENE_HOSTS]; /* to whom */
    uint64_t opener_due_us;
    uint64_t in_order_us[SCENE_HOSTS]; /* nothing overtakes on a session */
    struct punch_note note[MEDIATOR_NOTES];
    uint32_t notes;
};

bool mediator_new(struct mediator *m);
void mediator_free(struct mediator *m);
void mediator_begin(struct world *w);

/* The session of a host, for its keepalives. */
uint64_t mediator_session(uint32_t host);

void mediator_bounce(struct world *w, const struct world_packet *p);
void mediator_publish(struct world *w, uint32_t host, const wire_Coordinates *coordinates);
/* The caller's message has left; then it has been read. */
void mediator_dial(struct world *w);
void mediator_introduce(struct world *w);
/* A link packet for the other. */
void mediator_relay(struct world *w, uint32_t from);
/* What the host has published is told to the other, by the dial's channel. */
void mediator_candidates(struct world *w, uint32_t from);
void mediator_note(struct world *w, uint32_t from, const struct punch_note *note);

#endif
