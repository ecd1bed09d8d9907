/* SPDX-License-Identifier: BSD-2-Clause */
/* libeyelet: direct, encrypted connections between any two machines through any NATs.
 *
 * An endpoint is a program with a key. It registers with a mediator, dials other endpoints by their
 * ID and is dialled by them. A connection carries streams (reliable, ordered) and messages
 * (unreliable datagrams), or hands over the bare punched UDP socket.
 *
 * Two ways to use it:
 *  - From any event loop: wait until eyelet_fd() is readable or eyelet_timeout_ms() has passed,
 * call eyelet_process(), then eyelet_poll_event() until it returns false.
 *  - Blocking: eyelet_connect(), eyelet_accept(), eyelet_send(), eyelet_recv().
 *
 * An endpoint and everything of it belongs to one thread at a time. There are no globals: a program
 * can have many endpoints. Functions that return int or ssize_t return >= 0 on success and a
 * negative enum eyelet_error otherwise; eyelet_strerror() names it, eyelet_why() tells the story.
 */
#ifndef EYELET_H
#define EYELET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EYELET_API __attribute__((visibility("default")))

#define EYELET_ID_BYTES      32
#define EYELET_ID_TEXT_BYTES 53   /* 52 characters of lower-case base32 and the terminating zero */
#define EYELET_DEFAULT_PORT  9856 /* TCP, of a mediator */

/* A peer's Ed25519 public key. */
typedef struct eyelet_id {
    uint8_t bytes[EYELET_ID_BYTES];
} eyelet_id;

typedef struct eyelet_endpoint eyelet_endpoint;
typedef struct eyelet_conn eyelet_conn;

enum eyelet_error {
    EYELET_OK = 0,
    EYELET_ERR_ARGUMENT = -1, /* a NULL, a size or a text that cannot be right */
    EYELET_ERR_MEMORY = -2,
    EYELET_ERR_SYSTEM = -3,       /* a system call failed; eyelet_why() names it, or errno */
    EYELET_ERR_KEY_FILE = -4,     /* unreadable, not a key, or readable by others */
    EYELET_ERR_MEDIATOR = -5,     /* unreachable, or the session to it was lost */
    EYELET_ERR_MEDIATOR_KEY = -6, /* it proved another key than the pinned one */
    EYELET_ERR_NO_SUCH_PEER = -7, /* not registered, or does not show itself to you */
    EYELET_ERR_REFUSED = -8,      /* the peer does not want this connection */
    EYELET_ERR_WRONG_PEER = -9,   /* somebody answered who does not hold the peer's key */
    EYELET_ERR_NO_PATH = -10,     /* no path that the policy allows; eyelet_why() says why */
    EYELET_ERR_TIMEOUT = -11,
    EYELET_ERR_CLOSED = -12,    /* the connection, the stream or the endpoint has ended */
    EYELET_ERR_AGAIN = -13,     /* nothing now: wait for the event */
    EYELET_ERR_TOO_LARGE = -14, /* a message that no datagram of this path can carry */
    EYELET_ERR_LIMIT = -15, /* a limit of the mediator or of the library; eyelet_why() names it */
    EYELET_ERR_STATE = -16, /* the call does not fit what the object is doing */
    EYELET_ERR_PROTOCOL = -17, /* the other side broke the protocol */
    EYELET_ERR_RELAY = -18,    /* no direct path, and the mediator refused to relay */
};

EYELET_API const char *eyelet_strerror(int error);
EYELET_API const char *eyelet_version(void);

/* ---- keys and IDs ---- */

/* Text form. Returns text. */
EYELET_API const char *eyelet_id_text(const eyelet_id *id, char text[EYELET_ID_TEXT_BYTES]);
/* EYELET_OK or EYELET_ERR_ARGUMENT. */
EYELET_API int eyelet_id_parse(const char *text, eyelet_id *id);
/* The ID of a key file, which is created (0600) if it does not exist. EYELET_OK,
 * EYELET_ERR_KEY_FILE or EYELET_ERR_SYSTEM. */
