/* SPDX-License-Identifier: BSD-2-Clause */
/* Host names to addresses without blocking: getaddrinfo in a thread of its own. */
#ifndef PEER_RESOLVE_H
#define PEER_RESOLVE_H

#include "stun/addr.h"

#define RESOLVE_MAX_ADDRESSES 8

struct resolve;

/* NULL: out of memory or threads. */
struct resolve *resolve_start(const char *host, uint16_t port);
int resolve_fd(const struct resolve *r); /* readable once it is done */
/* After the fd became readable: 0 and the addresses, or a getaddrinfo error (gai_strerror). Frees
 * r. */
int resolve_finish(struct resolve *r, struct stun_addr out[static RESOLVE_MAX_ADDRESSES],
                   size_t *count);
/* Abandons it, at any time; a lookup under way ends on its own. */
void resolve_cancel(struct resolve *r);

#endif
