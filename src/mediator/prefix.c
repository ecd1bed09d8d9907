/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/prefix.h"

#include <sodium.h>
#include <string.h>

uint64_t prefix_of(const struct stun_addr *addr)
{
    size_t bytes = addr->family == STUN_IPV4 ? 4 : addr->family == STUN_IPV6 ? 7 : 0;
    uint64_t prefix = addr->family;

    for (size_t i = 0; i < bytes; i++)
        prefix = prefix << 8 | addr->ip[i];
    return prefix;
}

uint64_t prefix_hash(uint64_t prefix, const uint8_t key[static PREFIX_HASH_KEY_BYTES])
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t out;

    _Static_assert(PREFIX_HASH_KEY_BYTES == crypto_shorthash_KEYBYTES, "key size");
    _Static_assert(sizeof out == crypto_shorthash_BYTES, "hash size");
    crypto_shorthash(hash, (const uint8_t *)&prefix, sizeof prefix, key);
    memcpy(&out, hash, sizeof out);
    return out;
}
