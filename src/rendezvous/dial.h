/* SPDX-License-Identifier: BSD-2-Clause */
/* The sealed dial: what the caller tells the callee through the mediator, which can read none of
 * it.
 *
 *   body   = "eyelet-dial-1\0\0" (15) | purpose 1 (1: a probe, else 0) | dial_id 16 | caller 32
 *          | callee 32 | timestamp_us 8 (BE) | secret 32 | flight_bytes 2 (BE) | flight | Ed25519
 * signature 64 over all before it sealed = crypto_box_seal(body, X25519 key of the callee)
 *
 * The signature binds both full IDs (A and -A share an X25519 key) and the first flight, so the
 * callee knows the caller before the caller's certificate arrives, and may answer it at once.
 * Everything else is derived from the secret: HKDF-SHA256, salt = dial_id | caller | callee, one
 * label a value (docs/protocol.md). Structs that hold secrets are wiped by their owner. */
#ifndef RENDEZVOUS_DIAL_H
#define RENDEZVOUS_DIAL_H

#include "identity/identity.h"
#include "rendezvous/wire.h"

#define DIAL_SECRET_BYTES     32
#define DIAL_MAX_FLIGHT_BYTES 1252
#define DIAL_UFRAG_BYTES      8  /* printable ICE characters */
#define DIAL_PASSWORD_BYTES   24 /* printable ICE characters, 144 bits */
#define DIAL_KEY_BYTES        32
#define DIAL_TOKEN_BYTES      32

struct dial_offer {
    uint8_t dial_id[WIRE_DIAL_ID_BYTES];
    struct identity_id caller;
    struct identity_id callee;
    uint64_t timestamp_us; /* Unix time; a caller's dials must have growing ones */
    uint8_t secret[DIAL_SECRET_BYTES];
    uint8_t flight[DIAL_MAX_FLIGHT_BYTES]; /* the link's first datagram */
    size_t flight_bytes;
    bool is_probe; /* to measure the path: the callee's library answers it by itself */
};

/* What both sides derive. "caller_"/"callee_" say whose credential it is: a check sent to X is
 * keyed with X's password (RFC 8445, 7.2.2). */
struct dial_keys {
    char caller_ufrag[DIAL_UFRAG_BYTES + 1], caller_password[DIAL_PASSWORD_BYTES + 1];
    char callee_ufrag[DIAL_UFRAG_BYTES + 1], callee_password[DIAL_PASSWORD_BYTES + 1];
    uint8_t note_to_callee[DIAL_KEY_BYTES];
    uint8_t note_to_caller[DIAL_KEY_BYTES];
    uint8_t link_token[DIAL_TOKEN_BYTES]; /* QUIC address validation token of this dial */
};

enum dial_error {
    DIAL_OK = 0,
    DIAL_ERR_CRYPTO = -1, /* a key was refused, or the random source failed */
    DIAL_ERR_UNSEAL = -2, /* not sealed for this key, or damaged */
    DIAL_ERR_FORMAT = -3,
    DIAL_ERR_NOT_FOR_US = -4, /* callee, caller or dial ID inside differ from those outside */
    DIAL_ERR_SIGNATURE = -5,
    DIAL_ERR_REPLAY = -6, /* not newer than this caller's last dial */
    DIAL_ERR_CLOCK = -7, /* too far ahead; or a caller not remembered, and from before the guard was
                          * made or its memory begins */
    DIAL_ERR_SPACE = -8, /* the flight is longer than DIAL_MAX_FLIGHT_BYTES */
};

/* Writes at most WIRE_MAX_SEALED_BYTES. DIAL_OK, DIAL_ERR_CRYPTO, DIAL_ERR_SPACE, or
 * DIAL_ERR_FORMAT if offer->caller is not self. flight_bytes may be 0: a dial for the bare socket
 * has no link. */
int dial_seal(const struct identity *self, const struct dial_offer *offer,
              uint8_t sealed[static WIRE_MAX_SEALED_BYTES], size_t *sealed_bytes);

/* self is the callee; dial_id and caller are what the mediator said. Does not look at the
 * timestamp: that is dial_guard_admit's part. DIAL_OK, DIAL_ERR_CRYPTO, _UNSEAL, _FORMAT,
 * _NOT_FOR_US or _SIGNATURE; on an error *out is wiped or untouched. */
int dial_unseal(const struct identity *self, const uint8_t dial_id[static WIRE_DIAL_ID_BYTES],
                const struct identity_id *caller, const uint8_t *sealed, size_t sealed_bytes,
                struct dial_offer *out);

/* DIAL_OK or DIAL_ERR_CRYPTO. */
int dial_derive(const struct dial_offer *offer, struct dial_keys *out);

/* ---- replays ---- */

#define DIAL_GUARD_CALLERS                                                                         \
    1024 /* callers remembered; the one with the oldest dial is forgotten                          \
          */
#define DIAL_GUARD_SLACK_US (120u * 1000000u)

#define DIAL_GUARD_REORDER_US (5u * 1000000u)

/* Remembers each caller's newest timestamps: of what it has admitted, it admits nothing twice, also
 * not after the caller was forgotten (dial_guard.c says why). What is older than the newest one of
 * its caller is admitted if it is among the newest eight and at most DIAL_GUARD_REORDER_US older:
 * several programs with one key may call at the same moment. A caller that it does not remember
 * must not be older than the guard itself (less DIAL_GUARD_SLACK_US), nor than any dial that was
 * forgotten. So of what was recorded in an earlier life of this callee, only dials of its last
 * DIAL_GUARD_SLACK_US can come back, once; without the secret nobody can use the answer. */
struct dial_guard;
struct dial_guard *dial_guard_new(uint64_t unix_now_us); /* NULL: out of memory */
void dial_guard_free(struct dial_guard *guard);          /* NULL is fine */

/* Call before every dial_guard_admit. From the first call on, timestamps more than
 * DIAL_GUARD_SLACK_US ahead are refused, and at most half of the callers remembered may be ahead at
 * all: otherwise strangers with dials of the future could shut everybody else out. */
void dial_guard_set_now(struct dial_guard *guard, uint64_t unix_now_us);

/* Call after dial_unseal. DIAL_OK, DIAL_ERR_REPLAY or DIAL_ERR_CLOCK. */
int dial_guard_admit(struct dial_guard *guard, const struct identity_id *caller,
                     uint64_t timestamp_us);

/* ---- the dial channel ---- */

#define DIAL_NOTE_OVERHEAD_BYTES (8 + 16 + 16)

/* One direction of sealed notes:
 *
 *   sealed = counter 8 (BE) | random 16 | XChaCha20-Poly1305 box (tag 16, then the note),
 *            nonce = counter | random
 *
 * The random part is there because a callee may be made to open one dial more than once (a replay
 * that it refuses by a note, another process, a restart), and must not then seal different notes
 * under one key and nonce.
 * Zero-initialise and set the key. */
struct dial_note_box {
    uint8_t key[DIAL_KEY_BYTES];
    uint64_t counter; /* of the last message sealed or opened */
};

/* Returns the sealed size, or 0 if it does not fit. note and out must not overlap. */
size_t dial_note_seal(struct dial_note_box *box, const uint8_t *note, size_t note_bytes,
                      uint8_t *out, size_t capacity);
/* Returns the size, or 0 if it is forged, damaged, empty or replayed (counter not larger than the
 * last). sealed and out must not overlap. */
size_t dial_note_open(struct dial_note_box *box, const uint8_t *sealed, size_t sealed_bytes,
                      uint8_t *out, size_t capacity);

const char *dial_strerror(int error);

#endif
