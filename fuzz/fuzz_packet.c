/* SPDX-License-Identifier: BSD-2-Clause */
/* Whatever a device delivers: rewritten packets read back as what was asked for. */
#include <stdlib.h>
#include <string.h>

#include "lab/hop.h"
#include "lab/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rewrite(uint8_t *bytes, size_t size, const struct packet *p, bool outbound)
{
    struct packet again;
    if (p->error) {
        struct nat_model_packet quoted = p->quoted;
        quoted.src.port ^= 1;
        if (bytes[0] >> 4 == 4 && p->quoted.src.family == STUN_IPV4)
            packet_rewrite_error(bytes, size, p, &p->flow.dst, &p->flow.src, &quoted);
        return;
    }
    struct nat_model_packet to = p->flow;
    to.src = p->flow.dst;
    to.dst = p->flow.src;
    to.src.port = p->flow.src.port;
    to.dst.port = p->flow.dst.port;
    packet_rewrite(bytes, size, p, &to);
    if (!packet_read(bytes, size, outbound, &again) || memcmp(&again.flow, &to, sizeof(to)) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    bool outbound = data[0] & 1;
    size--;
    uint8_t *bytes = malloc(size);
    struct packet p;
    if (!bytes)
        return 0;
    memcpy(bytes, data + 1, size);
    if (packet_read(bytes, size, outbound, &p)) {
        uint8_t reply[HOP_REPLY_BYTES];
        struct hop_addr router = {.bytes = bytes[0] >> 4 == 6 ? 16 : 4};
        struct packet error;
        size_t reply_size = hop_port_unreachable(reply, bytes, size, &router);
        if (reply_size)
            packet_read(reply, reply_size, !outbound, &error);
        rewrite(bytes, size, &p, outbound);
    }
    free(bytes);
    return 0;
}
