/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_WHY_BYTES 200

struct options {
    const char *mediator;
    const char *key;
    bool json;
    bool quiet;
    bool help;
    bool version;
    bool overwrite;
    unsigned verbose;
    bool direct_only; /* at most one of these two */
    bool relay_only;
    bool no_port_mapping;
    uint32_t timeout_s;   /* 0: not given */
    uint32_t patience_s;  /* 0: not given */
    uint32_t count;       /* of pings; 0: until interrupted */
    uint32_t interval_ms; /* between pings; 0: not given */
    const char *peer;
    const char *output;
    const char *command; /* --exec */
    const char *target;  /* --to */
    const char **allow;
    size_t allow_count;
    const char *verb; /* NULL: none given */
    char **arguments; /* after the verb */
    size_t argument_count;
    uint32_t used; /* options_bit of each option that was given */
    char why[OPTIONS_WHY_BYTES];
};

/* Which verb takes which option, for those that not every verb takes. */
enum options_bit {
    OPTIONS_TIMEOUT = 1 << 0,
    OPTIONS_PATH = 1 << 1, /* --direct-only, --relay-only */
    OPTIONS_PEER = 1 << 2,
    OPTIONS_OUTPUT = 1 << 3, /* -o, --overwrite */
    OPTIONS_EXEC = 1 << 4,
    OPTIONS_TO = 1 << 5,
    OPTIONS_ALLOW = 1 << 6,
    OPTIONS_NETWORK = 1 << 7, /* --patience, --no-port-mapping */
    OPTIONS_PING = 1 << 8,    /* -c, -i */
    /* of all verbs that use the network */
    OPTIONS_COMMON = OPTIONS_TIMEOUT | OPTIONS_PATH | OPTIONS_NETWORK,
};

/* Reorders argv; all pointers are into it. False: why is set. options_free frees the lists. */
bool options_parse(struct options *options, int argc, char **argv);
void options_free(struct options *options);
/* The name of an option that was given and is not in takes; NULL: none. */
const char *options_misplaced(const struct options *options, uint32_t takes);

#endif
