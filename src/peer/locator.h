/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a mediator is and which key it must have: "HOST[:PORT][#ID]", and the file of pinned keys.
 */
#ifndef PEER_LOCATOR_H
#define PEER_LOCATOR_H

#include "identity/identity.h"

#define LOCATOR_HOST_BYTES 256
#define LOCATOR_NAME_BYTES (LOCATOR_HOST_BYTES + 8)

struct locator {
    char host[LOCATOR_HOST_BYTES];
    uint16_t port;
    bool has_port; /* it was given, so no other one is meant */
    bool has_key;
    struct identity_id key;
};

/* "mediator.example", "192.0.2.1:9856", "[2001:db8::1]:443#abc...". False: not one. */
bool locator_parse(const char *text, struct locator *out);

/* "host:port", the name under which a key is pinned. Returns text. */
const char *locator_name(const struct locator *l, char text[static LOCATOR_NAME_BYTES]);

enum pin_result {
    PIN_MATCH,    /* the key is the one pinned for this name */
    PIN_ADDED,    /* first contact: now pinned */
    PIN_MISMATCH, /* another key is pinned; *pinned is it */
    PIN_IO_ERROR, /* errno: the file could be neither read nor written */
    PIN_BAD_FILE, /* the line for this name is damaged */
};

/* One line a mediator: "NAME ID". The file (0600) and its folder are created at first contact. */
enum pin_result locator_check_pin(const char *path, const struct locator *l,
                                  const struct identity_id *key, struct identity_id *pinned);

#endif
