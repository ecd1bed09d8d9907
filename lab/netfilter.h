/* SPDX-License-Identifier: BSD-2-Clause */
/* NATs and firewalls of the kernel, as most home routers have them: kinds "nf-...". */
#ifndef LAB_NETFILTER_H
#define LAB_NETFILTER_H

#include <stdbool.h>

#include "lab/nat_config.h"

struct netfilter_kind {
    const char *name;
    const char *rules; /* for nft; "$HOST" is the first host inside */
    const char *about;
};

/* The end has no name. */
const struct netfilter_kind *netfilter_kinds(void);
const struct netfilter_kind *netfilter_kind_named(const char *name);

/* Applies a kind in the network namespace where the calling process is, between its devices "lan"
 * and "wan". Runs nft. False: it has said why on stderr. */
bool netfilter_apply(const struct netfilter_kind *kind, enum nat_config_ipv6 ipv6,
                     const char *first_host);

#endif