EYELET_API int eyelet_id_of_key_file(const char *path, eyelet_id *id);

/* ---- endpoints ---- */

/* Which paths may carry a connection. Either side's wish counts. */
enum eyelet_policy {
    EYELET_ANY_PATH = 0, /* relayed from the first round trip, direct as soon as it can be */
    EYELET_DIRECT_ONLY,  /* fails with EYELET_ERR_NO_PATH where no direct path can be punched */
    /* Shows the peer no address of ours, and punches nothing. For a single dial it hides something
     * only if this peer may not call us: it would see our addresses by a call of its own. */
    EYELET_RELAY_ONLY,
};

enum eyelet_log_level { EYELET_LOG_ERROR, EYELET_LOG_WARN, EYELET_LOG_INFO, EYELET_LOG_DEBUG };

/* Zero-initialise, set size, then what you need: later versions add fields at the end. All pointers
 * are only read during eyelet_open. */
typedef struct eyelet_config {
    size_t size;          /* sizeof(eyelet_config) */
    const char *key_file; /* created if it does not exist; or NULL and */
    const uint8_t *seed;  /* the 32 secret bytes of the key; both NULL: a new key for this run */
    const char *mediator; /* "HOST[:PORT][#ID]"; HOST may be "[v6]". Without #ID its key is */
    const char *known_mediators; /* pinned in this file on first contact; NULL: #ID is required */
    uint64_t dial_timeout_us;    /* until a dial is given up; 0 = 15 s */
    /* NULL: none. Called from within calls of the library; text ends with the call. */
    void (*log)(void *context, enum eyelet_log_level level, const char *text);
    void *log_context;
    /* Never try many sockets and ports for a NAT whose ports are random (up to 545 at 250 packets a
     * second): such pairs then get no direct path. */
    bool no_search;
    enum eyelet_policy policy;
    /* How long a connection waits for its peer to come back when no path carries any more (a
     * laptop sleeps, a network is gone) before it ends with EYELET_ERR_TIMEOUT; 0 = 120 s. */
    uint64_t patience_us;
    bool no_port_mapping; /* never ask the router (UPnP IGD, NAT-PMP, PCP) for a port */
} eyelet_config;

/* Begins to connect and register in the background. EYELET_OK, and the caller owns *out and ends it
 * with eyelet_close; or _ARGUMENT, _MEMORY, _SYSTEM or _KEY_FILE: there is no endpoint to ask why,
 * errno tells of the last two. */
EYELET_API int eyelet_open(eyelet_endpoint **out, const eyelet_config *config);
/* Closes every connection (peers are told), takes a port mapping back (which can take 2 s), frees
 * everything of it. NULL is fine. */
EYELET_API void eyelet_close(eyelet_endpoint *ep);
/* Lives as long as the endpoint. */
EYELET_API const eyelet_id *eyelet_own_id(const eyelet_endpoint *ep);
/* The story of the last error of the endpoint (conn NULL) or of a connection: what happened, to
 * what, and what to do. Valid until the next call. Never NULL. */
EYELET_API const char *eyelet_why(const eyelet_endpoint *ep, const eyelet_conn *conn);

/* ---- who may find this endpoint ---- */

enum eyelet_listen_mode {
    EYELET_LISTEN_NOBODY = 0, /* dial only (the default) */
    EYELET_LISTEN_LISTED,     /* the given IDs; others cannot even learn that we are there */
    EYELET_LISTEN_ANYONE,
};

/* May be called again to change it. Lists of more than 64 IDs are kept to ourselves, and each call
 * costs one more crossing (the mediator asks us). EYELET_OK, _ARGUMENT or _MEMORY. */
EYELET_API int eyelet_listen(eyelet_endpoint *ep, enum eyelet_listen_mode mode,
                             const eyelet_id *allowed, size_t allowed_count);

/* ---- driving it from an event loop ---- */

