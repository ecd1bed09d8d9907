/* SPDX-License-Identifier: BSD-2-Clause */
/* Queues of unreliable messages, bounded in bytes: what does not fit is the caller's to drop. */
#ifndef LINK_MESSAGE_H
#define LINK_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_QUEUE_MAX_BYTES ((size_t)512 << 10)

struct message {
    struct message *next;
    size_t size;
    uint8_t bytes[];
};

/* Zero is empty. */
struct message_queue {
    struct message *first;
    struct message *last;
    size_t held; /* with the headers, so that empty messages are bounded too */
};

/* False: full, or no memory. */
bool message_queue_append(struct message_queue *queue, const uint8_t *data, size_t bytes);
/* The caller frees. NULL: empty. */
struct message *message_queue_pop(struct message_queue *queue);
void message_queue_clear(struct message_queue *queue);

#endif
