/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/refusals.h"

#include <stdlib.h>
#include <string.h>

/* All wait equally long: a ring in the order of the questions. */
struct refusals {
    size_t capacity;
    size_t oldest;
    size_t count;
    struct refusal ring[];
};

struct refusals *refusals_new(size_t capacity)
{
    struct refusals *refusals = calloc(1, sizeof *refusals + capacity * sizeof refusals->ring[0]);

    if (refusals != NULL)
        refusals->capacity = capacity;
    return refusals;
}

void refusals_free(struct refusals *refusals)
{
    free(refusals);
}

bool refusals_full(const struct refusals *refusals)
{
    return refusals->count == refusals->capacity;
}

bool refusals_add(struct refusals *refusals, uint64_t session_id,
                  const uint8_t dial_id[static WIRE_DIAL_ID_BYTES], uint64_t asked_us)
{
    if (refusals_full(refusals))
        return false;
    struct refusal *refusal =
        &refusals->ring[(refusals->oldest + refusals->count++) % refusals->capacity];
    *refusal = (struct refusal){.due_us = asked_us + REFUSALS_WAIT_US, .session_id = session_id};
    memcpy(refusal->dial_id, dial_id, sizeof refusal->dial_id);
    return true;
}

uint64_t refusals_next_due_us(const struct refusals *refusals)
{
    return refusals->count > 0 ? refusals->ring[refusals->oldest].due_us : REFUSALS_NEVER;
}

bool refusals_take(struct refusals *refusals, uint64_t now_us, struct refusal *out)
{
    if (refusals_next_due_us(refusals) > now_us)
        return false;
    *out = refusals->ring[refusals->oldest];
    refusals->oldest = (refusals->oldest + 1) % refusals->capacity;
    refusals->count--;
    return true;
}
