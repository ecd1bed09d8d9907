/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs of a lab: each begins in the namespace of its node when what it waits for was said,
 * and its output is copied on. */
#ifndef LAB_PROGRAMS_H
#define LAB_PROGRAMS_H

#include <sys/types.h>

#include "lab/topology.h"

struct programs_one {
    pid_t pid; /* 0: not begun, or ended */
    bool begun, ended;
    int status;                  /* as waitpid gives it */
    int from[2], to[2];          /* stdout, stderr: pipe and where it is copied to; -1 */
    char last[2][TOPOLOGY_TEXT]; /* the end of what it has said, so that no text is cut */
    size_t last_bytes[2];
};

struct programs {
    const struct topology *topology;
    const char *log_directory; /* NODE.out and NODE.err; NULL: our own output */
    struct programs_one one[TOPOLOGY_PROGRAMS];
    bool said[TOPOLOGY_PROGRAMS]; /* the text that this program waits for */
};

void programs_init(struct programs *p, const struct topology *t, const char *log_directory);
/* Begins program i in a namespace. False: it has said why on stderr. The caller watches one.from.
 */
bool programs_begin(struct programs *p, unsigned i, int space);
/* Whether all that program i waits for has happened, and it has not begun. */
bool programs_due(const struct programs *p, unsigned i);
/* Copies what has come; what = 0: stdout, 1: stderr. False: that pipe is closed now. */
bool programs_copy(struct programs *p, unsigned i, int what);
/* Collects the ended ones. */
void programs_reap(struct programs *p);
unsigned programs_running(const struct programs *p);

#endif
