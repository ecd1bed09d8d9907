/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/dial.h"

#include <gnutls/crypto.h>
#include <sodium.h>
#include <string.h>

#define MAGIC_BYTES     16
#define TIMESTAMP_BYTES 8
#define SIZE_BYTES      2
#define ID_BYTES        IDENTITY_ID_BYTES

/* Offsets in the body. */
#define AT_PURPOSE   (MAGIC_BYTES - 1)
#define AT_DIAL_ID   MAGIC_BYTES
#define AT_CALLER    (AT_DIAL_ID + WIRE_DIAL_ID_BYTES)
#define AT_CALLEE    (AT_CALLER + ID_BYTES)
#define AT_TIMESTAMP (AT_CALLEE + ID_BYTES)
#define AT_SECRET    (AT_TIMESTAMP + TIMESTAMP_BYTES)
#define AT_SIZE      (AT_SECRET + DIAL_SECRET_BYTES)
#define AT_FLIGHT    (AT_SIZE + SIZE_BYTES)

#define MIN_BODY_BYTES (AT_FLIGHT + IDENTITY_SIGNATURE_BYTES)
#define MAX_BODY_BYTES (MIN_BODY_BYTES + DIAL_MAX_FLIGHT_BYTES)
#define SALT_BYTES     (WIRE_DIAL_ID_BYTES + 2 * ID_BYTES)

enum { PURPOSE_LINK = 0, PURPOSE_PROBE = 1 };

_Static_assert(MAX_BODY_BYTES + crypto_box_SEALBYTES <= WIRE_MAX_SEALED_BYTES,
               "the longest flight fits");

static const uint8_t magic[MAGIC_BYTES] = "eyelet-dial-1\0\0"; /* the last is the purpose */

static void put_big_endian(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = bytes; i-- > 0; value >>= 8) {
        out[i] = (uint8_t)value;
    }
}

static uint64_t get_big_endian(const uint8_t *in, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | in[i];
    }
    return value;
}

/* Everything but the signature; returns its size. */
static size_t write_body(const struct dial_offer *offer, uint8_t body[static MAX_BODY_BYTES])
{
    memcpy(body, magic, MAGIC_BYTES);
    body[AT_PURPOSE] = offer->is_probe ? PURPOSE_PROBE : PURPOSE_LINK;
    memcpy(body + AT_DIAL_ID, offer->dial_id, WIRE_DIAL_ID_BYTES);
    memcpy(body + AT_CALLER, offer->caller.bytes, ID_BYTES);
    memcpy(body + AT_CALLEE, offer->callee.bytes, ID_BYTES);
    put_big_endian(body + AT_TIMESTAMP, offer->timestamp_us, TIMESTAMP_BYTES);
    memcpy(body + AT_SECRET, offer->secret, DIAL_SECRET_BYTES);
    put_big_endian(body + AT_SIZE, offer->flight_bytes, SIZE_BYTES);
    memcpy(body + AT_FLIGHT, offer->flight, offer->flight_bytes);
    return AT_FLIGHT + offer->flight_bytes;
}

static bool read_body(const uint8_t *body, size_t body_bytes, struct dial_offer *out)
{
    if (memcmp(body, magic, AT_PURPOSE) != 0 || body[AT_PURPOSE] > PURPOSE_PROBE) {
        return false;
    }
    size_t flight_bytes = (size_t)get_big_endian(body + AT_SIZE, SIZE_BYTES);
    if (flight_bytes > DIAL_MAX_FLIGHT_BYTES || body_bytes != MIN_BODY_BYTES + flight_bytes) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    out->is_probe = body[AT_PURPOSE] == PURPOSE_PROBE;
    memcpy(out->dial_id, body + AT_DIAL_ID, WIRE_DIAL_ID_BYTES);
    memcpy(out->caller.bytes, body + AT_CALLER, ID_BYTES);
    memcpy(out->callee.bytes, body + AT_CALLEE, ID_BYTES);
    out->timestamp_us = get_big_endian(body + AT_TIMESTAMP, TIMESTAMP_BYTES);
    memcpy(out->secret, body + AT_SECRET, DIAL_SECRET_BYTES);
    memcpy(out->flight, body + AT_FLIGHT, flight_bytes);
    out->flight_bytes = flight_bytes;
    return true;
}

