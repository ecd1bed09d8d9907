/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/registry.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define REGISTRY_FIRST_BUCKETS 256

struct registry {
    uint8_t hash_key[crypto_shorthash_KEYBYTES];
    struct registry_entry **by_id;
    struct registry_entry **by_session;
    size_t mask;
    size_t count;
};

/* Keyed: IDs are free to make, so they could be chosen to collide. */
static size_t registry_id_bucket(const struct registry *registry, const struct identity_id *id)
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t value;

    crypto_shorthash(hash, id->bytes, sizeof id->bytes, registry->hash_key);
    memcpy(&value, hash, sizeof value);
    return (size_t)value & registry->mask;
}

static size_t registry_session_bucket(const struct registry *registry, uint64_t session_id)
{
    return (size_t)session_id & registry->mask;
}

static void registry_link(struct registry *registry, struct registry_entry *entry)
{
    struct registry_entry **by_id = &registry->by_id[registry_id_bucket(registry, &entry->id)];
    struct registry_entry **by_session =
        &registry->by_session[registry_session_bucket(registry, entry->session_id)];

    entry->next_by_id = *by_id;
    *by_id = entry;
    entry->next_by_session = *by_session;
    *by_session = entry;
}

/* Staying small only costs time, so being out of memory here is no error. */
static void registry_grow(struct registry *registry)
{
    size_t old_buckets = registry->mask + 1;
    struct registry_entry **old = registry->by_id;
    struct registry_entry **by_id = calloc(old_buckets * 2, sizeof(struct registry_entry *));
    struct registry_entry **by_session = calloc(old_buckets * 2, sizeof(struct registry_entry *));

    if (by_id == NULL || by_session == NULL) {
        free(by_id);
        free(by_session);
        return;
    }
    free(registry->by_session);
    registry->by_id = by_id;
    registry->by_session = by_session;
    registry->mask = old_buckets * 2 - 1;
    for (size_t i = 0; i < old_buckets; i++) {
        for (struct registry_entry *entry = old[i], *next; entry != NULL; entry = next) {
            next = entry->next_by_id;
            registry_link(registry, entry);
        }
    }
    free(old);
}

struct registry *registry_new(void)
{
    struct registry *registry = calloc(1, sizeof *registry);

    if (registry == NULL)
        return NULL;
    registry->by_id = calloc(REGISTRY_FIRST_BUCKETS, sizeof(struct registry_entry *));
    registry->by_session = calloc(REGISTRY_FIRST_BUCKETS, sizeof(struct registry_entry *));
    registry->mask = REGISTRY_FIRST_BUCKETS - 1;
    randombytes_buf(registry->hash_key, sizeof registry->hash_key);
    if (registry->by_id == NULL || registry->by_session == NULL) {
        registry_free(registry);
        return NULL;
    }
    return registry;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    free(registry->by_id);
    free(registry->by_session);
    free(registry);
}

size_t registry_count(const struct registry *registry)
{
    return registry->count;
}

void registry_add(struct registry *registry, struct registry_entry *entry)
{
    if (registry->count > registry->mask)
        registry_grow(registry);
    registry_link(registry, entry);
    registry->count++;
}

void registry_remove(struct registry *registry, struct registry_entry *entry)
{
    struct registry_entry **at = &registry->by_id[registry_id_bucket(registry, &entry->id)];

    while (*at != NULL && *at != entry)
        at = &(*at)->next_by_id;
    if (*at == NULL)
        return;
    *at = entry->next_by_id;
    at = &registry->by_session[registry_session_bucket(registry, entry->session_id)];
    while (*at != entry)
        at = &(*at)->next_by_session;
    *at = entry->next_by_session;
    entry->next_by_id = entry->next_by_session = NULL;
    registry->count--;
}

struct registry_entry *registry_by_id(const struct registry *registry, const struct identity_id *id,
                                      const struct registry_entry *after)
{
    struct registry_entry *entry =
        after != NULL ? after->next_by_id : registry->by_id[registry_id_bucket(registry, id)];

    while (entry != NULL && memcmp(entry->id.bytes, id->bytes, sizeof id->bytes) != 0)
        entry = entry->next_by_id;
    return entry;
}

struct registry_entry *registry_listener(const struct registry *registry,
                                         const struct identity_id *id)
{
    struct registry_entry *entry = registry_by_id(registry, id, NULL);

    while (entry != NULL && !entry->listens)
        entry = registry_by_id(registry, id, entry);
    return entry;
}

struct registry_entry *registry_by_session(const struct registry *registry, uint64_t session_id)
{
    struct registry_entry *entry =
        registry->by_session[registry_session_bucket(registry, session_id)];

    while (entry != NULL && entry->session_id != session_id)
        entry = entry->next_by_session;
    return entry;
}
