/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers that wait: every "no such peer" leaves exactly one second after its question, so that the
 * time tells nobody whether the peer exists. Pure. */
#ifndef MEDIATOR_REFUSALS_H
#define MEDIATOR_REFUSALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rendezvous/wire.h"

#define REFUSALS_WAIT_US 1000000u
#define REFUSALS_NEVER   UINT64_MAX

struct refusal {
    uint64_t due_us;
    uint64_t session_id; /* of the caller, who may be gone by then */
    uint8_t dial_id[WIRE_DIAL_ID_BYTES];
};

struct refusals;

struct refusals *refusals_new(size_t capacity); /* NULL: out of memory */
void refusals_free(struct refusals *refusals);
bool refusals_full(const struct refusals *refusals);
/* False if full. asked_us: when the question arrived, never before an earlier one's. */
bool refusals_add(struct refusals *refusals, uint64_t session_id,
                  const uint8_t dial_id[static WIRE_DIAL_ID_BYTES], uint64_t asked_us);
uint64_t refusals_next_due_us(const struct refusals *refusals); /* REFUSALS_NEVER if empty */
/* Takes out the first that is due. False: none. */
bool refusals_take(struct refusals *refusals, uint64_t now_us, struct refusal *out);

#endif
