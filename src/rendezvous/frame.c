/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The header is complete: makes room for the body that it announces. */
static int begin_body(struct frame_cutter *cutter)
{
    size_t body_bytes = (size_t)cutter->header[0] << 8 | cutter->header[1];
    if (body_bytes == 0 || body_bytes > FRAME_MAX_BODY_BYTES) {
        return FRAME_ERR_SIZE;
    }
    cutter->body = malloc(body_bytes);
    if (cutter->body == NULL) {
        return FRAME_ERR_MEMORY;
    }
    cutter->body_bytes = body_bytes;
    return 0;
}

uint8_t *frame_cutter_room(struct frame_cutter *cutter, size_t *room)
{
    if (cutter->received < FRAME_HEADER_BYTES) {
        *room = FRAME_HEADER_BYTES - cutter->received;
        return cutter->header + cutter->received;
    }
    size_t at = cutter->received - FRAME_HEADER_BYTES;
    assert(cutter->body != NULL && at < cutter->body_bytes);
    *room = cutter->body_bytes - at;
    return cutter->body + at;
}

int frame_cutter_fill(struct frame_cutter *cutter, size_t bytes)
{
    cutter->received += bytes;
    if (cutter->received < FRAME_HEADER_BYTES) {
        return 0;
    }
    if (cutter->body == NULL) {
        return begin_body(cutter);
    }
    return cutter->received == FRAME_HEADER_BYTES + cutter->body_bytes;
}

void frame_cutter_drop(struct frame_cutter *cutter)
{
    free(cutter->body);
    memset(cutter, 0, sizeof(*cutter));
}

void frame_write_header(uint8_t header[static FRAME_HEADER_BYTES], size_t body_bytes)
{
    header[0] = (uint8_t)(body_bytes >> 8);
    header[1] = (uint8_t)body_bytes;
}
