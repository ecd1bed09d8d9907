/* SPDX-License-Identifier: BSD-2-Clause */
/* The contents of a key file: one line, "eyelet-key-1 " and the seed in base32. */
#ifndef IDENTITY_KEYFILE_H
#define IDENTITY_KEYFILE_H

#include <stddef.h>

#include "identity/identity.h"

#define KEYFILE_LINE_BYTES 66 /* with the newline; no zero follows */

void keyfile_format(const struct identity *id, char line[static KEYFILE_LINE_BYTES]);
/* The line end may be missing or CR LF; nothing may follow it. Returns IDENTITY_OK,
 * IDENTITY_ERR_BAD_FILE or IDENTITY_ERR_CRYPTO. */
int keyfile_parse(const char *text, size_t bytes, struct identity *out);

#endif
