/* SPDX-License-Identifier: BSD-2-Clause */
/* What a network is good for: which kinds of peers it reaches directly, and what would make that
 * better. Pure. The rules are those of punch/plan.h; tests/unit/test_verdict.c holds them together.
 *
 *            peer's NAT: one port    counts up   port block   random    no UDP
 *   mine: lenient        yes         yes         yes          yes       no
 *         one port       yes         yes         search       search    no
 *         counts up      yes         yes         no           no        no
 *         port block     search      no          no           no        no
 *         random         search      no          no           no        no
 *
 * lenient: an unchanging port that lets in any port of an address that it has sent to; or one that
 * the router has opened for us. */
#ifndef CLI_VERDICT_H
#define CLI_VERDICT_H

#include <jansson.h>
#include <stddef.h>

#include "eyelet.h"

#define VERDICT_TEXT_BYTES 320
#define VERDICT_MAX_ADVICE 4

enum verdict_peer {
    VERDICT_STEADY, /* its NAT keeps one port for all destinations, or there is none */
    VERDICT_SEQUENTIAL,
    VERDICT_BLOCK,
    VERDICT_RANDOM,
    VERDICT_UDP_BLOCKED,
    VERDICT_PEERS
};

enum verdict_reach {
    VERDICT_UNKNOWN,
    VERDICT_NO,     /* by the relay only */
    VERDICT_SEARCH, /* directly after seconds of trying ports */
    VERDICT_DIRECT,
};

struct verdict {
    enum verdict_reach reach[VERDICT_PEERS]; /* over IPv4 */
    enum verdict_reach ipv6;                 /* peers that have IPv6, too */
};

struct verdict verdict_of(const eyelet_nat *nat);

/* "everybody except peers whose ...". Returns text. */
const char *verdict_text(const struct verdict *verdict, char text[static VERDICT_TEXT_BYTES]);
/* Sentences, best first; how many. */
size_t verdict_advice(const eyelet_nat *nat, const char *advice[static VERDICT_MAX_ADVICE]);
/* reaches (one member per kind of peer: "direct", "search", "no" or null), text, advice. */
json_t *verdict_json(const eyelet_nat *nat);

#endif
