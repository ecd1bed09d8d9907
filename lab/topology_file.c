/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "lab/topology.h"

#define WORDS      8
#define LONGEST_MS 60000.0

struct line {
    char *word[WORDS];
    unsigned words;
};

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

/* Splits at spaces, in place. False: too many words. */
static bool split(char *text, struct line *line)
{
    line->words = 0;
    for (char *at = text; *at;) {
        at += strspn(at, " \t\r");
        if (!*at)
            break;
        if (line->words == WORDS)
            return false;
        line->word[line->words++] = at;
        at += strcspn(at, " \t\r");
        if (*at)
            *at++ = 0;
    }
    return true;
}

static bool read_number(const char *text, const char *unit, double limit, double *value)
{
    char *end;
    if (!strchr("0123456789.", text[0]) || !text[0])
        return false;
    *value = strtod(text, &end);
    return end != text && *value >= 0 && *value <= limit && (!*end || is(end, unit));
}

static const char *read_network(struct topology *t, const struct line *l)
{
    const char *error = "network NAME KIND [in NETWORK] [lan PREFIX]", *lan = NULL;
    unsigned parent = TOPOLOGY_INTERNET;
    if (l->words < 3 || l->words % 2 == 0)
        return error;
    for (unsigned i = 3; i < l->words; i += 2) {
        if (is(l->word[i], "in"))
            parent = topology_find(t, l->word[i + 1]);
        else if (is(l->word[i], "lan"))
            lan = l->word[i + 1];
        else
            return error;
    }
    unsigned index = topology_network(t, l->word[1], l->word[2], parent, &error);
    if (!index)
        return error;
    return lan && !topology_set_lan(t, index, lan) ? "no such prefix" : NULL;
}

static const char *read_host(struct topology *t, const struct line *l)
{
    const char *error = "host NAME [in NETWORK] [at ADDRESS[,ADDRESS]...]", *addresses = NULL;
    unsigned parent = TOPOLOGY_INTERNET;
    if (l->words < 2 || l->words % 2)
        return error;
    for (unsigned i = 2; i < l->words; i += 2) {
        if (is(l->word[i], "in"))
            parent = topology_find(t, l->word[i + 1]);
        else if (is(l->word[i], "at"))
            addresses = l->word[i + 1];
        else
            return error;
    }
    unsigned index = topology_host(t, l->word[1], parent, &error);
    if (!index)
        return error;
    return addresses && !topology_set_address(t, index, addresses)
               ? "IPv4 addresses, at most 4, separated by commas"
               : NULL;
}

static const char *read_rtt(struct topology *t, const struct line *l)
{
    double ms;
    if (l->words == 2 && read_number(l->word[1], "ms", LONGEST_MS, &ms)) {
        t->default_delay_us = (uint64_t)(ms * 500);
        return NULL;
    }
    if (l->words != 4 || !read_number(l->word[3], "ms", LONGEST_MS, &ms))
        return "rtt [NODE NODE] MS";
    unsigned one = topology_find(t, l->word[1]), other = topology_find(t, l->word[2]);
    if (one >= t->nodes || other >= t->nodes || one == other)
        return "no such host or network";
    topology_rtt(t, one, other, ms);
    return NULL;
}

static const char *read_setting(struct topology *t, const struct line *l)
{
    double value;
    const char *name = l->word[0];
    if (l->words != 2)
        return "one value";
    if (is(name, "jitter")) {
        if (!read_number(l->word[1], "ms", LONGEST_MS, &value))
            return "jitter MS";
        t->jitter_us = (uint64_t)(value * 1000);
    } else if (is(name, "hops") || is(name, "seed")) {
        if (!read_number(l->word[1], "", is(name, "hops") ? 60 : 1e15, &value))
            return "a number";
        if (is(name, "hops"))
            t->hops = (unsigned)value;
        else
            t->seed = (uint64_t)value;
    } else {
        double *where = is(name, "loss")        ? &t->loss
                        : is(name, "duplicate") ? &t->duplicate
                        : is(name, "reorder")   ? &t->reorder
                                                : NULL;
        if (!where)
            return "no such line (network, host, rtt, jitter, loss, duplicate, reorder, hops, "
                   "seed, "
                   "run)";
        if (!read_number(l->word[1], "%", 100, &value))
            return "a percentage";
        *where = value / 100;
    }
    return NULL;
}

/* run NODE [after NODE "TEXT"]: COMMAND */
static const char *read_run(struct topology *t, char *text)
{
    static const char error[] = "run NODE [after NODE \"TEXT\"]: COMMAND";
    struct topology_program program = {0};
    char *after = strstr(text, " after "), *colon = strchr(text, ':'), *quote;
    if (after && colon && after < colon) {
        *after = 0;
        after += strlen(" after ");
        quote = strchr(after, '"');
        char *close = quote ? strchr(quote + 1, '"') : NULL;
        if (!close || close - quote > TOPOLOGY_TEXT || close == quote + 1)
            return error;
        *close = *quote = 0;
        memcpy(program.text, quote + 1, (size_t)(close - quote - 1));
        colon = close + 1 + strspn(close + 1, " \t");
    }
    if (!colon || *colon != ':')
        return error;
    *colon = 0;
    struct line who, whom = {0};
    if (!split(text, &who) || who.words != 1 || (program.text[0] && !split(after, &whom)) ||
        (program.text[0] && whom.words != 1))
        return error;
    program.node = topology_find(t, who.word[0]);
    if (program.text[0])
        program.after = topology_find(t, whom.word[0]);
    if (program.node == TOPOLOGY_INTERNET || program.node >= t->nodes ||
        program.after >= t->nodes || (program.text[0] && program.after == TOPOLOGY_INTERNET))
        return "no such host";
    program.command = colon + 1 + strspn(colon + 1, " \t");
    if (!program.command[0])
        return error;
    return topology_run(t, &program) ? NULL : "too many programs";
}

static const char *read_line(struct topology *t, char *text)
{
    text += strspn(text, " \t\r");
    if (strncmp(text, "run ", 4) == 0)
        return read_run(t, text + 4);
    text[strcspn(text, "#")] = 0;
    struct line line;
    if (!split(text, &line))
        return "too many words";
    if (line.words == 0)
        return NULL;
    if (is(line.word[0], "network"))
        return read_network(t, &line);
    if (is(line.word[0], "host"))
        return read_host(t, &line);
    if (is(line.word[0], "rtt"))
        return read_rtt(t, &line);
    return read_setting(t, &line);
}

bool topology_read(struct topology *t, char *text, unsigned *line, const char **error)
{
    *line = 0;
    for (char *next; text; text = next) {
        next = strchr(text, '\n');
        if (next)
            *next++ = 0;
        ++*line;
        *error = read_line(t, text);
        if (*error)
            return false;
    }
    return true;
}
