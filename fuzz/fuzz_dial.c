/* SPDX-License-Identifier: BSD-2-Clause */
/* What a mediator may hand to a callee. Random bytes do not pass the seal, so the input is also
 * taken as a body and sealed here, as a stranger would; and as a note under a known key. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "rendezvous/dial.h"

#define BODY_CALLER 32
#define BODY_CALLEE 64

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void unseal(const struct identity *self, const uint8_t *body, const uint8_t *sealed,
                   size_t sealed_bytes)
{
    struct identity_id caller;
    uint8_t dial_id[WIRE_DIAL_ID_BYTES];
    struct dial_offer offer;
    struct dial_keys keys;
    memcpy(dial_id, body + 16, sizeof(dial_id));
    memcpy(caller.bytes, body + BODY_CALLER, sizeof(caller.bytes));
    if (dial_unseal(self, dial_id, &caller, sealed, sealed_bytes, &offer) == DIAL_OK) {
        if (offer.flight_bytes > DIAL_MAX_FLIGHT_BYTES ||
            !identity_equal(&offer.callee, &self->id) || dial_derive(&offer, &keys) != DIAL_OK) {
            abort();
        }
    }
}

/* Signed by the caller or not: the second half of the parser is behind the signature. */
static void seal_and_unseal(const struct identity *self, const struct identity *caller,
                            const uint8_t *bytes, size_t size, bool sign)
{
    uint8_t body[WIRE_MAX_SEALED_BYTES];
    uint8_t sealed[WIRE_MAX_SEALED_BYTES];
    uint8_t key[32];
    if (size < 138 || size > WIRE_MAX_SEALED_BYTES - 48 - IDENTITY_SIGNATURE_BYTES ||
        identity_to_x25519_public(&self->id, key) != IDENTITY_OK) {
        return;
    }
    memcpy(body, bytes, size);
    memcpy(body, "eyelet-dial-1\0\0", 16);
    memcpy(body + BODY_CALLEE, self->id.bytes, IDENTITY_ID_BYTES);
    if (sign) {
        memcpy(body + BODY_CALLER, caller->id.bytes, IDENTITY_ID_BYTES);
        identity_sign(caller, body, size, body + size);
        size += IDENTITY_SIGNATURE_BYTES;
    }
    crypto_box_seal(sealed, body, size, key);
    unseal(self, body, sealed, size + crypto_box_SEALBYTES);
}

static void open_note(const uint8_t *bytes, size_t size)
{
    struct dial_note_box box = {.key = {1}};
    uint8_t note[WIRE_MAX_NOTE_BYTES];
    if (dial_note_open(&box, bytes, size, note, sizeof(note)) > sizeof(note)) {
        abort();
    }
}

/* The guard against a plain memory of everything admitted. */
static void replay(const uint8_t *bytes, size_t size)
{
    struct dial_guard *guard = dial_guard_new(500u * 1000000u);
    uint64_t admitted[256][2];
    size_t count = 0;
    for (size_t i = 0; i + 4 <= size && count < 256; i += 4) {
        struct identity_id caller = {{bytes[i]}};
        uint64_t timestamp = (uint64_t)(bytes[i + 1] << 8 | bytes[i + 2]) * 50000u;
        if (bytes[i + 3] & 1) {
            dial_guard_set_now(guard, (uint64_t)bytes[i + 3] * 10000000u);
        }
        if (dial_guard_admit(guard, &caller, timestamp) == DIAL_OK) {
            for (size_t k = 0; k < count; k++) {
                if (admitted[k][0] == bytes[i] &&
                    (admitted[k][1] == timestamp ||
                     admitted[k][1] > timestamp + DIAL_GUARD_REORDER_US)) {
                    abort();
                }
            }
            admitted[count][0] = bytes[i];
            admitted[count++][1] = timestamp;
        }
    }
    dial_guard_free(guard);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const uint8_t seeds[2][IDENTITY_SEED_BYTES] = {{1}, {2}};
    struct identity self, caller;
    if (size < 64 || identity_from_seed(seeds[0], &self) != IDENTITY_OK ||
        identity_from_seed(seeds[1], &caller) != IDENTITY_OK) {
        return 0;
    }
    unseal(&self, bytes, bytes, size);
    seal_and_unseal(&self, &caller, bytes, size, false);
    seal_and_unseal(&self, &caller, bytes, size, true);
    open_note(bytes, size);
    replay(bytes, size);
    return 0;
}
