/* SPDX-License-Identifier: BSD-2-Clause */
/* Who sends what, from what is known of both NATs: the order of the first burst, and whose ports
 * are to be predicted. Pure: the callee decides for both sides, so that they cannot disagree. */
#ifndef PUNCH_PLAN_H
#define PUNCH_PLAN_H

#include "punch/punch.h"

#define PLAN_FIRST_BURST  5
#define PLAN_CLEAN_WINDOW 8 /* ports to try when the samples show no foreign allocations */
#define PLAN_TEXT_BYTES   240

/* What a NAT means for punching. */
enum plan_need {
    PLAN_NEED_NOTHING = 0, /* its public address is the same for every destination */
    PLAN_NEED_SAMPLES,     /* another port for every destination, in steps: can be predicted */
    PLAN_NEED_LUCK,        /* another port for every destination, and no pattern */
    PLAN_NEED_UNKNOWN,     /* never measured: treated like NOTHING, blamed last */
};

enum plan_need plan_need(const struct nat_profile *profile);

/* Order of a remote address in the burst, lower first: private, attested public, port-mapped,
 * others; IPv6 before IPv4. */
unsigned plan_order(enum punch_kind kind, const struct stun_addr *addr, bool attested);

enum plan_kind {
    PLAN_PLAIN = 0,  /* the first burst is all that can be done */
    PLAN_WAIT,       /* fresh samples are missing */
    PLAN_PREDICT,    /* mine and theirs say what to send beyond the first burst */
    PLAN_IMPOSSIBLE, /* both NATs depend on the endpoint and one has no pattern */
};

struct plan_side {
    struct nat_profile profile;
    struct nat_samples samples;   /* count 0: none yet */
    struct stun_addr public_addr; /* of the data socket, attested; none if unknown */
};

struct plan_part {
    bool fresh_socket; /* from the socket that the samples were taken from; else the data socket */
    bool opens_first;  /* at low TTL: the hole must be there before the other side's packets come */
    struct stun_addr target; /* address part */
    uint16_t ports[NAT_MAX_PREDICTED];
    size_t port_count;
};

struct plan {
    enum plan_kind kind;
    struct plan_part mine, theirs;
};

void plan_make(const struct plan_side *mine, const struct plan_side *theirs, struct plan *out);

/* How many ports to try: more, the more foreign allocations the samples show. */
size_t plan_window(const struct nat_samples *samples, int32_t step);

const char *plan_text(const struct plan *plan, char text[static PLAN_TEXT_BYTES]);

#endif
