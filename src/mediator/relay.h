/* SPDX-License-Identifier: BSD-2-Clause */
/* The relay (docs/protocol.md): whose datagram this is by the tag in front of it, whether it may
 * pass, and where it goes. A pair of tags belongs to the two members of one dial, and there is no
 * way to name anybody else. Pure: time is an argument. */
#ifndef MEDIATOR_RELAY_H
#define MEDIATOR_RELAY_H

#include "mediator/attested.h"
#include "mediator/limit.h"

#define RELAY_MAX_DATAGRAM_BYTES WIRE_MAX_RELAYED_BYTES

/* Whose bytes are counted: of all that one may send, the least is left over. */
enum relay_quota {
    RELAY_OF_PAIR, /* both directions together */
    RELAY_OF_PEER, /* what it sends */
    RELAY_OF_PREFIX,
    RELAY_OF_ALL,
    RELAY_QUOTAS,
};

struct relay_limits {
    uint32_t rate[RELAY_QUOTAS]; /* bytes a second; 0: no bound */
    uint32_t datagram_bytes;     /* a smaller datagram costs as many: work is by the datagram */
    uint32_t peer_pairs;         /* open at one time that one member has asked for */
    uint32_t prefix_pairs;
};

struct relay_stream; /* a member's TLS connection for datagrams */

/* Embedded in a session. */
struct relay_member {
    struct attested *attested;
    uint64_t peer;               /* stands for its ID: this one and */
    struct stun_addr home;       /* its prefix pay for what it sends */
    struct relay_stream *stream; /* NULL: none; else everything for this member goes there */
    uint32_t asked_pairs;
};

/* Since the start. */
struct relay_counters {
    uint64_t pairs; /* opened */
    uint64_t refused;
    uint64_t packets;
    uint64_t bytes;
    uint64_t over_rate[RELAY_QUOTAS]; /* packets dropped for these reasons */
    uint64_t unattested;              /* a right tag from an address that is not attested */
    uint64_t unknown;                 /* no such tag, or a size that is not allowed */
};

struct relay;
struct relay_pair;

struct relay *relay_new(const struct relay_limits *limits); /* NULL: out of memory */
/* Every pair must have been closed. NULL is fine. */
void relay_free(struct relay *relay);

/* A pair of new tags for these two, who outlive it. It counts for who has asked for it alone, so
 * that nobody's share can be used up by calling it. NULL: *refusal is why, a sentence for people.
 */
struct relay_pair *relay_open(struct relay *relay, struct relay_member *asker,
                              struct relay_member *other, uint64_t now_us, const char **refusal);
void relay_close(struct relay *relay, struct relay_pair *pair); /* NULL is fine */
/* The tag of who asked for it (0) or the other member (1). */
void relay_tag(const struct relay_pair *pair, unsigned side,
               uint8_t tag[static WIRE_RELAY_TAG_BYTES]);
/* When the pair last carried something, or was opened. */
uint64_t relay_used_us(const struct relay_pair *pair);
const struct relay_counters *relay_counters(const struct relay *relay);
size_t relay_count(const struct relay *relay); /* pairs open now */

enum relay_verdict {
    RELAY_DROP,
    RELAY_HINT, /* answer with the bare tag: this source is not attested */
    RELAY_TO_ADDRESS,
    RELAY_TO_STREAM,
    RELAY_TO_SESSION, /* there is neither: over the control session */
};

/* Equal datagrams in a row under one tag; only the last may be shorter than the others. */
struct relay_run {
    const uint8_t *bytes; /* the first tag */
    size_t size;
    size_t datagram_bytes;        /* of one, its tag included */
    const struct stun_addr *from; /* NULL: it came by a TLS connection of `by` */
    const struct relay_member *by;
};

/* The first run of what has arrived, up to where the tag changes: bytes, size and datagram_bytes.
 * The first datagram is longer than a tag. */
void relay_cut(const uint8_t *bytes, size_t size, size_t datagram_bytes, struct relay_run *out);

struct relay_route {
    uint8_t tag[WIRE_RELAY_TAG_BYTES]; /* to put in place of the sender's */
    size_t size;                       /* so many bytes of the run may pass */
    const struct attested_address *to; /* RELAY_TO_ADDRESS; valid until the next call on anything */
    struct relay_stream *stream;       /* RELAY_TO_STREAM */
    struct relay_member *member;       /* RELAY_TO_SESSION */
};

enum relay_verdict relay_route(struct relay *relay, const struct relay_run *run, uint64_t now_us,
                               struct relay_route *out);

#endif
