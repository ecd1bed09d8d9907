/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver: what an endpoint and a connection are made of. */
#ifndef PEER_ENDPOINT_H
#define PEER_ENDPOINT_H

#include "eyelet.h"
#include "link/link.h"
#include "peer/session.h"
#include "peer/udp.h"
#include "punch/punch.h"
#include "rendezvous/dial.h"

#define CONN_WHY_BYTES    320
#define CONN_MAX_PER_EP   4096
#define ENDPOINT_TX_BYTES LINK_MAX_BATCH_BYTES
#define ENDPOINT_DIAL_US  15000000u
#define CONN_FLOWN_TO     8
#define CONN_REFUSED_CODE 0x6579656c /* of a link that was refused after all; "eyel" */
#define CONN_GOODBYE_US                                                                            \
    5000000u /* how long a close waits for what was written to be acknowledged */

/*  NEW --session up--> CALLING --PEER_COORD--> PUNCHING --both keys proven--> OPEN
 *   \_______\____________\____________________\_____ close or failure ____--> ENDING --> ENDED */
enum conn_state { CONN_NEW, CONN_CALLING, CONN_PUNCHING, CONN_OPEN, CONN_ENDING, CONN_ENDED };

/* Events that wait to be polled: a set of them, so that nothing grows when nobody polls. */
enum conn_news {
    CONN_NEWS_INCOMING = 1u << 0,
    CONN_NEWS_PATH = 1u << 1,
    CONN_NEWS_CONNECTED = 1u << 2,
    CONN_NEWS_CLOSED = 1u << 3,
};

/* Asks the peer to answer a full-size datagram: only a path that carries one gets them. */
struct size_probe {
    uint8_t transaction[STUN_TRANSACTION_BYTES];
    struct punch_pair pair;
    uint64_t next_us; /* UINT64_MAX: not running */
    unsigned tries;
};

struct eyelet_conn {
    struct eyelet_endpoint *ep;
    struct eyelet_conn *next;
    enum conn_state state;
    bool incoming; /* as the application sees it */
    bool caller;   /* as the dial goes: differs from !incoming when two dials crossed */
    bool bare;
    bool reported; /* HOLEPUNCHING_COMPLETE was sent */
    bool was_open;
    void *context;
    struct identity_id peer;

    struct dial_offer offer;
    struct dial_keys keys;
    struct dial_note_box notes_out, notes_in;
    wire_PeerCoord *held; /* the peer's crossing dial, in case ours is not answered; owned */

    struct punch *punch;           /* owned, NULL before PUNCHING unless our NAT must be sampled */
    struct punch_note *early_note; /* owned; what it has to say before the call is answered */
    struct udp_socket *sockets[PUNCH_SEARCH_SOCKET]; /* owned, but for the endpoint's data socket */
    struct udp_socket **search_sockets; /* owned; PUNCH_SEARCH_SOCKETS, NULL before a search */
    struct stun_addr bare_public;       /* of the bare socket that was claimed; none if unknown */
    struct link *link;                  /* owned, NULL for a bare connection */
    uint64_t note_rtt_us;               /* to the peer and back through the mediator; 0: unknown */
    bool path_up;
    size_t datagram_bytes;
    struct size_probe probe;

    uint64_t began_us, timeout_us, timeout_at_us, bare_ready_us, goodbye_us;
    struct punch_pair usable;                 /* the first from which the peer was heard */
    uint64_t usable_us;                       /* 0: none yet */
    struct stun_addr flown_to[CONN_FLOWN_TO]; /* where the link's handshake has gone so far */
    size_t flown_count;
    enum punch_kind usable_kind;
    bool has_path;   /* proven */
    bool path_shown; /* the application knows one, maybe only usable so far */
    struct eyelet_path path;
    struct punch_pair pair; /* of path */
    enum punch_technique technique;

    unsigned news;
    int error;
    uint64_t code;
    char why[CONN_WHY_BYTES];
    char goodbye[121];
    uint64_t goodbye_code;
    int64_t main_stream; /* of the blocking calls; -1: none yet */
};

/* A batch that the socket would not take; nothing else of any link is written before it. */
struct unsent {
    struct eyelet_conn *conn;
    struct punch_pair pair;
    size_t bytes, segment_bytes; /* 0: none */
};

struct eyelet_endpoint {
    struct identity self;
    int epoll_fd, timer_fd, wake_fd;
    uint64_t armed_us;
    bool dirty; /* the application has done something that process must act on */
    struct udp_socket warm[SESSION_SOCKETS]; /* fd -1: this machine does not have the family */
    struct session session;
    struct punch_budget budget;
    bool no_search; /* no dial tries many sockets and ports */
    enum eyelet_policy policy;
    struct dial_guard *guard;
    enum eyelet_listen_mode listen_mode;
    struct eyelet_id *allowed; /* owned */
    size_t allowed_count;
    uint64_t dial_timeout_us;
    uint64_t last_dial_unix_us;
    struct eyelet_conn *conns;
    size_t conn_count;
    struct udp_socket *closed;      /* freed when no event can name them any more */
    struct eyelet_conn *last_heard; /* of the last link packet: the likeliest for the next */

    bool news_registered, news_lost;
    int lost_error;
    void (*log)(void *context, enum eyelet_log_level level, const char *text);
    void *log_context;
    char why[SESSION_WHY_BYTES];

