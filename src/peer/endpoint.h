/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver: what an endpoint and a connection are made of. */
#ifndef PEER_ENDPOINT_H
#define PEER_ENDPOINT_H

#include "eyelet.h"
#include "link/link.h"
#include "peer/flight.h"
#include "peer/mapping.h"
#include "peer/relay.h"
#include "peer/session.h"
#include "peer/story.h"
#include "peer/udp.h"
#include "punch/diagnose.h"
#include "punch/plan.h"
#include "punch/punch.h"
#include "rendezvous/dial.h"

#define CONN_WHY_BYTES         320
#define CONN_MAX_PER_EP        4096
#define ENDPOINT_TX_BYTES      LINK_MAX_BATCH_BYTES
#define ENDPOINT_DIAL_US       15000000u
#define ENDPOINT_PATIENCE_US   120000000u
#define CONN_MAX_PROBES        8 /* of others, at once */
#define CONN_MAX_PROBES_OF_ONE 2
#define CONN_REFUSED_CODE      0x6579656c /* of a link that was refused after all; "eyel" */
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

/* What carries a connection now, as the application is told. */
enum conn_carrier { CONN_NO_CARRIER, CONN_RELAYED, CONN_DIRECT };

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
    bool asked;    /* the mediator has our dial and has not answered it */
    bool bare;
    bool probe; /* only messages, which the callee's library sends back by itself */
    bool was_open;
    bool shown; /* an incoming one: the application has heard of it, and could have refused */
    enum eyelet_policy policy;
    wire_Outcome reported; /* the last HOLEPUNCHING_COMPLETE */
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
    struct nat_profile theirs;          /* as last told */
    bool theirs_hidden;                 /* the peer shows no address on purpose */
    bool theirs_known, theirs_udp, theirs_ipv6, theirs_mapped;
    bool same_public_address;
    bool relay_resuming; /* the last session had a tag for it, and it is asked for again */
    bool relay_open;     /* the mediator has given a tag for this dial */
    uint8_t relay_tag[WIRE_RELAY_TAG_BYTES];
    char relay_refusal[121];
    uint64_t resumed_us;          /* when the dial was last asked for again */
    bool heard_by_relay;          /* the last link packet came so; otherwise from: */
    struct punch_pair heard_from; /* no family: from nowhere yet */
    bool was_silent;              /* the link's timers may have backed off meanwhile */
    uint64_t echo_us;             /* up to when the allowance of echoes is used */
    struct story *story;          /* owned; NULL: out of memory */
    bool path_up;
    size_t datagram_bytes;
    struct size_probe size;

    uint64_t began_us, timeout_us, timeout_at_us, bare_ready_us, bare_agreed_by_us, goodbye_us;
    struct punch_pair usable; /* the first from which the peer was heard */
    uint64_t usable_us;       /* 0: none yet */
    struct flight flight;
    enum punch_kind usable_kind;
    bool has_path;              /* proven, and not in doubt */
    enum conn_carrier carrier;  /* as the application knows; direct: maybe only usable so far */
    enum punch_failure failure; /* why there is no direct path; NONE: it is being tried */
    int failure_error;          /* errno, of PUNCH_FAILURE_SEND */
    uint64_t stranded_us;       /* since when nothing carries; UINT64_MAX: something does */
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
    struct relay_client relay;
    struct mapping mapping;
    struct stun_addr told[4]; /* our public addresses, as living connections know them */
    struct punch_budget budget;
    bool no_search; /* no dial tries many sockets and ports */
    enum eyelet_policy policy;
    uint64_t patience_us;
    bool no_port_mapping;
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
    struct why_texts {
        char plan[PLAN_TEXT_BYTES];
        char reason[DIAGNOSE_REASON_BYTES], remedy[DIAGNOSE_REMEDY_BYTES];
    } texts; /* lent out by eyelet_conn_diagnose */

    struct unsent unsent;
    uint8_t tx[ENDPOINT_TX_BYTES];
    uint8_t relay_tx[UDP_MAX_RECEIVE_BYTES];
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
bool endpoint_has_socket(const struct udp_socket *s);
/* Opens a socket that is kept warm, or opens it anew. 0 or an errno. */
int endpoint_open_warm(struct eyelet_endpoint *ep, unsigned socket);
/* process must run soon, although no descriptor is ready. */
void endpoint_wake(struct eyelet_endpoint *ep);

/* ---- what the session tells the endpoint (calls.c) ---- */
void calls_session_up(struct eyelet_endpoint *ep, uint64_t now_us);
void calls_announced(struct eyelet_endpoint *ep);
void calls_peer_coord(struct eyelet_endpoint *ep, uint64_t now_us, const wire_PeerCoord *msg);
void calls_note(struct eyelet_endpoint *ep, uint64_t now_us, const wire_DialNote *msg);
void calls_error(struct eyelet_endpoint *ep, uint64_t now_us, const wire_Error *msg);
void calls_resumed(struct eyelet_endpoint *ep, uint64_t now_us, const wire_Resumed *msg);
/* Asks the mediator to introduce both members to each other again. */
void calls_resume(struct eyelet_conn *conn);
/* Tells the other side of a relayed connection that it has ended. */
void calls_goodbye(struct eyelet_conn *conn, uint64_t code, const char *text);
/* Tells the other side that this dial is given up. */
void calls_give_up(struct eyelet_conn *conn);
/* This side needs the dial no longer. */
void calls_end(struct eyelet_conn *conn);
/* Tells the peer where we are now. */
void calls_send_candidates(struct eyelet_conn *conn);
/* Sends a note over the dial channel of a connection. */
void calls_send_note(struct eyelet_conn *conn, const wire_Note *note);
/* Begins a dial: seals it, and sends it if there is a session. */
int calls_dial(struct eyelet_conn *conn, uint64_t now_us);

