/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/sender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define OUT_BYTES       (TRANSFER_HEAD_BYTES + TRANSFER_MAX_CHUNK_BYTES)
#define MAX_OFFER_BYTES (TRANSFER_HEAD_BYTES + TRANSFER_MAX_BODY_BYTES)

enum entry_state {
    ENTRY_UNSETTLED, /* not offered, or not answered */
    ENTRY_ACCEPTED,
    ENTRY_ABANDONED, /* by us; reported, the verdict is still to come */
    ENTRY_SETTLED,
};

struct sender {
    const struct tree *tree;
    sender_report *report;
    sender_warn *warn;
    void *context;
    const char *why;

    uint8_t *states; /* of enum entry_state, one an entry */
    bool greeted;
    size_t offered;   /* entries below these have been offered, ... */
    size_t answered;  /* ... answered, ... */
    size_t sent;      /* ... given out, ... */
    size_t judged;    /* ... and settled for good */
    size_t in_flight; /* offers that are neither refused nor finished */

    int fd; /* of the file at sent; -1: not begun */
    uint64_t offset;
    bool stop; /* the receiver has given a verdict on it before its end */
    XXH3_state_t *hash;
    char shown[256];

    uint8_t *out;
    size_t out_start;
    size_t out_end;

    uint8_t in[TRANSFER_HEAD_BYTES + 1 + TRANSFER_MAX_TEXT_BYTES];
    size_t in_bytes;
    struct transfer_head record;

    uint64_t bytes;
    uint32_t succeeded;
    uint32_t failed;
    bool integrity_failed;
    bool done;
};

static bool broken(struct sender *s, const char *why)
{
    s->why = why;
    return false;
}

static const char *show(const struct tree_entry *entry, char *out, size_t capacity)
{
    return names_show(entry->name, strlen(entry->name), out, capacity);
}

static void settle(struct sender *s, size_t index, enum transfer_code code, const char *text)
{
    const struct tree_entry *entry = &s->tree->entries[index];
    char shown[256];
    if (code == TRANSFER_OK) {
        s->succeeded++;
    } else {
        s->failed++;
    }
    s->integrity_failed |= code == TRANSFER_INTEGRITY;
    s->report(s->context, show(entry, shown, sizeof(shown)), entry->offer.size_bytes, code, text);
}

static void end_file(struct sender *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    s->fd = -1;
    s->stop = false;
    s->shown[0] = '\0';
    s->sent++;
}

/* Tells both sides that the rest of the current file does not come. */
static void abandon(struct sender *s, const char *text)
{
    if (s->states[s->sent] == ENTRY_ACCEPTED) {
        s->states[s->sent] = ENTRY_ABANDONED;
        settle(s, s->sent, TRANSFER_FILE, text);
    }
    s->out_end +=
        transfer_build_answer(s->out + s->out_end, TRANSFER_ABANDON, TRANSFER_ABANDONED, text);
    end_file(s);
}

