/* SPDX-License-Identifier: BSD-2-Clause */
/* What --help prints. */
#ifndef CLI_USAGE_H
#define CLI_USAGE_H

#include <stdio.h>

#include "cli/verbs.h"

/* All verbs, and the options that most of them take. */
void usage_print(FILE *stream, const struct verb *verbs, size_t count);
/* One verb, and every option that it takes. */
void usage_print_verb(FILE *stream, const struct verb *verb);

#endif
