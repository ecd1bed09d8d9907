/* SPDX-License-Identifier: BSD-2-Clause */
/* Preloaded into a program: every write of many bytes to a file takes SLOW_DISK_MS. */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MANY_BYTES 4096

__attribute__((visibility("default"))) ssize_t write(int fd, const void *data, size_t bytes)
{
    ssize_t (*next)(int, const void *, size_t);
    struct stat st;
    const char *text = getenv("SLOW_DISK_MS");
    *(void **)&next = dlsym(RTLD_NEXT, "write"); /* as POSIX shows it */
    if (text && bytes > MANY_BYTES && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        long ms = strtol(text, NULL, 10);
        struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
        nanosleep(&pause, NULL);
    }
    return next(fd, data, bytes);
}
