/* SPDX-License-Identifier: BSD-2-Clause */
/* What happened to a connection, for whoever asks why its path is what it is. */
#ifndef PEER_STORY_H
#define PEER_STORY_H

#include <stddef.h>
#include <stdint.h>

#define STORY_TEXT_BYTES  160
#define STORY_FIRST_STEPS 16
#define STORY_LAST_STEPS  48

struct story;

struct story_step {
    uint64_t at_us;
    const char *what; /* static */
    char text[STORY_TEXT_BYTES];
};

struct story *story_new(void); /* NULL: out of memory; the calls below take it */
void story_free(struct story *s);
/* what lives as long as the library. The oldest of the last steps gives way. */
void story_tell(struct story *s, uint64_t at_us, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* NULL: not yet, or given way. */
const struct story_step *story_step(const struct story *s, size_t number);
size_t story_count(const struct story *s); /* steps so far, also those that have given way */

#endif
