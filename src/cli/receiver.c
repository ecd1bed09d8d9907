/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/receiver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Small pieces are gathered so that the disk sees large writes. */
#define GATHER_BYTES (1 << 20)
#define DIRECT_BYTES (32 << 10)

struct pending {
    char *name;
    struct transfer_offer offer; /* its name points nowhere: the one above counts */
};

struct receiver {
    struct folder *folder;
    receiver_report *report;
    void *context;
    const char *why;

    bool greeted;
    struct transfer_hello hello;
    bool total_fits;
    uint32_t offers;
    uint64_t offered_bytes;
    struct pending pending[TRANSFER_WINDOW]; /* ring of accepted files, the oldest is coming in */
    size_t first;
    size_t count;

    struct folder_file file;
    bool judged; /* the verdict on the oldest file is out: what still comes of it is dropped */
    uint64_t file_bytes;
    XXH3_state_t *hash;
    uint8_t *gather;
    size_t gathered;
    char shown[256];

    uint8_t head[TRANSFER_HEAD_BYTES];
    size_t head_bytes;
    struct transfer_head record;
    uint8_t body[TRANSFER_MAX_BODY_BYTES];
    uint32_t body_bytes;

    uint8_t *out;
    size_t out_start;
    size_t out_end;
    size_t out_capacity;

    uint64_t bytes;
    uint32_t succeeded;
    uint32_t failed;
    bool integrity_failed;
    bool done;
};

static bool broken(struct receiver *r, const char *why)
{
    r->why = why;
    return false;
}

/* The window bounds what can wait here. */
static uint8_t *reserve_output(struct receiver *r)
{
    size_t need = TRANSFER_HEAD_BYTES + 1 + TRANSFER_MAX_TEXT_BYTES;
    if (r->out_start == r->out_end) {
        r->out_start = r->out_end = 0;
    }
    if (r->out_end + need > r->out_capacity) {
        size_t capacity = r->out_capacity * 2 + need;
        uint8_t *grown = realloc(r->out, capacity);
        if (!grown) {
            return NULL;
        }
        r->out = grown;
        r->out_capacity = capacity;
    }
    return r->out + r->out_end;
}

static bool reply(struct receiver *r, enum transfer_type type, enum transfer_code code,
                  const char *text)
{
    uint8_t *out = reserve_output(r);
    if (!out) {
        return broken(r, "out of memory");
    }
    r->out_end += transfer_build_answer(out, type, code, text);
    return true;
}

static void count_result(struct receiver *r, enum transfer_code code)
{
    if (code == TRANSFER_OK) {
        r->succeeded++;
    } else {
        r->failed++;
    }
    r->integrity_failed |= code == TRANSFER_INTEGRITY;
}

static bool finish_if_complete(struct receiver *r)
{
    if (r->done || r->offers < r->hello.entries || r->count > 0) {
        return true;
    }
    uint8_t *out = reserve_output(r);
    if (!out) {
        return broken(r, "out of memory");
    }
    struct transfer_done done = {r->succeeded, r->failed};
    r->out_end += transfer_build_done(out, &done);
    r->done = true;
    return true;
}

static bool on_hello(struct receiver *r)
{
    if (!transfer_parse_hello(r->body, r->body_bytes, &r->hello)) {
        return broken(r, "the sender does not speak version 1 of the file transfer protocol");
    }
    r->greeted = true;
    r->total_fits = r->hello.bytes <= folder_free_bytes(r->folder);
    return finish_if_complete(r);
}

static enum transfer_code judge_offer(struct receiver *r, const struct transfer_offer *offer,
                                      const char *name, const char **text)
{
    if (!name) {
        *text = names_fault(offer->name, offer->name_bytes);
        return TRANSFER_NAME_REFUSED;
    }
    *text = r->folder->why;
    if (!r->total_fits) {
        snprintf(r->folder->why, sizeof(r->folder->why),
                 "the transfer needs %.1f MB, the receiver's disk has %.1f MB left",
                 (double)r->hello.bytes / 1e6, (double)folder_free_bytes(r->folder) / 1e6);
        return TRANSFER_DISK_FULL;
    }
    return offer->kind == TRANSFER_KIND_FOLDER ? folder_make(r->folder, name, offer->mode)
                                               : folder_check(r->folder, name);
}

