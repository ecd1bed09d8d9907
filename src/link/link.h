/* SPDX-License-Identifier: BSD-2-Clause */
/* An encrypted connection over one constant virtual path: QUIC v1 (RFC 9000, 9001) with DATAGRAM
 * (RFC 9221), both sides proven by Ed25519 raw public keys. No sockets and no clock: the caller
 * carries datagrams and says what time it is. Which real path carries them is not known here.
 * Every call into ngtcp2 lives in this room; ngtcp2_version.h bridges its versions 0.12 and 1.x.
 *
 *     HANDSHAKING --peer's key checked--> ESTABLISHED --both sides know--> CONFIRMED
 *          \______________\_______________________\___close, error, idle__> CLOSED
 */
#ifndef LINK_LINK_H
#define LINK_LINK_H

#include <gnutls/gnutls.h>
#include <sys/types.h>

#include "identity/identity.h"

#define LINK_MIN_DATAGRAM_BYTES 1200
#define LINK_MAX_DATAGRAM_BYTES 1452
#define LINK_MAX_BATCH_BYTES    65000 /* what one link_output call may write */
#define LINK_MAX_CID_BYTES      20
#define LINK_CID_BYTES          8 /* of the IDs that we issue */

enum link_error {
    LINK_OK = 0,
    LINK_ERR_MEMORY = -1,
    LINK_ERR_CRYPTO = -2,
    LINK_ERR_CLOSED = -3,      /* the link is closed; link_close_reason says why */
    LINK_ERR_BAD_INITIAL = -4, /* not a QUIC Initial of a version we speak */
    LINK_ERR_NO_STREAM = -5,
    LINK_ERR_TOO_LARGE = -6, /* datagram larger than the path carries */
    LINK_ERR_BLOCKED = -7,   /* the peer's stream limit, or our queue, is full: try again later */
    LINK_ERR_UNHEARD = -8,   /* no sign of life */
};

enum link_close_kind {
    LINK_CLOSE_NONE = 0,
    LINK_CLOSE_LOCAL,      /* link_close was called */
    LINK_CLOSE_PEER,       /* the peer closed; code and text are its own */
    LINK_CLOSE_WRONG_PEER, /* the peer proved another key than the one we must find */
    LINK_CLOSE_TLS,
    LINK_CLOSE_PROTOCOL,
    LINK_CLOSE_IDLE, /* nothing heard for idle_timeout */
};

struct link_close_reason {
    enum link_close_kind kind;
    uint64_t code; /* application error code for LOCAL and PEER, QUIC error code otherwise */
    char text[120];
};

struct link_config {
    gnutls_certificate_credentials_t
        credentials;          /* rawkey_credentials of ourselves; outlives the link */
    struct identity_id peer;  /* whom we must find at the other end */
    uint64_t initial_rtt_us;  /* from the known round trips; 0 = 100 ms */
    uint64_t idle_timeout_us; /* nothing heard, not even answers to keep-alives; 0 = 60 s */
    const uint8_t *token; /* same on both sides: lifts the anti-amplification limit, because the */
    size_t token_bytes;   /* dial has already proven the caller (16..64 bytes) */
    void (*random)(void *context, uint8_t *out, size_t bytes);
    void *random_context;
};

struct link;

/* All times: microseconds of any monotonic clock, the same one in every call on a link. */

/* The dialling side. Its first datagram (link_output) is the first flight for the dial. */
int link_dial(struct link **out, const struct link_config *config, uint64_t now_us);
/* The answering side, made from the caller's first flight, which came with an authenticated dial.
 * Streams may be opened and written at once (0.5-RTT data); whoever acts on what the peer says
 * waits for LINK_EVENT_ESTABLISHED. */
int link_accept(struct link **out, const struct link_config *config, const uint8_t *flight,
                size_t flight_bytes, uint64_t now_us);
void link_free(struct link *link);

/* ---- routing of datagrams to links ---- */

/* Finds the destination connection ID of a datagram. False: not QUIC. *is_initial: a long header
 * Initial packet. Short headers carry IDs that we issued (LINK_CID_BYTES). */
bool link_datagram_cid(const uint8_t *bytes, size_t size, const uint8_t **cid, size_t *cid_bytes,
                       bool *is_initial);
/* True if packets for this ID belong here: one that we issued, or the caller's original one. */
bool link_has_cid(const struct link *link, const uint8_t *cid, size_t cid_bytes);

/* ---- datagrams in and out ---- */

/* One datagram came in. Bad ones are dropped. LINK_OK: it was the peer's, and new: a sign of life.
 * LINK_ERR_UNHEARD: forged, a copy, not to be opened yet; or a mere keep-alive, which cannot always
 * be told from these. LINK_ERR_CLOSED. */
int link_input(struct link *link, uint64_t now_us, const uint8_t *bytes, size_t size);

