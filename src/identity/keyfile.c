/* SPDX-License-Identifier: BSD-2-Clause */
#include "identity/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity/base32.h"

#define PREFIX       "eyelet-key-1 "
#define PREFIX_BYTES (sizeof(PREFIX) - 1)

_Static_assert(KEYFILE_LINE_BYTES == PREFIX_BYTES + BASE32_TEXT_CHARS + 1,
               "the line of a key file");

/* One byte more than the longest valid file, so that a longer one is seen. */
#define READ_BYTES (KEYFILE_LINE_BYTES + 2)

static int read_all(int fd, char *text, size_t capacity, size_t *size)
{
    *size = 0;
    while (*size < capacity) {
        ssize_t got = read(fd, text + *size, capacity - *size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return IDENTITY_ERR_IO;
        }
        if (got == 0) {
            break;
        }
        *size += (size_t)got;
    }
    return IDENTITY_OK;
}

static int write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, text, size);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return IDENTITY_ERR_IO;
        }
        text += put;
        size -= (size_t)put;
    }
    return IDENTITY_OK;
}

static int load_open(int fd, struct identity *out)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return IDENTITY_ERR_IO;
    }
    if (!S_ISREG(info.st_mode)) {
        return IDENTITY_ERR_BAD_FILE;
    }
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return IDENTITY_ERR_PERMISSIONS;
    }
    char text[READ_BYTES];
    size_t size;
    int rv = read_all(fd, text, sizeof(text), &size);
    if (rv == IDENTITY_OK) {
        rv = keyfile_parse(text, size, out);
    }
    sodium_memzero(text, sizeof(text));
    return rv;
}

static int load(const char *path, struct identity *out)
{
    /* O_NONBLOCK: a FIFO at this place must not hang us before it is refused. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return IDENTITY_ERR_IO;
    }
    int rv = load_open(fd, out);
    int error = errno;
    close(fd);
    errno = error;
    return rv;
}

static int make_parents(const char *path)
{
    char folder[PATH_MAX];
    size_t size = strlen(path);
    if (size >= sizeof(folder)) {
        errno = ENAMETOOLONG;
        return IDENTITY_ERR_IO;
    }
    memcpy(folder, path, size + 1);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, S_IRWXU) != 0 && errno != EEXIST) {
            return IDENTITY_ERR_IO;
        }
        *slash = '/';
    }
    return IDENTITY_OK;
}

/* The name of a new file must survive a power cut as well as its contents. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        memcpy(folder, ".", 2);
    } else {
        size_t size = (size_t)(slash - path) + 1;
        if (size >= sizeof(folder)) {
            return;
        }
        memcpy(folder, path, size);
        folder[size] = '\0';
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

static int write_new(const char *path, const struct identity *id)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        return IDENTITY_ERR_IO;
    }
    char line[KEYFILE_LINE_BYTES];
    keyfile_format(id, line);
    int rv = write_all(fd, line, sizeof(line));
    sodium_memzero(line, sizeof(line));
    if (rv == IDENTITY_OK && fsync(fd) != 0) {
        rv = IDENTITY_ERR_IO;
    }
    int error = errno;
    if (close(fd) != 0 && rv == IDENTITY_OK) {
        error = errno;
        rv = IDENTITY_ERR_IO;
    }
    if (rv != IDENTITY_OK) {
        unlink(path);
    }
    errno = error;
    return rv;
}

/* link() refuses to replace: of several processes that create at once, one wins and the others
 * (EEXIST) load what it made. */
static int create(const char *path, const struct identity *id)
{
    char draft[PATH_MAX];
    uint64_t tag;
    randombytes_buf(&tag, sizeof(tag));
    int size = snprintf(draft, sizeof(draft), "%s.%016llx", path, (unsigned long long)tag);
    if (size < 0 || (size_t)size >= sizeof(draft)) {
        errno = ENAMETOOLONG;
        return IDENTITY_ERR_IO;
    }
    int rv = make_parents(path);
    if (rv == IDENTITY_OK) {
        rv = write_new(draft, id);
    }
    if (rv != IDENTITY_OK) {
        return rv;
    }
    if (link(draft, path) != 0) {
        rv = IDENTITY_ERR_IO;
    }
    int error = errno;
    unlink(draft);
    if (rv == IDENTITY_OK) {
        sync_folder(path);
    }
    errno = error;
    return rv;
}

void keyfile_format(const struct identity *id, char line[static KEYFILE_LINE_BYTES])
{
    memcpy(line, PREFIX, PREFIX_BYTES);
    base32_encode(id->seed, line + PREFIX_BYTES);
    line[KEYFILE_LINE_BYTES - 1] = '\n';
}

int keyfile_parse(const char *text, size_t bytes, struct identity *out)
{
    if (bytes > 0 && text[bytes - 1] == '\n') {
        bytes--;
        if (bytes > 0 && text[bytes - 1] == '\r') {
            bytes--;
        }
    }
    if (bytes != PREFIX_BYTES + BASE32_TEXT_CHARS || memcmp(text, PREFIX, PREFIX_BYTES) != 0) {
        return IDENTITY_ERR_BAD_FILE;
    }
    uint8_t seed[IDENTITY_SEED_BYTES];
    int rv = IDENTITY_ERR_BAD_FILE;
    if (base32_decode(text + PREFIX_BYTES, seed)) {
        rv = identity_from_seed(seed, out);
    }
    sodium_memzero(seed, sizeof(seed));
    return rv;
}

int identity_load_or_create(const char *path, struct identity *out)
{
    int rv = load(path, out);
    if (rv != IDENTITY_ERR_IO || errno != ENOENT) {
        return rv;
    }
    struct identity fresh;
    rv = identity_generate(&fresh);
    if (rv == IDENTITY_OK) {
        rv = create(path, &fresh);
    }
    if (rv == IDENTITY_OK) {
        *out = fresh;
    } else if (rv == IDENTITY_ERR_IO && errno == EEXIST) {
        rv = load(path, out);
    }
    int error = errno;
    identity_wipe(&fresh);
    errno = error;
    return rv;
}
