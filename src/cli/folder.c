/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Below this, reserving space costs more than it tells. */
#define RESERVE_MIN_BYTES (1 << 20)

static enum transfer_code fail(struct folder *folder, const char *what, int error)
{
    bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    snprintf(folder->why, sizeof(folder->why), "%s: %s", what, strerror(error));
    return full ? TRANSFER_DISK_FULL : error == EEXIST ? TRANSFER_EXISTS : TRANSFER_FILE;
}

/* Opens the folder that holds the last component of name, making what is missing on the way.
 * Returns its fd or -1. */
static int open_parent(const struct folder *folder, const char *name, const char **last)
{
    int at = fcntl(folder->fd, F_DUPFD_CLOEXEC, 0);
    const char *slash;
    while (at >= 0 && (slash = strchr(name, '/')) != NULL) {
        char part[NAMES_MAX_COMPONENT_BYTES + 1];
        size_t bytes = (size_t)(slash - name);
        memcpy(part, name, bytes);
        part[bytes] = '\0';
        int next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT && mkdirat(at, part, 0777) == 0) {
            next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        int error = errno;
        close(at);
        errno = error;
        at = next;
        name = slash + 1;
    }
    *last = name;
    return at;
}

static enum transfer_code fail_parent(struct folder *folder)
{
    if (errno == ENOTDIR || errno == ELOOP) {
        snprintf(folder->why, sizeof(folder->why),
                 "a file or symbolic link is where a folder should be");
        return TRANSFER_FILE;
    }
    return fail(folder, "cannot open or make the folder", errno);
}

static bool temporary_name(char out[static 32])
{
    uint8_t random[8];
    if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
        return false;
    }
    size_t used = (size_t)snprintf(out, 32, ".eyelet-");
    for (size_t i = 0; i < sizeof(random); i++) {
        used += (size_t)snprintf(out + used, 32 - used, "%02x", random[i]);
    }
    snprintf(out + used, 32 - used, ".part");
    return true;
}

