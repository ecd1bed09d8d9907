/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/names.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* One code point. Returns its length in bytes, 0 if it is not valid UTF-8 (RFC 3629). */
static size_t utf8_decode(const unsigned char *s, size_t bytes, uint32_t *point)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80             ? 1
                    : (s[0] & 0xe0) == 0xc0 ? 2
                    : (s[0] & 0xf0) == 0xe0 ? 3
                    : (s[0] & 0xf8) == 0xf0 ? 4
                                            : 0;
    if (length == 0 || length > bytes) {
        return 0;
    }
    uint32_t value = length == 1 ? s[0] : s[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (s[i] & 0x3fU);
    }
    if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return 0;
    }
    *point = value;
    return length;
}

static bool is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point <= 0x9f);
}

/* Bidirectional controls make "gpj.exe" look like "exe.jpg"; line and paragraph separators, and
 * marks without width, make two different names look the same. */
static bool is_disguise(uint32_t point)
{
    return point == 0xad || point == 0x061c || point == 0x180e ||
           (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2060 && point <= 0x206f) || point == 0xfeff;
}

static const char *component_fault(const char *part, size_t bytes)
{
    if (bytes == 0) {
        return "has an empty component";
    }
    if (bytes > NAMES_MAX_COMPONENT_BYTES) {
        return "has a component of more than 255 bytes";
    }
    if ((bytes == 1 && part[0] == '.') || (bytes == 2 && part[0] == '.' && part[1] == '.')) {
        return "has a component \".\" or \"..\"";
    }
    return NULL;
}

const char *names_fault(const char *name, size_t bytes)
{
    if (bytes == 0) {
        return "is empty";
    }
    if (bytes > NAMES_MAX_BYTES) {
        return "has more than 4095 bytes";
    }
    if (name[0] == '/') {
        return "is an absolute path";
    }
    size_t depth = 1;
    size_t start = 0;
    for (size_t i = 0; i < bytes;) {
        uint32_t point;
        size_t length = utf8_decode((const unsigned char *)name + i, bytes - i, &point);
        if (length == 0) {
            return "is not valid UTF-8";
        }
        if (is_control(point)) {
            return "contains control characters";
        }
        if (is_disguise(point)) {
            return "contains invisible characters";
        }
        if (point == '/') {
            const char *fault = component_fault(name + start, i - start);
            if (fault) {
                return fault;
            }
            start = i + 1;
            depth++;
        }
        i += length;
    }
    if (depth > NAMES_MAX_DEPTH) {
        return "is nested more than 64 folders deep";
    }
    return component_fault(name + start, bytes - start);
}

char *names_show(const char *text, size_t bytes, char *out, size_t capacity)
{
    size_t used = 0;
    for (size_t i = 0; i < bytes;) {
        uint32_t point = 0;
        size_t length = utf8_decode((const unsigned char *)text + i, bytes - i, &point);
        bool plain = length > 0 && !is_control(point) && !is_disguise(point);
        size_t taken = plain ? length : 1;
        size_t room = plain ? length : 4;
        /* the dots and the zero must still fit behind whatever follows */
        if (used + room + 4 > capacity) {
            memcpy(out + used, "...", 4);
            return out;
        }
        if (plain) {
            memcpy(out + used, text + i, length);
        } else {
            snprintf(out + used, 5, "\\x%02x", (unsigned)(unsigned char)text[i]);
        }
        used += room;
        i += taken;
    }
    out[used] = '\0';
    return out;
}
