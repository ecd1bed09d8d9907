/* SPDX-License-Identifier: BSD-2-Clause */
/* The punching engine of one dial: candidates, plan, checks, paths, consent. It has no clock,
 * socket, allocator or random source: the caller brings memory, says what time it is, carries
 * datagrams in and out, and is asked for sockets by event.
 *
 *    WAITING --punch_start--> PUNCHING --own check answered--> CONNECTED --path lost--> PUNCHING
 *                              ^    \__ deadline, nothing left to try __> FAILED
 *                              \_______ relay up: later, again and again ____/
 *
 * Each way into PUNCHING begins a round: everything from the beginning, on both sides (the note
 * PUNCH_NOTE_AGAIN tells the other), with the roles of the dial.
 *
 * A path stays one while checks on it are answered: consent (RFC 7675) every 5 to 15 s, and at once
 * when link packets go out and nothing comes back. A path that does not answer is in doubt after
 * half a second to a second, and lost 1.5 to 2 s later; never later than 30 s after the last
 * answer.
 *
 * Checks are ICE connectivity checks (RFC 8445, 7): any standard agent that has our credentials and
 * candidates can answer them. The order in which they leave (DESIGN: the opener order):
 *   caller: low-TTL openers only, until it hears the callee; then full TTL, at once
 *   callee: full TTL from start_at, when the caller's opener has left the caller's NAT
 *   after 300 ms of silence each asks the other to send first (reverse punch)
 *
 * A caller that is asked knows that the callee's NAT is open to it, and goes to full TTL. One that
 * hears nothing announces a fresh socket, because its NAT may have been poisoned by an early
 * packet, and goes to full TTL after 2.5 s. A caller whose NAT gives each destination another port
 * has nothing to lose: it uses full TTL at once. So does one that knows the callee's NAT to be
 * harmless; and a callee that knows this of the caller's NAT sends from the arrival of the dial on,
 * a few times until start_at. Retries per pair after 20, 60, 140, 300 ms, then every 500 ms, within
 * the budgets of budget.h. What more there is (prediction, searches) is in plan.h and search.h.
 *
 * Times: microseconds of any monotonic clock, wherever it starts. */
#ifndef PUNCH_PUNCH_H
#define PUNCH_PUNCH_H

#include "nat/predict.h"
#include "nat/profile.h"
#include "punch/budget.h"
#include "stun/stun.h"

/* Sockets have numbers: a few that the driver adds by itself, then those that a search asks for. */
#define PUNCH_SEARCH_SOCKET  4 /* the first of a search */
#define PUNCH_SEARCH_SOCKETS 545
#define PUNCH_MAX_SOCKETS    (PUNCH_SEARCH_SOCKET + PUNCH_SEARCH_SOCKETS)
#define PUNCH_MAX_CANDIDATES 24 /* remote, signalled and peer-reflexive together */
#define PUNCH_MAX_PAIRS      96
#define PUNCH_MAX_ROUTES                                                                           \
    4 /* copies of a link packet: three before a pair is proven, and the relay */
#define PUNCH_MAX_BOUNCE       8
#define PUNCH_MAX_PACKET_BYTES 256 /* no check of ours is larger */
#define PUNCH_MAX_CREDENTIAL   256 /* RFC 8445, 5.3 */
#define PUNCH_SILENCE_US       300000u
#define PUNCH_DATA_SOCKET      0 /* the warm socket, whose public address the coordinates name */
#define PUNCH_FRESH_SOCKET     1 /* for prediction and after silence, by PUNCH_EVENT_WANT_SOCKET */
#define PUNCH_IPV6_SOCKET      2 /* the warm socket of IPv6 */
#define PUNCH_RELAY            UINT16_MAX /* in a route: by the relay of the mediator, to no address */

enum punch_kind { /* of a remote candidate */
                  PUNCH_HOST = 1,
                  PUNCH_SERVER_REFLEXIVE = 2,
                  PUNCH_PORT_MAPPED = 3,
                  PUNCH_PEER_REFLEXIVE = 4, /* learned from a check's source address */
                  PUNCH_PREDICTED = 5,
                  /* Of the peer's home router in the network of a provider's NAT: of use only to a
                     neighbour behind the same one. */
                  PUNCH_GATEWAY = 6,
};

