/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/progress.h"

#include <string.h>

#include "cli/page.h"

#define INTERVAL_US   100000
#define SMOOTHING     0.2
#define MIN_NAME      8
#define MAX_BAR       30
#define NUMBERS_CHARS 38 /* " 100%  123.4 MB  123.4 MB/s  00:00:00" */

/* Cells that UTF-8 text takes, near enough: wide scripts two, everything else one. */
static size_t cells(const char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c & 0xc0) != 0x80) {
            count += c >= 0xe3 ? 2 : 1;
        }
    }
    return count;
}

/* Drops characters in front until it fits: the end of a path tells more. */
static const char *fit(const char *name, size_t room)
{
    while (*name && cells(name, strlen(name)) > room) {
        name++;
        while (((unsigned char)*name & 0xc0) == 0x80) {
            name++;
        }
    }
    return name;
}

static void format_time(char *out, size_t capacity, double seconds)
{
    unsigned long s = seconds < 359999 ? (unsigned long)(seconds + 0.5) : 359999;
    if (s >= 3600) {
        snprintf(out, capacity, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    } else {
        snprintf(out, capacity, "%lu:%02lu", s / 60, s % 60);
    }
}

void progress_init(struct progress *progress, struct report *report)
{
    *progress = (struct progress){.report = report};
}

void progress_update(struct progress *progress, uint64_t now_us, const char *name, uint64_t bytes,
                     uint64_t total_bytes)
{
    char line[512];
    if (!progress->report->is_live || now_us - progress->last_us < INTERVAL_US) {
        return;
    }
    if (progress->began_us == 0) {
        progress->began_us = now_us;
    } else {
        double now =
            (double)(bytes - progress->last_bytes) * 1e6 / (double)(now_us - progress->last_us);
        progress->rate =
            progress->rate > 0 ? progress->rate + SMOOTHING * (now - progress->rate) : now;
    }
    progress->last_us = now_us;
    progress->last_bytes = bytes;
    progress_line(line, sizeof(line), page_columns(stderr), name, bytes, total_bytes,
                  progress->rate);
    report_line(progress->report, line);
}

void progress_line(char *out, size_t capacity, unsigned columns, const char *name, uint64_t bytes,
                   uint64_t total_bytes, double rate)
{
    char size[16];
    char speed[16];
    char left[32] = "--:--";
    char bar[MAX_BAR + 3] = "";
    double part = total_bytes > 0 ? (double)bytes / (double)total_bytes : 1.0;
    part = part > 1.0 ? 1.0 : part;
    if (rate >= 1) {
        format_time(left, sizeof(left), (double)(total_bytes - bytes) / rate);
    }
    /* the last column stays empty: some terminals wrap when it is written */
    size_t room = columns > NUMBERS_CHARS + 1 ? columns - NUMBERS_CHARS - 1 : 0;
    size_t width = room > MIN_NAME + 12 ? (room - MIN_NAME) / 2 : 0;
    width = width > MAX_BAR ? MAX_BAR : width;
    if (width > 2) {
        size_t filled = (size_t)(part * (double)(width - 2));
        bar[0] = ' ';
        memset(bar + 1, '.', width - 2);
        memset(bar + 1, '#', filled);
        bar[width - 1] = '\0';
    }
    size_t name_room = room > width ? room - width : 0;
    snprintf(out, capacity, "%s%s %3d%%  %s  %s/s  %s", fit(name, name_room), bar,
             (int)(part * 100), progress_size(bytes, size),
             progress_size((uint64_t)(rate > 0 ? rate : 0), speed), left);
    if (cells(out, strlen(out)) >= columns) {
        snprintf(out, capacity, "%d%%", (int)(part * 100));
    }
    if (strlen(out) >= columns) {
        out[0] = '\0';
    }
}

const char *progress_size(uint64_t bytes, char text[static 16])
{
    static const char units[][3] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.95 && unit < 6) {
        value /= 1000;
        unit++;
    }
    snprintf(text, 16, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}
