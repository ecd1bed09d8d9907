/* SPDX-License-Identifier: BSD-2-Clause */
/* The packets of NAT-PMP (RFC 6886) and PCP (RFC 6887), which share port 5351.
 *
 *   NAT-PMP  | 0 | op | reserved      | internal port | external port | lifetime |
 *    answer  | 0 | 128+op | result    | epoch | ... (address: 12 bytes, mapping: 16)
 *   PCP      | 2 | op | reserved | lifetime | our address (16) | MAP: nonce (12), protocol,
 *                                       internal port, external port, external address (16) |
 *    answer  | 2 | 128+op | 0 | result | lifetime | epoch | reserved (12) | MAP as above
 */
#ifndef PORTMAP_PMP_H
#define PORTMAP_PMP_H

#include "portmap/lease.h"

#define PMP_PORT         5351
#define PMP_PACKET_BYTES 60   /* the longest request of ours */
#define PMP_ANSWER_BYTES 1100 /* the longest of PCP */

enum pmp_kind {
    PMP_PCP_MAP,
    PMP_NATPMP_ADDRESS,
    PMP_NATPMP_MAP,
    PMP_NO_PCP, /* the answer of a router without PCP to a request of PCP */
};

struct pmp_answer {
    enum pmp_kind kind;
    uint16_t result; /* 0: success; the numbers of PCP and of NAT-PMP differ */
    uint32_t epoch_s;
    uint32_t lifetime_s;
    uint16_t internal_port;
    struct stun_addr external;        /* address of PMP_NATPMP_ADDRESS; of PMP_PCP_MAP with port */
    uint16_t external_port;           /* of PMP_NATPMP_MAP */
    uint8_t nonce[LEASE_NONCE_BYTES]; /* PMP_PCP_MAP that succeeded, or has one */
    bool has_nonce;
};

/* lifetime_s 0 removes the mapping. Return the packet's length. */
size_t pmp_build_pcp_map(const struct lease *l, uint32_t lifetime_s,
                         uint8_t out[static PMP_PACKET_BYTES]);
size_t pmp_build_natpmp_map(const struct lease *l, uint32_t lifetime_s,
                            uint8_t out[static PMP_PACKET_BYTES]);
size_t pmp_build_natpmp_address(uint8_t out[static PMP_PACKET_BYTES]);

/* False: not an answer of these protocols to a question of ours (UDP mappings, IPv4). */
bool pmp_parse(const uint8_t *bytes, size_t length, struct pmp_answer *out);

/* What a result other than 0 means. */
const char *pmp_result_text(enum pmp_kind kind, uint16_t result);

#endif
