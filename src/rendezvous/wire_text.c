/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/wire_text.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The character at text and how many bytes it takes; 0 if it is not UTF-8. Never passes the
 * terminating zero, which is no continuation byte. */
static size_t next_character(const char *text, uint32_t *character)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *bytes = (const uint8_t *)text;
    size_t size = bytes[0] < 0x80             ? 1
                  : (bytes[0] & 0xE0) == 0xC0 ? 2
                  : (bytes[0] & 0xF0) == 0xE0 ? 3
                  : (bytes[0] & 0xF8) == 0xF0 ? 4
                                              : 0;
    if (size <= 1) {
        *character = bytes[0];
        return size;
    }
    uint32_t value = bytes[0] & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xC0) != 0x80) {
            return 0;
        }
        value = value << 6 | (bytes[i] & 0x3Fu);
    }
    if (value < smallest[size] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
        return 0;
    }
    *character = value;
    return size;
}

static bool is_command(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x061C || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

bool wire_text_is_utf8(const char *text)
{
    uint32_t character;
    while (*text != '\0') {
        size_t size = next_character(text, &character);
        if (size == 0) {
            return false;
        }
        text += size;
    }
    return true;
}

void wire_text_clean(char *text)
{
    char *to = text;
    uint32_t character = 0;
    while (*text != '\0') {
        size_t size = next_character(text, &character);
        if (size == 0 || is_command(character)) {
            *to++ = '?';
            size = size == 0 ? 1 : size;
        } else {
            memmove(to, text, size);
            to += size;
        }
        text += size;
    }
    *to = '\0';
}
