/* SPDX-License-Identifier: BSD-2-Clause */
#include "link/connection.h"

/* Not zero, because ngtcp2 takes some zeros for "unset". */
#define FIRST_NS ((uint64_t)1000000000)

void clock_start(struct link_clock *clock, uint64_t now_us)
{
    clock->origin_us = now_us;
    clock->origin_ns = FIRST_NS;
    clock->runs = false;
}

ngtcp2_tstamp clock_now(struct link_clock *clock, uint64_t now_us)
{
    if (clock->runs && now_us > clock->origin_us) {
        clock->origin_ns += (now_us - clock->origin_us) * 1000;
        clock->origin_us = now_us;
    }
    return clock->origin_ns;
}

void clock_stop(struct link_clock *clock, uint64_t now_us)
{
    clock->origin_ns = clock_now(clock, now_us);
    clock->origin_us = now_us;
    clock->runs = false;
}

void clock_resume(struct link_clock *clock, uint64_t now_us, ngtcp2_tstamp not_before)
{
    clock->origin_us = now_us;
    if (clock->origin_ns < not_before) {
        clock->origin_ns = not_before;
    }
    clock->runs = true;
}

uint64_t clock_after(const struct link_clock *clock, ngtcp2_tstamp deadline)
{
    if (deadline < clock->origin_ns) {
        return clock->origin_us;
    }
    /* Past it and not at it: ngtcp2 0.12 spins at exactly the expiry of a retired ID. */
    return clock->origin_us + (deadline - clock->origin_ns) / 1000 + 1;
}