static bool on_offer(struct receiver *r)
{
    struct transfer_offer offer;
    if (!transfer_parse_offer(r->body, r->body_bytes, &offer)) {
        return broken(r, "a malformed offer");
    }
    if (r->offers == r->hello.entries || offer.size_bytes > r->hello.bytes - r->offered_bytes) {
        return broken(r, "more was offered than announced");
    }
    if (r->count == TRANSFER_WINDOW) {
        return broken(r, "too many offers at once");
    }
    r->offers++;
    r->offered_bytes += offer.size_bytes;
    char *name = NULL;
    if (names_fault(offer.name, offer.name_bytes) == NULL) {
        name = strndup(offer.name, offer.name_bytes);
        if (!name) {
            return broken(r, "out of memory");
        }
    }
    const char *text;
    enum transfer_code code = judge_offer(r, &offer, name, &text);
    if (code == TRANSFER_OK && offer.kind == TRANSFER_KIND_FILE) {
        struct pending *slot = &r->pending[(r->first + r->count++) % TRANSFER_WINDOW];
        slot->name = name;
        slot->offer = offer;
        return reply(r, TRANSFER_ANSWER, TRANSFER_OK, "");
    }
    r->report(r->context, offer.name, offer.name_bytes, offer.size_bytes, code,
              code == TRANSFER_OK ? "" : text);
    count_result(r, code);
    bool ok = reply(r, TRANSFER_ANSWER, code, code == TRANSFER_OK ? "" : text);
    free(name);
    return ok && finish_if_complete(r);
}

static bool judge_file(struct receiver *r, enum transfer_code code, const char *text)
{
    const struct pending *oldest = &r->pending[r->first];
    folder_discard(&r->file);
    r->judged = true;
    count_result(r, code);
    r->report(r->context, oldest->name, strlen(oldest->name), oldest->offer.size_bytes, code, text);
    return reply(r, TRANSFER_VERDICT, code, text);
}

static bool flush_gathered(struct receiver *r)
{
    size_t bytes = r->gathered;
    r->gathered = 0;
    if (bytes == 0 || r->judged) {
        return true;
    }
    enum transfer_code code = folder_write(r->folder, &r->file, r->gather, bytes);
    return code == TRANSFER_OK || judge_file(r, code, r->folder->why);
}

/* The first record of a file: makes the temporary one. */
static bool begin_file(struct receiver *r)
{
    if (r->count == 0) {
        return broken(r, "data without an accepted file");
    }
    if (r->judged || r->file.fd >= 0) {
        return true;
    }
    struct pending *oldest = &r->pending[r->first];
    names_show(oldest->name, strlen(oldest->name), r->shown, sizeof(r->shown));
    r->file_bytes = 0;
    XXH3_128bits_reset(r->hash);
    enum transfer_code code =
        folder_create(r->folder, oldest->name, oldest->offer.size_bytes, &r->file);
    return code == TRANSFER_OK || judge_file(r, code, r->folder->why);
}

static bool on_data(struct receiver *r, const uint8_t *data, size_t bytes)
{
    if (!begin_file(r)) {
        return false;
    }
    if (r->judged) {
        return true;
    }
    if (bytes > r->pending[r->first].offer.size_bytes - r->file_bytes) {
        return broken(r, "more data than the file's size");
    }
    r->file_bytes += bytes;
    r->bytes += bytes;
    XXH3_128bits_update(r->hash, data, bytes);
    if (r->gathered + bytes > GATHER_BYTES || bytes >= DIRECT_BYTES) {
        if (!flush_gathered(r)) {
            return false;
        }
    }
    if (r->judged) {
        return true;
    }
    if (bytes >= DIRECT_BYTES) {
        enum transfer_code code = folder_write(r->folder, &r->file, data, bytes);
        return code == TRANSFER_OK || judge_file(r, code, r->folder->why);
    }
    memcpy(r->gather + r->gathered, data, bytes);
    r->gathered += bytes;
    return true;
}

static bool next_file(struct receiver *r)
{
    free(r->pending[r->first].name);
    r->pending[r->first].name = NULL;
    r->first = (r->first + 1) % TRANSFER_WINDOW;
    r->count--;
    r->judged = false;
    r->gathered = 0;
    r->shown[0] = '\0';
    return finish_if_complete(r);
}

static bool on_end(struct receiver *r)
{
    if (!begin_file(r) || !flush_gathered(r)) {
        return false;
    }
    if (!r->judged) {
        struct pending *oldest = &r->pending[r->first];
        XXH128_canonical_t hash;
        XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(r->hash));
        enum transfer_code code = TRANSFER_OK;
        const char *text = "";
        if (r->file_bytes != oldest->offer.size_bytes) {
            code = TRANSFER_INTEGRITY;
            text = "the end came before all bytes";
        } else if (memcmp(hash.digest, r->body, TRANSFER_HASH_BYTES) != 0) {
            code = TRANSFER_INTEGRITY;
            text = "the content does not have the hash that the sender computed";
        } else {
            code = folder_commit(r->folder, &r->file, &oldest->offer);
            text = code == TRANSFER_OK ? "" : r->folder->why;
        }
        if (!judge_file(r, code, text)) {
            return false;
        }
    }
    return next_file(r);
}

