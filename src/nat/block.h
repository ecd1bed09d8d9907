/* SPDX-License-Identifier: BSD-2-Clause */
/* Carrier NATs give each customer a block of ports: do the public ports seen lie in one? Pure.
 *
 * Blocks are powers of two, and begin at a multiple of their size, counted from 0 or from 1024. Of
 * those that hold all the ports the smallest is taken; if there is none, the smallest size in which
 * they would lie at random, around them. With 12 random ports the block is too small by half in one
 * case of a thousand; and 12 ports of all 64512 lie in one of 4096 in one case of 10^12. */
#ifndef NAT_BLOCK_H
#define NAT_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAT_BLOCK_SMALLEST 64
#define NAT_BLOCK_LARGEST  4096
#define NAT_BLOCK_SUSPECTS 4  /* with so many, more are worth asking for */
#define NAT_BLOCK_MAPPINGS 12 /* with so many it counts */

/* The size of the block, and its first port; 0: they lie in none, or are fewer than two. */
uint32_t nat_block_find(const uint16_t *ports, size_t count, uint16_t *first);

#endif