static void begin_file(struct sender *s)
{
    const struct tree_entry *entry = &s->tree->entries[s->sent];
    struct stat st;
    show(entry, s->shown, sizeof(s->shown));
    s->offset = 0;
    XXH3_128bits_reset(s->hash);
    s->fd = open(entry->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (s->fd < 0) {
        abandon(s, strerror(errno));
        return;
    }
    if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        abandon(s, "it is no longer a file");
        return;
    }
    (void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

static void finish_file(struct sender *s)
{
    const struct tree_entry *entry = &s->tree->entries[s->sent];
    struct stat st;
    if (fstat(s->fd, &st) == 0 && ((uint64_t)st.st_size != entry->offer.size_bytes ||
                                   st.st_mtim.tv_sec != entry->offer.mtime_s ||
                                   st.st_mtim.tv_nsec != (long)entry->offer.mtime_ns)) {
        s->warn(s->context, s->shown,
                "was changed while it was sent: the copy may mix old and new");
    }
    s->out_end += transfer_build_head(s->out + s->out_end, TRANSFER_END, TRANSFER_HASH_BYTES);
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(s->hash));
    memcpy(s->out + s->out_end, hash.digest, TRANSFER_HASH_BYTES);
    s->out_end += TRANSFER_HASH_BYTES;
    end_file(s);
}

static void read_chunk(struct sender *s)
{
    uint64_t left = s->tree->entries[s->sent].offer.size_bytes - s->offset;
    if (s->stop) {
        abandon(s, "");
        return;
    }
    if (left == 0) {
        finish_file(s);
        return;
    }
    uint8_t *body = s->out + TRANSFER_HEAD_BYTES;
    size_t want = left < TRANSFER_MAX_CHUNK_BYTES ? (size_t)left : TRANSFER_MAX_CHUNK_BYTES;
    ssize_t got;
    do {
        got = pread(s->fd, body, want, (off_t)s->offset);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        abandon(s, got == 0 ? "it became shorter while it was sent" : strerror(errno));
        return;
    }
    transfer_build_head(s->out, TRANSFER_DATA, (size_t)got);
    XXH3_128bits_update(s->hash, body, (size_t)got);
    s->out_end = TRANSFER_HEAD_BYTES + (size_t)got;
    s->offset += (uint64_t)got;
    s->bytes += (uint64_t)got;
}

static void fill_offers(struct sender *s)
{
    while (s->offered < s->tree->count && s->in_flight < TRANSFER_WINDOW &&
           s->out_end + MAX_OFFER_BYTES <= OUT_BYTES) {
        s->out_end +=
            transfer_build_offer(s->out + s->out_end, &s->tree->entries[s->offered].offer);
        s->offered++;
        s->in_flight++;
    }
}

static void fill(struct sender *s)
{
    if (!s->greeted) {
        struct transfer_hello hello = {(uint32_t)s->tree->count, s->tree->bytes};
        s->out_end = transfer_build_hello(s->out, &hello);
        s->greeted = true;
    }
    fill_offers(s);
    while (s->out_end == 0 && s->sent < s->answered) {
        if (s->fd >= 0) {
            read_chunk(s);
        } else if (s->states[s->sent] == ENTRY_ACCEPTED) {
            begin_file(s);
        } else {
            s->sent++; /* refused, or a folder */
        }
    }
}

static bool on_answer(struct sender *s, const struct transfer_answer *said, const char *text)
{
    if (s->answered == s->offered) {
        return broken(s, "an answer to nothing");
    }
    size_t index = s->answered++;
    if (said->code == TRANSFER_OK && s->tree->entries[index].offer.kind == TRANSFER_KIND_FILE) {
        s->states[index] = ENTRY_ACCEPTED;
        return true;
    }
    s->states[index] = ENTRY_SETTLED;
    s->in_flight--;
    settle(s, index, said->code, text);
    return true;
}

static bool on_verdict(struct sender *s, const struct transfer_answer *said, const char *text)
{
    while (s->judged < s->answered && s->states[s->judged] == ENTRY_SETTLED) {
        s->judged++;
    }
    if (s->judged == s->answered || s->judged > s->sent) {
        return broken(s, "a verdict on nothing");
    }
    bool is_current = s->judged == s->sent;
    if (is_current && (said->code == TRANSFER_OK || s->fd < 0)) {
        return broken(s, "a verdict before the file was sent");
    }
    if (s->states[s->judged] == ENTRY_ACCEPTED) {
        settle(s, s->judged, said->code, text);
    }
    s->states[s->judged] = ENTRY_SETTLED;
    s->in_flight--;
    s->stop |= is_current;
    return true;
}

static bool on_done(struct sender *s, const uint8_t *body, size_t bytes)
{
    struct transfer_done done;
    if (!transfer_parse_done(body, bytes, &done) || s->offered < s->tree->count ||
        s->in_flight > 0) {
        return broken(s, "an end before everything was settled");
    }
    if (done.succeeded != s->succeeded || done.failed != s->failed) {
        return broken(s, "a count that differs from ours");
    }
    s->done = true;
    return true;
}

static bool on_record(struct sender *s)
{
    const uint8_t *body = s->in + TRANSFER_HEAD_BYTES;
    struct transfer_answer said;
    char text[TRANSFER_MAX_TEXT_BYTES + 1];
    if (s->record.type == TRANSFER_DONE) {
        return on_done(s, body, s->record.body_bytes);
    }
    if (!transfer_parse_answer(body, s->record.body_bytes, &said)) {
        return broken(s, "a malformed answer");
    }
    names_show(said.text, said.text_bytes, text, sizeof(text));
    return s->record.type == TRANSFER_ANSWER ? on_answer(s, &said, text)
                                             : on_verdict(s, &said, text);
}

struct sender *sender_new(const struct tree *tree, sender_report *report, sender_warn *warn,
                          void *context)
{
    struct sender *s = calloc(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->tree = tree;
    s->report = report;
    s->warn = warn;
    s->context = context;
    s->why = "";
    s->fd = -1;
    s->out = malloc(OUT_BYTES);
    s->states = calloc(tree->count + 1, 1);
    s->hash = XXH3_createState();
    if (!s->out || !s->states || !s->hash) {
        sender_free(s);
        return NULL;
    }
    return s;
}

void sender_free(struct sender *s)
{
    if (!s) {
        return;
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    XXH3_freeState(s->hash);
    free(s->states);
    free(s->out);
    free(s);
}

size_t sender_output(struct sender *s, const uint8_t **data)
{
    if (s->out_start == s->out_end) {
        s->out_start = s->out_end = 0;
        fill(s);
    }
    *data = s->out + s->out_start;
    return s->out_end - s->out_start;
}

void sender_sent(struct sender *s, size_t bytes)
{
    s->out_start += bytes;
}

bool sender_input(struct sender *s, const uint8_t *data, size_t bytes)
{
    while (bytes > 0) {
        if (s->done) {
            return broken(s, "more after the end");
        }
        size_t need = s->in_bytes < TRANSFER_HEAD_BYTES
                          ? TRANSFER_HEAD_BYTES
                          : TRANSFER_HEAD_BYTES + s->record.body_bytes;
        size_t n = need - s->in_bytes < bytes ? need - s->in_bytes : bytes;
        memcpy(s->in + s->in_bytes, data, n);
        s->in_bytes += n;
        data += n;
        bytes -= n;
        if (s->in_bytes == TRANSFER_HEAD_BYTES) {
            if (!transfer_parse_head(s->in, false, &s->record)) {
                return broken(s, "not an answer of a file transfer");
            }
        } else if (s->in_bytes == TRANSFER_HEAD_BYTES + s->record.body_bytes) {
            s->in_bytes = 0;
            if (!on_record(s)) {
                return false;
            }
        }
    }
    return true;
}

const char *sender_why(const struct sender *s)
{
    return s->why;
}

struct sender_progress sender_progress(const struct sender *s)
{
    return (struct sender_progress){
        .name = s->shown,
        .bytes = s->bytes,
        .total_bytes = s->tree->bytes,
        .succeeded = s->succeeded,
        .failed = s->failed,
        .integrity_failed = s->integrity_failed,
        .done = s->done,
    };
}
