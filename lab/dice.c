/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/dice.h"

uint64_t dice_next(struct dice *d)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double dice_fraction(struct dice *d)
{
    return (double)(dice_next(d) >> 11) * 0x1p-53;
}

uint64_t dice_draw(void *dice)
{
    return dice_next((struct dice *)dice);
}
