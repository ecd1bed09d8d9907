/* SPDX-License-Identifier: BSD-2-Clause */
/* What else a NAT does, learned in the background after the survey: how it filters, whether packets
 * that come too early do harm, whether it hairpins, the rate of foreign mappings, port blocks,
 * which TTL leaves it, and how long an idle mapping lives. Without ICMP, by questions to bounce
 * servers alone (RFC 5780: CHANGE-REQUEST, RESPONSE-PORT), from sockets of its own. Same rules as
 * punch.h: no clock, no socket, no allocation. What cannot be learned stays unknown.
 *
 * With H the bounce endpoint that is asked, N the other port of its address, F the other port of
 * the other address, S the same port of the other address:
 *
 *   SAMPLE   only where mappings depend on the endpoint, and are sequential or look like a block:
 *            fresh sockets to all endpoints, a second apart
 *   FILTER   one socket to H; H has the answer sent from F, and from N. Which arrive?
 *   EARLY    then the same socket to F, N and S. S has sent nothing, so S sees the port that H saw;
 *            if F or N see another one, their early packets took it
 *   REACH    fresh sockets to H, then a packet with TTL k to F that dies on the way, then H has the
 *            answer sent from F: it arrives if the packet has left the outermost NAT. And two of
 *            the sockets to each other's public address: hairpin
 *   BLOCK    more fresh sockets, where the public ports seen lie suspiciously close
 *   LIFE     a socket to H; nothing for T seconds; then from another one: H has the answer sent to
 *            the first one's port. Longer and longer, until nothing arrives
 *
 * In the first two seconds it sends about 50 packets. */
#ifndef PUNCH_EXPLORE_H
#define PUNCH_EXPLORE_H

#include "nat/profile.h"
#include "punch/explore_round.h"
#include "punch/punch.h"

#define EXPLORE_SOCKETS 6

enum explore_phase {
    EXPLORE_PLAN, /* which test is next? */
    EXPLORE_QUIET,
    EXPLORE_SAMPLE,
    EXPLORE_BASE, /* first mappings for what follows */
    EXPLORE_FILTER,
    EXPLORE_EARLY,
    EXPLORE_REACH,
    EXPLORE_BLOCK,
    EXPLORE_PRIME,
    EXPLORE_SETTLE,
    EXPLORE_IDLE,
    EXPLORE_LIFE,
    EXPLORE_DONE,
};

struct explore_config {
    const struct nat_observation *seen; /* what the survey has learned */
    size_t seen_count;
    uint64_t rtt_us; /* to the bounce servers, as far as known; 0: not */
    void (*random)(void *context, uint8_t *bytes, size_t count);
    void *random_context;
};

struct explore {
    enum explore_phase phase;
    bool ready; /* the phase has begun */
    bool held;
    struct stun_addr home, near, side, far; /* H, N, S, F; none if there is none */
    struct nat_observation seen[NAT_MAX_OBSERVATIONS];
    size_t seen_count;
    struct nat_profile survey;  /* from the observations alone */
    struct nat_profile learned; /* from the tests */
    struct {
        bool wanted, open, replace;
        uint16_t number; /* in observations */
        struct stun_addr local, mapped;
    } sockets[EXPLORE_SOCKETS];
    uint16_t next_number;
    struct explore_round round;
    bool sampled, filtered, reached;
    unsigned samples, blocks, interruptions;
    uint8_t ttl_base, doubtful_ttl;
    uint64_t began_us, wait_us;
    unsigned primes;
    uint16_t idle_s, alive_s, dead_s;
    bool news;
};

void explore_init(struct explore *e, uint64_t now_us, const struct explore_config *config);

/* A socket that shall be replaced: closed if it is open, and opened anew (a fresh one, on a random
 * port) if *open. To be asked after explore_output has returned false, until it returns false too;
 * then there may be more output. */
bool explore_poll_socket(struct explore *e, unsigned *socket, bool *open);
/* It was opened; local is its address on the interface, or none if that failed. */
void explore_opened(struct explore *e, uint64_t now_us, unsigned socket,
                    const struct stun_addr *local);

/* True if the message belongs to it. */
bool explore_input(struct explore *e, uint64_t now_us, unsigned socket,
                   const struct stun_addr *from, const struct stun_message *msg);
/* The next packet to send now; ttl 0: the default. */
bool explore_output(struct explore *e, uint64_t now_us, unsigned *socket, struct stun_addr *to,
                    unsigned *ttl, uint8_t *buffer, size_t capacity, size_t *size);
uint64_t explore_next_timeout(const struct explore *e); /* UINT64_MAX: none */

/* Nothing is sent while it is held: a dial is under way, whose predictions its mappings would
 * spoil. A test that this interrupts begins anew afterwards. */
void explore_hold(struct explore *e, uint64_t now_us, bool hold);

/* True once after something was learned. */
bool explore_poll_news(struct explore *e);
/* The whole profile as known by now. */
void explore_profile(const struct explore *e, struct nat_profile *out);
/* Only the lifetime is still being learned, which takes minutes; or nothing. */
bool explore_is_settled(const struct explore *e);

#endif
