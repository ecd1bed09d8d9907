/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/queue.h"

#include <stdlib.h>
#include <string.h>

static bool before(const struct queue_packet *a, const struct queue_packet *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static bool grow(struct queue *q)
{
    if (q->count < q->room)
        return true;
    size_t room = q->room ? q->room * 2 : 256;
    struct queue_packet *heap = realloc(q->heap, room * sizeof(*heap));
    if (!heap)
        return false;
    q->heap = heap;
    q->room = room;
    return true;
}

static void rise(struct queue *q, size_t at)
{
    struct queue_packet moving = q->heap[at];
    while (at > 0 && before(&moving, &q->heap[(at - 1) / 2])) {
        q->heap[at] = q->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    q->heap[at] = moving;
}

static void sink(struct queue *q, size_t at)
{
    struct queue_packet moving = q->heap[at];
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= q->count)
            break;
        if (child + 1 < q->count && before(&q->heap[child + 1], &q->heap[child]))
            child++;
        if (!before(&q->heap[child], &moving))
            break;
        q->heap[at] = q->heap[child];
        at = child;
    }
    q->heap[at] = moving;
}

bool queue_put(struct queue *q, uint64_t due_ns, unsigned link, const uint8_t *bytes, size_t size)
{
    if (q->count >= QUEUE_MAX_PACKETS || !grow(q))
        return false;
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        return false;
    if (size)
        memcpy(copy, bytes, size);
    q->heap[q->count] = (struct queue_packet){
        .due_ns = due_ns, .order = q->order++, .link = link, .size = size, .bytes = copy};
    rise(q, q->count++);
    return true;
}

uint64_t queue_next_due(const struct queue *q)
{
    return q->count ? q->heap[0].due_ns : UINT64_MAX;
}

bool queue_take(struct queue *q, uint64_t now_ns, struct queue_packet *packet)
{
    if (queue_next_due(q) > now_ns || q->count == 0)
        return false;
    *packet = q->heap[0];
    q->heap[0] = q->heap[--q->count];
    if (q->count)
        sink(q, 0);
    return true;
}

void queue_clear(struct queue *q)
{
    for (size_t i = 0; i < q->count; i++)
        free(q->heap[i].bytes);
    free(q->heap);
    memset(q, 0, sizeof(*q));
}
