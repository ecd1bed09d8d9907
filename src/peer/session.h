/* SPDX-License-Identifier: BSD-2-Clause */
/* The session with the mediator, and what it keeps warm: the TLS channel, the registration, the NAT
 * mapping of the data socket (keepalives with integrity), and the NAT profile (survey).
 *
 *   WAITING --time--> RESOLVING --> CONNECTING --TLS, key checked--> REGISTERING --Registered--> UP
 *      ^___________________________any failure, with backoff______________________________________|
 *   STOPPED: the mediator proved another key than the pinned one; never tried again.
 *
 * Times: microseconds of the endpoint's clock. */
#ifndef PEER_SESSION_H
#define PEER_SESSION_H

#include "eyelet.h"
#include "identity/rawkey.h"
#include "peer/explorer.h"
#include "peer/interfaces.h"
#include "peer/locator.h"
#include "peer/netwatch.h"
#include "peer/reach.h"
#include "peer/resolve.h"
#include "peer/udp.h"
#include "punch/punch.h"
#include "punch/survey.h"
#include "rendezvous/channel.h"
#include "rendezvous/wire.h"

#define SESSION_WHY_BYTES  320
#define SESSION_SOCKETS    4 /* the data socket and the warm bare one, and those of IPv6 */
#define SESSION_BARE       1
#define SESSION_IPV6       PUNCH_IPV6_SOCKET
#define SESSION_BARE_IPV6  3
#define SESSION_FAMILIES   INTERFACES_FAMILIES /* arrays by enum stun_family */
#define SESSION_MAX_LISTED 64
#define SESSION_PING_US    30000000u

enum session_state {
    SESSION_WAITING,
    SESSION_RESOLVING,
    SESSION_CONNECTING,
    SESSION_REGISTERING,
    SESSION_UP,
    SESSION_STOPPED,
};

/* UDP keepalives that wait for their answer: a late answer to an earlier try counts as well. */
#define KEEPALIVE_TRIES       8
#define KEEPALIVE_NONCE_BYTES sizeof(((wire_Registered *)NULL)->nonce.bytes)
struct keepalive {
    uint8_t transactions[KEEPALIVE_TRIES][STUN_TRANSACTION_BYTES]; /* of the last tries */
    uint64_t next_us;
    unsigned tries;    /* without an answer, since the last one that had one */
    uint64_t began_us; /* the first of them */
    size_t first;      /* which bounce endpoint of its family is asked first: it answered last */
    uint8_t nonce[KEEPALIVE_NONCE_BYTES]; /* to be echoed: shows that we receive here */
    size_t nonce_bytes;
    bool challenged; /* the last answer brought another one */
};

struct session {
    enum session_state state;
    struct locator where;
    char *known_mediators; /* NULL: where.has_key */
    const struct identity *self;
    gnutls_certificate_credentials_t credentials;

    struct netwatch watch;
    struct resolve *resolve;
    struct reach reach;
    struct channel *channel;
    struct stun_addr mediator;      /* where the channel leads to; port_worked is its port */
    uint16_t port_worked;           /* 0: none has yet, or not the last time */
    uint64_t retry_us, deadline_us; /* of the attempt under way */
    unsigned failures;              /* in a row */
    uint64_t lost_us;               /* since when it cannot be reached; 0: it can */
    uint64_t tried_us;              /* when the last attempt began */
    bool was_up, was_replaced;

    wire_Visibility visibility;
    struct eyelet_id listed[SESSION_MAX_LISTED]; /* for VISIBLE_TO_LISTED */
    size_t listed_count;

