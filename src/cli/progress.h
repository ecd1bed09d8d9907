/* SPDX-License-Identifier: BSD-2-Clause */
/* The progress bar of a transfer: one line on a terminal. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/report.h"

struct progress {
    struct report *report;
    uint64_t began_us;
    uint64_t last_us;
    uint64_t last_bytes;
    double rate; /* bytes a second, smoothed */
};

void progress_init(struct progress *progress, struct report *report);
/* Draws at most ten times a second. name is safe for a terminal. */
void progress_update(struct progress *progress, uint64_t now_us, const char *name, uint64_t bytes,
                     uint64_t total_bytes);

/* The line itself, cut to columns. rate 0: not known yet. */
void progress_line(char *out, size_t capacity, unsigned columns, const char *name, uint64_t bytes,
                   uint64_t total_bytes, double rate);

/* "12.3 MB": at most 8 characters. */
const char *progress_size(uint64_t bytes, char text[static 16]);

#endif
