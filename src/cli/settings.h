/* SPDX-License-Identifier: BSD-2-Clause */
/* What holds for this run: the command line first, then the environment, then the config file. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include <stdbool.h>

#include "cli/options.h"

#define SETTINGS_WHY_BYTES 400

struct settings {
    char *folder; /* $EYELET_CONFIG, or eyelet in $XDG_CONFIG_HOME or ~/.config */
    char *key;
    char *mediator; /* NULL: not set anywhere */
    char *known_peers;
    char *known_mediators;
    char *authorized_peers;
    char why[SETTINGS_WHY_BYTES];
};

/* Creates the folder (0700) if it is missing. False: why is set. */
bool settings_load(struct settings *settings, const struct options *options);
/* The config file's text: "mediator = HOST[:PORT][#ID]" and "key = FILE". False: why is set. */
bool settings_parse(struct settings *settings, const char *text);
void settings_free(struct settings *settings);

#endif
