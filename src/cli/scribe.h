/* SPDX-License-Identifier: BSD-2-Clause */
/* A receiver in a thread of its own, so that a disk that takes its time does not keep the loop from
 * answering the network:
 *
 *      loop --blocks--> thread: receiver, folder --answers, reports--> loop
 *
 * All calls and callbacks are in the loop. */
#ifndef CLI_SCRIBE_H
#define CLI_SCRIBE_H

#include <uv.h>

#include "cli/receiver.h"

struct scribe;

/* There is room, an answer, a fault or progress. */
typedef void scribe_news(void *context);

/* NULL: errno says why. folder outlives it, and is the thread's until then. */
struct scribe *scribe_new(uv_loop_t *loop, struct folder *folder, receiver_report *report,
                          scribe_news *news, void *context);
/* Waits for the write that is going on; what waits behind it is dropped. Then its progress is the
 * last. */
void scribe_stop(struct scribe *s);
/* After scribe_stop. Removes the file that is not complete. The loop must run once more. */
void scribe_free(struct scribe *s);

/* How much was taken; less than all: news follows when there is room. */
size_t scribe_input(struct scribe *s, const uint8_t *data, size_t bytes);
/* Everything that was taken has been worked off, and told: output gives the last of it. */
bool scribe_is_idle(struct scribe *s);
/* How the sender broke the protocol; NULL: it has not. */
const char *scribe_fault(const struct scribe *s);

/* As receiver_output, receiver_sent and receiver_progress. If it is done, output gives the last
 * answer. */
size_t scribe_output(struct scribe *s, const uint8_t **data);
void scribe_sent(struct scribe *s, size_t bytes);
struct receiver_progress scribe_progress(const struct scribe *s);

#endif
