/* SPDX-License-Identifier: BSD-2-Clause */
/* A topology come to life: namespaces, devices, programs, and one loop that carries every packet.
 */
#ifndef LAB_LABORATORY_H
#define LAB_LABORATORY_H

#include "lab/topology.h"

struct laboratory_options {
    const char *log_directory;     /* NULL: programs write where we write */
    const char *capture_directory; /* NULL: no captures */
    unsigned until;   /* ends with the programs of this node; TOPOLOGY_INTERNET: of all */
    double timeout_s; /* 0: none */
    bool talkative;
};

/* To be called in a process that is the first of its PID namespace, with its signals blocked, so
 * that nothing outlives it. Returns its exit status: that of the program it waited for, 124 after
 * the timeout, 125 if the lab could not be made (said on stderr), 128 + N for a signal. */
int laboratory_run(const struct topology *t, const struct laboratory_options *options);

#endif
