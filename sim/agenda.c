/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/agenda.h"

static bool before(const struct agenda_item *a, const struct agenda_item *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

bool agenda_add(struct agenda *a, uint64_t at_us, enum agenda_kind kind, uint32_t who,
                uint32_t what)
{
    struct agenda_item item = {at_us, a->order++, kind, who, what};
    uint32_t i = a->count;

    if (a->count == AGENDA_ROOM)
        return false;
    for (a->count++; i > 0 && before(&item, &a->heap[(i - 1) / 2]); i = (i - 1) / 2)
        a->heap[i] = a->heap[(i - 1) / 2];
    a->heap[i] = item;
    return true;
}

uint64_t agenda_next(const struct agenda *a)
{
    return a->count == 0 ? UINT64_MAX : a->heap[0].at_us;
}

struct agenda_item agenda_take(struct agenda *a)
{
    struct agenda_item first = a->heap[0], last = a->heap[--a->count];
    uint32_t i = 0;

    for (;;) {
        uint32_t child = 2 * i + 1;

        if (child >= a->count)
            break;
        if (child + 1 < a->count && before(&a->heap[child + 1], &a->heap[child]))
            child++;
        if (!before(&a->heap[child], &last))
            break;
        a->heap[i] = a->heap[child];
        i = child;
    }
    a->heap[i] = last;
    return first;
}
