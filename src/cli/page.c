/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/page.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LEAST_TEXT    24 /* columns, however narrow the terminal is */
#define USUAL_COLUMNS 80

unsigned page_columns(FILE *stream)
{
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return USUAL_COLUMNS;
    }
    return size.ws_col;
}

void page_item(FILE *stream, unsigned columns, const char *label, const char *prefix,
               const char *text)
{
    size_t indent = strlen(prefix);
    size_t taken = PAGE_LABEL_CELLS + indent + 1; /* the last column stays empty */
    size_t room = columns > taken + LEAST_TEXT ? columns - taken : LEAST_TEXT;
    do {
        size_t bytes = strlen(text);
        if (bytes > room) {
            size_t cut = room;
            while (cut > 0 && text[cut] != ' ') {
                cut--;
            }
            bytes = cut > 0 ? cut : strcspn(text, " ");
        }
        if (bytes + indent > 0) {
            fprintf(stream, "%-*s%-*s%.*s\n", PAGE_LABEL_CELLS, label, (int)indent, prefix,
                    (int)bytes, text);
        } else {
            fprintf(stream, "%s\n", label);
        }
        text += bytes;
        text += strspn(text, " ");
        label = prefix = "";
    } while (*text);
}

void page_row(FILE *stream, unsigned columns, const char *label, const char *text)
{
    page_item(stream, columns, label, "", text);
}

void page_pair(FILE *stream, const char *label, const char *left, size_t cells, const char *right)
{
    if (*right) {
        fprintf(stream, "%-*s%-*s  %s\n", PAGE_LABEL_CELLS, label, (int)cells, left, right);
    } else {
        fprintf(stream, "%-*s%s\n", PAGE_LABEL_CELLS, label, left);
    }
}
