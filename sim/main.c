/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim/crowd.h"

static const char usage[] =
    "eyelet-sim: two peers with the real engine behind random NATs, in virtual time\n"
    "\n"
    "  eyelet-sim [--seeds N] [--first SEED] [--jobs N]\n"
    "      runs N dials (20000), from SEED (1) on, in as many processes as there are\n"
    "      processors; says how they went and which broke a rule\n"
    "  eyelet-sim --seed SEED [--trace]\n"
    "      runs one dial, and shows every packet of it\n"
    "\n"
    "Exit status: 0 all rules were kept, 1 one was broken, 2 usage, 3 no memory or process.\n";

struct options {
    uint64_t seeds, first, jobs, seed;
    bool one, trace;
};

static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0 && *value >= least &&
           *value <= most;
}

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        bool good = true;

        if (strcmp(argv[i], "--trace") == 0) {
            o->trace = true;
            continue;
        }
        if (strcmp(argv[i], "--seeds") == 0)
            good = number(value, 1, UINT64_MAX / 2, &o->seeds);
        else if (strcmp(argv[i], "--first") == 0)
            good = number(value, 1, UINT64_MAX / 2, &o->first);
        else if (strcmp(argv[i], "--jobs") == 0)
            good = number(value, 1, CROWD_MAX_JOBS, &o->jobs);
        else if (strcmp(argv[i], "--seed") == 0)
            good = o->one = number(value, 1, UINT64_MAX, &o->seed);
        else
            good = false;
        if (!good) {
            fprintf(stderr, "eyelet-sim: %s %s\n\n%s", argv[i], value, usage);
            return false;
        }
        i++;
    }
    return true;
}

static void print_outcome(const struct world *w, uint32_t h)
{
    const struct peer *p = &w->peer[h];

    printf("%s: ", h == WORLD_CALLER ? "caller" : "callee");
    if (p->ever)
        printf("direct after %.1f ms, %s; %u packets, %u link packets out, %u in\n",
               (double)(p->path_us - w->scene.dial_us) / 1e3, punch_technique_text(p->technique),
               (unsigned)w->rules.side[h].sent, p->talk.sent, p->talk.heard);
    else
        printf("%s; %u packets\n",
               p->failed ? punch_failure_text(p->failure) : "neither a path nor a failure",
               (unsigned)w->rules.side[h].sent);
}

static int run_one(const struct options *o)
{
    struct world *w = world_new();
    int status;

    if (w == NULL)
        return 3;
    w->tracing = o->trace;
    world_begin(w, o->seed);
    world_run(w);
    if (!o->trace)
        scene_print(&w->scene);
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        print_outcome(w, h);
    for (uint32_t i = 0; i < RULES_KNOWNS; i++) {
        if (w->rules.known[i] > 0)
            printf("known limit: %s\n", rules_known_text((enum rules_known)i));
    }
    printf("%s, after %.3f s, trace %016llx\n", w->fault[0] != 0 ? w->fault : "all rules kept",
           (double)w->now_us / 1e6, (unsigned long long)w->hash);
    status = w->fault[0] != 0;
    world_free(w);
    return status;
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run_many(const struct options *o, const char *program)
{
    struct crowd crowd = {
        .first = o->first, .seeds = o->seeds, .jobs = (unsigned)o->jobs, .twice_every = 100};
    struct tally *sum = calloc(1, sizeof(*sum));
    double began = now_s();
    int status = 3;

    if (sum == NULL)
        return 3;
    if (crowd_run(&crowd, sum))
        status = sum->faults > 0 || sum->runs < crowd.seeds;
    else
        fprintf(stderr, "eyelet-sim: no memory or process\n");
    tally_print(sum, program, now_s() - began);
    free(sum);
    return status;
}

int main(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct options o = {.seeds = 20000, .first = 1};

    o.jobs = processors < 1                ? 1
             : processors > CROWD_MAX_JOBS ? CROWD_MAX_JOBS
                                           : (uint64_t)processors;
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (!parse(argc, argv, &o))
        return 2;
    return o.one ? run_one(&o) : run_many(&o, argv[0]);
}