/* How the winning pair came about. On the wire in HolepunchingComplete: never renumber. */
enum punch_technique {
    PUNCH_TECHNIQUE_NONE = 0,
    PUNCH_TECHNIQUE_PRIVATE = 1, /* private address, same LAN */
    PUNCH_TECHNIQUE_PUBLIC = 2,  /* the published public address */
    PUNCH_TECHNIQUE_PEER_REFLEXIVE =
        3,                         /* the peer's check came from an address nobody had told us */
    PUNCH_TECHNIQUE_PREDICTED = 4, /* port predicted from samples */
    PUNCH_TECHNIQUE_PORT_MAPPED = 5,
    PUNCH_TECHNIQUE_BIRTHDAY = 6, /* many sockets on one side, many ports on the other */
    PUNCH_TECHNIQUE_BLOCK = 7,    /* the same within the port block of one side's NAT */
    PUNCH_TECHNIQUE_HAIRPIN = 8,  /* by the public address of the NAT that both are behind */
};

enum punch_failure {
    PUNCH_FAILURE_NONE = 0,
    PUNCH_FAILURE_NO_CANDIDATES, /* the peer gave no address that could be tried */
    PUNCH_FAILURE_LINK_DOWN,     /* no bounce server answered us, and the peer did not either */
    PUNCH_FAILURE_SEND,          /* every send failed: errno of the last in the event */
    PUNCH_FAILURE_NO_ANSWER,     /* all was tried, nothing of the peer ever arrived */
    PUNCH_FAILURE_ONE_WAY,       /* the peer's checks arrived, our own were never answered */
    PUNCH_FAILURE_UNPREDICTABLE, /* a NAT gives every destination another, unpredictable port */
    PUNCH_FAILURE_CONSENT_LOST,  /* was connected; its checks were not answered, and punching again
                                  * failed
                                  */
};

struct punch_config {
    bool caller;                                /* also ICE-controlling */
    const char *local_ufrag, *local_password;   /* copied */
    const char *remote_ufrag, *remote_password; /* copied; NULL: punch_set_remote_credentials */
    struct nat_profile profile; /* ours, as cached; mapping unknown if no bounce server answered */
    struct stun_addr bounce[PUNCH_MAX_BOUNCE]; /* for fresh samples */
    size_t bounce_count;
    uint8_t opener_ttl; /* leaves our own NAT and dies before the peer's; 0: the profile's, or 2 */
    bool no_search;     /* neither birthday nor block search, whatever the peer proposes */
    uint64_t note_rtt_us;        /* of the dial channel, to the peer and back; 0: unknown */
    uint64_t give_up_after_us;   /* from punch_start; 0 = 10 s */
    uint64_t recover_us;         /* from the loss of a path until it counts as failed; 0 = 120 s */
    struct punch_budget *budget; /* shared by all dials of a host; outlives the engine */
    void (*random)(void *context, uint8_t *out, size_t bytes);
    void *random_context;
};

struct punch;
size_t punch_size(void); /* bytes that punch_init needs, aligned for any type */
/* NULL: local credentials or random source missing, or credentials too long for a check. */
struct punch *punch_init(void *memory, const struct punch_config *config, uint64_t now_us);
/* For a peer whose credentials come after its first checks. False: too long for a check. */
bool punch_set_remote_credentials(struct punch *p, uint64_t now_us, const char *ufrag,
                                  const char *password);

/* ---- what is known; each may come at any time, also after punch_start ---- */

/* A socket of ours, and the address it is bound to on its interface. Index 0 first. */
void punch_add_socket(struct punch *p, uint64_t now_us, unsigned socket,
                      const struct stun_addr *local);
