/* SPDX-License-Identifier: BSD-2-Clause */
/* A random source with a seed (splitmix64): the same seed gives the same numbers. Not for secrets.
 */
#ifndef LAB_DICE_H
#define LAB_DICE_H

#include <stdint.h>

struct dice {
    uint64_t state; /* the seed */
};

uint64_t dice_next(struct dice *d);
double dice_fraction(struct dice *d); /* in [0, 1) */
/* dice_next as nat_model wants it; the context is a struct dice. */
uint64_t dice_draw(void *dice);

#endif
