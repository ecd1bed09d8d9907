/* SPDX-License-Identifier: BSD-2-Clause */
#include <sodium.h>
#include <string.h>

#include "rendezvous/dial.h"

#define COUNTER_BYTES 8
#define NONCE_BYTES   crypto_secretbox_xchacha20poly1305_NONCEBYTES
#define TAG_BYTES     crypto_secretbox_xchacha20poly1305_MACBYTES

_Static_assert(DIAL_NOTE_OVERHEAD_BYTES == NONCE_BYTES + TAG_BYTES, "nonce in front, then the box");
_Static_assert(DIAL_KEY_BYTES == crypto_secretbox_xchacha20poly1305_KEYBYTES, "key size");

static void put_counter(uint8_t out[static COUNTER_BYTES], uint64_t counter)
{
    for (size_t i = COUNTER_BYTES; i-- > 0; counter >>= 8) {
        out[i] = (uint8_t)counter;
    }
}

static uint64_t get_counter(const uint8_t in[static COUNTER_BYTES])
{
    uint64_t counter = 0;
    for (size_t i = 0; i < COUNTER_BYTES; i++) {
        counter = counter << 8 | in[i];
    }
    return counter;
}

size_t dial_note_seal(struct dial_note_box *box, const uint8_t *note, size_t note_bytes,
                      uint8_t *out, size_t capacity)
{
    if (capacity < DIAL_NOTE_OVERHEAD_BYTES || note_bytes > capacity - DIAL_NOTE_OVERHEAD_BYTES ||
        box->counter == UINT64_MAX || sodium_init() < 0) {
        return 0;
    }
    put_counter(out, box->counter + 1);
    randombytes_buf(out + COUNTER_BYTES, NONCE_BYTES - COUNTER_BYTES);
    if (crypto_secretbox_xchacha20poly1305_easy(out + NONCE_BYTES, note, note_bytes, out,
                                                box->key) != 0) {
        return 0;
    }
    box->counter++;
    return note_bytes + DIAL_NOTE_OVERHEAD_BYTES;
}

size_t dial_note_open(struct dial_note_box *box, const uint8_t *sealed, size_t sealed_bytes,
                      uint8_t *out, size_t capacity)
{
    if (sealed_bytes <= DIAL_NOTE_OVERHEAD_BYTES ||
        sealed_bytes - DIAL_NOTE_OVERHEAD_BYTES > capacity || sodium_init() < 0) {
        return 0;
    }
    uint64_t counter = get_counter(sealed);
    if (counter <= box->counter ||
        crypto_secretbox_xchacha20poly1305_open_easy(
            out, sealed + NONCE_BYTES, sealed_bytes - NONCE_BYTES, sealed, box->key) != 0) {
        return 0;
    }
    box->counter = counter;
    return sealed_bytes - DIAL_NOTE_OVERHEAD_BYTES;
}
