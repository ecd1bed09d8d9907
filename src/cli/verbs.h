/* SPDX-License-Identifier: BSD-2-Clause */
/* One function a verb, each in its own file. They return the exit code. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "cli/options.h"
#include "cli/report.h"
#include "cli/settings.h"

typedef int verb_run(const struct options *options, const struct settings *settings,
                     struct report *report);

struct verb {
    const char *name;
    verb_run *run;
    uint32_t takes;    /* of enum options_bit */
    const char *usage; /* the name and what stands behind it */
    const char *help;
};

verb_run verb_id;
verb_run verb_listen;
verb_run verb_connect;
verb_run verb_send;
verb_run verb_recv;
verb_run verb_netcheck;
verb_run verb_ping;

/* netcheck with a peer. */
verb_run verb_netcheck_peer;

#endif
