/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/names.h"

#define BLANKS         " \t\r\n"
#define MAX_LINE_BYTES 1024

/* Cuts the comment and the blanks around what is left. */
static char *trim(char *line)
{
    line[strcspn(line, "#")] = '\0';
    line += strspn(line, BLANKS);
    size_t bytes = strlen(line);
    while (bytes > 0 && strchr(BLANKS, line[bytes - 1])) {
        line[--bytes] = '\0';
    }
    return line;
}

/* Two words of a line; the second is "" if there is only one. False: there are more. */
static bool split(char *line, char **first, char **second)
{
    *first = line;
    line += strcspn(line, BLANKS);
    *second = line;
    if (*line != '\0') {
        *line++ = '\0';
        *second = line + strspn(line, BLANKS);
    }
    return (*second)[strcspn(*second, BLANKS)] == '\0';
}

static bool cannot_read(char *why, const char *path, int error)
{
    snprintf(why, PEERS_WHY_BYTES, "cannot read %s: %s", path, strerror(error));
    errno = error;
    return false;
}

/* 1: found; 0: not there; -1: why is set. */
static int search_name(FILE *file, const char *wanted, const char *path, eyelet_id *id, char *why)
{
    char name[PEERS_MAX_NAME_BYTES + 1];
    char *line = NULL;
    size_t capacity = 0;
    int found = 0;
    errno = 0;
    for (int number = 1; found == 0 && getline(&line, &capacity, file) >= 0; number++) {
        int kind = peers_parse_line(line, name, id);
        if (kind < 0) {
            snprintf(why, PEERS_WHY_BYTES, "%s, line %d: expected a name and an ID", path, number);
        }
        found = kind > 0 && strcmp(name, wanted) != 0 ? 0 : kind;
    }
    if (found == 0 && ferror(file)) {
        (void)cannot_read(why, path, errno);
        found = -1;
    }
    free(line);
    return found;
}

static bool find_name(const char *wanted, const char *path, eyelet_id *id, char *why)
{
    int found = 0;
    FILE *file = fopen(path, "re");
    if (!file && errno != ENOENT) {
        return cannot_read(why, path, errno);
    }
    if (file) {
        found = search_name(file, wanted, path, id, why);
        fclose(file);
    }
    if (found == 0) {
        char shown[80];
        names_show(wanted, strlen(wanted), shown, sizeof(shown));
        snprintf(why, PEERS_WHY_BYTES,
                 "\"%s\" is neither an ID (52 letters and digits, see \"eyelet id\" there) nor a "
                 "name in %s (one \"NAME ID\" a line)",
                 shown, path);
    }
    return found > 0;
}

int peers_parse_line(const char *line, char name[static PEERS_MAX_NAME_BYTES + 1], eyelet_id *id)
{
    char copy[MAX_LINE_BYTES];
    char *first;
    char *second;
    size_t bytes = strcspn(line, "#"); /* a comment may be as long as it likes */
    if (bytes >= sizeof(copy)) {
        return -1;
    }
    memcpy(copy, line, bytes);
    copy[bytes] = '\0';
    char *text = trim(copy);
    if (*text == '\0') {
        return 0;
    }
    if (!split(text, &first, &second) || strlen(first) > PEERS_MAX_NAME_BYTES ||
        names_fault(first, strlen(first)) != NULL || eyelet_id_parse(second, id) != EYELET_OK) {
        return -1;
    }
    memcpy(name, first, strlen(first) + 1);
    return 1;
}

bool peers_resolve(const char *text, const char *known_peers, eyelet_id *id, char *why)
{
    return eyelet_id_parse(text, id) == EYELET_OK || find_name(text, known_peers, id, why);
}

bool peers_allow(struct peers *peers, const char *text, const char *known_peers, char *why)
{
    if (strcmp(text, "any") == 0) {
        peers->anyone = true;
        return true;
    }
    eyelet_id id;
    if (!peers_resolve(text, known_peers, &id, why)) {
        return false;
    }
    eyelet_id *grown = reallocarray(peers->ids, peers->count + 1, sizeof(id));
    if (!grown) {
        snprintf(why, PEERS_WHY_BYTES, "out of memory");
        return false;
    }
    peers->ids = grown;
    peers->ids[peers->count++] = id;
    return true;
}

bool peers_allow_file(struct peers *peers, const char *path, const char *known_peers, char *why)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return cannot_read(why, path, errno);
    }
    char *line = NULL;
    size_t capacity = 0;
    bool ok = true;
    errno = 0;
    for (int number = 1; ok && getline(&line, &capacity, file) >= 0; number++) {
        char fault[PEERS_WHY_BYTES];
        char *text = trim(line);
        ok = *text == '\0' || peers_allow(peers, text, known_peers, fault);
        if (!ok) {
            snprintf(why, PEERS_WHY_BYTES, "%.200s, line %d: %.350s", path, number, fault);
        }
    }
    if (ok && ferror(file)) {
        ok = cannot_read(why, path, errno);
    } else {
        errno = 0;
    }
    free(line);
    fclose(file);
    return ok;
}

bool peers_has(const struct peers *peers, const eyelet_id *id)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (memcmp(&peers->ids[i], id, sizeof(*id)) == 0) {
            return true;
        }
    }
    return peers->anyone;
}

void peers_free(struct peers *peers)
{
    free(peers->ids);
    memset(peers, 0, sizeof(*peers));
}
