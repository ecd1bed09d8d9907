/* SPDX-License-Identifier: BSD-2-Clause */
/* What a listening eyelet joins a caller's stream to: a command (--exec), or a TCP port (--to). */
#ifndef CLI_SERVICE_H
#define CLI_SERVICE_H

#include "cli/session.h"

struct service;

/* Its two descriptors are ready, and the receiver's to close; -1, -1: it could not be reached, and
 * why has been said. For a command it is called from within service_start. */
typedef void service_ready(void *context, struct service *service, int input, int output);

/* The command has ended; a failure has been said. Not called after service_end. */
typedef void service_exited(void *context, const struct outcome_command *command);

/* Starts options->command or connects to options->target. NULL: why has been said. */
struct service *service_start(struct session *session, service_ready *ready, service_exited *exited,
                              void *context);
/* The stream is over. hang_up: a command that still runs gets a SIGHUP. NULL is fine. */
void service_end(struct service *service, bool hang_up);

#endif
