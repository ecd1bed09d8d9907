/* SPDX-License-Identifier: BSD-2-Clause */
/* Text from outside that people will read in a terminal or a log. */
#ifndef RENDEZVOUS_WIRE_TEXT_H
#define RENDEZVOUS_WIRE_TEXT_H

#include <stdbool.h>

/* Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). */
bool wire_text_is_utf8(const char *text);

/* Puts one '?' in place of every character that could command a terminal or reorder a line:
 * C0 and C1 controls, DEL, line separators, directional marks, embeddings, overrides, isolates.
 * The text must be UTF-8; it never grows. */
void wire_text_clean(char *text);

#endif
