/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/locator.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rendezvous/wire.h"

static bool parse_port(const char *text, uint16_t *out)
{
    if (*text < '1' || *text > '9' || strlen(text) > 5) {
        return false;
    }
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    if (*end != '\0' || port > 65535) {
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

static bool copy_host(const char *from, size_t bytes, struct locator *out)
{
    if (bytes == 0 || bytes >= sizeof out->host) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (from[i] <= ' ' || from[i] == 0x7f) { /* would break the lines of the pin file */
            return false;
        }
    }
    memcpy(out->host, from, bytes);
    out->host[bytes] = '\0';
    return true;
}

bool locator_parse(const char *text, struct locator *out)
{
    struct locator l = {.port = WIRE_DEFAULT_PORT};
    const char *hash = strchr(text, '#');
    size_t bytes = hash != NULL ? (size_t)(hash - text) : strlen(text);
    if (hash != NULL) {
        if (!identity_parse(hash + 1, strlen(hash + 1), &l.key)) {
            return false;
        }
        l.has_key = true;
    }
    char where[LOCATOR_NAME_BYTES + 4];
    if (bytes >= sizeof where) {
        return false;
    }
    memcpy(where, text, bytes);
    where[bytes] = '\0';

    const char *host = where;
    size_t host_bytes = bytes;
    const char *port = NULL;
    if (where[0] == '[') {
        const char *close_bracket = strchr(where, ']');
        if (close_bracket == NULL || (close_bracket[1] != '\0' && close_bracket[1] != ':')) {
            return false;
        }
        host = where + 1;
        host_bytes = (size_t)(close_bracket - host);
        port = close_bracket[1] == ':' ? close_bracket + 2 : NULL;
    } else {
        const char *colon = strrchr(where, ':');
        if (colon != NULL && strchr(where, ':') == colon) { /* more than one: a bare IPv6 address */
            host_bytes = (size_t)(colon - where);
            port = colon + 1;
        }
    }
    if (!copy_host(host, host_bytes, &l) || (port != NULL && !parse_port(port, &l.port))) {
        return false;
    }
    l.has_port = port != NULL;
    *out = l;
    return true;
}

const char *locator_name(const struct locator *l, char text[static LOCATOR_NAME_BYTES])
{
    bool v6 = strchr(l->host, ':') != NULL;
    snprintf(text, LOCATOR_NAME_BYTES, v6 ? "[%s]:%u" : "%s:%u", l->host, l->port);
    return text;
}

/* 1: found, 0: no such line, -1: damaged. */
static int find_pin(FILE *file, const char *name, struct identity_id *pinned)
{
    char line[LOCATOR_NAME_BYTES + IDENTITY_TEXT_BYTES + 8];
    size_t name_bytes = strlen(name);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, name_bytes) == 0 && line[name_bytes] == ' ') {
            char *id = line + name_bytes + 1;
            return identity_parse(id, strcspn(id, " \r\n"), pinned) ? 1 : -1;
        }
    }
    return 0;
}

static void make_parent(const char *path)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(folder, 0700); /* if it fails, so does opening the file, which is reported */
        *slash = '/';
    }
}

enum pin_result locator_check_pin(const char *path, const struct locator *l,
                                  const struct identity_id *key, struct identity_id *pinned)
{
    char name[LOCATOR_NAME_BYTES];
    locator_name(l, name);
    make_parent(path);
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "a+") : NULL;
    if (file == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return PIN_IO_ERROR;
    }
    rewind(file);
    enum pin_result result = PIN_ADDED;
    int found = find_pin(file, name, pinned);
    if (found < 0) {
        result = PIN_BAD_FILE;
    } else if (found > 0) {
        result = identity_equal(key, pinned) ? PIN_MATCH : PIN_MISMATCH;
    } else {
        char id[IDENTITY_TEXT_BYTES];
        bool is_cut = fseek(file, -1, SEEK_END) == 0 && fgetc(file) != '\n'; /* edited by hand */
        fseek(file, 0, SEEK_END);
        if (fprintf(file, "%s%s %s\n", is_cut ? "\n" : "", name, identity_text(key, id)) < 0 ||
            fflush(file) != 0) {
            result = PIN_IO_ERROR;
        }
    }
    int saved = errno;
    fclose(file);
    errno = saved;
    return result;
}
