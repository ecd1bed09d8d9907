/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets on their way, ordered by the moment when they arrive; equal moments keep their order. */
#ifndef LAB_QUEUE_H
#define LAB_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_MAX_PACKETS 65536 /* more are refused, as a full router does */

struct queue_packet {
    uint64_t due_ns;
    uint64_t order;
    unsigned link; /* where it leaves */
    size_t size;
    uint8_t *bytes;
};

struct queue {
    struct queue_packet *heap;
    size_t count, room;
    uint64_t order;
};

/* Zero-initialise a queue before its first use. Copies the bytes. False: full, or no memory. */
bool queue_put(struct queue *q, uint64_t due_ns, unsigned link, const uint8_t *bytes, size_t size);
/* UINT64_MAX: empty. */
uint64_t queue_next_due(const struct queue *q);
/* Takes the next packet if it is due. The caller frees its bytes. */
bool queue_take(struct queue *q, uint64_t now_ns, struct queue_packet *packet);
void queue_clear(struct queue *q);

#endif
