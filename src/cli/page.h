/* SPDX-License-Identifier: BSD-2-Clause */
/* A page for people: labels on the left, what is to be said beside them, wrapped at words. */
#ifndef CLI_PAGE_H
#define CLI_PAGE_H

#include <stddef.h>
#include <stdio.h>

#define PAGE_LABEL_CELLS 18

/* Of the terminal that stream is; 80 if it is none, or does not say. */
unsigned page_columns(FILE *stream);
/* label "": the text stands below the one before. The text is cut only between words. */
void page_row(FILE *stream, unsigned columns, const char *label, const char *text);
/* The same with a prefix before the text, below which its other lines do not go. */
void page_item(FILE *stream, unsigned columns, const char *label, const char *prefix,
               const char *text);
/* Two texts beside each other, the second after cells of the first. Trailing blanks are left out.
 */
void page_pair(FILE *stream, const char *label, const char *left, size_t cells, const char *right);

#endif
