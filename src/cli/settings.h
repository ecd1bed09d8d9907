/* SPDX-License-Identifier: BSD-2-Clause */
/* What holds for this run: the command line first, then the environment, then the config file. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"
#include "eyelet.h"

#define SETTINGS_WHY_BYTES 400

struct settings {
    char *folder; /* $EYELET_CONFIG, or eyelet in $XDG_CONFIG_HOME or ~/.config */
    char *key;
    char *mediator; /* NULL: not set anywhere */
    enum eyelet_policy policy;
    uint32_t patience_s; /* 0: the library's */
    bool no_port_mapping;
    char *known_peers;
    char *known_mediators;
    char *authorized_peers;
    char why[SETTINGS_WHY_BYTES];
};

/* Creates the folder (0700) if it is missing. False: why is set. */
bool settings_load(struct settings *settings, const struct options *options);
/* The config file's text: "mediator = HOST[:PORT][#ID]", "key = FILE", "paths = any", "direct-only"
 * or "relay-only", "port-mapping = yes" or "no", "patience = SECONDS". False: why is set. */
bool settings_parse(struct settings *settings, const char *text);
/* Why nothing could be opened with these settings, for a person. error: what the library returned;
 * errno still as it left it. */
const char *settings_open_why(const struct settings *settings, int error,
                              char why[static SETTINGS_WHY_BYTES]);
void settings_free(struct settings *settings);

#endif