EYELET_API int eyelet_fd(const eyelet_endpoint *ep); /* poll for reading; constant while it lives */
EYELET_API int eyelet_timeout_ms(const eyelet_endpoint *ep); /* -1: none, 0: call process now */
/* Never blocks. EYELET_OK or EYELET_ERR_SYSTEM. */
EYELET_API int eyelet_process(eyelet_endpoint *ep);

enum eyelet_event_kind {
    EYELET_EVENT_NONE = 0,
    /* The mediator knows us and others reach us; said again after each new session with it. */
    EYELET_EVENT_REGISTERED,
    /* error. It is tried again in the background, unless error is EYELET_ERR_MEDIATOR_KEY; said
     * again only if the next tries fail for another reason. */
    EYELET_EVENT_MEDIATOR_LOST,
    /* conn: the peer has proven its key by signature. eyelet_refuse() now, or it goes on. */
    EYELET_EVENT_INCOMING,
    /* conn: it has another path than before, or none: see eyelet_conn_path(). */
    EYELET_EVENT_PATH,
    /* conn: both keys are proven, streams work. */
    EYELET_EVENT_CONNECTED,
    /* conn, stream: by the peer. */
    EYELET_EVENT_STREAM_OPENED,
    /* conn, stream: bytes, or the end, can be read. Said again only after a read came back with
     * EYELET_ERR_AGAIN. */
    EYELET_EVENT_READABLE,
    /* conn, stream: after a write that took less than it was given. With stream -1: streams can be
     * opened, or messages sent, again. */
    EYELET_EVENT_WRITABLE,
    /* conn, stream, code: the peer abandoned it. */
    EYELET_EVENT_STREAM_RESET,
    /* conn, stream: both directions ended, all acknowledged. */
    EYELET_EVENT_STREAM_CLOSED,
    /* conn, data, bytes: one datagram of the peer, valid until the next call. */
    EYELET_EVENT_MESSAGE,
    /* conn, error, code: last event of it. What had arrived can still be read; free it with
     * eyelet_conn_free. */
    EYELET_EVENT_CLOSED,
};

typedef struct eyelet_event {
    enum eyelet_event_kind kind;
    eyelet_conn *conn;
    int64_t stream;
    int error;     /* enum eyelet_error: why it closed; EYELET_OK: ended properly */
    uint64_t code; /* application code of the peer's close or reset */
    const uint8_t *data;
    size_t bytes;
} eyelet_event;

/* The next event; false: none now. */
EYELET_API bool eyelet_poll_event(eyelet_endpoint *ep, eyelet_event *event);
/* Waits (poll, process) for the next event at most timeout_ms (-1: for ever). EYELET_OK,
 * EYELET_ERR_TIMEOUT, _SYSTEM or, without an endpoint or an event to fill, _ARGUMENT. */
EYELET_API int eyelet_wait(eyelet_endpoint *ep, int timeout_ms, eyelet_event *event);

/* ---- what stands between us and the Internet ---- */

/* How the NAT in front of this endpoint behaves, as far as it could be measured; the texts live as
 * long as the library, and what is not known is "unknown" or 0. The terms are those of RFC 4787. */
