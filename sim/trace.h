/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens, as lines for people (if the world is traced) and as a hash (always). */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include "lab/nat_model.h"
#include "punch/punch.h"

struct world;
struct world_packet;

void trace_begin(struct world *w);
void trace_sent(struct world *w, const struct world_packet *p);
void trace_nat(struct world *w, const struct world_packet *p, uint32_t nat, bool outwards,
               const struct nat_model_verdict *verdict);
void trace_lost(struct world *w, const struct world_packet *p, const char *why);
void trace_received(struct world *w, uint32_t host, const struct world_packet *p, const char *what);
void trace_event(struct world *w, uint32_t host, const struct punch_event *event);
/* Anything else. */
void trace_say(struct world *w, const char *who, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
