/* SPDX-License-Identifier: BSD-2-Clause */
/* Names that come from another machine: which of them may become a file here, and how any of them
 * is shown to a person. */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include <stddef.h>

#define NAMES_MAX_BYTES           4095
#define NAMES_MAX_COMPONENT_BYTES 255
#define NAMES_MAX_DEPTH           64

/* A relative path of plain components, valid UTF-8, nothing that moves a cursor or turns the
 * direction of writing. Returns NULL if it may be used, otherwise what is wrong with it, for
 * people. */
const char *names_fault(const char *name, size_t bytes);

/* Writes text as it can be shown on a terminal: everything that is not printable UTF-8 comes out as
 * \xNN, and what does not fit is cut with "...". Always terminated (capacity >= 8). Returns out. */
char *names_show(const char *text, size_t bytes, char *out, size_t capacity);

#endif
