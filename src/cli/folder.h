/* SPDX-License-Identifier: BSD-2-Clause */
/* The folder that received files go to, and nothing outside it: every component of a name is opened
 * below the one before without following links; a file grows under a temporary name and takes its
 * place only when it is complete. */
#ifndef CLI_FOLDER_H
#define CLI_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/transfer.h"

#define FOLDER_WHY_BYTES 160

struct folder {
    int fd;
    mode_t umask;
    bool overwrite;             /* replace files that exist */
    char why[FOLDER_WHY_BYTES]; /* of the last failure, for people on either side */
};

struct folder_file {
    int fd;     /* -1: not open */
    int parent; /* the folder that it is in */
    char temporary[32];
    char name[NAMES_MAX_COMPONENT_BYTES + 1];
};

/* Creates the last component of path if it is missing. False: errno says why. */
bool folder_open(struct folder *folder, const char *path, bool overwrite);
void folder_close(struct folder *folder);

/* Bytes that may still be written; UINT64_MAX if the file system does not say. */
uint64_t folder_free_bytes(const struct folder *folder);

/* Names must have passed names_fault and be terminated. All return TRANSFER_OK, or a code with why
 * set. */

/* Makes a folder and those above it; it may exist. */
enum transfer_code folder_make(struct folder *folder, const char *name, uint16_t mode);
/* Whether a file of this name could be put here; makes the folders above it. */
enum transfer_code folder_check(struct folder *folder, const char *name);
/* Opens a temporary file for size_bytes. End it with folder_commit or folder_discard. */
enum transfer_code folder_create(struct folder *folder, const char *name, uint64_t size_bytes,
                                 struct folder_file *out);
enum transfer_code folder_write(struct folder *folder, struct folder_file *file, const void *data,
                                size_t bytes);
/* Gives it its mode (as the umask allows), time and name. It is closed either way, and gone on
 * failure. */
enum transfer_code folder_commit(struct folder *folder, struct folder_file *file,
                                 const struct transfer_offer *offer);
void folder_discard(struct folder_file *file);

#endif
