/* SPDX-License-Identifier: BSD-2-Clause */
/* The receiving side of a file transfer: bytes of the stream in, files and answers out. Knows no
 * network.
 *
 *     EXPECT_HELLO --HELLO--> RECORDS --all offers answered, all files ended--> DONE
 */
#ifndef CLI_RECEIVER_H
#define CLI_RECEIVER_H

#include "cli/folder.h"

struct receiver;

/* name is not terminated and, if code is TRANSFER_NAME_REFUSED, anything at all. */
typedef void receiver_report(void *context, const char *name, size_t name_bytes,
                             uint64_t size_bytes, enum transfer_code code, const char *text);

/* NULL: no memory. folder outlives it. */
struct receiver *receiver_new(struct folder *folder, receiver_report *report, void *context);
/* Removes the file that is not complete. NULL is fine. */
void receiver_free(struct receiver *r);

/* False: the sender broke the protocol, receiver_why() says how; nothing more can be done with it.
 */
bool receiver_input(struct receiver *r, const uint8_t *data, size_t bytes);
const char *receiver_why(const struct receiver *r);

/* Answers that wait to be sent; receiver_sent gives them back. */
size_t receiver_output(const struct receiver *r, const uint8_t **data);
void receiver_sent(struct receiver *r, size_t bytes);

struct receiver_progress {
    const char *name; /* of the file that is coming in, shown safely; "" while there is none */
    uint64_t bytes;   /* of content so far */
    uint64_t total_bytes;
    uint32_t succeeded;
    uint32_t failed;
    bool integrity_failed;
    bool done; /* the last answer is in the output */
};

struct receiver_progress receiver_progress(const struct receiver *r);

#endif
