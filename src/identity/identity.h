/* SPDX-License-Identifier: BSD-2-Clause */
/* Who a peer is: an Ed25519 key pair, its ID as text, signatures and sealing keys (libsodium). */
#ifndef IDENTITY_IDENTITY_H
#define IDENTITY_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDENTITY_ID_BYTES        32
#define IDENTITY_SEED_BYTES      32
#define IDENTITY_SIGNATURE_BYTES 64
#define IDENTITY_TEXT_BYTES      53 /* 52 characters of RFC 4648 base32, lower case, and a zero */

struct identity_id {
    uint8_t bytes[IDENTITY_ID_BYTES];
};

/* Secret: wipe with identity_wipe. */
struct identity {
    struct identity_id id;
    uint8_t seed[IDENTITY_SEED_BYTES];
};

enum identity_error {
    IDENTITY_OK = 0,
    IDENTITY_ERR_CRYPTO = -1,      /* libsodium could not be initialised, or refused a key */
    IDENTITY_ERR_IO = -2,          /* errno says what */
    IDENTITY_ERR_BAD_FILE = -3,    /* not a key file */
    IDENTITY_ERR_PERMISSIONS = -4, /* the key file can be read by others */
};

int identity_generate(struct identity *out);
int identity_from_seed(const uint8_t seed[static IDENTITY_SEED_BYTES], struct identity *out);
void identity_wipe(struct identity *id);

/* Loads a key file; creates it (0600, with missing parent folders 0700, atomically) if it does not
 * exist. The format is one line: "eyelet-key-1 " and the seed in base32. */
int identity_load_or_create(const char *path, struct identity *out);

const char *identity_text(const struct identity_id *id, char text[static IDENTITY_TEXT_BYTES]);
/* Exactly 52 characters, either case; refuses set bits beyond 256 and points that are not a valid
 * prime-order-group key. */
bool identity_parse(const char *text, size_t text_bytes, struct identity_id *out);
bool identity_equal(const struct identity_id *a, const struct identity_id *b);

int identity_sign(const struct identity *self, const void *message, size_t message_bytes,
                  uint8_t signature[static IDENTITY_SIGNATURE_BYTES]);
bool identity_verify(const struct identity_id *who, const void *message, size_t message_bytes,
                     const uint8_t signature[static IDENTITY_SIGNATURE_BYTES]);

/* X25519 keys of the same identity. Refuses small-order and mixed-order keys. */
int identity_to_x25519_public(const struct identity_id *who, uint8_t out[static 32]);
int identity_to_x25519_secret(const struct identity *self, uint8_t out[static 32]);

/* Random bytes from the operating system; for the injected random sources of the rooms above. */
void identity_random(void *context, uint8_t *out, size_t bytes);

#endif
