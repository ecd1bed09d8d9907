/* SPDX-License-Identifier: BSD-2-Clause */
/* What a session keeps warm over UDP: the attested mappings of the data socket and of that of IPv6
 * (keepalives with integrity), the mapping of the bare socket, and the profile of the IPv4 NAT. */
#ifndef PEER_WARM_H
#define PEER_WARM_H

#include "peer/session.h"

/* nonce: for keepalives from where the mediator sees the TLS session come from. */
void warm_start(struct eyelet_endpoint *ep, uint64_t now_us, const uint8_t *nonce,
                size_t nonce_bytes);
void warm_stop(struct session *s);
/* This machine is somewhere else: says so to the bounce servers at once, and learns anew what
 * stands before it. other_source: as for session_moved. */
void warm_moved(struct eyelet_endpoint *ep, uint64_t now_us,
                const bool other_source[static SESSION_FAMILIES]);
void warm_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us);
uint64_t warm_next_timeout(const struct eyelet_endpoint *ep);

#endif
