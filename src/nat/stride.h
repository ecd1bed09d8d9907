/* SPDX-License-Identifier: BSD-2-Clause */
/* The step of a NAT that hands out ports in order, from pairs of consecutive ports. Pure.
 *
 * Ports of 1024 and more form a ring: after 65535 comes 1024. A NAT whose range is narrower shows
 * one large jump against its direction where it starts over. Mappings made by others in between
 * (or answers that got lost) leave gaps of whole steps. */
#ifndef NAT_STRIDE_H
#define NAT_STRIDE_H

#include <stdbool.h>
#include <stdint.h>

#define NAT_STRIDE_LIMIT 64 /* a larger distance is a jump, not a step */
#define NAT_LOWEST_PORT  1024

struct nat_stride {
    uint32_t common;   /* greatest common divisor of the distances so far */
    unsigned up, down; /* how many distances of each sign */
    unsigned jumps_up, jumps_down;
    bool still; /* the same port twice */
};

/* Zero the struct first. */
void nat_stride_add(struct nat_stride *s, uint16_t from, uint16_t to);
/* How many pairs support the step. */
unsigned nat_stride_support(const struct nat_stride *s);
/* Positive for rising ports, negative for falling ones; 0 if there is no steady direction. */
int32_t nat_stride_step(const struct nat_stride *s);

/* So many steps further on the ring; ports below 1024 are not on it and move modulo 65536. Any
 * numbers will do. */
uint16_t nat_port_advance(uint16_t port, int32_t step, int64_t times);

#endif