typedef struct eyelet_nat {
    size_t size;            /* sizeof(eyelet_nat): set it before the call */
    const char *mapping;    /* "none" (no NAT), "endpoint-independent", "address-dependent", ... */
    const char *filtering;  /* "endpoint-independent", "address-dependent", ... */
    const char *allocation; /* of ports: "preserving", "sequential", "port block", "other" */
    const char *pooling;    /* "one address", "several addresses" */
    const char *early;      /* packets that come before ours are "harmless" or "poisonous" */
    const char *hairpin;    /* "yes", "no" */
    int32_t step;           /* between consecutive ports, if they are sequential */
    uint32_t foreign_per_1000_s; /* ports that others take, if they are sequential */
    uint32_t block_ports;        /* size and first port of the block, if there is one */
    uint16_t block_first;
    uint16_t lifetime_s; /* an idle mapping lives at least so long */
    uint8_t opener_ttl;  /* the least time to live with which a packet leaves the outermost NAT */
    uint8_t servers;     /* bounce endpoints that answered */
    bool settled;        /* all of it is measured but the lifetime, which takes minutes */
    bool complete;       /* that too */
    struct sockaddr_storage public_address; /* of the socket that links use */
    socklen_t public_address_bytes;         /* 0: not known */
    /* The rest is unset for the peer's NAT (eyelet_diagnosis). */
    bool udp;                            /* a bounce server answers over UDP */
    bool behind_provider;                /* signs of a provider's NAT (CGN) above the home router */
    struct sockaddr_storage public_ipv6; /* likewise, by IPv6 */
    socklen_t public_ipv6_bytes;
    const char *port_mapping; /* "off", "asking", "none" (no router answers), "UPnP", "NAT-PMP",
                                 "PCP"; one of the last three only after a bounce server has seen
                                 that it works */
    struct sockaddr_storage mapped_address; /* that the router has opened */
    socklen_t mapped_address_bytes;
    uint32_t mediator_rtt_us; /* 0: no session */
    bool relay;               /* the mediator relays */
} eyelet_nat;

/* EYELET_OK; EYELET_ERR_AGAIN before EYELET_EVENT_REGISTERED (*nat is filled all the same), or
 * EYELET_ERR_ARGUMENT. Measuring begins with registration, rests during dials and takes about two
 * seconds; no event tells of its end. */
EYELET_API int eyelet_nat_profile(const eyelet_endpoint *ep, eyelet_nat *nat);

/* ---- connections ---- */

typedef struct eyelet_dial_options {
    size_t size; /* sizeof(eyelet_dial_options) */
    /* No link, and never relayed: punch, by IPv4 and IPv6, then eyelet_take_socket(). */
    bool bare_socket;
    uint64_t timeout_us;       /* 0: the endpoint's */
    enum eyelet_policy policy; /* EYELET_ANY_PATH: the endpoint's */
    /* To measure the path: the peer's library answers by itself, whatever the application there
     * does, and its messages come back as they were sent (at most 100 a second). It opens no
     * streams. The peer must allow us as for any call. */
    bool probe;
} eyelet_dial_options;

/* Begins a dial; works also before registration is complete (it is sent when it can be). options
 * may be NULL. When both sides dial each other at once, both calls end in the one connection that
 * survives; dials for different things (a link, a bare socket, a probe) do not meet, and each makes
 * its own connection. EYELET_OK, _ARGUMENT, _MEMORY, or _STATE (a connection of this kind with this
 * peer is already being made, by our dial or by its own that EYELET_EVENT_INCOMING has told of). */
EYELET_API int eyelet_dial(eyelet_endpoint *ep, const eyelet_id *peer,
                           const eyelet_dial_options *options, eyelet_conn **out);
/* Refuses an incoming connection with a text for people (at most 120 bytes; NULL: none); the conn
 * is freed. */
EYELET_API void eyelet_refuse(eyelet_conn *conn, const char *text);
/* Says goodbye with an application code and a text (at most 120 bytes; NULL: none), which the peer
 * gets by event and by eyelet_why. What was written is delivered first, for at most 5 s and where
 * the peer still acknowledges. EYELET_EVENT_CLOSED follows. */
EYELET_API void eyelet_conn_close(eyelet_conn *conn, uint64_t code, const char *text);
/* Frees it; abrupt if it was not closed. Its pending events vanish. NULL is fine. */
EYELET_API void eyelet_conn_free(eyelet_conn *conn);

/* Lives as long as the connection. */
EYELET_API const eyelet_id *eyelet_conn_peer(const eyelet_conn *conn);
EYELET_API bool eyelet_conn_is_incoming(const eyelet_conn *conn);
EYELET_API bool eyelet_conn_is_bare(const eyelet_conn *conn);
EYELET_API bool eyelet_conn_is_connected(const eyelet_conn *conn);
/* A value of the application's, NULL at first. */
EYELET_API void eyelet_conn_set_context(eyelet_conn *conn, void *context);
EYELET_API void *eyelet_conn_context(const eyelet_conn *conn);

