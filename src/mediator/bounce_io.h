/* SPDX-License-Identifier: BSD-2-Clause */
/* The UDP sockets of the bounce server in the event loop. */
#ifndef MEDIATOR_BOUNCE_IO_H
#define MEDIATOR_BOUNCE_IO_H

#include <uv.h>

#include "mediator/bounce.h"
#include "mediator/config.h"

struct bounce_io;

/* Opens two sockets on each of the configured addresses, or on all addresses of this machine.
 * `find` and `context` as in struct bounce. NULL: `why` says what failed. */
struct bounce_io *bounce_io_open(uv_loop_t *loop, const struct config *config,
                                 struct attested *(*find)(void *context, uint64_t session_id),
                                 void *context, char why[static CONFIG_WHY_BYTES]);
const struct bounce *bounce_io_bounce(const struct bounce_io *io);
/* Frees it as soon as the loop has run; NULL is fine. */
void bounce_io_close(struct bounce_io *io);

#endif
