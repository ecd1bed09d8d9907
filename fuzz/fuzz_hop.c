/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "lab/hop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[64];
    struct hop_prefix prefix;
    size_t length = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
    if (length)
        memcpy(text, data, length);
    text[length] = 0;
    hop_prefix_parse(text, &prefix);

    uint8_t *packet = malloc(size ? size : 1);
    if (!packet)
        return 0;
    if (size)
        memcpy(packet, data, size);
    struct hop_addr to;
    if (hop_destination(packet, size, &to)) {
        uint8_t reply[HOP_REPLY_BYTES];
        size_t reply_size = hop_time_exceeded(reply, packet, size, &to);
        if (reply_size > sizeof(reply))
            abort();
        hop_age(packet);
    }
    free(packet);
    return 0;
}
