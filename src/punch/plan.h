/* SPDX-License-Identifier: BSD-2-Clause */
/* Who sends what, from what is known of both NATs: the order of the first burst, and whose ports
 * are to be predicted. Pure: the callee decides for both sides, so that they cannot disagree. */
#ifndef PUNCH_PLAN_H
#define PUNCH_PLAN_H

#include "punch/punch.h"

#define PLAN_FIRST_BURST  5
#define PLAN_CLEAN_WINDOW 8 /* ports to try when nobody else takes any */
#define PLAN_TEXT_BYTES   480

/* Searches, FIELD.md 4: P = 1 - (1 - sockets/ports)^probes. */
#define PLAN_SEARCH_ALL    545 /* sockets and probes for all ports: 99 % */
#define PLAN_BLOCK_SOCKETS 64
#define PLAN_BLOCK_PROBES  256
#define PLAN_BLOCK_LARGEST 16384u   /* above this the block budget finds it in less than 2 of 3 */
#define PLAN_SEARCH_GAP_US 4100u    /* between packets: fewer than 250 a second */
#define PLAN_PATIENCE_US   300000u  /* for the plain punch, where it may be enough */
#define PLAN_LEAD_US       1600000u /* of the sockets that are opened before the probes come */

/* What a NAT means for punching. */
enum plan_need {
    PLAN_NEED_NOTHING = 0, /* its public address is the same for every destination */
    PLAN_NEED_SAMPLES,     /* another port for every destination, in steps: can be predicted */
    PLAN_NEED_LUCK,        /* another port for every destination, and no pattern */
    PLAN_NEED_UNKNOWN,     /* never measured: treated like NOTHING, blamed last */
    PLAN_NEED_BLOCK,       /* another port for every destination, all of them in one block */
};

enum plan_need plan_need(const struct nat_profile *profile);
bool plan_varies(const struct nat_profile *profile); /* another port for every destination */
/* Nothing that comes before our own packets does any harm there. Unknown is not harmless. */
bool plan_harmless(const struct nat_profile *profile);
/* Lets packets in from any port of an address that it has sent to. Unknown is strict. */
bool plan_lenient(const struct nat_profile *profile);

/* Order of a remote address in the burst, lower first: private, attested public, port-mapped,
 * others, a home router's behind the same provider; IPv6 before IPv4. */
unsigned plan_order(enum punch_kind kind, const struct stun_addr *addr, bool attested);

/*                      theirs: nothing   samples    block     luck
 *   mine: nothing              plain     predict    block     birthday
 *         samples              predict   predict    -         -
 *         block                block     -          -         -
 *         luck                 birthday  -          -         -
 *
 * A side that is lenient turns every search against it into a plain punch. */
enum plan_kind {
    PLAN_PLAIN = 0,  /* the first burst is all that can be done */
    PLAN_WAIT,       /* fresh samples are missing */
    PLAN_PREDICT,    /* mine and theirs say what to send beyond the first burst */
    PLAN_IMPOSSIBLE, /* both NATs depend on the endpoint and one has no pattern */
    PLAN_BLOCK,      /* one side opens some sockets, the other tries ports of its block */
    PLAN_BIRTHDAY,   /* the same with many of both */
};

struct plan_side {
    struct nat_profile profile;
    struct nat_samples samples; /* count 0: none yet */
    bool no_samples;            /* and none will come */
    unsigned misses; /* plans from earlier samples: others take more ports than was thought */
    uint64_t age_us; /* from the newest sample to the packet that shall be aimed at */
    struct stun_addr public_addr; /* of the data socket, attested; none if unknown */
};

struct plan_part {
    bool fresh_socket; /* from the socket that the samples were taken from; else the data socket */
    bool opens_first;  /* at low TTL: the hole must be there before the other side's packets come */
    struct stun_addr target;           /* address part */
    uint16_t ports[NAT_MAX_PREDICTED]; /* likeliest first */
    size_t port_count;
    uint16_t sockets;     /* that each send once to target:ports[0] */
    uint16_t probes;      /* from the data socket to ports of the target, */
    uint16_t range_first; /* spread over this range */
    uint32_t range_ports;
    uint64_t start_after_us;
};

struct plan {
    enum plan_kind kind;
    enum plan_need my_need, their_need;
    struct plan_part mine, theirs;
};

void plan_make(const struct plan_side *mine, const struct plan_side *theirs, struct plan *out);

/* How many ports to try where the samples alone tell how many foreign allocations there are. */
size_t plan_window(const struct nat_samples *samples, int32_t step);

/* Foreign allocations at a rate, some time after the newest sample: the place of our own mapping
 * is first..last steps behind it (1: the very next), mean -+ 3 sigma, at most 64 of them. */
struct plan_span {
    unsigned first, last, likeliest;
};
struct plan_span plan_span(const struct plan_side *side, int32_t step);

const char *plan_text(const struct plan *plan, char text[static PLAN_TEXT_BYTES]);

#endif
