/* SPDX-License-Identifier: BSD-2-Clause */
/* The UDP sockets of the bounce server and the relay in the event loop. */
#ifndef MEDIATOR_BOUNCE_IO_H
#define MEDIATOR_BOUNCE_IO_H

#include <uv.h>

#include "mediator/bounce.h"
#include "mediator/config.h"
#include "mediator/relay.h"
#include "mediator/stream.h"

struct bounce_io;

/* What the datagrams are about; outlives the sockets. */
struct bounce_io_owner {
    struct attested *(*find)(void *context, uint64_t session_id); /* as in struct bounce */
    void *context;
    struct relay *relay; /* NULL: nothing is relayed */
    struct streams *streams;
};

/* Opens two sockets on each of the configured addresses, or on all addresses of this machine. NULL:
 * `why` says what failed. */
struct bounce_io *bounce_io_open(uv_loop_t *loop, const struct config *config,
                                 const struct bounce_io_owner *owner,
                                 char why[static CONFIG_WHY_BYTES]);
/* Relays what came by a TLS connection: one datagram with its tag, which is overwritten. It stays
 * where it is until bounce_io_flush. */
void bounce_io_relay(struct bounce_io *io, const struct relay_member *by, uint8_t *bytes,
                     size_t size);
void bounce_io_flush(struct bounce_io *io);
const struct bounce *bounce_io_bounce(const struct bounce_io *io);
/* Frees it as soon as the loop has run; NULL is fine. */
void bounce_io_close(struct bounce_io *io);

#endif
