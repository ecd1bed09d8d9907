/* SPDX-License-Identifier: BSD-2-Clause */
#include "identity/identity.h"

#include <sodium.h>
#include <string.h>

#include "identity/base32.h"

_Static_assert(IDENTITY_ID_BYTES == crypto_sign_PUBLICKEYBYTES, "an ID is an Ed25519 key");
_Static_assert(IDENTITY_SEED_BYTES == crypto_sign_SEEDBYTES, "a seed is an Ed25519 seed");
_Static_assert(IDENTITY_SIGNATURE_BYTES == crypto_sign_BYTES, "Ed25519 signatures");
_Static_assert(IDENTITY_TEXT_BYTES == BASE32_TEXT_CHARS + 1, "the text of an ID");

/* libsodium's secret key is the seed followed by the public key. */
static void secret_key(const struct identity *self, uint8_t out[static crypto_sign_SECRETKEYBYTES])
{
    memcpy(out, self->seed, IDENTITY_SEED_BYTES);
    memcpy(out + IDENTITY_SEED_BYTES, self->id.bytes, IDENTITY_ID_BYTES);
}

int identity_generate(struct identity *out)
{
    if (sodium_init() < 0) {
        return IDENTITY_ERR_CRYPTO;
    }
    uint8_t seed[IDENTITY_SEED_BYTES];
    randombytes_buf(seed, sizeof(seed));
    int rv = identity_from_seed(seed, out);
    sodium_memzero(seed, sizeof(seed));
    return rv;
}

int identity_from_seed(const uint8_t seed[static IDENTITY_SEED_BYTES], struct identity *out)
{
    if (sodium_init() < 0) {
        return IDENTITY_ERR_CRYPTO;
    }
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    int rv = crypto_sign_seed_keypair(out->id.bytes, secret, seed);
    sodium_memzero(secret, sizeof(secret));
    if (rv != 0) {
        return IDENTITY_ERR_CRYPTO;
    }
    memcpy(out->seed, seed, IDENTITY_SEED_BYTES);
    return IDENTITY_OK;
}

void identity_wipe(struct identity *id)
{
    sodium_memzero(id, sizeof(*id));
}

const char *identity_text(const struct identity_id *id, char text[static IDENTITY_TEXT_BYTES])
{
    base32_encode(id->bytes, text);
    text[BASE32_TEXT_CHARS] = '\0';
    return text;
}

bool identity_parse(const char *text, size_t text_bytes, struct identity_id *out)
{
    struct identity_id id;
    if (text_bytes != BASE32_TEXT_CHARS || sodium_init() < 0 || !base32_decode(text, id.bytes) ||
        crypto_core_ed25519_is_valid_point(id.bytes) != 1) {
        return false;
    }
    *out = id;
    return true;
}

bool identity_equal(const struct identity_id *a, const struct identity_id *b)
{
    return sodium_memcmp(a->bytes, b->bytes, IDENTITY_ID_BYTES) == 0;
}

int identity_sign(const struct identity *self, const void *message, size_t message_bytes,
                  uint8_t signature[static IDENTITY_SIGNATURE_BYTES])
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    secret_key(self, secret);
    int rv = crypto_sign_detached(signature, NULL, message, message_bytes, secret);
    sodium_memzero(secret, sizeof(secret));
    return rv == 0 ? IDENTITY_OK : IDENTITY_ERR_CRYPTO;
}

bool identity_verify(const struct identity_id *who, const void *message, size_t message_bytes,
                     const uint8_t signature[static IDENTITY_SIGNATURE_BYTES])
{
    return crypto_sign_verify_detached(signature, message, message_bytes, who->bytes) == 0;
}

int identity_to_x25519_public(const struct identity_id *who, uint8_t out[static 32])
{
    if (crypto_sign_ed25519_pk_to_curve25519(out, who->bytes) != 0) {
        return IDENTITY_ERR_CRYPTO;
    }
    return IDENTITY_OK;
}

int identity_to_x25519_secret(const struct identity *self, uint8_t out[static 32])
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    secret_key(self, secret);
    int rv = crypto_sign_ed25519_sk_to_curve25519(out, secret);
    sodium_memzero(secret, sizeof(secret));
    return rv == 0 ? IDENTITY_OK : IDENTITY_ERR_CRYPTO;
}

void identity_random(void *context, uint8_t *out, size_t bytes)
{
    (void)context;
    randombytes_buf(out, bytes);
}
