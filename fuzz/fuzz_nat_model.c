/* SPDX-License-Identifier: BSD-2-Clause */
/* A text that parses prints as one that parses to the same, and makes a NAT that takes packets. */
#include <stdlib.h>
#include <string.h>

#include "lab/dice.h"
#include "lab/nat_model.h"

#define SESSIONS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static struct stun_addr some_addr(uint8_t byte, uint8_t net)
{
    if (byte & 0x80)
        return stun_addr_from_ip((uint8_t[16]){0x20, 1, 0xd, 0xb8, net, byte & 3}, 16,
                                 (uint16_t)(1000 + (byte >> 2)));
    return stun_addr_v4(10, net, 0, byte & 7, (uint16_t)(1000 + (byte >> 3)));
}

static void exercise(const struct nat_config *config, const uint8_t *data, size_t size)
{
    static uint64_t memory[SESSIONS * 40];
    struct dice dice = {size};
    struct nat_model n;
    struct stun_addr public_ip = stun_addr_v4(10, 2, 0, 1, 0);
    struct nat_model_random random = {dice_draw, &dice};
    if (!nat_model_init(&n, config, &public_ip, memory, sizeof(memory), random))
        return;
    uint64_t now = 0;
    for (size_t i = 0; i + 3 < size; i += 4) {
        bool out = data[i] & 1;
        struct nat_model_packet p = {.protocol = data[i] & 2 ? NAT_MODEL_UDP : NAT_MODEL_TCP};
        now += (uint64_t)(data[i] >> 2) * 1000000;
        p.src = some_addr(data[i + 1], out ? 1 : 3);
        p.dst = some_addr(data[i + 2], out && data[i + 3] & 1 ? 3 : 2);
        struct nat_model_verdict v =
            out ? nat_model_outbound(&n, now, &p) : nat_model_inbound(&n, now, &p);
        require(v.action == NAT_MODEL_FORWARD || v.action == NAT_MODEL_HAIRPIN ||
                v.reason != NAT_MODEL_FINE);
        if (v.action == NAT_MODEL_FORWARD && out) {
            /* An error about what went out finds its way home. */
            struct nat_model_packet quoted = v.packet;
            require(nat_model_inbound_error(&n, now, &quoted));
            require(config->allocation == NAT_CONFIG_OVERLOAD ||
                    stun_addr_equal(&quoted.src, &p.src));
        }
        require(nat_model_sessions(&n, now) <= SESSIONS * 40);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[NAT_CONFIG_TEXT_BYTES], printed[NAT_CONFIG_TEXT_BYTES];
    size_t length = 0;
    while (length < size && length < sizeof(text) - 1 && data[length])
        length++;
    if (length)
        memcpy(text, data, length);
    text[length] = 0;
    struct nat_stack stack, again;
    const char *error = NULL;
    if (!nat_config_parse(text, &stack, &error)) {
        require(error != NULL);
        return 0;
    }
    for (uint32_t i = 0; i < stack.layers; i++) {
        nat_config_text(&stack.layer[i], printed);
        require(nat_config_parse(printed, &again, &error) && again.layers == 1);
        require(memcmp(&again.layer[0], &stack.layer[i], sizeof(again.layer[0])) == 0);
        exercise(&stack.layer[i], data, size);
    }
    return 0;
}
