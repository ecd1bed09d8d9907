/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbered messages over a probe connection, which come back as they were sent. */
#ifndef CLI_ECHO_H
#define CLI_ECHO_H

#include <stdbool.h>

#include "cli/session.h"

#define ECHO_BYTES  64
#define ECHO_RECENT 1024 /* older ones than that are not waited for */

struct echo {
    struct session *session;
    uint64_t sent_us[ECHO_RECENT]; /* by number modulo that; 0: answered */
    uint32_t sent;                 /* the next one's number is one more */
    uint32_t received;
};

/* Sends the next one; its number. One that finds no room is lost like any other. */
uint32_t echo_send(struct echo *echo, uint64_t now_us);
/* Of EYELET_EVENT_MESSAGE: whether it is an answer, the first to its number. */
bool echo_receive(struct echo *echo, uint64_t now_us, const eyelet_event *event, uint32_t *number,
                  uint64_t *rtt_us);
/* Sent, not answered, and not too long ago to know. */
bool echo_is_waiting(const struct echo *echo, uint32_t number, uint64_t *sent_us);

#endif
