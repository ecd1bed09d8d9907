/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/story.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct story {
    size_t count;
    struct story_step first[STORY_FIRST_STEPS];
    struct story_step last[STORY_LAST_STEPS]; /* step n at n - FIRST modulo LAST */
};

struct story *story_new(void)
{
    return calloc(1, sizeof(struct story));
}

void story_free(struct story *s)
{
    free(s);
}

void story_tell(struct story *s, uint64_t at_us, const char *what, const char *format, ...)
{
    if (s == NULL) {
        return;
    }
    struct story_step *step = s->count < STORY_FIRST_STEPS
                                  ? &s->first[s->count]
                                  : &s->last[(s->count - STORY_FIRST_STEPS) % STORY_LAST_STEPS];
    va_list args;
    step->at_us = at_us;
    step->what = what;
    va_start(args, format);
    vsnprintf(step->text, sizeof step->text, format, args);
    va_end(args);
    s->count++;
}

const struct story_step *story_step(const struct story *s, size_t number)
{
    if (s == NULL || number >= s->count) {
        return NULL;
    }
    if (number < STORY_FIRST_STEPS) {
        return &s->first[number];
    }
    if (s->count - number > STORY_LAST_STEPS) {
        return NULL;
    }
    return &s->last[(number - STORY_FIRST_STEPS) % STORY_LAST_STEPS];
}

size_t story_count(const struct story *s)
{
    return s != NULL ? s->count : 0;
}