    struct unsent unsent;
    uint8_t tx[ENDPOINT_TX_BYTES];
    uint8_t rx[UDP_MAX_RECEIVE_BYTES];
};

/* ---- endpoint.c ---- */
uint64_t endpoint_now_us(void);      /* monotonic */
uint64_t endpoint_unix_now_us(void); /* wall clock */
void endpoint_log(const struct eyelet_endpoint *ep, enum eyelet_log_level level, const char *format,
                  ...) __attribute__((format(printf, 3, 4)));
/* Watches fd for reading (and writing); 0 or an errno. */
int endpoint_watch(struct eyelet_endpoint *ep, int fd, bool writing, void *whom);
void endpoint_rewatch(struct eyelet_endpoint *ep, int fd, bool writing, void *whom);
void endpoint_unwatch(struct eyelet_endpoint *ep, int fd);
/* False for one that has been closed meanwhile. */
bool endpoint_has_socket(const struct eyelet_endpoint *ep, const struct udp_socket *s);
/* process must run soon, although no descriptor is ready. */
void endpoint_wake(struct eyelet_endpoint *ep);

/* ---- what the session tells the endpoint (calls.c) ---- */
void calls_session_up(struct eyelet_endpoint *ep, uint64_t now_us);
void calls_announced(struct eyelet_endpoint *ep);
void calls_peer_coord(struct eyelet_endpoint *ep, uint64_t now_us, const wire_PeerCoord *msg);
void calls_note(struct eyelet_endpoint *ep, uint64_t now_us, const wire_DialNote *msg);
void calls_error(struct eyelet_endpoint *ep, uint64_t now_us, const wire_Error *msg);
/* Tells the other side that this dial is given up. */
void calls_give_up(struct eyelet_conn *conn);
/* Sends a note over the dial channel of a connection. */
void calls_send_note(struct eyelet_conn *conn, const wire_Note *note);
/* Begins a dial: seals it, and sends it if there is a session. */
int calls_dial(struct eyelet_conn *conn, uint64_t now_us);

/* ---- conn.c: one connection's machine ---- */
struct eyelet_conn *conn_new(struct eyelet_endpoint *ep, const struct identity_id *peer,
                             uint64_t now_us);
void conn_destroy(struct eyelet_conn *conn);
/* Drops what belongs to the role it had: engine, link, sockets. */
void conn_reset(struct eyelet_conn *conn);
/* This machine is somewhere else: every path is in doubt, and there may be better ones. */
void conns_moved(struct eyelet_endpoint *ep, uint64_t now_us);
/* By the engine's index; NULL: none. */
struct udp_socket *conn_socket(const struct eyelet_conn *conn, unsigned index);
/* False: out of memory. */
bool conn_set_socket(struct eyelet_conn *conn, unsigned index, struct udp_socket *s);
/* Closes a socket of the connection's own, or lets go of the endpoint's. */
void conn_release_socket(struct eyelet_conn *conn, unsigned index);
/* Takes the warm bare socket for this connection; the endpoint opens another one. */
void conn_claim_bare(struct eyelet_conn *conn);
/* The address of a socket on its interface, as far as it is known. */
struct stun_addr conn_local_address(const struct eyelet_endpoint *ep, const struct udp_socket *s);
/* While the call is on its way a caller whose public port changes takes samples of it. */
void conn_sample_early(struct eyelet_conn *conn, uint64_t now_us);
int conn_start_punch(struct eyelet_conn *conn, uint64_t now_us);
void conn_add_candidates(struct eyelet_conn *conn, uint64_t now_us, const wire_Coordinates *coord);
void conn_fail(struct eyelet_conn *conn, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conn_end(struct eyelet_conn *conn);
void conn_report(struct eyelet_conn *conn, wire_Outcome outcome);
void conn_handle_timeout(struct eyelet_conn *conn, uint64_t now_us);
uint64_t conn_next_timeout(const struct eyelet_conn *conn);

/* ---- traffic.c: datagrams between sockets, engines and links ---- */
void traffic_receive(struct eyelet_endpoint *ep, uint64_t now_us, struct udp_socket *s);
/* Sends what engine and link have to send, and follows their news. */
void traffic_flush(struct eyelet_conn *conn, uint64_t now_us);
/* Ends the link and says so to the peer. */
void traffic_close(struct eyelet_conn *conn, uint64_t now_us, uint64_t code, const char *text);
void traffic_retry_unsent(struct eyelet_endpoint *ep, uint64_t now_us);

/* ---- path.c ---- */
/* The link is established over the first usable pair, which is not proven yet. */
void path_usable(struct eyelet_conn *conn, uint64_t now_us);
void path_proven(struct eyelet_conn *conn, uint64_t now_us, const struct punch_event *event);
/* Sends the next size probe, which is due. */
void path_probe_size(struct eyelet_conn *conn, uint64_t now_us);
/* True if the STUN message answers it: then the path carries full-size datagrams. */
bool path_size_answered(struct eyelet_conn *conn, uint64_t now_us, const uint8_t *bytes,
                        size_t size);

/* ---- notes.c ---- */
bool notes_to_wire(const struct punch_note *note, wire_Note *out);
bool notes_from_wire(const wire_Note *note, struct punch_note *out);

#endif
