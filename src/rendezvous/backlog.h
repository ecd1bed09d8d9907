/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams that wait for a connection slower than they come. A full one drops its oldest: what is
 * late is worth least, and the sender's congestion control must see the loss soon. Pure. */
#ifndef RENDEZVOUS_BACKLOG_H
#define RENDEZVOUS_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialise. Holds memory only while something waits. */
struct backlog {
    uint8_t *ring;
    size_t head; /* of the oldest; each has its size in 2 bytes in front */
    size_t used;
};

#define BACKLOG_BYTES (256u << 10)

/* At most UINT16_MAX bytes. Returns how many datagrams were dropped; itself, where memory is short.
 */
size_t backlog_put(struct backlog *backlog, const uint8_t *bytes, size_t size);
bool backlog_is_empty(const struct backlog *backlog);
/* Takes out the oldest: its size, at most capacity (the rest is cut off); 0 if there is none. */
size_t backlog_take(struct backlog *backlog, uint8_t *out, size_t capacity);
void backlog_clear(struct backlog *backlog);

#endif