    uint8_t instance[WIRE_INSTANCE_BYTES]; /* of this endpoint, for as long as it lives */
    uint8_t session_id[WIRE_SESSION_ID_BYTES];
    uint8_t session_key[WIRE_SESSION_KEY_BYTES];
    struct stun_addr bounce[PUNCH_MAX_BOUNCE]; /* IPv4 first */
    size_t bounce_count, bounce_ipv4_count;
    bool relay_offered;    /* the mediator relays */
    struct stun_addr seen; /* where the mediator sees the TLS session come from */
    /* By warm socket. Those of bare ones are plain: nobody else needs to know these addresses
     * beforehand. */
    struct keepalive keepalives[SESSION_SOCKETS];
    uint64_t sequence; /* of keepalives */
    uint64_t touched_us;
    bool attested[SESSION_FAMILIES]; /* the last keepalive was answered */
    /* The bounce endpoint that answered the last keepalive; none before one has. */
    struct stun_addr bounce_answered[SESSION_FAMILIES];
    bool announced; /* REGISTERED was said for this registration */
    struct survey survey;
    bool surveying;
    bool survey_late; /* its patience has run out: what is known is published */
    uint64_t survey_began_us;
    size_t survey_published; /* answers in the profile that the mediator has */
    struct nat_profile profile;
    struct explorer explorer;
    struct stun_addr
        reflexive[SESSION_SOCKETS]; /* public address of each warm socket, none if unknown */
    bool stale[SESSION_SOCKETS];    /* since we have moved; not to be told to anybody */
    struct stun_addr mapped;        /* opened by the router for the data socket; none: nothing */
    /* The router's own outer address, with the port of the data socket there; none: unknown. */
    struct stun_addr gateway;
    struct interfaces hosts;

    bool was_told;                 /* in this session the mediator has said an error */
    uint64_t ping_us, pong_due_us; /* pong_due_us 0: none is outstanding */
    uint64_t answer_due_us;        /* of the mediator to what was asked; 0: nothing is */
    uint64_t round_trip_us;        /* of the control connection, 0: not known */
    int error;                     /* enum eyelet_error of the last failure */
    char why[SESSION_WHY_BYTES];
};

struct eyelet_endpoint;

/* EYELET_OK, _ARGUMENT or _MEMORY. */
int session_init(struct eyelet_endpoint *ep, const char *mediator, const char *known_mediators);
void session_free(struct eyelet_endpoint *ep);

/* Any of the session's file descriptors became ready. */
void session_ready(struct eyelet_endpoint *ep, uint64_t now_us);
void session_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us);
uint64_t session_next_timeout(const struct eyelet_endpoint *ep);

/* Of the warm socket with this number. */
bool session_is_ipv6(unsigned socket);
/* A STUN message came in on a warm socket. True if it answered one of the session's. */
bool session_stun(struct eyelet_endpoint *ep, uint64_t now_us, unsigned socket,
                  const struct stun_addr *from, const uint8_t *bytes, size_t size);

/* EYELET_OK, EYELET_ERR_MEDIATOR while there is no session, or EYELET_ERR_LIMIT: it does not read.
 */
int session_send(struct eyelet_endpoint *ep, const wire_ToMediator *msg);
/* Says again who we are, after a change. Nothing happens while there is no session. */
void session_publish(struct eyelet_endpoint *ep);
/* Our coordinates with the given socket's addresses. */
void session_coordinates(const struct eyelet_endpoint *ep, unsigned socket, wire_Coordinates *out);
/* The mediator may be gone: it is asked at once, and has a second to answer. */
void session_check(struct eyelet_endpoint *ep, uint64_t now_us);
/* The addresses of this machine have changed, or it has slept. other_source, by family: what leaves
 * it goes by another address than before, or none. */
void session_moved(struct eyelet_endpoint *ep, uint64_t now_us,
                   const bool other_source[static SESSION_FAMILIES]);
/* Our first own address of a family, port 0; none if there is none. */
struct stun_addr session_own_address(const struct eyelet_endpoint *ep, enum stun_family family);
/* The mediator knows the address that our socket of this family has behind the NAT, or will when it
 * gets the keepalive that has just left. */
bool session_is_attested(const struct eyelet_endpoint *ep, enum stun_family family);
/* One of the mediator's bounce endpoints, and so of its relay. */
bool session_is_bounce(const struct session *s, const struct stun_addr *from);
/* The mediator may not know our address any more: keepalives of both families go out at once (at
 * most every 50 ms). */
void session_touch(struct eyelet_endpoint *ep, uint64_t now_us);
/* A bare socket was handed over and replaced: its public address must be learned anew. */
void session_bare_replaced(struct eyelet_endpoint *ep, uint64_t now_us, unsigned socket);

/* ---- between the files of the session ---- */
/* What the failure that follows is about. */
void session_say(struct session *s, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The round trip of the control connection, as it is by now. */
void session_measure(struct session *s);
/* A frame of the mediator (messages.c). False: the session must end; it has been said why. */
bool session_take(struct eyelet_endpoint *ep, uint64_t now_us, const uint8_t *frame, size_t size);

#endif
