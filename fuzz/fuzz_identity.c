/* SPDX-License-Identifier: BSD-2-Clause */
/* IDs as text and the contents of key files: what is accepted must be written back the same. */
#include <stdlib.h>
#include <string.h>

#include "identity/identity.h"
#include "identity/keyfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_id(const char *text, size_t size)
{
    struct identity_id id;
    char back[IDENTITY_TEXT_BYTES];
    if (!identity_parse(text, size, &id)) {
        return;
    }
    identity_text(&id, back);
    for (size_t i = 0; i < size; i++) {
        char lower = text[i];
        if (lower >= 'A' && lower <= 'Z') {
            lower = (char)(lower - 'A' + 'a');
        }
        if (lower != back[i]) {
            abort();
        }
    }
}

static void check_key_file(const char *text, size_t size)
{
    struct identity self;
    struct identity again;
    char line[KEYFILE_LINE_BYTES];
    if (keyfile_parse(text, size, &self) != IDENTITY_OK) {
        return;
    }
    keyfile_format(&self, line);
    if (keyfile_parse(line, sizeof(line), &again) != IDENTITY_OK ||
        memcmp(&self, &again, sizeof(self)) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_id((const char *)data, size);
    check_key_file((const char *)data, size);
    return 0;
}
