/* SPDX-License-Identifier: BSD-2-Clause */
/* 32 bytes as 52 characters of RFC 4648 base32, lower case, unpadded. */
#ifndef IDENTITY_BASE32_H
#define IDENTITY_BASE32_H

#include <stdbool.h>
#include <stdint.h>

#define BASE32_TEXT_CHARS 52

/* Writes no terminating zero. Constant time: the bytes may be secret. */
void base32_encode(const uint8_t bytes[static 32], char text[static BASE32_TEXT_CHARS]);
/* Either case. False: a character outside the alphabet, or one of the 4 bits beyond 256 is set. */
bool base32_decode(const char text[static BASE32_TEXT_CHARS], uint8_t bytes[static 32]);

#endif
