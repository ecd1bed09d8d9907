/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes -> the STUN parser. What it takes must read the same after we have written it anew. */
#include <stdlib.h>
#include <string.h>

#include "stun/stun.h"

static const uint8_t key[16] = "0123456789abcde";

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_bounds(const struct stun_message *msg)
{
    const uint8_t *end = msg->bytes + msg->size;
    size_t value_bytes = 0;

    require(msg->unknown_count <= STUN_MAX_UNKNOWN);
    require(msg->username == NULL || msg->username + msg->username_bytes <= end);
    for (size_t at = STUN_HEADER_BYTES; at + 4 <= msg->size; at += 4) {
        uint16_t type = (uint16_t)(msg->bytes[at] << 8 | msg->bytes[at + 1]);
        const uint8_t *value = stun_find(msg, type, &value_bytes);

        require(value == NULL || (value > msg->bytes && value + value_bytes <= end));
    }
    stun_integrity_ok(msg, key, sizeof(key));
    stun_integrity_sha256_ok(msg, key, sizeof(key));
}

static void check_texts(const struct stun_addr *addr)
{
    char text[STUN_ADDR_TEXT_BYTES];
    struct stun_addr again = {0};

    if (addr->family == STUN_NO_FAMILY)
        return;
    require(stun_addr_parse(stun_addr_text(addr, text), &again));
    require(memcmp(&again, addr, sizeof(again)) == 0);
}

static void check_rewritten(const struct stun_message *msg)
{
    uint8_t buffer[STUN_MAX_MESSAGE_BYTES];
    struct stun_message again;
    struct stun_builder b;

    stun_begin(&b, buffer, sizeof(buffer), msg->type, msg->transaction);
    if (msg->username != NULL)
        stun_add_bytes(&b, STUN_USERNAME, msg->username, msg->username_bytes);
    if (msg->mapped.family != STUN_NO_FAMILY)
        stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &msg->mapped);
    if (msg->other_address.family != STUN_NO_FAMILY)
        stun_add_addr(&b, STUN_OTHER_ADDRESS, &msg->other_address);
    if (msg->has_priority)
        stun_add_u32(&b, STUN_PRIORITY, msg->priority);
    if (msg->has_sequence)
        stun_add_u64(&b, STUN_EYELET_SEQUENCE, msg->sequence);
    if (msg->error_code != 0)
        stun_add_error(&b, msg->error_code, "");
    stun_add_integrity(&b, key, sizeof(key));
    stun_add_integrity_sha256(&b, key, sizeof(key));
    stun_add_fingerprint(&b);

    require(stun_parse(buffer, stun_finish(&b), &again) == STUN_OK);
    require(again.type == msg->type && again.username_bytes == msg->username_bytes);
    require(stun_addr_equal(&again.mapped, &msg->mapped));
    require(stun_addr_equal(&again.other_address, &msg->other_address));
    require(again.priority == msg->priority && again.sequence == msg->sequence);
    require(again.error_code == msg->error_code && again.has_fingerprint);
    require(stun_integrity_ok(&again, key, sizeof(key)));
    require(stun_integrity_sha256_ok(&again, key, sizeof(key)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stun_message msg;
    struct stun_addr addr;
    char text[64];
    size_t text_bytes = size < sizeof(text) ? size : sizeof(text) - 1;

    if (stun_parse(data, size, &msg) == STUN_OK) {
        check_bounds(&msg);
        check_texts(&msg.mapped);
        check_texts(&msg.response_origin);
        check_texts(&msg.other_address);
        check_rewritten(&msg);
    }
    if (text_bytes > 0)
        memcpy(text, data, text_bytes);
    text[text_bytes] = '\0';
    if (stun_addr_parse(text, &addr))
        check_texts(&addr);
    return 0;
}
