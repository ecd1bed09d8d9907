/* SPDX-License-Identifier: BSD-2-Clause */
#include "link/message.h"

#include <stdlib.h>
#include <string.h>

static size_t cost(size_t bytes)
{
    return sizeof(struct message) + bytes;
}

bool message_queue_append(struct message_queue *queue, const uint8_t *data, size_t bytes)
{
    if (cost(bytes) > MESSAGE_QUEUE_MAX_BYTES - queue->held) {
        return false;
    }
    struct message *message = malloc(cost(bytes));
    if (message == NULL) {
        return false;
    }
    message->next = NULL;
    message->size = bytes;
    if (bytes > 0) {
        memcpy(message->bytes, data, bytes);
    }
    if (queue->last == NULL) {
        queue->first = message;
    } else {
        queue->last->next = message;
    }
    queue->last = message;
    queue->held += cost(bytes);
    return true;
}

struct message *message_queue_pop(struct message_queue *queue)
{
    struct message *message = queue->first;
    if (message == NULL) {
        return NULL;
    }
    queue->first = message->next;
    if (queue->first == NULL) {
        queue->last = NULL;
    }
    queue->held -= cost(message->size);
    return message;
}

void message_queue_clear(struct message_queue *queue)
{
    for (struct message *m = message_queue_pop(queue); m != NULL; m = message_queue_pop(queue)) {
        free(m);
    }
}
