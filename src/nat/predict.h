/* SPDX-License-Identifier: BSD-2-Clause */
/* Which public ports will the next mappings get? Samples -> prediction. Pure. */
#ifndef NAT_PREDICT_H
#define NAT_PREDICT_H

#include "nat/profile.h"

#define NAT_MAX_SAMPLES   8
#define NAT_MAX_PREDICTED 64 /* the politeness budget for prediction windows */

/* Public ports of consecutive new mappings, oldest first, taken just before the punch. */
struct nat_samples {
    struct stun_addr public_addr; /* address part counts; port = the newest sample */
    uint16_t ports[NAT_MAX_SAMPLES];
    uint8_t count;
};

/* The step that explains the samples: for clean sequential samples their common difference, with
 * mappings of others in between the common divisor of the differences. Ports form a ring of
 * 1024..65535; one jump back to the start of a narrower range is allowed if three differences stand
 * against it. 0 if the samples show no steady direction, differences beyond 64, or are fewer than
 * two. */
int32_t nat_samples_step(const struct nat_samples *samples);

/* Fills ports[] with the likeliest ports of the next mappings, likeliest first, each once and none
 * below 1024: last + step, last + 2 step, ... (the seed takes last + 2 x step: it expects one
 * mapping in between). skip: how many own mappings will be made before the one in question.
 * Returns how many were written, at most max and NAT_MAX_PREDICTED; 0 without samples or step. Any
 * step and skip are safe: they may come from a peer. */
size_t nat_predict_ports(const struct nat_samples *samples, int32_t step, unsigned skip,
                         uint16_t *ports, size_t max);

#endif
