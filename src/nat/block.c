/* SPDX-License-Identifier: BSD-2-Clause */
#include "nat/block.h"

#define LOWEST    1024
#define ALL_PORTS 65536

static bool holds(uint32_t first, uint32_t size, uint32_t lowest, uint32_t highest)
{
    return first <= lowest && highest < first + size && first + size <= ALL_PORTS;
}

uint32_t nat_block_find(const uint16_t *ports, size_t count, uint16_t *first)
{
    uint32_t lowest = UINT16_MAX, highest = 0, span;

    for (size_t i = 0; i < count; i++) {
        lowest = ports[i] < lowest ? ports[i] : lowest;
        highest = ports[i] > highest ? ports[i] : highest;
    }
    if (count < 2 || lowest < LOWEST)
        return 0;
    for (uint32_t size = NAT_BLOCK_SMALLEST; size <= NAT_BLOCK_LARGEST; size *= 2) {
        uint32_t from_lowest = LOWEST + (lowest - LOWEST) / size * size;
        uint32_t from_zero = lowest / size * size;

        *first = (uint16_t)from_lowest;
        if (holds(from_lowest, size, lowest, highest))
            return size;
        *first = (uint16_t)from_zero;
        if (holds(from_zero, size, lowest, highest))
            return size;
    }
    /* The mean span of so many out of a range is a little less than the range. */
    span = (highest - lowest + 1) * (uint32_t)(count + 1) / (uint32_t)(count - 1);
    for (uint32_t size = NAT_BLOCK_SMALLEST; size <= NAT_BLOCK_LARGEST; size *= 2) {
        uint32_t before = size > highest - lowest ? (size - (highest - lowest)) / 2 : 0;
        uint32_t at = lowest > LOWEST + before ? lowest - before : LOWEST;

        if (size < span)
            continue;
        *first = (uint16_t)(at + size > ALL_PORTS ? ALL_PORTS - size : at);
        return size;
    }
    return 0;
}