/* ---- reconnect.c: what moves under a connection ---- */
/* This machine is somewhere else: every path is in doubt, and there may be better ones. */
void conns_moved(struct eyelet_endpoint *ep, uint64_t now_us);
/* The relay can be reached another way, or not any more. */
void conns_relay_changed(struct eyelet_endpoint *ep, uint64_t now_us);
void conn_relay_changed(struct eyelet_conn *conn, uint64_t now_us);

/* After they were learned anew. */
void conns_follow_addresses(struct eyelet_endpoint *ep, uint64_t now_us);

/* ---- nat_api.c ---- */
bool nat_is_behind_provider(const struct eyelet_endpoint *ep);

/* ---- why.c ---- */
void why_diagnose(const struct eyelet_conn *conn, struct diagnosis *out);
const char *why_plan(const struct eyelet_conn *conn, char text[static PLAN_TEXT_BYTES]);
/* What a profile tells; the rest of *out stays as it is. */
void why_nat(const struct nat_profile *p, eyelet_nat *out);

/* ---- conn.c: one connection's machine ---- */
struct eyelet_conn *conn_new(struct eyelet_endpoint *ep, const struct identity_id *peer,
                             uint64_t now_us);
void conn_destroy(struct eyelet_conn *conn);
/* A probe of somebody else: the application never hears of it. */
bool conn_is_echo(const struct eyelet_conn *conn);
/* Drops what belongs to the role it had: engine, link, sockets. */
void conn_reset(struct eyelet_conn *conn);
/* By the engine's index; NULL: none. */
struct udp_socket *conn_socket(const struct eyelet_conn *conn, unsigned index);
/* False: out of memory. */
bool conn_set_socket(struct eyelet_conn *conn, unsigned index, struct udp_socket *s);
/* Closes a socket of the connection's own, or lets go of the endpoint's. */
void conn_release_socket(struct eyelet_conn *conn, unsigned index);
/* Takes the warm bare sockets for this connection; the endpoint opens others. */
void conn_claim_bare(struct eyelet_conn *conn);
/* Where this machine has IPv6, the connection punches by it, too. */
void conn_add_ipv6(struct eyelet_conn *conn, uint64_t now_us);
/* The address of a socket on its interface, as far as it is known. */
struct stun_addr conn_local_address(const struct eyelet_endpoint *ep, const struct udp_socket *s);
/* While the call is on its way a caller whose public port changes takes samples of it. */
void conn_sample_early(struct eyelet_conn *conn, uint64_t now_us);
int conn_start_punch(struct eyelet_conn *conn, uint64_t now_us);
void conn_add_candidates(struct eyelet_conn *conn, uint64_t now_us, const wire_Coordinates *coord);
/* What the peer is told of us in this dial. */
void conn_coordinates(const struct eyelet_conn *conn, wire_Coordinates *out);
/* A step of its story. */
void conn_tell(struct eyelet_conn *conn, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conn_tell_plan(struct eyelet_conn *conn);
/* Time leaps over timers of the link that have backed off while nothing carried it. */
void conn_leap(struct eyelet_conn *conn, uint64_t now_us);
void conn_fail(struct eyelet_conn *conn, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conn_end(struct eyelet_conn *conn);
void conn_report(struct eyelet_conn *conn, wire_Outcome outcome);
void conn_handle_timeout(struct eyelet_conn *conn, uint64_t now_us);
uint64_t conn_next_timeout(const struct eyelet_conn *conn);

/* ---- traffic.c: datagrams between sockets, engines and links ---- */
void traffic_receive(struct eyelet_endpoint *ep, uint64_t now_us, struct udp_socket *s);
/* What the relay has brought for a connection. */
void traffic_relayed(struct eyelet_conn *conn, uint64_t now_us, const uint8_t *bytes, size_t size);
/* Sends what engine and link have to send, and follows their news. */
void traffic_flush(struct eyelet_conn *conn, uint64_t now_us);
/* Ends the link and says so to the peer. */
void traffic_close(struct eyelet_conn *conn, uint64_t now_us, uint64_t code, const char *text);
void traffic_retry_unsent(struct eyelet_endpoint *ep);

/* ---- path.c ---- */
/* The link is established over the first usable pair, which is not proven yet. */
void path_usable(struct eyelet_conn *conn, uint64_t now_us);
void path_proven(struct eyelet_conn *conn, uint64_t now_us, const struct punch_event *event);
/* A bare connection has a path: it is ready once both sides have chosen the same. */
void path_hand_over(struct eyelet_conn *conn, uint64_t now_us);
/* It has gone silent: the relay carries as well, if there is one. */
void path_doubted(struct eyelet_conn *conn, uint64_t now_us);
void path_lost(struct eyelet_conn *conn, uint64_t now_us);
/* Punching has failed: without a relay the connection has, too. */
void path_failed(struct eyelet_conn *conn, const struct punch_event *event);
/* Tells the application what carries now, if that is something else than before. */
void path_follow(struct eyelet_conn *conn, uint64_t now_us);
/* Sends the next size probe, which is due. */
void path_probe_size(struct eyelet_conn *conn, uint64_t now_us);
/* True if the STUN message answers it: then the path carries full-size datagrams. */
bool path_size_answered(struct eyelet_conn *conn, uint64_t now_us, const uint8_t *bytes,
                        size_t size);

/* ---- notes.c ---- */
bool notes_to_wire(const struct punch_note *note, wire_Note *out);
bool notes_from_wire(const wire_Note *note, struct punch_note *out);

#endif
