/* SPDX-License-Identifier: BSD-2-Clause */
#include "identity/base32.h"

#define BYTES 32

/* Arithmetic in place of tables, because a table's cache lines would tell of a secret seed. */
static char symbol_of(unsigned value)
{
    unsigned is_digit = (25U - value) >> 31; /* 1 if value > 25 */
    return (char)('a' + value - is_digit * ('a' + 26U - '2'));
}

static int value_of(char symbol)
{
    if (symbol >= 'a' && symbol <= 'z') {
        return symbol - 'a';
    }
    if (symbol >= 'A' && symbol <= 'Z') {
        return symbol - 'A';
    }
    if (symbol >= '2' && symbol <= '7') {
        return symbol - '2' + 26;
    }
    return -1;
}

void base32_encode(const uint8_t bytes[static BYTES], char text[static BASE32_TEXT_CHARS])
{
    unsigned bits = 0;
    unsigned held = 0;
    int next = 0;
    for (int i = 0; i < BASE32_TEXT_CHARS; i++) {
        if (held < 5) {
            bits = (bits << 8) | (next < BYTES ? bytes[next] : 0U);
            next++;
            held += 8;
        }
        held -= 5;
        text[i] = symbol_of((bits >> held) & 31U);
    }
}

bool base32_decode(const char text[static BASE32_TEXT_CHARS], uint8_t bytes[static BYTES])
{
    unsigned bits = 0;
    unsigned held = 0;
    int next = 0;
    for (int i = 0; i < BASE32_TEXT_CHARS; i++) {
        int value = value_of(text[i]);
        if (value < 0) {
            return false;
        }
        bits = (bits << 5) | (unsigned)value;
        held += 5;
        if (held >= 8) {
            held -= 8;
            bytes[next++] = (uint8_t)(bits >> held);
            bits &= (1U << held) - 1U;
        }
    }
    return bits == 0;
}