static bool on_abandon(struct receiver *r)
{
    struct transfer_answer said;
    if (r->count == 0 || !transfer_parse_answer(r->body, r->body_bytes, &said)) {
        return broken(r, "a malformed abandonment");
    }
    if (!r->judged) {
        char text[TRANSFER_MAX_TEXT_BYTES];
        names_show(said.text, said.text_bytes, text, sizeof(text));
        if (!judge_file(r, TRANSFER_ABANDONED, text)) {
            return false;
        }
    }
    return next_file(r);
}

static bool on_record(struct receiver *r)
{
    switch ((enum transfer_type)r->record.type) {
    case TRANSFER_HELLO:
        return r->greeted ? broken(r, "a second greeting") : on_hello(r);
    case TRANSFER_OFFER:
        return on_offer(r);
    case TRANSFER_END:
        return on_end(r);
    case TRANSFER_ABANDON:
        return on_abandon(r);
    default:
        return true; /* the end of DATA */
    }
}

static bool on_head(struct receiver *r)
{
    if (!transfer_parse_head(r->head, true, &r->record)) {
        return broken(r, "not a file transfer");
    }
    if (!r->greeted && r->record.type != TRANSFER_HELLO) {
        return broken(r, "no greeting");
    }
    if (r->done) {
        return broken(r, "more than was announced");
    }
    return true;
}

struct receiver *receiver_new(struct folder *folder, receiver_report *report, void *context)
{
    struct receiver *r = calloc(1, sizeof(*r));
    if (!r) {
        return NULL;
    }
    r->folder = folder;
    r->report = report;
    r->context = context;
    r->why = "";
    r->file.fd = -1;
    r->gather = malloc(GATHER_BYTES);
    r->hash = XXH3_createState();
    if (!r->gather || !r->hash) {
        receiver_free(r);
        return NULL;
    }
    return r;
}

void receiver_free(struct receiver *r)
{
    if (!r) {
        return;
    }
    folder_discard(&r->file);
    for (size_t i = 0; i < r->count; i++) {
        free(r->pending[(r->first + i) % TRANSFER_WINDOW].name);
    }
    XXH3_freeState(r->hash);
    free(r->gather);
    free(r->out);
    free(r);
}

bool receiver_input(struct receiver *r, const uint8_t *data, size_t bytes)
{
    while (bytes > 0) {
        size_t n = 0;
        if (r->head_bytes < TRANSFER_HEAD_BYTES) {
            n = TRANSFER_HEAD_BYTES - r->head_bytes;
            n = n < bytes ? n : bytes;
            memcpy(r->head + r->head_bytes, data, n);
            r->head_bytes += n;
            r->body_bytes = 0;
            if (r->head_bytes == TRANSFER_HEAD_BYTES && !on_head(r)) {
                return false;
            }
        } else {
            n = r->record.body_bytes - r->body_bytes;
            n = n < bytes ? n : bytes;
            if (r->record.type != TRANSFER_DATA) {
                memcpy(r->body + r->body_bytes, data, n);
            } else if (!on_data(r, data, n)) {
                return false;
            }
            r->body_bytes += (uint32_t)n;
            if (r->body_bytes == r->record.body_bytes) {
                r->head_bytes = 0;
                if (!on_record(r)) {
                    return false;
                }
            }
        }
        data += n;
        bytes -= n;
    }
    return true;
}

const char *receiver_why(const struct receiver *r)
{
    return r->why;
}

size_t receiver_output(const struct receiver *r, const uint8_t **data)
{
    *data = r->out ? r->out + r->out_start : NULL;
    return r->out_end - r->out_start;
}

void receiver_sent(struct receiver *r, size_t bytes)
{
    r->out_start += bytes;
}

struct receiver_progress receiver_progress(const struct receiver *r)
{
    return (struct receiver_progress){
        .name = r->shown,
        .bytes = r->bytes,
        .total_bytes = r->hello.bytes,
        .succeeded = r->succeeded,
        .failed = r->failed,
        .integrity_failed = r->integrity_failed,
        .done = r->done,
    };
}
