/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((format(printf, 3, 4))) static bool refuse(struct tree *tree, const char *path,
                                                         const char *format, ...)
{
    char shown[256];
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    names_show(path, strlen(path), shown, sizeof(shown));
    snprintf(tree->why, sizeof(tree->why), "%s %s", shown, text);
    return false;
}

static char *join(const char *folder, const char *last)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, last) < 0 ? NULL : path;
}

/* Takes over path and name. */
static bool append(struct tree *tree, char *path, char *name, const struct stat *st)
{
    if (path && name && tree->count == tree->capacity) {
        size_t capacity = tree->capacity ? tree->capacity * 2 : 64;
        struct tree_entry *grown = reallocarray(tree->entries, capacity, sizeof(*grown));
        if (grown) {
            tree->entries = grown;
            tree->capacity = capacity;
        }
    }
    if (!path || !name || tree->count == tree->capacity || tree->count == UINT32_MAX) {
        free(path);
        free(name);
        snprintf(tree->why, sizeof(tree->why), "too many files for the memory of this machine");
        return false;
    }
    bool is_folder = S_ISDIR(st->st_mode);
    struct tree_entry *entry = &tree->entries[tree->count++];
    entry->path = path;
    entry->name = name;
    entry->offer = (struct transfer_offer){
        .kind = is_folder ? TRANSFER_KIND_FOLDER : TRANSFER_KIND_FILE,
        .mode = (uint16_t)(st->st_mode & 0777),
        .mtime_s = st->st_mtim.tv_sec,
        .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
        .size_bytes = is_folder ? 0 : (uint64_t)st->st_size,
        .name = name,
        .name_bytes = strlen(name),
    };
    tree->bytes += entry->offer.size_bytes;
    return true;
}

static bool walk(struct tree *tree, char *path, char *name);

static bool walk_folder(struct tree *tree, const char *path, const char *name)
{
    struct dirent **found;
    int count = scandir(path, &found, NULL, alphasort);
    if (count < 0) {
        return refuse(tree, path, "cannot be read: %s", strerror(errno));
    }
    bool ok = true;
    for (int i = 0; i < count; i++) {
        const char *last = found[i]->d_name;
        if (ok && strcmp(last, ".") != 0 && strcmp(last, "..") != 0) {
            ok = walk(tree, join(path, last), join(name, last));
        }
        free(found[i]);
    }
    free(found);
    return ok;
}

/* Opening is the only honest test of whether a file can be read. */
static bool is_readable(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* Why it cannot be sent is left in tree->why. */
static bool is_sendable(struct tree *tree, const char *path, const char *name, struct stat *st)
{
    const char *fault = names_fault(name, strlen(name));
    if (fault) {
        return refuse(tree, path, "cannot be sent, its name %s: rename it", fault);
    }
    if (lstat(path, st) != 0) {
        return refuse(tree, path, "cannot be read: %s", strerror(errno));
    }
    if (S_ISLNK(st->st_mode)) {
        return refuse(tree, path,
                      "is a symbolic link, and those are not sent: name its target, or "
                      "send an archive of the folder");
    }
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)) {
        return refuse(tree, path, "is neither a file nor a folder and cannot be sent");
    }
    if (S_ISREG(st->st_mode) && !is_readable(path)) {
        return refuse(tree, path, "cannot be read: %s", strerror(errno));
    }
    return true;
}

/* Takes over path and name. */
static bool walk(struct tree *tree, char *path, char *name)
{
    struct stat st;
    if (path && name && !is_sendable(tree, path, name, &st)) {
        free(path);
        free(name);
        return false;
    }
    return append(tree, path, name, &st) && (!S_ISDIR(st.st_mode) || walk_folder(tree, path, name));
}

/* The name at the other side: the last component, also of "." or "folder/". */
static char *own_name(const char *path)
{
    char *trimmed = strdup(path);
    if (!trimmed) {
        return NULL;
    }
    size_t bytes = strlen(trimmed);
    while (bytes > 1 && trimmed[bytes - 1] == '/') {
        trimmed[--bytes] = '\0';
    }
    const char *last = strrchr(trimmed, '/');
    last = last ? last + 1 : trimmed;
    char *resolved = NULL;
    if (strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
        resolved = realpath(trimmed, NULL);
        last = resolved ? strrchr(resolved, '/') + 1 : last;
    }
    char *name = strdup(last);
    free(resolved);
    free(trimmed);
    return name;
}

static bool is_taken(const struct tree *tree, const char *name)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (strcmp(tree->entries[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool tree_add(struct tree *tree, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return refuse(tree, path, "cannot be read: %s", strerror(errno));
    }
    char *name = own_name(path);
    if (name && is_taken(tree, name)) {
        free(name);
        return refuse(tree, path, "has the same name as another one that is to be sent");
    }
    return walk(tree, strdup(path), name);
}

void tree_free(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        free(tree->entries[i].path);
        free(tree->entries[i].name);
    }
    free(tree->entries);
    memset(tree, 0, sizeof(*tree));
}
