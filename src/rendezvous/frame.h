/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames of a byte stream: 2 bytes size, big endian, then the body. Knows nothing of TLS or
 * sockets.
 *
 * The cutter says where the next bytes belong and how many fit there, so that the stream is read
 * straight into place and never past the end of a frame. */
#ifndef RENDEZVOUS_FRAME_H
#define RENDEZVOUS_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_BYTES   2
#define FRAME_MAX_BODY_BYTES 8192

enum frame_error {
    FRAME_ERR_SIZE = -1, /* an announced size of 0 or above FRAME_MAX_BODY_BYTES */
    FRAME_ERR_MEMORY = -2,
};

/* Zero-initialise. Holds memory only from a frame's header to the frame_cutter_drop after it. */
struct frame_cutter {
    uint8_t header[FRAME_HEADER_BYTES];
    size_t received; /* bytes of header and body so far */
    uint8_t *body;   /* NULL until the header is complete */
    size_t body_bytes;
};

/* Where the next bytes belong; *room (never 0) says how many. Not to be called while a whole frame
 * is waiting to be dropped. */
uint8_t *frame_cutter_room(struct frame_cutter *cutter, size_t *room);

/* That many bytes (at most the room) have been put there. 1: the frame is whole, body and
 * body_bytes have it; 0: more bytes are needed; FRAME_ERR_SIZE or FRAME_ERR_MEMORY: the stream is
 * of no further use. */
int frame_cutter_fill(struct frame_cutter *cutter, size_t bytes);

/* Frees the frame, whole or not, and starts over at a header. */
void frame_cutter_drop(struct frame_cutter *cutter);

void frame_write_header(uint8_t header[static FRAME_HEADER_BYTES], size_t body_bytes);

#endif
