/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/tally.h"

#include <stdio.h>
#include <string.h>

#define ROW_SAME_LAN        0
#define ROW_SAME_LAN_POOL   1
#define ROW_SAME_CGN        2 /* cone homes */
#define ROW_SAME_CGN_OTHER  3
#define ROW_SAME_CGN_NO_WAY 4
#define ROW_PAIRS           5

static uint32_t row_of(const struct scene *s)
{
    enum scene_class a = s->host[0].kind, b = s->host[1].kind;

    if (s->shape == SCENE_SAME_LAN)
        return scene_has_pool(s) ? ROW_SAME_LAN_POOL : ROW_SAME_LAN;
    if (s->shape == SCENE_SAME_CGN && !scene_has_way(s))
        return ROW_SAME_CGN_NO_WAY;
    if (s->shape == SCENE_SAME_CGN)
        return a <= SCENE_CONE && b <= SCENE_CONE && !scene_has_pool(s) ? ROW_SAME_CGN
                                                                        : ROW_SAME_CGN_OTHER;
    return ROW_PAIRS + (a < b ? a * SCENE_CLASSES + b : b * SCENE_CLASSES + a);
}

static const char *row_text(uint32_t row, char text[static 40])
{
    static const char *const special[] = {"same LAN", "same LAN, a pool", "same CGN, cone homes",
                                          "same CGN, others", "same CGN without a way"};

    if (row < ROW_PAIRS)
        return special[row];
    snprintf(text, 40, "%s x %s", scene_class_text((row - ROW_PAIRS) / SCENE_CLASSES),
             scene_class_text((row - ROW_PAIRS) % SCENE_CLASSES));
    return text;
}

/* 1 ms each up to 400 ms, then 50 ms each. */
static uint32_t bucket_of(uint64_t us)
{
    uint64_t bucket = us / 1000;

    if (bucket >= 400)
        bucket = 400 + (bucket - 400) / 50;
    return bucket < TALLY_BUCKETS ? (uint32_t)bucket : TALLY_BUCKETS - 1;
}

static uint32_t median_ms(const struct tally_row *row)
{
    uint64_t below = 0;

    for (uint32_t i = 0; i < TALLY_BUCKETS; i++) {
        below += row->after_ms[i];
        if (below * 2 >= row->direct)
            return i < 400 ? i : 400 + (i - 400) * 50;
    }
    return 0;
}

/* The lowest ones: they don't depend on how many processes there are. */
static void remember(uint64_t seeds[static TALLY_EXAMPLES], uint64_t seed)
{
    for (uint32_t i = 0; i < TALLY_EXAMPLES; i++) {
        if (seeds[i] == 0 || seed < seeds[i]) {
            uint64_t higher = seeds[i];

            seeds[i] = seed;
            if (higher == 0)
                return;
            seed = higher;
        }
    }
}

static void remember_one(uint64_t *lowest, uint64_t seed)
{
    if (seed != 0 && (*lowest == 0 || seed < *lowest))
        *lowest = seed;
}

void tally_add_fault(struct tally *t, uint64_t seed, const char *text)
{
    if (t->faults < TALLY_FAULTS) {
        t->fault[t->faults].seed = seed;
        snprintf(t->fault[t->faults].text, WORLD_FAULT_BYTES, "%s", text);
    }
    t->faults++;
}

static void take_most(struct tally_most *most, uint64_t value, uint64_t seed)
{
    if (value > most->value || (value == most->value && seed < most->seed))
        *most = (struct tally_most){value, seed};
}

static void add_trouble(struct tally *t, const struct world *w)
{
    struct tally_trouble *sum = &t->trouble[w->scene.trouble];

    if (w->trouble.ended_us == UINT64_MAX || !w->trouble.direct)
        return;
    sum->links++;
    sum->again += w->peer[0].connected && w->peer[1].connected;
    sum->relayed += w->scene.relay;
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        if (w->scene.relay && w->scene.calm && w->trouble.stall_us[h] > sum->longest_us)
            sum->longest_us = w->trouble.stall_us[h];
    }
}

