/* SPDX-License-Identifier: BSD-2-Clause */
/* What must hold in every run, whatever the network does:
 *
 *   - nothing that the peer has not sent makes a pair usable or proven, and nothing else is
 * answered
 *   - a pair is called proven only while it carries both ways, or did when the peer's answer left,
 *     and a path only when proven
 *   - the plain punch, searches, and addresses that nobody vouches for keep their budgets
 *   - every dial ends: with a path or with a reason
 *   - what a host has learned of its NAT while nothing went wrong is the truth, or unknown
 *
 * Budgets are counted in the time of the host's own clock. */
#ifndef SIM_RULES_H
#define SIM_RULES_H

#include "punch/punch.h"
#include "sim/scene.h"

#define RULES_TARGETS         64
#define RULES_FORMER          8
#define RULES_PROVEN          64
#define RULES_IDS             16384 /* requests remembered for each side */
#define RULES_GUESSES         1024
#define RULES_STORM           80 /* checks of a plain punch in any second, later than its first */
#define RULES_SEARCH_A_SECOND 250
#define RULES_SEARCH          545                     /* one birthday search */
#define RULES_PREDICTED       (2 * NAT_MAX_PREDICTED) /* comes before it */

struct world;
struct world_packet;

/* What is known and not the engine's fault, but must not be hidden either. */
enum rules_known {
    /* A copy of a packet that was itself lost came first, from elsewhere: STUN's integrity does not
     * cover the source address. */
    RULES_KNOWN_REPLAY,
    /* Usable at both ends of the dial, but only one of them found out in time. */
    RULES_KNOWN_HALF,
    /* The NAT changed between the check and its answer. */
    RULES_KNOWN_CHANGED,
    RULES_KNOWNS
};

struct rules_target {
    struct stun_addr addr;
    bool attested, signalled, heard;
    bool answered;    /* a check */
    bool planned;     /* part of a search when it was heard */
    bool tricked;     /* heard only by a replay: RULES_KNOWN_REPLAY */
    uint32_t unheard; /* packets before it was heard from */
};

struct rules_id {
    uint64_t id;
    uint32_t run;
    bool delivered;
};

struct rules_side {
    struct rules_target target[RULES_TARGETS];
    uint32_t targets;
    struct punch_pair proven[RULES_PROVEN];
    uint32_t provens;
    struct punch_pair path, former[RULES_FORMER]; /* lost ones; looked for again */
    uint32_t formers;
    bool has_path, doubts;
    uint64_t introduced_us;
    uint64_t round_us;      /* the same, in the time of the world */
    uint64_t plain_from_us; /* UINT64_MAX: not begun */
    uint32_t plain, plain_100_ms, plain_second;
    uint64_t plain_us[RULES_STORM];
    bool stormed;
    struct stun_addr guessed[RULES_GUESSES];
    uint64_t guessed_us[RULES_SEARCH_A_SECOND];
    uint32_t guesses;
    uint32_t sent; /* packets of the engine, all */
    uint32_t sent_before_path;
};

struct rules {
    struct rules_side side[SCENE_HOSTS];
    struct rules_id *request[SCENE_HOSTS]; /* hashed; of this run if it says so */
    uint32_t run;
    uint32_t known[RULES_KNOWNS];
    uint32_t most_tricked; /* packets to one tricked address */
};

bool rules_new(struct rules *r);
void rules_free(struct rules *r);
void rules_begin(struct world *w);

/* The host is told of an address. */
void rules_candidate(struct world *w, uint32_t host, const struct stun_addr *addr, bool attested);
void rules_sent(struct world *w, uint32_t host, const struct punch_out *out, const uint8_t *bytes);
void rules_sent_link(struct world *w, uint32_t host, const struct punch_pair *pair, size_t routes);
void rules_sent_relayed(struct world *w, uint32_t host);
void rules_introduced(struct world *w, uint32_t host);
/* A round begins here. */
void rules_again(struct world *w, uint32_t host);
/* cause: the packet that it came of, or NULL. */
void rules_event(struct world *w, uint32_t host, const struct punch_event *event,
                 const struct world_packet *cause);
/* What the host believes of its NAT. */
void rules_profile(struct world *w, uint32_t host, const struct nat_profile *profile);
/* After the engine has had it. */
void rules_received(struct world *w, uint32_t host, const struct world_packet *packet);
void rules_end(struct world *w);

bool rules_is_path(const struct world *w, uint32_t host, const struct punch_pair *pair);
const char *rules_known_text(enum rules_known known);

#endif
