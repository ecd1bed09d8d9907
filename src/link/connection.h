/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of a link, shared by the files of this room. */
#ifndef LINK_CONNECTION_H
#define LINK_CONNECTION_H

#include "link/link.h"
#include "link/message.h"
#include "link/ngtcp2_version.h"
#include "link/stream.h"

#define LINK_DEFAULT_IDLE_US 60000000U
#define LINK_DEFAULT_RTT_US  100000U

/* ngtcp2 issues at most 8 at a time, and retired ones overlap for a while. */
#define LINK_MAX_OWN_CIDS 16

enum link_news {
    LINK_NEWS_ESTABLISHED = 1 << 0,
    LINK_NEWS_CONFIRMED = 1 << 1,
    LINK_NEWS_ROOM = 1 << 2, /* streams may be opened, or messages queued, again */
    LINK_NEWS_CLOSED = 1 << 3,
};

/* The link's own time: it stands still while there is no path, and leaps over backed-off timers. */
struct link_clock {
    uint64_t origin_us; /* the caller's time at origin_ns */
    uint64_t origin_ns; /* the link's time there */
    bool runs;
};

struct link {
    ngtcp2_conn *conn;
    ngtcp2_crypto_conn_ref conn_ref;
    gnutls_session_t session;
    struct identity_id peer;
    void (*random)(void *context, uint8_t *out, size_t bytes);
    void *random_context;

    struct link_clock clock;
    ngtcp2_duration idle_timeout;
    ngtcp2_tstamp last_heard;
    uint64_t told; /* by ngtcp2: what the peer has said */
    ngtcp2_tstamp paced_until;
    size_t max_datagram;

    struct stream_table streams;
    struct message_queue messages_in;
    struct message_queue messages_out;
    struct message *told_message; /* lent to the application until its next call */

    ngtcp2_cid own_cids[LINK_MAX_OWN_CIDS];
    size_t own_cid_count;
    ngtcp2_cid original_dcid; /* chosen by the caller for its first flight */

    unsigned news;
    bool wants_room;
    bool is_server;
    bool can_send_1rtt;
    bool is_starved; /* the peer's window for the whole connection is used up */
    bool is_wrong_peer;
    bool is_established;
    bool is_confirmed;
    bool is_closed;
    struct link_close_reason reason;

    bool must_write_close;  /* close_error is not on the wire yet */
    bool must_repeat_close; /* the peer has not understood */
    uint64_t closed_inputs;
    ngtcp2_ccerr close_error;
    uint8_t close_packet[LINK_MAX_DATAGRAM_BYTES];
    size_t close_packet_bytes;
};

/* clock.c */
void clock_start(struct link_clock *clock, uint64_t now_us);
/* Never less than before: ngtcp2 1.x aborts when its time goes back. */
ngtcp2_tstamp clock_now(struct link_clock *clock, uint64_t now_us);
void clock_stop(struct link_clock *clock, uint64_t now_us);
void clock_resume(struct link_clock *clock, uint64_t now_us, ngtcp2_tstamp not_before);
/* The first of the caller's times at which the link's time is past the deadline. */
uint64_t clock_after(const struct link_clock *clock, ngtcp2_tstamp deadline);

/* callbacks.c */
extern const ngtcp2_callbacks link_callbacks;

/* cid.c */
void link_make_cid(struct link *link, ngtcp2_cid *cid, size_t bytes);
bool link_own_cid(struct link *link, const ngtcp2_cid *cid);
void link_disown_cid(struct link *link, const ngtcp2_cid *cid);

/* tls.c */
int link_tls_init(struct link *link, gnutls_certificate_credentials_t credentials);
/* Sets is_wrong_peer. */
bool link_tls_check_peer(struct link *link);

/* closing.c: what ended the link; the first cause stays. */
void link_fail(struct link *link, int ngtcp2_error);
void link_peer_closed(struct link *link);
size_t link_write_close(struct link *link, ngtcp2_tstamp now, uint8_t *buffer, size_t capacity);

/* application.c */
/* Frees the stream, and lets the peer open another. */
void link_forget_stream(struct link *link, struct stream *stream);
/* What arrived and will never be read. */
void link_drop_received(struct link *link, struct stream *stream);

#endif