/* Writes datagrams one behind the other, each *segment_bytes long except the last, which may be
 * shorter: one UDP_SEGMENT send. Returns the total size; 0: nothing to send now. capacity is at
 * least LINK_MAX_DATAGRAM_BYTES and bounds the batch. */
size_t link_output(struct link *link, uint64_t now_us, uint8_t *buffer, size_t capacity,
                   size_t *segment_bytes);

/* Time of the next link_handle_timeout, UINT64_MAX for none. */
uint64_t link_next_timeout(const struct link *link);
int link_handle_timeout(struct link *link, uint64_t now_us);

/* While there is no path, nothing is written, no timer runs and no time passes for the loss and
 * idle timers (a link without a path lives until it is freed); when one comes back, the clock is
 * advanced for good so that no backed-off timer costs seconds: call link_output at once.
 * max_datagram_bytes: LINK_MIN.. to LINK_MAX.. . A new link has no path: for a dialler the dial is
 * the first one. When a working path replaces another, say only "up" with the new size; when it
 * replaces one that has gone silent, say "down" and "up", for the timers that backed off. */
void link_set_path(struct link *link, uint64_t now_us, bool up, size_t max_datagram_bytes);

/* ---- what the application does ---- */

/* A bidirectional stream; the peer learns of it with its first bytes. Returns its ID (>= 0) or
 * LINK_ERR_BLOCKED (a dialler before LINK_EVENT_ESTABLISHED, or the peer's limit:
 * LINK_EVENT_WRITABLE with stream -1 follows when it opens) / LINK_ERR_CLOSED / LINK_ERR_MEMORY. */
int64_t link_stream_open(struct link *link);
/* Copies as much as the send buffer takes (it is bounded: LINK_EVENT_WRITABLE follows when a
 * write came up short); fin ends our direction, and counts only if everything was taken.
 * Returns bytes taken, or LINK_ERR_NO_STREAM / LINK_ERR_CLOSED. */
ssize_t link_stream_write(struct link *link, int64_t stream, const uint8_t *data, size_t bytes,
                          bool fin);
/* What has arrived in order, without copying: *data points to the returned number of bytes, valid
 * until the next call on the link. 0 and *fin: the peer's direction has ended. 0 without fin:
 * nothing now. What arrived before the link closed can still be read, then LINK_ERR_CLOSED.
 * LINK_ERR_NO_STREAM: unknown, closed, or reset by either side. */
ssize_t link_stream_peek(struct link *link, int64_t stream, const uint8_t **data, bool *fin);
/* Gives bytes back and opens the flow-control window by as much. */
void link_stream_consume(struct link *link, int64_t stream, size_t bytes);
/* Abandon both directions with an application code; unsent and unread bytes are dropped, on the
 * peer's side as well. LINK_EVENT_STREAM_CLOSED follows. */
void link_stream_reset(struct link *link, int64_t stream, uint64_t code);
/* Bytes written but not yet acknowledged by the peer. */
size_t link_stream_unacked(const struct link *link, int64_t stream);
/* The same over all streams; an end (fin) that was asked for counts as one byte. */
size_t link_unacked(const struct link *link);

/* Unreliable, unordered. LINK_ERR_TOO_LARGE above link_max_message, LINK_ERR_BLOCKED when full
 * (LINK_EVENT_WRITABLE with stream -1 follows). */
int link_send_message(struct link *link, const uint8_t *data, size_t bytes);
size_t link_max_message(const struct link *link);

/* Ends the link at once: the next link_output writes a CONNECTION_CLOSE. The peer may never see
 * what it has not acknowledged; who must not lose anything waits until link_unacked is 0. */
void link_close(struct link *link, uint64_t code, const char *text);
const struct link_close_reason *link_close_reason(const struct link *link);
/* The peer's key is checked: what it says is its own. */
bool link_is_established(const struct link *link);
bool link_is_confirmed(const struct link *link);
uint64_t link_rtt_us(const struct link *link); /* smoothed */

enum link_event_kind {
    LINK_EVENT_NONE = 0,
    LINK_EVENT_ESTABLISHED,
    LINK_EVENT_CONFIRMED,
    LINK_EVENT_STREAM_OPENED, /* by the peer */
    LINK_EVENT_READABLE,     /* bytes or fin; said again only after link_stream_peek saw it empty */
    LINK_EVENT_WRITABLE,     /* stream -1: streams may be opened, or messages sent, again */
    LINK_EVENT_STREAM_RESET, /* code */
    LINK_EVENT_STREAM_CLOSED, /* both directions have ended and all is acknowledged; ID gone */
    LINK_EVENT_MESSAGE,       /* data, bytes: valid until the next call on the link */
    LINK_EVENT_CLOSED,        /* last event; see link_close_reason */
};

struct link_event {
    enum link_event_kind kind;
    int64_t stream;
    uint64_t code;
    const uint8_t *data;
    size_t bytes;
};

/* False: no more events now. */
bool link_poll_event(struct link *link, struct link_event *event);

#endif
