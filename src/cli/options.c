/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SECONDS      1000000
#define MAX_INTERVAL_S   3600
#define LEAST_INTERVAL_S 0.01 /* the peer answers at most 100 a second */

enum {
    LONG_FIRST = 256,
    LONG_ALLOW = LONG_FIRST,
    LONG_DIRECT,
    LONG_EXEC,
    LONG_JSON,
    LONG_KEY,
    LONG_MEDIATOR,
    LONG_NO_MAPPING,
    LONG_OVERWRITE,
    LONG_PATIENCE,
    LONG_PEER,
    LONG_RELAY,
    LONG_TIMEOUT,
    LONG_TO
};

static const struct option long_options[] = {
    {"allow", required_argument, NULL, LONG_ALLOW},
    {"count", required_argument, NULL, 'c'},
    {"direct-only", no_argument, NULL, LONG_DIRECT},
    {"exec", required_argument, NULL, LONG_EXEC},
    {"help", no_argument, NULL, 'h'},
    {"interval", required_argument, NULL, 'i'},
    {"json", no_argument, NULL, LONG_JSON},
    {"key", required_argument, NULL, LONG_KEY},
    {"mediator", required_argument, NULL, LONG_MEDIATOR},
    {"no-port-mapping", no_argument, NULL, LONG_NO_MAPPING},
    {"output", required_argument, NULL, 'o'},
    {"overwrite", no_argument, NULL, LONG_OVERWRITE},
    {"patience", required_argument, NULL, LONG_PATIENCE},
    {"peer", required_argument, NULL, LONG_PEER},
    {"quiet", no_argument, NULL, 'q'},
    {"relay-only", no_argument, NULL, LONG_RELAY},
    {"timeout", required_argument, NULL, LONG_TIMEOUT},
    {"to", required_argument, NULL, LONG_TO},
    {"verbose", no_argument, NULL, 'v'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const struct {
    uint32_t bit;
    const char *name;
} bit_names[] = {
    {OPTIONS_TIMEOUT, "--timeout"}, {OPTIONS_PATH, "--direct-only or --relay-only"},
    {OPTIONS_PEER, "--peer"},       {OPTIONS_OUTPUT, "-o or --overwrite"},
    {OPTIONS_EXEC, "--exec"},       {OPTIONS_TO, "--to"},
    {OPTIONS_ALLOW, "--allow"},     {OPTIONS_NETWORK, "--patience or --no-port-mapping"},
    {OPTIONS_PING, "-c or -i"},
};

static bool take_whole(struct options *options, const char *name, const char *text,
                       unsigned long least, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || number < least ||
        number > MAX_SECONDS) {
        snprintf(options->why, sizeof(options->why), "%s, at least %lu, not \"%s\"", name, least,
                 text);
        return false;
    }
    *out = (uint32_t)number;
    return true;
}

static bool take_interval(struct options *options, const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    /* written so that "nan" is refused, too */
    if (end == text || *end != '\0' ||
        !(seconds >= LEAST_INTERVAL_S && seconds <= MAX_INTERVAL_S)) {
        snprintf(options->why, sizeof(options->why), "-i takes seconds, from %g to %d, not \"%s\"",
                 LEAST_INTERVAL_S, MAX_INTERVAL_S, text);
        return false;
    }
    options->interval_ms = (uint32_t)(seconds * 1000 + 0.5);
    return true;
}

static bool take_policy(struct options *options, bool *which)
{
    *which = true;
    options->used |= OPTIONS_PATH;
    if (options->direct_only && options->relay_only) {
        snprintf(
            options->why, sizeof(options->why),
            "--direct-only and --relay-only exclude each other: give one, or none for the best "
            "path there is");
        return false;
    }
    return true;
}

static bool take_allow(struct options *options, const char *text)
{
    const char **grown =
        reallocarray(options->allow, options->allow_count + 1, sizeof(*options->allow));
    if (!grown) {
        snprintf(options->why, sizeof(options->why), "out of memory");
        return false;
    }
    options->allow = grown;
    options->allow[options->allow_count++] = text;
    return true;
}

static bool take(struct options *options, int option, const char *value)
{
    switch (option) {
    case 'h':
        options->help = true;
        return true;
    case 'V':
        options->version = true;
        return true;
    case 'q':
        options->quiet = true;
        return true;
    case 'v':
        options->verbose++;
        return true;
    case 'o':
        options->output = value;
        options->used |= OPTIONS_OUTPUT;
        return true;
    case LONG_OVERWRITE:
        options->overwrite = true;
        options->used |= OPTIONS_OUTPUT;
        return true;
    case LONG_ALLOW:
        options->used |= OPTIONS_ALLOW;
        return take_allow(options, value);
    case LONG_DIRECT:
        return take_policy(options, &options->direct_only);
    case LONG_RELAY:
        return take_policy(options, &options->relay_only);
    case LONG_NO_MAPPING:
        options->no_port_mapping = true;
        options->used |= OPTIONS_NETWORK;
        return true;
    case LONG_PATIENCE:
        options->used |= OPTIONS_NETWORK;
        return take_whole(options, "--patience takes whole seconds", value, 1,
                          &options->patience_s);
    case 'c':
        options->used |= OPTIONS_PING;
        return take_whole(options, "-c takes a number of pings", value, 0, &options->count);
    case 'i':
        options->used |= OPTIONS_PING;
        return take_interval(options, value);
    case LONG_EXEC:
        options->command = value;
        options->used |= OPTIONS_EXEC;
        return true;
    case LONG_TO:
        options->target = value;
        options->used |= OPTIONS_TO;
        return true;
    case LONG_JSON:
        options->json = true;
        return true;
    case LONG_KEY:
        options->key = value;
        return true;
    case LONG_MEDIATOR:
        options->mediator = value;
        return true;
    case LONG_PEER:
        options->peer = value;
        options->used |= OPTIONS_PEER;
        return true;
    case LONG_TIMEOUT:
        options->used |= OPTIONS_TIMEOUT;
        return take_whole(options, "--timeout takes whole seconds", value, 1, &options->timeout_s);
    default:
        return false;
    }
}

/* From optind on; stops at the first word that is no option if order starts with '+'. */
static bool parse_part(struct options *options, int argc, char **argv, const char *order)
{
    int option;
    while ((option = getopt_long(argc, argv, order, long_options, NULL)) != -1) {
        if (option == '?' || option == ':') {
            const char *fault = option == ':' ? "needs a value" : "is not an option";
            if (optopt > 0 && optopt < LONG_FIRST) { /* perhaps one of several letters in a word */
                snprintf(options->why, sizeof(options->why), "-%c %s", optopt, fault);
            } else {
                snprintf(options->why, sizeof(options->why), "%s %s", argv[optind - 1],
                         option == '?' && optopt != 0 ? "takes no value" : fault);
            }
            return false;
        }
        if (optarg && *optarg == '\0') {
            /* what a variable that is not set leaves behind */
            snprintf(options->why, sizeof(options->why), "%s: its value is empty",
                     argv[optind - 1][0] != '\0' ? argv[optind - 1] : argv[optind - 2]);
            return false;
        }
        if (!take(options, option, optarg)) {
            return false;
        }
    }
    return true;
}

static bool parse_all(struct options *options, int argc, char **argv)
{
    opterr = 0;
    optind = 0;
    if (!parse_part(options, argc, argv, "+:hVqvo:c:i:")) {
        return false;
    }
    if (optind == argc) {
        return true;
    }
    /* the verb stands where getopt expects the program's name */
    argv += optind;
    argc -= optind;
    options->verb = argv[0];
    optind = 0;
    if (!parse_part(options, argc, argv, ":hVqvo:c:i:")) {
        return false;
    }
    options->arguments = argv + optind;
    options->argument_count = (size_t)(argc - optind);
    return true;
}

bool options_parse(struct options *options, int argc, char **argv)
{
    memset(options, 0, sizeof(*options));
    bool ok = parse_all(options, argc, argv);
    for (int i = 1; !ok && i < argc; i++) {
        /* also behind what is wrong: whoever reads the error may be a program */
        options->json = options->json || strcmp(argv[i], "--json") == 0;
    }
    return ok;
}

void options_free(struct options *options)
{
    free(options->allow);
    options->allow = NULL;
}

const char *options_misplaced(const struct options *options, uint32_t takes)
{
    for (size_t i = 0; i < sizeof(bit_names) / sizeof(bit_names[0]); i++) {
        if (options->used & ~takes & bit_names[i].bit) {
            return bit_names[i].name;
        }
    }
    return NULL;
}
