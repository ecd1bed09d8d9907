/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of a network (eyelet_nat), in words and in JSON. */
#ifndef CLI_NETWORK_H
#define CLI_NETWORK_H

#include <jansson.h>
#include <stdbool.h>

#include "eyelet.h"

#define NETWORK_TEXT_BYTES 128

/* In the order of a page. */
enum network_field {
    NETWORK_UDP,
    NETWORK_PUBLIC_IPV4,
    NETWORK_PUBLIC_IPV6,
    NETWORK_MAPPING,
    NETWORK_FILTERING,
    NETWORK_ALLOCATION,
    NETWORK_STEP,
    NETWORK_BLOCK,
    NETWORK_POOLING,
    NETWORK_EARLY,
    NETWORK_HAIRPIN,
    NETWORK_LIFETIME,
    NETWORK_OPENER_TTL,
    NETWORK_PORT_MAPPING,
    NETWORK_PROVIDER,
    NETWORK_FIELDS
};

enum network_side { NETWORK_MINE, NETWORK_THEIRS };

/* A text of the library that says something: not NULL, "" or "unknown". */
bool network_is_known(const char *text);
bool network_has_udp(const eyelet_nat *nat);
/* A router has opened a port, and a bounce server has seen that it works. */
bool network_is_mapped(const eyelet_nat *nat);
/* The public address of a family; 0 bytes: none. */
socklen_t network_public(const eyelet_nat *nat, int family, struct sockaddr_storage *out);

const char *network_label(enum network_field field);
/* "": this field has no meaning there, or is our own business. Returns text. */
const char *network_text(const eyelet_nat *nat, enum network_side side, enum network_field field,
                         char text[static NETWORK_TEXT_BYTES]);
/* What the value of a field means, in a few words; "" where it speaks for itself. */
const char *network_meaning(const eyelet_nat *nat, enum network_field field);

/* Every field; null where it is not known. */
json_t *network_json(const eyelet_nat *nat, enum network_side side);

#endif
