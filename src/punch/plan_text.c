/* SPDX-License-Identifier: BSD-2-Clause */
/* A plan and the NATs that it is for, in words. */
#include <stdio.h>

#include "punch/plan.h"

static const char *need_text(enum plan_need need)
{
    switch (need) {
    case PLAN_NEED_NOTHING:
        return "keeps one port for all destinations";
    case PLAN_NEED_SAMPLES:
        return "gives each destination another port, in steps";
    case PLAN_NEED_LUCK:
        return "gives each destination another port, without a pattern";
    case PLAN_NEED_BLOCK:
        return "gives each destination another port of one block";
    case PLAN_NEED_UNKNOWN:
        break;
    }
    return "has not been measured";
}

static const char *part_text(const struct plan_part *part, char *text, size_t capacity)
{
    char to[STUN_ADDR_TEXT_BYTES];
    struct stun_addr first = part->target;

    first.port = part->port_count > 0 ? part->ports[0] : part->range_first;
    stun_addr_text(&first, to);
    if (part->probes > 0)
        snprintf(text, capacity, "try %u of the %u ports from %s on", (unsigned)part->probes,
                 (unsigned)part->range_ports, to);
    else if (part->sockets > 0)
        snprintf(text, capacity, "open %u new sockets towards %s", (unsigned)part->sockets, to);
    else
        snprintf(text, capacity, "send from the %s socket%s to %s and %zu more",
                 part->fresh_socket ? "fresh" : "data", part->opens_first ? ", opening first," : "",
                 to, part->port_count > 0 ? part->port_count - 1 : 0);
    return text;
}

const char *plan_text(const struct plan *plan, char text[static PLAN_TEXT_BYTES])
{
    static const char *const names[] = {
        [PLAN_PLAIN] = "plain punch",
        [PLAN_WAIT] = "plain punch until fresh samples have come",
        [PLAN_PREDICT] = "prediction",
        [PLAN_IMPOSSIBLE] = "plain punch without hope",
        [PLAN_BLOCK] = "search of a port block",
        [PLAN_BIRTHDAY] = "search of all ports",
    };
    char mine[160], theirs[160];
    int used = snprintf(text, PLAN_TEXT_BYTES, "%s: our NAT %s, theirs %s", names[plan->kind],
                        need_text(plan->my_need), need_text(plan->their_need));

    if (used > 0 && used < PLAN_TEXT_BYTES && plan->mine.target.family != STUN_NO_FAMILY)
        snprintf(text + used, PLAN_TEXT_BYTES - (size_t)used, "; we %s, they %s",
                 part_text(&plan->mine, mine, sizeof(mine)),
                 part_text(&plan->theirs, theirs, sizeof(theirs)));
    return text;
}