typedef struct eyelet_path {
    bool direct;       /* false: by the relay, and remote is the mediator's end of it */
    const char *local; /* what won: "host", "srflx", "prflx", "predicted", "birthday", "block",
                          "hairpin", "portmap"; "relay-udp" or "relay-tls"; lives as long as the
                          library */
    struct sockaddr_storage remote; /* where packets go */
    socklen_t remote_bytes;
    uint32_t rtt_us;        /* of the path; 0: not measured yet */
    uint64_t since_dial_us; /* from the dial (caller) or its arrival (callee) until it was usable */
} eyelet_path;

/* EYELET_OK, or EYELET_ERR_AGAIN while there is none. */
EYELET_API int eyelet_conn_path(const eyelet_conn *conn, eyelet_path *path);

/* ---- why ---- */

/* One thing that happened to a connection. */
typedef struct eyelet_step {
    size_t size;      /* sizeof(eyelet_step) */
    uint64_t at_us;   /* since the dial (caller) or its arrival (callee) */
    const char *what; /* "dial", "answer", "plan", "try", "usable", "path", "relay", "silent",
                         "lost", "again", "moved", "failed", "end"; lives as long as the library */
    char text[160];   /* for people */
} eyelet_step;

/* The story of a connection, oldest step first, numbers from 0. EYELET_OK; EYELET_ERR_AGAIN: there
 * is no step of this number yet; EYELET_ERR_LIMIT: it was dropped (the first 16 and the last 48 are
 * kept), go on with the next; EYELET_ERR_ARGUMENT. */
EYELET_API int eyelet_conn_step(const eyelet_conn *conn, size_t number, eyelet_step *step);

/* What is known of both sides, and why the path is what it is. The texts live until the next call
 * on the connection; "" where there is nothing to say. */
typedef struct eyelet_diagnosis {
    size_t size; /* sizeof(eyelet_diagnosis): set it before the call */
    eyelet_nat mine, theirs;
    const char *plan;    /* what was planned for these two NATs */
    const char *outcome; /* "direct", "relayed", "trying" (relayed so far), "none" */
    const char *reason;  /* if it is not direct: what stands in the way */
    const char *remedy;  /* and what would make it direct */
} eyelet_diagnosis;

/* EYELET_OK or EYELET_ERR_ARGUMENT. */
EYELET_API int eyelet_conn_diagnose(const eyelet_conn *conn, eyelet_diagnosis *diagnosis);

/* Hands over the punched UDP socket of a bare connection (non-blocking, bound and not connected, of
 * the family of *peer) together with the peer's address; the caller closes it, and frees the conn.
 * From then on keeping the NATs open is the caller's business (a packet every 15 s), and so is
 * encryption. The socket may still receive late STUN checks. Returns the fd, EYELET_ERR_STATE (not
 * bare, or ended) or EYELET_ERR_AGAIN (no CONNECTED yet). */
EYELET_API int eyelet_take_socket(eyelet_conn *conn, struct sockaddr_storage *peer,
                                  socklen_t *peer_bytes);

/* ---- streams and messages ----
 *
 * Streams are named by their ID within a connection. EYELET_ERR_CLOSED of any call: the stream was
 * reset, has ended in this direction or never was, or the connection has ended. Nothing here
 * blocks, and nothing leaves before the next eyelet_process. */

/* Opens a bidirectional stream. Whoever was dialled may do so from EYELET_EVENT_INCOMING on: what
 * it writes arrives with its first packet. Whoever dialled waits for EYELET_EVENT_CONNECTED.
 * Returns its ID (>= 0), EYELET_ERR_AGAIN (not connected yet, or too many open:
 * EYELET_EVENT_WRITABLE with stream -1 follows), _CLOSED or _MEMORY. */
