/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes -> each of the three kinds of message. What is accepted must encode, and decode again to
 * the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rendezvous/wire.h"

#define CHECK(kind, fields)                                                                        \
    do {                                                                                           \
        static wire_##fields msg;                                                                  \
        static uint8_t once[16384], twice[16384];                                                  \
        const char *why = NULL;                                                                    \
        if (wire_decode_##kind(bytes, size, &msg, &why)) {                                         \
            size_t n = wire_encode_##kind(&msg, once, sizeof(once));                               \
            if (n == 0 || !wire_decode_##kind(once, n, &msg, &why) ||                              \
                wire_encode_##kind(&msg, twice, sizeof(twice)) != n ||                             \
                memcmp(once, twice, n) != 0) {                                                     \
                abort();                                                                           \
            }                                                                                      \
        } else if (why == NULL || *why == '\0') {                                                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    CHECK(to_mediator, ToMediator);
    CHECK(from_mediator, FromMediator);
    CHECK(note, Note);
    return 0;
}