void tally_add_run(struct tally *t, const struct world *w)
{
    const struct scene *s = &w->scene;
    const struct peer *caller = &w->peer[WORLD_CALLER], *callee = &w->peer[WORLD_CALLEE];
    struct tally_row *row = &t->row[row_of(s)];
    bool direct = caller->ever && callee->ever, ordinary = scene_is_ordinary(s);

    t->runs++;
    t->steps += w->steps;
    t->packets += w->rules.side[0].sent + w->rules.side[1].sent;
    row->dials++;
    row->direct += direct;
    row->ordinary += ordinary;
    row->ordinary_direct += ordinary && direct;
    if (direct) {
        row->after_ms[bucket_of(caller->path_us - s->dial_us)]++;
        t->technique[(uint32_t)caller->technique % TALLY_REASONS]++;
    } else {
        t->failed[(uint32_t)(caller->ever ? callee : caller)->failure % TALLY_REASONS]++;
        if (ordinary)
            remember(row->ordinary_failed, s->seed);
    }
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        t->lost += w->peer[h].lost;
        t->found_again += w->peer[h].lost && w->peer[h].connected;
    }
    for (uint32_t i = 0; i < RULES_KNOWNS; i++) {
        t->known[i] += w->rules.known[i];
        remember_one(&t->known_seed[i], w->rules.known[i] > 0 ? s->seed : 0);
    }
    add_trouble(t, w);
    take_most(&t->tricked, w->rules.most_tricked, s->seed);
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        take_most(&t->sent, w->rules.side[h].sent_before_path, s->seed);
    if (w->fault[0] != 0)
        tally_add_fault(t, s->seed, w->fault);
}

static void add_row(struct tally_row *sum, const struct tally_row *row)
{
    sum->dials += row->dials;
    sum->direct += row->direct;
    sum->ordinary += row->ordinary;
    sum->ordinary_direct += row->ordinary_direct;
    for (uint32_t i = 0; i < TALLY_EXAMPLES; i++) {
        if (row->ordinary_failed[i] != 0)
            remember(sum->ordinary_failed, row->ordinary_failed[i]);
    }
    for (uint32_t i = 0; i < TALLY_BUCKETS; i++)
        sum->after_ms[i] += row->after_ms[i];
}

