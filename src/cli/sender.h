/* SPDX-License-Identifier: BSD-2-Clause */
/* The sending side of a file transfer: answers in, bytes for the stream out. Knows no network. */
#ifndef CLI_SENDER_H
#define CLI_SENDER_H

#include "cli/tree.h"

struct sender;

/* One file or folder is settled. shown and text are safe for a terminal. */
typedef void sender_report(void *context, const char *shown, uint64_t size_bytes,
                           enum transfer_code code, const char *text);
/* Something that does not stop it. */
typedef void sender_warn(void *context, const char *shown, const char *text);

/* NULL: no memory. tree outlives it. */
struct sender *sender_new(const struct tree *tree, sender_report *report, sender_warn *warn,
                          void *context);
void sender_free(struct sender *s);

/* The next bytes; 0: none before more answers come in. sender_sent says how many were taken. */
size_t sender_output(struct sender *s, const uint8_t **data);
void sender_sent(struct sender *s, size_t bytes);

/* False: the receiver broke the protocol, sender_why() says how. */
bool sender_input(struct sender *s, const uint8_t *data, size_t bytes);
const char *sender_why(const struct sender *s);

struct sender_progress {
    const char *name; /* of the file that is being sent, shown safely; "" while there is none */
    uint64_t bytes;   /* of content given out so far */
    uint64_t total_bytes;
    uint32_t succeeded;
    uint32_t failed;
    bool integrity_failed;
    bool done; /* the receiver has settled everything */
};

struct sender_progress sender_progress(const struct sender *s);

#endif
