/* SPDX-License-Identifier: BSD-2-Clause */
/* What is to be sent: files and folders, found and checked before anybody is called. */
#ifndef CLI_TREE_H
#define CLI_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/transfer.h"

#define TREE_WHY_BYTES 512

struct tree_entry {
    char *path; /* to open it here */
    char *name; /* what the receiver is told */
    struct transfer_offer offer;
};

struct tree {
    struct tree_entry *entries; /* a folder stands before what is in it */
    size_t count;
    size_t capacity;
    uint64_t bytes;
    char why[TREE_WHY_BYTES]; /* of the last failure: what, and what to do */
};

/* Adds a file, or a folder with all that is in it, under its last component. False: it cannot be
 * sent (unreadable, symbolic link, device, a name that no receiver takes, a second one of that
 * name); nothing should be sent then. Start with a zeroed struct. */
bool tree_add(struct tree *tree, const char *path);
void tree_free(struct tree *tree);

#endif
