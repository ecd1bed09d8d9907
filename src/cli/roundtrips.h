/* SPDX-License-Identifier: BSD-2-Clause */
/* Round-trip times: how many, and how they are spread. Zero-initialise. */
#ifndef CLI_ROUNDTRIPS_H
#define CLI_ROUNDTRIPS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define ROUNDTRIPS_TEXT_BYTES 96

struct roundtrips {
    size_t count;
    double sum_ms;
    double squares; /* ms^2 */
    double least_ms;
    double most_ms;
};

void roundtrips_add(struct roundtrips *all, uint64_t rtt_us);
/* "40.1/41.2/44.0/0.9 ms" (min/avg/max/mdev), "" if there is none. Returns text. */
const char *roundtrips_text(const struct roundtrips *all, char text[static ROUNDTRIPS_TEXT_BYTES]);
/* min, avg, max, mdev; null if there is none. */
json_t *roundtrips_json(const struct roundtrips *all);

#endif
