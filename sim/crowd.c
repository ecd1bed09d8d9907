/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/crowd.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK      32
#define PATIENCE_S 60 /* for one run; any takes milliseconds */

struct job {
    pid_t pid;
    uint64_t seed; /* that is being run */
    uint64_t chunk_end;
    struct tally tally;
};

struct shared {
    _Atomic uint64_t next;
    struct job job[CROWD_MAX_JOBS];
};

static void run_twice(struct world *w, struct tally *t, uint64_t seed)
{
    uint64_t hash = w->hash;

    if (w->fault[0] != 0)
        return;
    t->repeated++;
    world_begin(w, seed);
    world_run(w);
    if (w->hash != hash)
        tally_add_fault(t, seed, "the same seed did not do the same again");
}

static uint64_t processor_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void run_seeds(const struct crowd *crowd, struct job *job, struct world *w)
{
    for (; job->seed < job->chunk_end; job->seed++) {
        alarm(PATIENCE_S);
        world_begin(w, job->seed);
        world_run(w);
        tally_add_run(&job->tally, w);
        if (crowd->twice_every > 0 && job->seed % crowd->twice_every == 0)
            run_twice(w, &job->tally, job->seed);
    }
}

static int work(const struct crowd *crowd, struct shared *shared, struct job *job)
{
    struct world *w = world_new();
    uint64_t end = crowd->first + crowd->seeds, before = processor_ns();

    if (w == NULL)
        return 1;
    run_seeds(crowd, job, w); /* what a process that died has left of its chunk */
    for (;;) {
        uint64_t chunk = atomic_fetch_add(&shared->next, CHUNK);

        if (chunk >= end)
            break;
        job->seed = chunk;
        job->chunk_end = chunk + CHUNK < end ? chunk + CHUNK : end;
        run_seeds(crowd, job, w);
        job->tally.seconds_ns += processor_ns() - before;
        before = processor_ns();
    }
    world_free(w);
    return 0;
}

static bool start(const struct crowd *crowd, struct shared *shared, struct job *job)
{
    fflush(stdout);
    job->pid = fork();
    if (job->pid == 0)
        _exit(work(crowd, shared, job));
    return job->pid > 0;
}

/* False: it could not be helped. */
static bool bury(const struct crowd *crowd, struct shared *shared, struct job *job, int status)
{
    char text[WORLD_FAULT_BYTES];

    job->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (job->seed >= job->chunk_end)
        return false;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(text, sizeof(text), "no end after %d s", PATIENCE_S);
    else if (WIFSIGNALED(status))
        snprintf(text, sizeof(text), "crash: %s", strsignal(WTERMSIG(status)));
    else
        snprintf(text, sizeof(text), "crash: exit status %d", WEXITSTATUS(status));
    tally_add_fault(&job->tally, job->seed, text);
    job->seed++;
    /* A thousand crashes teach no more than the first ones. */
    return job->tally.faults >= TALLY_FAULTS || start(crowd, shared, job);
}

bool crowd_run(const struct crowd *crowd, struct tally *sum)
{
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool good = shared != MAP_FAILED;
    int status;
    pid_t pid;

    if (!good)
        return false;
    atomic_init(&shared->next, crowd->first);
    for (unsigned i = 0; i < crowd->jobs; i++)
        good = start(crowd, shared, &shared->job[i]) && good;
    while ((pid = wait(&status)) > 0 || errno == EINTR) {
        for (unsigned i = 0; i < crowd->jobs; i++) {
            if (pid > 0 && shared->job[i].pid == pid)
                good = bury(crowd, shared, &shared->job[i], status) && good;
        }
    }
    for (unsigned i = 0; i < crowd->jobs; i++)
        tally_add(sum, &shared->job[i].tally);
    munmap(shared, sizeof(*shared));
    return good;
}
