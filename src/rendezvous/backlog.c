/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/backlog.h"

#include <stdlib.h>
#include <string.h>

#define BACKLOG_SIZE_BYTES 2

static void backlog_write(struct backlog *backlog, size_t at, const uint8_t *bytes, size_t size)
{
    size_t until_end = BACKLOG_BYTES - at;
    size_t first = size < until_end ? size : until_end;

    memcpy(backlog->ring + at, bytes, first);
    memcpy(backlog->ring, bytes + first, size - first);
}

static void backlog_read(const struct backlog *backlog, size_t at, uint8_t *out, size_t size)
{
    size_t until_end = BACKLOG_BYTES - at;
    size_t first = size < until_end ? size : until_end;

    memcpy(out, backlog->ring + at, first);
    memcpy(out + first, backlog->ring, size - first);
}

static size_t backlog_first_bytes(const struct backlog *backlog)
{
    uint8_t size[BACKLOG_SIZE_BYTES];

    backlog_read(backlog, backlog->head, size, sizeof size);
    return (size_t)size[0] << 8 | size[1];
}

static void backlog_skip(struct backlog *backlog, size_t bytes)
{
    backlog->head = (backlog->head + bytes) % BACKLOG_BYTES;
    backlog->used -= bytes;
}

size_t backlog_put(struct backlog *backlog, const uint8_t *bytes, size_t size)
{
    uint8_t header[BACKLOG_SIZE_BYTES] = {(uint8_t)(size >> 8), (uint8_t)size};
    size_t needed = sizeof header + size;
    size_t dropped = 0;

    if (backlog->ring == NULL)
        backlog->ring = malloc(BACKLOG_BYTES);
    if (backlog->ring == NULL || size == 0 || size > UINT16_MAX)
        return 1;
    while (BACKLOG_BYTES - backlog->used < needed) {
        backlog_skip(backlog, BACKLOG_SIZE_BYTES + backlog_first_bytes(backlog));
        dropped++;
    }
    size_t at = (backlog->head + backlog->used) % BACKLOG_BYTES;
    backlog_write(backlog, at, header, sizeof header);
    backlog_write(backlog, (at + sizeof header) % BACKLOG_BYTES, bytes, size);
    backlog->used += needed;
    return dropped;
}

bool backlog_is_empty(const struct backlog *backlog)
{
    return backlog->used == 0;
}

size_t backlog_take(struct backlog *backlog, uint8_t *out, size_t capacity)
{
    if (backlog->used == 0)
        return 0;
    size_t size = backlog_first_bytes(backlog);
    size_t taken = size < capacity ? size : capacity;
    backlog_skip(backlog, BACKLOG_SIZE_BYTES);
    backlog_read(backlog, backlog->head, out, taken);
    backlog_skip(backlog, size);
    if (backlog->used == 0)
        backlog_clear(backlog);
    return taken;
}

void backlog_clear(struct backlog *backlog)
{
    free(backlog->ring);
    backlog->ring = NULL;
    backlog->head = backlog->used = 0;
}