/* Not every file system knows RENAME_NOREPLACE; link() never replaces either. */
static int rename_new(const struct folder_file *file)
{
    if (renameat2(file->parent, file->temporary, file->parent, file->name, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
    if (linkat(file->parent, file->temporary, file->parent, file->name, 0) != 0) {
        return -1;
    }
    unlinkat(file->parent, file->temporary, 0);
    return 0;
}

/* In memory it means zeroing every page, 0.3 s a gigabyte, while the link waits for us. */
static bool reserves_at_once(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC;
}

/* Some file systems tell only here that there was no room. */
static int close_file(struct folder_file *file)
{
    int failed = file->fd >= 0 ? close(file->fd) : 0;
    file->fd = -1;
    return failed;
}

static void release(struct folder_file *file)
{
    (void)close_file(file);
    close(file->parent);
    file->parent = -1;
}

static void remove_temporary(struct folder_file *file)
{
    unlinkat(file->parent, file->temporary, 0);
    release(file);
}

/* The umask cannot be read without setting it. */
static mode_t current_umask(void)
{
    mode_t mask = umask(077);
    umask(mask);
    return mask;
}

bool folder_open(struct folder *folder, const char *path, bool overwrite)
{
    memset(folder, 0, sizeof(*folder));
    folder->overwrite = overwrite;
    folder->umask = current_umask(); /* now, before there are threads that make files */
    folder->fd = -1;
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        return false;
    }
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0) {
        return false;
    }
    if (faccessat(folder->fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        int error = errno;
        folder_close(folder);
        errno = error;
        return false;
    }
    return true;
}

void folder_close(struct folder *folder)
{
    if (folder->fd >= 0) {
        close(folder->fd);
    }
    folder->fd = -1;
}

uint64_t folder_free_bytes(const struct folder *folder)
{
    struct statvfs vfs;
    if (fstatvfs(folder->fd, &vfs) != 0 || vfs.f_blocks == 0) {
        return UINT64_MAX;
    }
    return (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

enum transfer_code folder_make(struct folder *folder, const char *name, uint16_t mode)
{
    const char *last;
    int parent = open_parent(folder, name, &last);
    if (parent < 0) {
        return fail_parent(folder);
    }
    enum transfer_code code = TRANSFER_OK;
    /* we must be able to put files into it */
    if (mkdirat(parent, last, (mode_t)(mode | 0700)) != 0) {
        struct stat st;
        if (errno != EEXIST) {
            code = fail(folder, "cannot make the folder", errno);
        } else if (fstatat(parent, last, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) {
            snprintf(folder->why, sizeof(folder->why), "something else has this name already");
            code = TRANSFER_EXISTS;
        }
    }
    close(parent);
    return code;
}

enum transfer_code folder_check(struct folder *folder, const char *name)
{
    const char *last;
    int parent = open_parent(folder, name, &last);
    if (parent < 0) {
        return fail_parent(folder);
    }
    struct stat st;
    enum transfer_code code = TRANSFER_OK;
    if (fstatat(parent, last, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!folder->overwrite) {
            snprintf(folder->why, sizeof(folder->why),
                     "exists already and is not replaced without --overwrite");
            code = TRANSFER_EXISTS;
        } else if (S_ISDIR(st.st_mode)) {
            snprintf(folder->why, sizeof(folder->why), "a folder has this name already");
            code = TRANSFER_EXISTS;
        }
    } else if (errno != ENOENT) {
        code = fail(folder, "cannot look at the name", errno);
    }
    close(parent);
    return code;
}

enum transfer_code folder_create(struct folder *folder, const char *name, uint64_t size_bytes,
                                 struct folder_file *out)
{
    const char *last;
    out->fd = -1;
    out->parent = open_parent(folder, name, &last);
    if (out->parent < 0) {
        return fail_parent(folder);
    }
    snprintf(out->name, sizeof(out->name), "%s", last);
    if (temporary_name(out->temporary)) {
        out->fd = openat(out->parent, out->temporary,
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    }
    if (out->fd < 0) {
        enum transfer_code code = fail(folder, "cannot make a file", errno);
        close(out->parent);
        out->parent = -1;
        return code;
    }
    if (size_bytes >= RESERVE_MIN_BYTES && reserves_at_once(out->fd) &&
        fallocate(out->fd, 0, 0, (off_t)size_bytes) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
        enum transfer_code code = fail(folder, "cannot reserve space", errno);
        folder_discard(out);
        return code;
    }
    return TRANSFER_OK;
}

enum transfer_code folder_write(struct folder *folder, struct folder_file *file, const void *data,
                                size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t n = write(file->fd, at, bytes);
        if (n < 0 && errno != EINTR) {
            return fail(folder, "cannot write", errno);
        }
        if (n > 0) {
            at += n;
            bytes -= (size_t)n;
        }
    }
    return TRANSFER_OK;
}

enum transfer_code folder_commit(struct folder *folder, struct folder_file *file,
                                 const struct transfer_offer *offer)
{
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)offer->mtime_s, .tv_nsec = (long)offer->mtime_ns},
    };
    int failed = fchmod(file->fd, offer->mode & ~folder->umask);
    /* a time that the file system cannot hold is not worth losing the file for */
    (void)futimens(file->fd, times);
    if (failed == 0) {
        failed = close_file(file);
    }
    if (failed == 0) {
        failed = folder->overwrite
                     ? renameat(file->parent, file->temporary, file->parent, file->name)
                     : rename_new(file);
    }
    if (failed != 0) {
        enum transfer_code code = fail(folder, "cannot put the file in its place", errno);
        remove_temporary(file);
        return code;
    }
    release(file);
    return TRANSFER_OK;
}

void folder_discard(struct folder_file *file)
{
    if (file->fd >= 0) {
        remove_temporary(file);
    }
}
