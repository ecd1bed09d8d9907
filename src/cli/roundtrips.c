/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/roundtrips.h"

#include <math.h>
#include <stdio.h>

static double average(const struct roundtrips *all)
{
    return all->sum_ms / (double)all->count;
}

/* As ping(8): the standard deviation. */
static double deviation(const struct roundtrips *all)
{
    double mean = average(all);
    double variance = all->squares / (double)all->count - mean * mean;
    return variance > 0 ? sqrt(variance) : 0;
}

void roundtrips_add(struct roundtrips *all, uint64_t rtt_us)
{
    double ms = (double)rtt_us / 1000;
    all->least_ms = all->count == 0 || ms < all->least_ms ? ms : all->least_ms;
    all->most_ms = ms > all->most_ms ? ms : all->most_ms;
    all->sum_ms += ms;
    all->squares += ms * ms;
    all->count++;
}

const char *roundtrips_text(const struct roundtrips *all, char text[static ROUNDTRIPS_TEXT_BYTES])
{
    text[0] = '\0';
    if (all->count > 0) {
        snprintf(text, ROUNDTRIPS_TEXT_BYTES, "%.1f/%.1f/%.1f/%.1f ms", all->least_ms, average(all),
                 all->most_ms, deviation(all));
    }
    return text;
}

json_t *roundtrips_json(const struct roundtrips *all)
{
    if (all->count == 0) {
        return json_null();
    }
    return json_pack("{s:f,s:f,s:f,s:f}", "min", all->least_ms, "avg", average(all), "max",
                     all->most_ms, "mdev", deviation(all));
}