static int unseal_body(const struct identity *self, const uint8_t *sealed, size_t sealed_bytes,
                       uint8_t *body)
{
    uint8_t public_key[crypto_box_PUBLICKEYBYTES];
    uint8_t secret_key[crypto_box_SECRETKEYBYTES];
    int rv = DIAL_ERR_CRYPTO;
    if (identity_to_x25519_public(&self->id, public_key) == IDENTITY_OK &&
        identity_to_x25519_secret(self, secret_key) == IDENTITY_OK) {
        rv = crypto_box_seal_open(body, sealed, sealed_bytes, public_key, secret_key) == 0
                 ? DIAL_OK
                 : DIAL_ERR_UNSEAL;
    }
    sodium_memzero(secret_key, sizeof(secret_key));
    return rv;
}

/* HKDF-Expand with a label of its own for every value, so that none tells anything of another. */
static bool expand(const gnutls_datum_t *key, const char *label, void *out, size_t bytes)
{
    gnutls_datum_t info = {.data = (unsigned char *)(uintptr_t)label,
                           .size = (unsigned)strlen(label)};
    return gnutls_hkdf_expand(GNUTLS_MAC_SHA256, key, &info, out, bytes) == 0;
}

/* Base64's alphabet is ICE's (RFC 8445, 5.3: ALPHA, DIGIT, '+', '/'), 6 bits a character. */
static bool expand_text(const gnutls_datum_t *key, const char *label, char *out, size_t characters)
{
    uint8_t bits[DIAL_PASSWORD_BYTES * 3 / 4];
    size_t bytes = characters * 3 / 4;
    bool done = expand(key, label, bits, bytes);
    if (done) {
        sodium_bin2base64(out, characters + 1, bits, bytes,
                          sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    }
    sodium_memzero(bits, sizeof(bits));
    return done;
}

int dial_seal(const struct identity *self, const struct dial_offer *offer,
              uint8_t sealed[static WIRE_MAX_SEALED_BYTES], size_t *sealed_bytes)
{
    if (offer->flight_bytes > DIAL_MAX_FLIGHT_BYTES) {
        return DIAL_ERR_SPACE;
    }
    if (!identity_equal(&offer->caller, &self->id)) {
        return DIAL_ERR_FORMAT;
    }
    uint8_t callee_key[crypto_box_PUBLICKEYBYTES];
    if (sodium_init() < 0 || identity_to_x25519_public(&offer->callee, callee_key) != IDENTITY_OK) {
        return DIAL_ERR_CRYPTO;
    }
    uint8_t body[MAX_BODY_BYTES];
    size_t bytes = write_body(offer, body);
    int rv = DIAL_ERR_CRYPTO;
    if (identity_sign(self, body, bytes, body + bytes) == IDENTITY_OK) {
        bytes += IDENTITY_SIGNATURE_BYTES;
        if (crypto_box_seal(sealed, body, bytes, callee_key) == 0) {
            *sealed_bytes = bytes + crypto_box_SEALBYTES;
            rv = DIAL_OK;
        }
    }
    sodium_memzero(body, sizeof(body));
    return rv;
}

int dial_unseal(const struct identity *self, const uint8_t dial_id[static WIRE_DIAL_ID_BYTES],
                const struct identity_id *caller, const uint8_t *sealed, size_t sealed_bytes,
                struct dial_offer *out)
{
    if (sealed_bytes < MIN_BODY_BYTES + crypto_box_SEALBYTES ||
        sealed_bytes > MAX_BODY_BYTES + crypto_box_SEALBYTES) {
        return DIAL_ERR_UNSEAL;
    }
    if (sodium_init() < 0) {
        return DIAL_ERR_CRYPTO;
    }
    uint8_t body[MAX_BODY_BYTES];
    size_t body_bytes = sealed_bytes - crypto_box_SEALBYTES;
    int rv = unseal_body(self, sealed, sealed_bytes, body);
    if (rv == DIAL_OK && !read_body(body, body_bytes, out)) {
        rv = DIAL_ERR_FORMAT;
    }
    /* Both full IDs: a dial sealed for -A opens with A's key. */
    if (rv == DIAL_OK &&
        (memcmp(out->dial_id, dial_id, WIRE_DIAL_ID_BYTES) != 0 ||
         !identity_equal(&out->caller, caller) || !identity_equal(&out->callee, &self->id))) {
        rv = DIAL_ERR_NOT_FOR_US;
    }
    size_t signed_bytes = body_bytes - IDENTITY_SIGNATURE_BYTES;
    if (rv == DIAL_OK && !identity_verify(&out->caller, body, signed_bytes, body + signed_bytes)) {
        rv = DIAL_ERR_SIGNATURE;
    }
    sodium_memzero(body, sizeof(body));
    if (rv != DIAL_OK) {
        sodium_memzero(out, sizeof(*out));
    }
    return rv;
}

int dial_derive(const struct dial_offer *offer, struct dial_keys *out)
{
    uint8_t salt_bytes[SALT_BYTES];
    uint8_t key_bytes[DIAL_KEY_BYTES];
    memcpy(salt_bytes, offer->dial_id, WIRE_DIAL_ID_BYTES);
    memcpy(salt_bytes + WIRE_DIAL_ID_BYTES, offer->caller.bytes, ID_BYTES);
    memcpy(salt_bytes + WIRE_DIAL_ID_BYTES + ID_BYTES, offer->callee.bytes, ID_BYTES);

    gnutls_datum_t secret = {.data = (unsigned char *)(uintptr_t)offer->secret,
                             .size = DIAL_SECRET_BYTES};
    gnutls_datum_t salt = {.data = salt_bytes, .size = sizeof(salt_bytes)};
    gnutls_datum_t key = {.data = key_bytes, .size = sizeof(key_bytes)};
    bool done =
        gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &secret, &salt, key_bytes) == 0 &&
        expand_text(&key, "eyelet caller ufrag", out->caller_ufrag, DIAL_UFRAG_BYTES) &&
        expand_text(&key, "eyelet caller password", out->caller_password, DIAL_PASSWORD_BYTES) &&
        expand_text(&key, "eyelet callee ufrag", out->callee_ufrag, DIAL_UFRAG_BYTES) &&
        expand_text(&key, "eyelet callee password", out->callee_password, DIAL_PASSWORD_BYTES) &&
        expand(&key, "eyelet note to callee", out->note_to_callee, DIAL_KEY_BYTES) &&
        expand(&key, "eyelet note to caller", out->note_to_caller, DIAL_KEY_BYTES) &&
        expand(&key, "eyelet link token", out->link_token, DIAL_TOKEN_BYTES);
    sodium_memzero(key_bytes, sizeof(key_bytes));
    if (!done) {
        sodium_memzero(out, sizeof(*out));
        return DIAL_ERR_CRYPTO;
    }
    return DIAL_OK;
}

const char *dial_strerror(int error)
{
    switch (error) {
    case DIAL_OK:
        return "no error";
    case DIAL_ERR_CRYPTO:
        return "a key was refused, or the random source failed";
    case DIAL_ERR_UNSEAL:
        return "the dial is not sealed for this key, or damaged";
    case DIAL_ERR_FORMAT:
        return "the dial does not have the right form";
    case DIAL_ERR_NOT_FOR_US:
        return "the dial was made for others than those who got it";
    case DIAL_ERR_SIGNATURE:
        return "the dial's signature is not its caller's";
    case DIAL_ERR_REPLAY:
        return "the dial is not newer than the caller's last one";
    case DIAL_ERR_CLOCK:
        return "the dial's time cannot be trusted: the clocks are too far apart";
    case DIAL_ERR_SPACE:
        return "the first flight is too long for a dial";
    default:
        return "unknown error";
    }
}
