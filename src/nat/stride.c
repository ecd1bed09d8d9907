/* SPDX-License-Identifier: BSD-2-Clause */
#include "nat/stride.h"

#define ALL_PORTS 65536
#define RING_SIZE (ALL_PORTS - NAT_LOWEST_PORT)

/* So many steady pairs make one jump believable as the start of another round. */
#define STEADY_PAIRS 3

/* The short way round: -half .. half. */
static int32_t distance(uint16_t from, uint16_t to)
{
    int32_t size = from >= NAT_LOWEST_PORT && to >= NAT_LOWEST_PORT ? RING_SIZE : ALL_PORTS;
    int32_t d = (int32_t)to - (int32_t)from;

    if (d > size / 2)
        return d - size;
    return d < -size / 2 ? d + size : d;
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

void nat_stride_add(struct nat_stride *s, uint16_t from, uint16_t to)
{
    int32_t d = distance(from, to);

    if (d == 0) {
        s->still = true;
    } else if (d > NAT_STRIDE_LIMIT || d < -NAT_STRIDE_LIMIT) {
        /* The plain order counts here: a range is left at one end and entered at the other. */
        if (to > from)
            s->jumps_up++;
        else
            s->jumps_down++;
    } else {
        s->common = common_divisor(s->common, (uint32_t)(d > 0 ? d : -d));
        if (d > 0)
            s->up++;
        else
            s->down++;
    }
}

unsigned nat_stride_support(const struct nat_stride *s)
{
    return s->up + s->down;
}

int32_t nat_stride_step(const struct nat_stride *s)
{
    unsigned with = s->up > 0 ? s->jumps_up : s->jumps_down;
    unsigned against = s->up > 0 ? s->jumps_down : s->jumps_up;

    if (s->still || (s->up > 0) == (s->down > 0))
        return 0;
    if (with > 0 || against > 1 || (against == 1 && nat_stride_support(s) < STEADY_PAIRS))
        return 0;
    return s->up > 0 ? (int32_t)s->common : -(int32_t)s->common;
}

uint16_t nat_port_advance(uint16_t port, int32_t step, int64_t times)
{
    int64_t lowest = port >= NAT_LOWEST_PORT ? NAT_LOWEST_PORT : 0;
    int64_t size = ALL_PORTS - lowest;
    int64_t at = (port - lowest + (times % size) * (step % size)) % size;

    return (uint16_t)(lowest + (at < 0 ? at + size : at));
}
