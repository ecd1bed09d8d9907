/* SPDX-License-Identifier: BSD-2-Clause */
/* What many runs add up to. Plain memory: tallies of several processes can be added. */
#ifndef SIM_TALLY_H
#define SIM_TALLY_H

#include "sim/world.h"

#define TALLY_ROWS     (5 + SCENE_CLASSES * SCENE_CLASSES)
#define TALLY_BUCKETS  700
#define TALLY_FAULTS   20
#define TALLY_REASONS  16
#define TALLY_EXAMPLES 3

struct tally_row {
    uint64_t dials, direct, ordinary, ordinary_direct;
    uint64_t ordinary_failed[TALLY_EXAMPLES]; /* seeds; 0: none */
    uint32_t after_ms[TALLY_BUCKETS];         /* dial to path at the caller, scaled */
};

struct tally_fault {
    uint64_t seed;
    char text[WORLD_FAULT_BYTES];
};

struct tally_most {
    uint64_t value, seed;
};

/* Links that something has happened to. */
struct tally_trouble {
    uint64_t links, again; /* direct at the end, too */
    uint64_t relayed,
        longest_us; /* with a relay; the longest silence, where nothing else was wrong */
};

struct tally {
    uint64_t runs, steps, packets, repeated;
    uint64_t seconds_ns;               /* of processor time */
    uint64_t failed[TALLY_REASONS];    /* by the caller's reason */
    uint64_t technique[TALLY_REASONS]; /* by the caller's */
    uint64_t known[RULES_KNOWNS];
    uint64_t known_seed[RULES_KNOWNS]; /* the first one */
    struct tally_most tricked;         /* packets to an address that a replay came from */
    struct tally_most sent;     /* packets of one side in a dial, until it had a path or gave up */
    uint64_t lost, found_again; /* paths */
    struct tally_trouble trouble[SCENE_TROUBLES];
    struct tally_row row[TALLY_ROWS];
    uint64_t faults;
    struct tally_fault fault[TALLY_FAULTS];
};

void tally_add_run(struct tally *t, const struct world *w);
void tally_add_fault(struct tally *t, uint64_t seed, const char *text);
void tally_add(struct tally *sum, const struct tally *t);
/* How the runs went, and each seed that broke a rule with the command that shows it. */
void tally_print(const struct tally *t, const char *program, double elapsed_s);

#endif
