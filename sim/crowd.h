/* SPDX-License-Identifier: BSD-2-Clause */
/* Many runs in several processes, so that a crash or an endless loop names its seed too. */
#ifndef SIM_CROWD_H
#define SIM_CROWD_H

#include "sim/tally.h"

#define CROWD_MAX_JOBS 64

struct crowd {
    uint64_t first, seeds;
    unsigned jobs;
    uint64_t twice_every; /* every so many seeds one is run twice, and must do the same */
};

/* False: the system gave no process or memory. Broken rules are in the tally. */
bool crowd_run(const struct crowd *crowd, struct tally *sum);

#endif