/* The socket asked for could not be had, or is gone. */
void punch_remove_socket(struct punch *p, uint64_t now_us, unsigned socket);
/* Duplicates and unusable addresses are ignored; a peer-reflexive candidate that is signalled later
 * keeps its state. attested: the mediator has seen the peer there. */
void punch_add_remote(struct punch *p, uint64_t now_us, enum punch_kind kind,
                      const struct stun_addr *addr, bool attested);
void punch_set_remote_profile(struct punch *p, uint64_t now_us, const struct nat_profile *theirs);
/* Our own NAT, measured anew: another network, or more of the same one. */
void punch_set_profile(struct punch *p, uint64_t now_us, const struct nat_profile *ours);
/* The peer's addresses have changed: those that it has signalled and that no check of ours was
 * answered from are dropped, unless they are added again before the next punch_input, punch_output
 * or punch_handle_timeout. */
void punch_new_candidates(struct punch *p, uint64_t now_us);
/* The relay can, or can no longer, carry link packets. Down until told. */
void punch_set_relay(struct punch *p, uint64_t now_us, bool up);

/* Sending begins at start_at_us (callee: arrival of the dial + opener_due; caller: now). A check
 * that arrives earlier is answered all the same. */
void punch_start(struct punch *p, uint64_t now_us, uint64_t start_at_us);

/* Our addresses have changed, or there is another new chance: a new round here and, by a note, on
 * the other side. A proven path stays until a better one is proven; it is checked at once, and lost
 * if it does not answer. */
void punch_again(struct punch *p, uint64_t now_us);

/* ---- datagrams ---- */

struct punch_pair {
    unsigned socket;
    struct stun_addr remote;
};

/* A STUN message came in on pair. True if it belongs to this engine (its USERNAME or transaction is
 * ours), whatever became of it; false: offer it to another. */
bool punch_input(struct punch *p, uint64_t now_us, const struct punch_pair *pair,
                 const uint8_t *bytes, size_t size);

struct punch_out {
    struct punch_pair pair;
    uint8_t ttl; /* 0: the system's default */
    size_t size; /* bytes in the buffer */
};

/* The next datagram to send now; false: none until an input or punch_next_timeout. */
bool punch_output(struct punch *p, uint64_t now_us, struct punch_out *out,
                  uint8_t buffer[static PUNCH_MAX_PACKET_BYTES]);
/* What sending it returned: 0 or an errno. Errors are news about one pair, never the end of others.
 */
void punch_sent(struct punch *p, uint64_t now_us, const struct punch_out *out, int error);

uint64_t punch_next_timeout(const struct punch *p); /* UINT64_MAX: none */
void punch_handle_timeout(struct punch *p, uint64_t now_us);

/* Where a link packet goes now: one proven pair, and also the relay if that pair is in doubt.
 * Before that, and after the path was lost, up to three usable pairs or, for the callee only once
 * start_at has come, pairs of its first burst (never unattested addresses that nobody has been
 * heard from), the likeliest ones of predicted ports before others (punch_guesses); and the relay
 * if it is up; in FAILED the relay alone. The relay is the last one: its socket is PUNCH_RELAY, its
 * remote all zero. 0: nowhere yet. Counts against the budget of unproven pairs. */
size_t punch_routes(struct punch *p, uint64_t now_us,
                    struct punch_pair routes[static PUNCH_MAX_ROUTES]);
/* Nothing is heard yet, but a plan has come: where what the link said before the plan may go too,
 * which is three of the ports that were predicted, or the hole that the peer was told of once it
 * sends at full TTL. Counts like punch_routes; 0: nowhere yet. */
size_t punch_guesses(struct punch *p, uint64_t now_us,
                     struct punch_pair routes[static PUNCH_MAX_ROUTES]);
/* True for a route that chance decides about: what went there may have to go again. */
bool punch_is_guess(const struct punch *p, const struct punch_pair *route);
/* True if punch_routes would name a pair now; counts nothing. */
bool punch_has_route(struct punch *p, uint64_t now_us);
/* True if it would name the relay and nothing else: then whole batches may go. */
bool punch_only_relay(struct punch *p, uint64_t now_us);
/* A link packet has been sent by the routes of punch_routes. If nothing is heard from the path
 * after it, the path is checked soon. */
