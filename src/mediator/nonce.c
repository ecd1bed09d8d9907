/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/nonce.h"

#include <sodium.h>
#include <string.h>

#define NONCE_VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING

static void nonce_of_window(const uint8_t key[static NONCE_KEY_BYTES], uint64_t session_id,
                            const struct stun_addr *addr, uint64_t window,
                            uint8_t out[static NONCE_BYTES])
{
    uint8_t said[sizeof session_id + sizeof window + sizeof addr->ip];
    uint8_t hash[crypto_shorthash_BYTES];
    char text[NONCE_BYTES + 1];

    _Static_assert(NONCE_KEY_BYTES == crypto_shorthash_KEYBYTES, "key size");
    _Static_assert(sodium_base64_ENCODED_LEN(sizeof hash, NONCE_VARIANT) == sizeof text, "size");
    memcpy(said, &session_id, sizeof session_id);
    memcpy(said + sizeof session_id, &window, sizeof window);
    memcpy(said + sizeof session_id + sizeof window, addr->ip, sizeof addr->ip);
    crypto_shorthash(hash, said, sizeof said, key);
    sodium_bin2base64(text, sizeof text, hash, sizeof hash, NONCE_VARIANT);
    memcpy(out, text, NONCE_BYTES);
}

void nonce_make(const uint8_t key[static NONCE_KEY_BYTES], uint64_t session_id,
                const struct stun_addr *addr, uint64_t now_us, uint8_t out[static NONCE_BYTES])
{
    nonce_of_window(key, session_id, addr, now_us / NONCE_WINDOW_US, out);
}

bool nonce_is_right(const uint8_t key[static NONCE_KEY_BYTES], uint64_t session_id,
                    const struct stun_addr *addr, uint64_t now_us, const uint8_t *nonce,
                    size_t bytes)
{
    uint64_t window = now_us / NONCE_WINDOW_US;
    uint8_t right[NONCE_BYTES];

    if (bytes != NONCE_BYTES)
        return false;
    nonce_of_window(key, session_id, addr, window, right);
    if (sodium_memcmp(right, nonce, NONCE_BYTES) == 0)
        return true;
    if (window == 0)
        return false;
    nonce_of_window(key, session_id, addr, window - 1, right);
    return sodium_memcmp(right, nonce, NONCE_BYTES) == 0;
}
