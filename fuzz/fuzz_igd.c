/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes -> what is read of UPnP: the answer to a search, a description, the answer to a
 * command. Whatever they say, what comes out leads to the router alone and can be put into a
 * request. */
#include <stdlib.h>
#include <string.h>

#include "portmap/http.h"
#include "portmap/igd.h"
#include "portmap/ssdp.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_words(const char *text, size_t size)
{
    require(memchr(text, '\0', size) != NULL && text[0] != '\0');
    for (const char *c = text; *c != '\0'; c++)
        require(*c > ' ' && *c <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stun_addr router = {.family = STUN_IPV4, .ip = {192, 168, 1, 1}};
    struct lease_control control = {0};
    struct ssdp_place place = {0};
    char value[64];

    if (ssdp_parse((const char *)data, size, &router, &place)) {
        require(place.port != 0);
        check_words(place.path, sizeof(place.path));
    }
    char *copy = malloc(size > 0 ? size : 1);
    require(copy != NULL);
    memcpy(copy, data, size);
    if (igd_read_description(copy, size, &router, 5000, &control)) {
        require(control.port != 0);
        check_words(control.path, sizeof(control.path));
        check_words(control.service, sizeof(control.service));
    }
    memcpy(copy, data, size);
    int error = igd_read_answer(200, copy, size, "NewExternalIPAddress", value);
    require(error >= -1 && error < 10000 && memchr(value, '\0', sizeof(value)) != NULL);
    free(copy);
    return 0;
}