void punch_sent_link(struct punch *p, uint64_t now_us);
/* An authentic link packet arrived on a pair, or by the relay (socket PUNCH_RELAY): a sign of life
 * of that pair. It renews no consent (RFC 7675). */
void punch_heard_link(struct punch *p, uint64_t now_us, const struct punch_pair *pair);

/* ---- the dial channel: sealed and carried by the caller of this room ---- */

enum punch_note_kind {
    PUNCH_NOTE_SAMPLES = 1,
    PUNCH_NOTE_PLAN = 2,
    PUNCH_NOTE_SEND_FIRST = 3,
    PUNCH_NOTE_AGAIN = 4, /* the sender has begun a new round */
};

struct punch_note {
    enum punch_note_kind kind;
    struct nat_samples samples; /* SAMPLES */
    struct nat_profile profile; /* SAMPLES */
    uint64_t age_us;            /* SAMPLES: since the newest was asked for */
    struct {                    /* PLAN: from the callee, what the caller shall do */
        enum punch_technique technique;
        struct stun_addr target; /* address part */
        uint16_t ports[NAT_MAX_PREDICTED];
        size_t port_count;
        uint64_t start_after_us;
        bool fresh_socket;
        bool loud;            /* new sockets send at full TTL */
        uint16_t sockets;     /* so many new sockets send to target:ports[0], each once */
        uint16_t probes;      /* the data socket sends to so many ports of the target, out of */
        uint16_t range_first; /* so many from this one on */
        uint32_t range_ports;
    } plan;
};

void punch_note_input(struct punch *p, uint64_t now_us, const struct punch_note *note);

/* ---- events ---- */

enum punch_event_kind {
    PUNCH_EVENT_NONE = 0,
    PUNCH_EVENT_USABLE,      /* first authenticated check of the peer on pair */
    PUNCH_EVENT_PROVEN,      /* our own check on pair was answered: pair, technique, rtt_us */
    PUNCH_EVENT_PATH,        /* link packets now go by pair: the first, a better one, or the same
                                one after a doubt */
    PUNCH_EVENT_WANT_SOCKET, /* open and bind socket_count from socket on, replacing older ones:
                                punch_add_socket for each, or punch_remove_socket if there is none
                              */
    PUNCH_EVENT_DROP_SOCKET, /* close socket_count from socket on: they are no longer known */
    PUNCH_EVENT_NOTE,        /* seal and carry note to the peer */
    PUNCH_EVENT_PATH_LOST, /* it does not answer, or its socket is gone; punching has begun again */
    PUNCH_EVENT_FAILED,    /* failure, error; a late check of the peer can still revive it, and
                              with the relay up it is tried again later. Then once more only if
                              the failure is another one */
    PUNCH_EVENT_DOUBT,     /* pair, which carried link packets, does not answer: they go by the
                              relay, too. PATH or PATH_LOST follows */
};

struct punch_event {
    enum punch_event_kind kind;
    struct punch_pair pair;
    unsigned socket, socket_count;
    enum punch_technique technique;
    enum punch_kind remote_kind;
    uint64_t rtt_us;
    struct punch_note note;
    enum punch_failure failure;
    int error;
};

bool punch_poll_event(struct punch *p, struct punch_event *event);

bool punch_is_connected(const struct punch *p);
/* The caller has nominated the path, and the callee has heard it: both have the same one. */
bool punch_is_agreed(const struct punch *p);
/* When the round that it is in began, in the caller's microseconds; 0: it is the first one. */
uint64_t punch_round_us(const struct punch *p);
bool punch_has_searched(const struct punch *p); /* in vain or not; predictions do not count */
const char *punch_failure_text(enum punch_failure failure);   /* what happened, for people */
const char *punch_failure_remedy(enum punch_failure failure); /* what would help; "" if nothing */
const char *punch_technique_text(enum punch_technique t);     /* "private", "public", ... */

#endif
