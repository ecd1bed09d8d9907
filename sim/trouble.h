/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens to a link that is made: a NAT loses power, a host gets another address, nothing
 * comes through for ten seconds. And what must hold then:
 *
 *   - the relay, if there is one, carries within two seconds (more where packets fly long)
 *   - where nothing else goes wrong, and both NATs are cones, both are connected again at the end
 *   - nothing is sent to a path that has not answered a check for 30 s
 *   - paths do not change to and fro */
#ifndef SIM_TROUBLE_H
#define SIM_TROUBLE_H

#include "punch/punch.h"
#include "sim/scene.h"

struct world;

struct trouble {
    bool planned;                       /* both have a path */
    uint64_t began_us, ended_us;        /* UINT64_MAX: not yet */
    uint64_t heard_us[SCENE_HOSTS];     /* the last link packet */
    uint64_t stall_us[SCENE_HOSTS];     /* longest time without one, since it began */
    uint64_t consented_us[SCENE_HOSTS]; /* the last answer on the path, in the host's own time */
    uint32_t paths[SCENE_HOSTS];        /* how often it has changed */
    bool direct;                        /* both were connected when it began */
};

void trouble_begin(struct world *w);
/* Both have a path now. */
void trouble_plan(struct world *w);
void trouble_happens(struct world *w);
void trouble_ends(struct world *w);
/* Until when the world must go on because of it; 0: it has none. */
uint64_t trouble_until(const struct world *w);
bool trouble_cuts_off(const struct world *w, uint32_t host);

/* For the rules. */
void trouble_path(struct world *w, uint32_t host, bool changed);
void trouble_answered(struct world *w, uint32_t host);
void trouble_sent_link(struct world *w, uint32_t host);
void trouble_heard_link(struct world *w, uint32_t host);
void trouble_check(struct world *w); /* at the end */

#endif
