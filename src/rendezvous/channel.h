/* SPDX-License-Identifier: BSD-2-Clause */
/* The control session between a peer and a mediator, and the connection for relayed datagrams: TLS
 * 1.3 with raw public keys over a connected TCP socket, cut into frames of 2 bytes size (big
 * endian) and body. Non-blocking; both ends use it.
 *
 *     CONNECTING --TLS done--> OPEN --error, EOF or channel_free--> DEAD
 */
#ifndef RENDEZVOUS_CHANNEL_H
#define RENDEZVOUS_CHANNEL_H

#include <gnutls/gnutls.h>

#include "identity/identity.h"

#define CHANNEL_MAX_FRAME_BYTES 8192

enum channel_error {
    CHANNEL_OK = 0,
    CHANNEL_ERR_MEMORY = -1,
    CHANNEL_ERR_TLS = -2,    /* handshake or record failure: channel_why says which */
    CHANNEL_ERR_CLOSED = -3, /* the other side closed, or the connection was reset */
    CHANNEL_ERR_FRAME = -4,  /* a frame larger than CHANNEL_MAX_FRAME_BYTES, or an empty one */
    CHANNEL_ERR_QUEUE_FULL =
        -5, /* the other side does not read: more than max_queue_bytes are waiting */
    CHANNEL_ERR_NOT_OPEN = -6,
};

struct channel;

struct channel_config {
    bool server;    /* takes control sessions and connections for relayed datagrams */
    bool for_relay; /* a client: the latter */
    int fd; /* connected (or, for a client, connecting), non-blocking; the channel owns and closes
               it */
    gnutls_certificate_credentials_t credentials; /* outlives the channel */
    size_t max_queue_bytes;                       /* bound on unsent bytes */
    gnutls_priority_t priority; /* from channel_priority; NULL: the channel makes its own */
};

/* The ciphers and keys that we speak, for whoever has many channels: shared, they save each about
 * half of its memory. Free with gnutls_priority_deinit, at any time. CHANNEL_OK or
 * CHANNEL_ERR_MEMORY. */
int channel_priority(gnutls_priority_t *out);

/* Returns CHANNEL_OK, CHANNEL_ERR_MEMORY or CHANNEL_ERR_TLS; on error the fd is closed. */
int channel_new(struct channel **out, const struct channel_config *config);
/* Sends what is queued and a close_notify as far as that goes without waiting, and reads away what
 * is unread, so that closing the socket does not destroy the last words on their way. NULL is fine.
 */
void channel_free(struct channel *ch);

/* To be called when the fd is readable or writable: continues the handshake, flushes the queue.
 * Returns CHANNEL_OK or the error that ended it. A connection that takes no more bytes does not end
 * the channel here: what the other side had to say can still be received. */
int channel_process(struct channel *ch);
bool channel_is_open(const struct channel *ch);
bool channel_wants_write(const struct channel *ch); /* poll the fd for writing too */
int channel_fd(const struct channel *ch);

/* The other side's proven key; valid once open. Whether it is the right one is the caller's
 * question. A client is open before the server has checked it: a refusal comes as an error of
 * channel_receive. */
const struct identity_id *channel_peer(const struct channel *ch);

/* Once open: it carries relayed datagrams (WIRE_RELAY_ALPN), not the messages of a session. */
bool channel_is_relay(const struct channel *ch);

/* Takes the next whole frame. 1: *frame points to *size bytes, valid until the next call on this
 * channel. 0: none yet. < 0: the error that ended it. Call until it does not return 1 (TLS may hold
 * bytes that poll cannot see). A receive buffer exists only while part of a frame is waiting. */
int channel_receive(struct channel *ch, const uint8_t **frame, size_t *size);

/* Copies a frame into the queue and sends what the socket takes. CHANNEL_OK; or the frame was not
 * taken: CHANNEL_ERR_NOT_OPEN, _FRAME (its size), _QUEUE_FULL, _MEMORY, _CLOSED. None of these ends
 * the channel: whoever cannot be told things may be worth dropping, but the owner decides. */
int channel_send(struct channel *ch, const uint8_t *frame, size_t size);
/* The same, but sends nothing yet: the next channel_send or channel_process does, with as many
 * frames in one TLS record as are waiting. */
int channel_queue(struct channel *ch, const uint8_t *frame, size_t size);

size_t channel_queued_bytes(const struct channel *ch);
/* A sentence for people about the error that ended it; "" if none did. */
const char *channel_why(const struct channel *ch);

#endif
