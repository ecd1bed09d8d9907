/* SPDX-License-Identifier: BSD-2-Clause */
/* What a registered idle peer costs in eyeletd: starts it, registers many peers over real TLS
 * sessions, waits until all are idle, and compares memory before and after.
 *
 *   eyelet-mediator-memory EYELETD [PEERS]
 *
 * User memory is the daemon's own (Pss of /proc/PID/smaps_rollup). Kernel memory is what sockets
 * and files are made of (/proc/slabinfo) and the buffers of TCP; both ends of each connection live
 * on this machine, so half of the growth is the daemon's. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mediator_client.h"

#define BENCH_PEERS          2000
#define BENCH_MOST_PEERS     9000
#define BENCH_WARM_UP        200 /* so that what is allocated once is not counted */
#define BENCH_PER_ADDRESS    200
#define BENCH_FIRST_ADDRESS  10
#define BENCH_SETTLE_SECONDS 2

static const char limits[] = "connection-rate = 100000\nconnection-burst = 100000\n"
                             "sessions = 10000\nsessions-per-prefix = 100000\n"
                             "silence-seconds = 3600\n";

struct memory {
    long user_kib;
    long kernel_kib;
    long sockets_kib; /* buffers of TCP, both ends */
};

/* The number behind `name` in a file of "name: number" or "name number" lines; 0 if it isn't
 * there. */
static long read_number(const char *path, const char *name)
{
    char line[256];
    long number = 0;
    size_t name_bytes = strlen(name);
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, name_bytes) == 0) {
            number = strtol(line + name_bytes + strspn(line + name_bytes, ": "), NULL, 10);
            break;
        }
    }
    fclose(file);
    return number;
}

/* Objects in use x their size, of the caches that a connection takes from. Exact, where the total
 * of all slabs would be full of what other programs do. */
static long socket_slabs_kib(void)
{
    static const char *const caches[] = {"TCP ",
                                         "sock_inode_cache ",
                                         "filp ",
                                         "dentry ",
                                         "eventpoll_epi ",
                                         "eventpoll_pwq ",
                                         "lsm_file_cache ",
                                         "lsm_inode_cache ",
                                         "tcp_bind_bucket ",
                                         "tcp_bind2_bucket ",
                                         "skbuff_head_cache "};
    char line[512];
    long bytes = 0;
    FILE *file = fopen("/proc/slabinfo", "re");

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        for (size_t i = 0; i < sizeof caches / sizeof caches[0]; i++) {
            char *numbers = line + strlen(caches[i]);
            if (strncmp(line, caches[i], strlen(caches[i])) != 0)
                continue;
            long active = strtol(numbers, &numbers, 10);
            strtol(numbers, &numbers, 10);
            bytes += active * strtol(numbers, NULL, 10);
        }
    }
    fclose(file);
    return bytes / 1024;
}

static long tcp_buffers_kib(void)
{
    char line[256];
    long pages = 0;
    FILE *file = fopen("/proc/net/sockstat", "re");

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *at = strstr(line, " mem ");
        if (strncmp(line, "TCP:", 4) == 0 && at != NULL)
            pages = strtol(at + 5, NULL, 10);
    }
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static struct memory measure(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)pid);
    return (struct memory){.user_kib = read_number(path, "Pss"),
                           .kernel_kib = socket_slabs_kib(),
                           .sockets_kib = tcp_buffers_kib()};
}

static bool register_peers(const struct mediator *mediator, struct client *peers, size_t from,
                           size_t to)
{
    for (size_t i = from; i < to; i++) {
        uint8_t last = (uint8_t)(BENCH_FIRST_ADDRESS + i / BENCH_PER_ADDRESS);
        if (!client_open(&peers[i], &mediator->control[i % 2], last) ||
            !client_register(&peers[i], wire_Visibility_VISIBLE_TO_ANYONE, "192.0.2.1:4444",
                             NULL)) {
            fprintf(stderr, "peer %zu could not register\n", i);
            return false;
        }
    }
    sleep(BENCH_SETTLE_SECONDS);
    return true;
}

static void print_result(const struct memory *before, const struct memory *after, size_t peers)
{
    double user = (double)(after->user_kib - before->user_kib) / (double)peers;
    double kernel = (double)(after->kernel_kib - before->kernel_kib) / (double)peers / 2;
    double buffers = (double)(after->sockets_kib - before->sockets_kib) / (double)peers / 2;

    printf("%zu peers: per idle registered peer %.1f KiB user, %.1f KiB kernel objects, %.1f KiB "
           "TCP buffers\n",
           peers, user, kernel, buffers);
    if (before->kernel_kib == 0)
        printf("(/proc/slabinfo cannot be read: kernel objects need root)\n");
    printf("{\"v\":1,\"bench\":\"mediator_memory\",\"peers\":%zu,\"user_bytes\":%.0f,"
           "\"kernel_bytes\":%.0f,\"tcp_buffer_bytes\":%.0f}\n",
           peers, user * 1024, kernel * 1024, buffers * 1024);
}

int main(int argc, char **argv)
{
    size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : BENCH_PEERS;
    struct rlimit files = {.rlim_cur = count + BENCH_WARM_UP + 64, .rlim_max = 0};
    struct rlimit allowed;
    struct mediator mediator;
    int status = EXIT_FAILURE;

    if (argc < 2 || argc > 3 || count == 0 || count > BENCH_MOST_PEERS) {
        fprintf(stderr, "usage: eyelet-mediator-memory EYELETD [PEERS]\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &allowed);
    files.rlim_max = allowed.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        fprintf(stderr, "cannot open %lu files: %s\n", (unsigned long)files.rlim_cur,
                strerror(errno));
    signal(SIGPIPE, SIG_IGN);
    struct client *peers = calloc(count + BENCH_WARM_UP, sizeof *peers);
    if (peers == NULL || !mediator_create(&mediator, argv[1], limits)) {
        fprintf(stderr, "%s could not be started\n", argv[1]);
        free(peers);
        return EXIT_FAILURE;
    }
    if (register_peers(&mediator, peers, 0, BENCH_WARM_UP)) {
        struct memory before = measure(mediator.pid);
        if (register_peers(&mediator, peers, BENCH_WARM_UP, BENCH_WARM_UP + count)) {
            struct memory after = measure(mediator.pid);
            print_result(&before, &after, count);
            status = EXIT_SUCCESS;
        }
    }
    for (size_t i = 0; i < count + BENCH_WARM_UP; i++)
        client_free(&peers[i]);
    mediator_destroy(&mediator);
    free(peers);
    return status;
}
