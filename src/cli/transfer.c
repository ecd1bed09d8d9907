/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/transfer.h"

#include <string.h>

static const char magic[8] = {'e', 'y', 'e', 'l', 'e', 't', '-', 't'};

static uint8_t *put(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--) {
        *out++ = (uint8_t)(value >> (8 * (i - 1)));
    }
    return out;
}

static uint64_t get(const uint8_t *in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value = value << 8 | in[i];
    }
    return value;
}

size_t transfer_build_head(uint8_t *out, enum transfer_type type, size_t body_bytes)
{
    out[0] = (uint8_t)type;
    put(out + 1, body_bytes, 4);
    return TRANSFER_HEAD_BYTES;
}

size_t transfer_build_hello(uint8_t *out, const struct transfer_hello *hello)
{
    uint8_t *p = out + transfer_build_head(out, TRANSFER_HELLO, TRANSFER_HELLO_BYTES);
    memcpy(p, magic, sizeof(magic));
    p = put(p + sizeof(magic), TRANSFER_VERSION, 1);
    p = put(p, hello->entries, 4);
    p = put(p, hello->bytes, 8);
    return (size_t)(p - out);
}

size_t transfer_build_offer(uint8_t *out, const struct transfer_offer *offer)
{
    uint8_t *p =
        out + transfer_build_head(out, TRANSFER_OFFER, TRANSFER_OFFER_BYTES + offer->name_bytes);
    p = put(p, (uint64_t)offer->kind, 1);
    p = put(p, offer->mode & 0777U, 2);
    p = put(p, (uint64_t)offer->mtime_s, 8);
    p = put(p, offer->mtime_ns, 4);
    p = put(p, offer->size_bytes, 8);
    memcpy(p, offer->name, offer->name_bytes);
    return (size_t)(p - out) + offer->name_bytes;
}

size_t transfer_build_answer(uint8_t *out, enum transfer_type type, enum transfer_code code,
                             const char *text)
{
    size_t bytes = strlen(text);
    if (bytes > TRANSFER_MAX_TEXT_BYTES) {
        bytes = TRANSFER_MAX_TEXT_BYTES;
    }
    uint8_t *p = out + transfer_build_head(out, type, 1 + bytes);
    p = put(p, (uint64_t)code, 1);
    memcpy(p, text, bytes);
    return (size_t)(p - out) + bytes;
}

size_t transfer_build_done(uint8_t *out, const struct transfer_done *done)
{
    uint8_t *p = out + transfer_build_head(out, TRANSFER_DONE, TRANSFER_DONE_BYTES);
    p = put(p, done->succeeded, 4);
    p = put(p, done->failed, 4);
    return (size_t)(p - out);
}

bool transfer_parse_head(const uint8_t head[static TRANSFER_HEAD_BYTES], bool from_sender,
                         struct transfer_head *out)
{
    out->type = head[0];
    out->body_bytes = (uint32_t)get(head + 1, 4);
    uint32_t bytes = out->body_bytes;
    switch (head[0]) {
    case TRANSFER_HELLO:
        /* longer ones may come from later versions: the version inside decides */
        return from_sender && bytes >= TRANSFER_HELLO_BYTES && bytes <= TRANSFER_MAX_BODY_BYTES;
    case TRANSFER_OFFER:
        return from_sender && bytes > TRANSFER_OFFER_BYTES && bytes <= TRANSFER_MAX_BODY_BYTES;
    case TRANSFER_DATA:
        return from_sender && bytes > 0 && bytes <= TRANSFER_MAX_CHUNK_BYTES;
    case TRANSFER_END:
        return from_sender && bytes == TRANSFER_HASH_BYTES;
    case TRANSFER_ABANDON:
        return from_sender && bytes >= 1 && bytes <= 1 + TRANSFER_MAX_TEXT_BYTES;
    case TRANSFER_ANSWER:
    case TRANSFER_VERDICT:
        return !from_sender && bytes >= 1 && bytes <= 1 + TRANSFER_MAX_TEXT_BYTES;
    case TRANSFER_DONE:
        return !from_sender && bytes == TRANSFER_DONE_BYTES;
    default:
        return false;
    }
}

bool transfer_parse_hello(const uint8_t *body, size_t bytes, struct transfer_hello *out)
{
    if (bytes != TRANSFER_HELLO_BYTES || memcmp(body, magic, sizeof(magic)) != 0 ||
        body[8] != TRANSFER_VERSION) {
        return false;
    }
    out->entries = (uint32_t)get(body + 9, 4);
    out->bytes = get(body + 13, 8);
    return true;
}

bool transfer_parse_offer(const uint8_t *body, size_t bytes, struct transfer_offer *out)
{
    if (bytes <= TRANSFER_OFFER_BYTES || body[0] > TRANSFER_KIND_FOLDER) {
        return false;
    }
    out->kind = (enum transfer_kind)body[0];
    uint16_t mode = (uint16_t)get(body + 1, 2);
    out->mode = mode & 0777;
    out->mtime_s = (int64_t)get(body + 3, 8);
    out->mtime_ns = (uint32_t)get(body + 11, 4);
    out->size_bytes = get(body + 15, 8);
    out->name = (const char *)body + TRANSFER_OFFER_BYTES;
    out->name_bytes = bytes - TRANSFER_OFFER_BYTES;
    return mode <= 0777 && out->mtime_ns < 1000000000 && out->size_bytes <= INT64_MAX &&
           (out->kind == TRANSFER_KIND_FILE || out->size_bytes == 0);
}

bool transfer_parse_answer(const uint8_t *body, size_t bytes, struct transfer_answer *out)
{
    if (bytes < 1 || body[0] >= TRANSFER_CODE_COUNT) {
        return false;
    }
    out->code = (enum transfer_code)body[0];
    out->text = (const char *)body + 1;
    out->text_bytes = bytes - 1;
    return true;
}

bool transfer_parse_done(const uint8_t *body, size_t bytes, struct transfer_done *out)
{
    if (bytes != TRANSFER_DONE_BYTES) {
        return false;
    }
    out->succeeded = (uint32_t)get(body, 4);
    out->failed = (uint32_t)get(body + 4, 4);
    return true;
}

const char *transfer_code_name(enum transfer_code code)
{
    static const char *const names[TRANSFER_CODE_COUNT] = {
        [TRANSFER_OK] = "ok",
        [TRANSFER_NAME_REFUSED] = "name-refused",
        [TRANSFER_EXISTS] = "exists",
        [TRANSFER_DISK_FULL] = "disk-full",
        [TRANSFER_FILE] = "file",
        [TRANSFER_INTEGRITY] = "integrity",
        [TRANSFER_ABANDONED] = "abandoned",
    };
    return names[code];
}