EYELET_API int64_t eyelet_stream_open(eyelet_conn *conn);
/* Copies as many bytes as the send buffer has room for, and returns how many. Fewer than given:
 * EYELET_EVENT_WRITABLE follows. EYELET_ERR_AGAIN (none of some) or _CLOSED. */
EYELET_API ssize_t eyelet_stream_write(eyelet_conn *conn, int64_t stream, const void *data,
                                       size_t bytes);
/* Ends our direction after what was written. EYELET_OK or _CLOSED. */
EYELET_API int eyelet_stream_finish(eyelet_conn *conn, int64_t stream);
/* Bytes read; 0: the peer's direction has ended; EYELET_ERR_AGAIN: nothing now; or _CLOSED. What
 * had arrived before the connection ended can still be read. */
EYELET_API ssize_t eyelet_stream_read(eyelet_conn *conn, int64_t stream, void *data, size_t bytes);
/* The same without copying: *data stays the library's, and valid until the next call on this
 * connection; eyelet_stream_consume takes so many bytes of it as read. */
EYELET_API ssize_t eyelet_stream_peek(eyelet_conn *conn, int64_t stream, const uint8_t **data);
EYELET_API void eyelet_stream_consume(eyelet_conn *conn, int64_t stream, size_t bytes);
/* Abandons both directions; the peer gets the code. */
EYELET_API void eyelet_stream_reset(eyelet_conn *conn, int64_t stream, uint64_t code);
/* Bytes written but not yet acknowledged by the peer. */
EYELET_API size_t eyelet_stream_unacked(const eyelet_conn *conn, int64_t stream);

/* One unreliable datagram. EYELET_OK, _TOO_LARGE (see eyelet_message_max), _AGAIN (the queue is
 * full: EYELET_EVENT_WRITABLE with stream -1 follows) or _CLOSED. */
EYELET_API int eyelet_message_send(eyelet_conn *conn, const void *data, size_t bytes);
/* The largest that the path of now takes, in bytes; 0 before there is a link. */
EYELET_API size_t eyelet_message_max(const eyelet_conn *conn);

/* ---- blocking convenience: one connection, one stream ----
 *
 * They process the endpoint while they wait, and swallow the events of their connection: not to be
 * mixed with eyelet_poll_event on the same one. timeout_ms -1: no bound. Each returns
 * EYELET_ERR_TIMEOUT when that is over, _SYSTEM, or what has ended the connection. */

/* Dials and waits until both keys are proven; at most the endpoint's dial timeout where timeout_ms
 * is not positive. EYELET_OK, and the caller owns *out (eyelet_conn_free), or the error that ended
 * it: *out is NULL then, and eyelet_why of the endpoint tells the story. Also _ARGUMENT, _MEMORY
 * and _STATE, as of eyelet_dial. */
EYELET_API int eyelet_connect(eyelet_endpoint *ep, const eyelet_id *peer, int timeout_ms,
                              eyelet_conn **out);
/* Waits for an incoming connection (after eyelet_listen) until both keys are proven. EYELET_OK, and
 * the caller owns *out, or an error: _ARGUMENT without an endpoint or *out, _TIMEOUT, _SYSTEM. */
EYELET_API int eyelet_accept(eyelet_endpoint *ep, int timeout_ms, eyelet_conn **out);
/* Writes all bytes to the connection's first stream (opened by whoever writes first on the dialling
 * side; the accepting side waits for it). EYELET_OK or the error. */
EYELET_API int eyelet_send(eyelet_conn *conn, const void *data, size_t bytes, int timeout_ms);
/* Reads what there is, at least one byte, and returns how many. 0: the peer has finished. */
EYELET_API ssize_t eyelet_recv(eyelet_conn *conn, void *data, size_t bytes, int timeout_ms);
/* Ends our direction and waits until the peer has acknowledged everything. EYELET_OK or the error.
 */
EYELET_API int eyelet_finish(eyelet_conn *conn, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
