/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes -> the reader of HTTP answers, in pieces and at once, and the reader of URLs. */
#include <stdlib.h>
#include <string.h>

#include "portmap/http.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void read_url(const uint8_t *data, size_t size)
{
    struct stun_addr router = stun_addr_v4(192, 168, 1, 1, 0);
    char path[LEASE_URL_BYTES];
    uint16_t port = 0;

    if (!http_parse_url((const char *)data, size, &router, &port, path))
        return;
    require(port != 0 && path[0] == '/' && memchr(path, '\0', sizeof(path)) != NULL);
    for (const char *c = path; *c != '\0'; c++)
        require(*c > ' ' && *c <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size + 1);
    struct http_answer a;

    read_url(data, size);
    require(bytes != NULL);
    memcpy(bytes, data, size);
    for (size_t length = 0; length < size; length += 1 + size / 8) {
        if (http_parse(bytes, length, false, &a) != HTTP_MORE)
            break;
        require(memcmp(bytes, data, size) == 0); /* untouched until it is whole */
    }
    memcpy(bytes, data, size);
    char *exact = realloc(bytes, size > 0 ? size : 1);
    require(exact != NULL);
    if (http_parse(exact, size, true, &a) == HTTP_DONE)
        require(a.status >= 100 && a.status <= 999 && a.body >= exact &&
                a.body + a.body_bytes <= exact + size);
    free(exact);
    return 0;
}