void tally_add(struct tally *sum, const struct tally *t)
{
    sum->runs += t->runs;
    sum->steps += t->steps;
    sum->packets += t->packets;
    sum->repeated += t->repeated;
    sum->seconds_ns += t->seconds_ns;
    sum->lost += t->lost;
    sum->found_again += t->found_again;
    for (uint32_t i = 0; i < TALLY_REASONS; i++) {
        sum->failed[i] += t->failed[i];
        sum->technique[i] += t->technique[i];
    }
    for (uint32_t i = 0; i < RULES_KNOWNS; i++) {
        sum->known[i] += t->known[i];
        remember_one(&sum->known_seed[i], t->known_seed[i]);
    }
    for (uint32_t i = 0; i < SCENE_TROUBLES; i++) {
        struct tally_trouble *to = &sum->trouble[i];
        const struct tally_trouble *from = &t->trouble[i];

        to->links += from->links;
        to->again += from->again;
        to->relayed += from->relayed;
        if (from->longest_us > to->longest_us)
            to->longest_us = from->longest_us;
    }
    take_most(&sum->tricked, t->tricked.value, t->tricked.seed);
    take_most(&sum->sent, t->sent.value, t->sent.seed);
    for (uint32_t i = 0; i < TALLY_ROWS; i++)
        add_row(&sum->row[i], &t->row[i]);
    for (uint64_t i = 0; i < t->faults; i++)
        tally_add_fault(sum, i < TALLY_FAULTS ? t->fault[i].seed : 0,
                        i < TALLY_FAULTS ? t->fault[i].text : "");
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static void print_rows(const struct tally *t)
{
    char text[40];

    printf("%-24s %8s %8s %7s %9s | %9s %7s  %s\n", "NATs", "dials", "direct", "", "median",
           "ordinary", "direct", "of these not direct, e.g. seed");
    for (uint32_t i = 0; i < TALLY_ROWS; i++) {
        const struct tally_row *row = &t->row[i];

        if (row->dials == 0)
            continue;
        printf("%-24s %8llu %8llu %6.1f%% %6u ms | %9llu %6.1f%%", row_text(i, text),
               (unsigned long long)row->dials, (unsigned long long)row->direct,
               percent(row->direct, row->dials), row->direct > 0 ? median_ms(row) : 0,
               (unsigned long long)row->ordinary, percent(row->ordinary_direct, row->ordinary));
        for (uint32_t k = 0; k < TALLY_EXAMPLES && row->ordinary_failed[k] != 0; k++)
            printf(" %s%llu", k == 0 ? " " : "", (unsigned long long)row->ordinary_failed[k]);
        printf("\n");
    }
}

static void print_counts(const struct tally *t)
{
    printf("techniques:");
    for (uint32_t i = 0; i < TALLY_REASONS; i++) {
        if (t->technique[i] > 0)
            printf(" %s %llu,", punch_technique_text((enum punch_technique)i),
                   (unsigned long long)t->technique[i]);
    }
    printf(" paths lost %llu, found again %llu\n", (unsigned long long)t->lost,
           (unsigned long long)t->found_again);
    for (uint32_t i = 1; i < SCENE_TROUBLES; i++) {
        const struct tally_trouble *s = &t->trouble[i];

        printf(
            "  links, and then %s: %llu, direct again %.1f%%; %llu had a relay: silent for at most "
            "%.1f s\n",
            scene_trouble_text((enum scene_trouble)i), (unsigned long long)s->links,
            percent(s->again, s->links), (unsigned long long)s->relayed,
            (double)s->longest_us / 1e6);
    }
    for (uint32_t i = 0; i < TALLY_REASONS; i++) {
        if (t->failed[i] > 0)
            printf("  not direct %8llu  %s\n", (unsigned long long)t->failed[i],
                   punch_failure_text((enum punch_failure)i));
    }
    for (uint32_t i = 0; i < RULES_KNOWNS; i++) {
        if (t->known[i] > 0)
            printf("  known limit %7llu  %s, e.g. seed %llu\n", (unsigned long long)t->known[i],
                   rules_known_text((enum rules_known)i), (unsigned long long)t->known_seed[i]);
    }
    if (t->tricked.value > 0)
        printf("  known limit: at most %llu packets to an address that such a copy came from, seed "
               "%llu\n",
               (unsigned long long)t->tricked.value, (unsigned long long)t->tricked.seed);
    printf("  at most %llu packets of one side before it had a path, seed %llu\n",
           (unsigned long long)t->sent.value, (unsigned long long)t->sent.seed);
}

void tally_print(const struct tally *t, const char *program, double elapsed_s)
{
    uint64_t direct = 0;
    double busy_s = (double)t->seconds_ns / 1e9;

    for (uint32_t i = 0; i < TALLY_ROWS; i++)
        direct += t->row[i].direct;
    print_rows(t);
    print_counts(t);
    for (uint64_t i = 0; i < t->faults && i < TALLY_FAULTS; i++)
        printf("BROKEN seed %llu: %s\n  %s --seed %llu --trace\n",
               (unsigned long long)t->fault[i].seed, t->fault[i].text, program,
               (unsigned long long)t->fault[i].seed);
    printf("%llu dials, %.1f%% direct, %llu broke a rule, %llu run twice; %.1f s, %.0f dials a "
           "second on a core (%.0f packets a second)\n",
           (unsigned long long)t->runs, percent(direct, t->runs), (unsigned long long)t->faults,
           (unsigned long long)t->repeated, elapsed_s,
           busy_s > 0 ? (double)(t->runs + t->repeated) / busy_s : 0,
           busy_s > 0 ? (double)t->packets / busy_s : 0);
}
