/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is registered: from an ID or a session ID to the session. Several programs may have one key,
 * and so one ID, but one of them at most can be called. In the memory of this process; the rest of
 * the mediator asks through these calls alone. Pure. */
#ifndef MEDIATOR_REGISTRY_H
#define MEDIATOR_REGISTRY_H

#include <stdbool.h>

#include "identity/identity.h"

/* Embedded in the session; the registry links it but does not own it. */
struct registry_entry {
    struct identity_id id;
    uint64_t session_id; /* random, never 0 */
    uint64_t instance;   /* of the program; 0: it has not said */
    bool listens;        /* can be called */
    struct registry_entry *next_by_id;
    struct registry_entry *next_by_session;
};

struct registry;

struct registry *registry_new(void); /* NULL: out of memory */
void registry_free(struct registry *registry);
size_t registry_count(const struct registry *registry);

/* The entry must not be in it, nor another with the same session ID: look first. */
void registry_add(struct registry *registry, struct registry_entry *entry);
/* Harmless for an entry that is not in it. */
void registry_remove(struct registry *registry, struct registry_entry *entry);
/* Of those with this ID the one behind `after`, in no order of meaning; the first for NULL. */
struct registry_entry *registry_by_id(const struct registry *registry, const struct identity_id *id,
                                      const struct registry_entry *after);
/* The one of them that can be called. */
struct registry_entry *registry_listener(const struct registry *registry,
                                         const struct identity_id *id);
struct registry_entry *registry_by_session(const struct registry *registry, uint64_t session_id);

#endif
