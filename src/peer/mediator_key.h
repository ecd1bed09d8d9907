/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether the mediator that answers is the one that it should be: by the key that was given with
 * its name, or by the one that was pinned when it was met first. */
#ifndef PEER_MEDIATOR_KEY_H
#define PEER_MEDIATOR_KEY_H

#include "peer/session.h"

/* False: *why says what is wrong, for people. */
bool mediator_key_is_right(struct eyelet_endpoint *ep, const struct identity_id *key,
                           char why[static SESSION_WHY_BYTES]);

#endif
