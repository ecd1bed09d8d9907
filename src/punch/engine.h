/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this room share: the engine's memory. Nobody outside includes this. */
#ifndef PUNCH_ENGINE_H
#define PUNCH_ENGINE_H

#include "punch/plan.h"
#include "punch/punch.h"
#include "punch/search.h"
#include "punch/survey.h"

#define NEVER  UINT64_MAX
#define MS     1000u
#define SECOND 1000000u

#define BURST_GAP_US   2000u         /* between packets that are not answers */
#define PACE_US        20000u        /* between first packets to pairs beyond the first burst */
#define OLD_US         (10 * SECOND) /* an answer of then is no proof any more */
#define LATE_GAP_US    50000u        /* after the first second, on average */
#define LATE_AT_ONCE   20
#define FIRST_RETRY_US 20000u
#define RETRY_GAPS     4
#define RETRY_SLOW_US  500000u
/* What is planned waits so long, and a round trip, for the first sign of life to become a path. */
#define HOPE_US 200000u
/* The caller speaks at full TTL without having heard anything: so late that the callee has started,
 * even if the dial channel is dead. Earlier, its packets could poison the callee's NAT. */
#define ALONE_US             2500000u
#define NOMINATE_AFTER_US    100000u /* a better pair may still be proven */
#define TRIGGERS             12      /* of a pair; more of them come slowly */
#define TRANSACTIONS         8       /* outstanding per pair; consent has up to 6 */
#define ANSWERS              32
#define EVENTS               32
#define EVENTS_KEPT          12 /* for notes and for what became of the path */
#define SEEN                 32
#define UNPROVEN_LINK_COPIES 64
#define REFLEXIVE_PAIRS      12                   /* unproven, to one IP address */
#define STRANGERS            PUNCH_MAX_CANDIDATES /* addresses that nobody vouches for */
#define NO_PAIR              UINT16_MAX

enum state { WAITING, PUNCHING, CONNECTED, FAILED };

struct transaction {
    uint8_t id[STUN_TRANSACTION_BYTES];
    uint64_t sent_us;
    bool live;
    bool controlling; /* the role that the request claimed */
    bool nominating;
};

struct remote {
    struct stun_addr addr;
    uint8_t kind;
    bool attested;
    bool stale;           /* until it is signalled anew, or dropped */
    bool gone;            /* dropped; stays known for what has been sent there */
    uint64_t answered_us; /* a check of ours, from there; 0: never */
};

/* From the first place on; the others have sent 0. */
struct stranger {
    struct stun_addr ip; /* address part */
    uint8_t sent;        /* packets, at most twice PUNCH_BUDGET_UNATTESTED */
};

struct pair {
    bool used;
    uint16_t socket;
    uint8_t kind; /* of the remote address */
    struct stun_addr remote;
    bool attested;
    bool attested_by_proof; /* a check was answered there, in an earlier round */
    bool heard;             /* an authentic packet of the peer came in: usable */
    bool proven;            /* our own check was answered */
    bool opens;             /* low TTL until heard, whatever the role: a hole that was planned */
    bool triggered;
    bool nominate;      /* controlling: send USE-CANDIDATE until answered */
    uint32_t nominated; /* controlled: order number of the peer's nomination, 0 = none */
    uint8_t tries;      /* in this round */
    uint8_t tries_left; /* 255: no limit */
    uint8_t triggers;   /* checks that were caused by the peer's, and proved nothing */
    uint32_t sent;
    uint32_t link_copies;
    uint64_t round_us; /* first check of this round */
    uint64_t next_us;
    uint64_t loud_us;             /* from then on it opens no more, and speaks */
    uint64_t last_full_us;        /* last check at full TTL; NEVER if none */
    uint64_t rtt_us, answered_us; /* of the last answer */
    struct transaction out[TRANSACTIONS];
    uint8_t next_out;
};

struct answer {
    struct punch_pair pair;
    uint8_t transaction[STUN_TRANSACTION_BYTES];
    uint16_t error; /* 0: success */
    uint16_t unknown[STUN_MAX_UNKNOWN];
    uint8_t unknown_count;
};

struct forecast {
    bool wanted, surveying, opened, decided;
    bool planned;          /* caller: the callee's plan has come */
    struct plan_part plan; /* our part of it */
    enum punch_technique technique;
    uint64_t plan_due_us;
    struct survey survey;
    uint64_t asked_us, last_answer_us, decided_us;
    uint64_t not_before_us; /* no fresh socket until then */
    uint64_t gate_us;       /* until then the host may not search; 0: it may */
    struct nat_samples mine, theirs;
    uint64_t theirs_us; /* when theirs came */
    uint64_t their_age_us;
    uint8_t rounds; /* begun anew, because the first plan missed */
};

/* How urgently the path is checked; liveness.c. */
enum liveness_pace { LIVENESS_ASKS_NOT, LIVENESS_IDLE, LIVENESS_BUSY, LIVENESS_AGAIN };

struct liveness {
    uint64_t consent_due_us, consent_until_us;
    enum liveness_pace asking; /* since the first check that was not answered */
    bool consent_open;         /* a check of consent is not answered */
    bool doubted;
    bool dull;    /* it answers checks, but no link packets */
    uint8_t asks; /* checks; since the doubt, if there is one */
    uint8_t calm; /* consents in a row, each answered at once */
    uint64_t ask_due_us, doubt_due_us, lost_due_us;
    uint64_t unanswered_us; /* first link packet that went out since one came in; NEVER: none */
};

/* Rounds after the first; again.c. */
struct again {
    uint64_t began_us;                     /* the last round, or what would have begun one */
    uint64_t recover_us, recover_until_us; /* after a loss; 0: none */
    uint64_t retry_us, retry_gap_us;       /* in FAILED with the relay up; NEVER: not */
    uint64_t refill_us; /* when addresses that nobody vouches for may have some packets again */
    bool told;          /* of a failure: */
    enum punch_failure failure;
};

struct punch {
    enum state state;
    bool caller, controlling;
    uint8_t opener_ttl;
    bool opener_ttl_known, no_search;
    uint64_t note_rtt_us;
    char local_ufrag[PUNCH_MAX_CREDENTIAL + 1], local_password[PUNCH_MAX_CREDENTIAL + 1];
    char remote_ufrag[PUNCH_MAX_CREDENTIAL + 1], remote_password[PUNCH_MAX_CREDENTIAL + 1];
    size_t local_ufrag_bytes, local_password_bytes, remote_ufrag_bytes, remote_password_bytes;
    uint64_t tie_breaker;
    struct nat_profile profile, their_profile;
    struct stun_addr bounce[PUNCH_MAX_BOUNCE];
    size_t bounce_count;
    uint64_t give_up_after_us;
    struct punch_budget *budget;
    void (*random)(void *context, uint8_t *out, size_t bytes);
    void *random_context;

    uint64_t now_us; /* never goes back */
    bool started;
    uint64_t start_us, deadline_us, silence_due_us; /* of this round */
    bool loud;                                      /* the caller may use full TTL */
    bool heard_any, connected_before, asked_first;
    uint8_t hopes;
    uint64_t hope_until_us; /* what was heard may yet be answered: nothing is planned */
    uint8_t restarts;       /* bursts repeated because the peer asked */

    struct {
        bool open;
        struct stun_addr local;
    } sockets[PUNCH_SEARCH_SOCKET]; /* those of a search are its own business */
    struct remote remotes[PUNCH_MAX_CANDIDATES];
    size_t remote_count;
    struct stranger strangers[STRANGERS];
    bool stale; /* some of them are */
    struct pair pairs[PUNCH_MAX_PAIRS];
    uint16_t selected;
    uint32_t nominations;
    uint64_t nominate_due_us;

    uint64_t first_sent_us;         /* of the plain punch; NEVER before */
    uint32_t plain_sent, link_sent; /* link copies are part of the plain punch */
    uint64_t pace_us, pace_new_us;
    uint64_t late_us; /* after its first second the plain punch sends one in LATE_GAP_US */
    uint32_t sends_ok, sends_failed;
    int last_error;

    bool relay; /* it can carry link packets */
    struct liveness life;
    struct again again;

    struct answer answers[ANSWERS];
    size_t answer_first, answer_count;
    struct punch_event events[EVENTS];
    size_t event_first, event_count;
    struct {
        uint8_t id[STUN_TRANSACTION_BYTES];
        struct stun_addr from;
    } seen[SEEN]; /* the peer's requests, so that a copied one does not count from elsewhere */
    size_t seen_next;

    struct forecast forecast;
    struct search search;
    uint64_t guesses_us; /* until then single guesses have used up the rate of a search */
};

/* ---- punch.c ---- */
void engine_advance(struct punch *p, uint64_t now_us);
struct punch_event *engine_event(struct punch *p, enum punch_event_kind kind);
void engine_note(struct punch *p, enum punch_note_kind kind); /* one that says nothing more */
void engine_begin(struct punch *p, uint64_t start_us); /* what punch_start and each round do */
bool engine_may_shout(const struct punch *p);          /* before the peer is heard; the caller */
void engine_hear(struct punch *p, uint16_t index);     /* the peer was heard on this pair */
bool engine_hopes(const struct punch *p); /* connected, or it may be soon: no more guessing */
void engine_prove(struct punch *p, uint16_t index, uint64_t rtt_us);
bool engine_has_socket(const struct punch *p, unsigned socket);
uint64_t engine_earlier(uint64_t a, uint64_t b);

/* ---- remotes.c ---- */
struct remote *remote_find(struct punch *p, const struct stun_addr *addr);
struct remote *remote_add(struct punch *p, enum punch_kind kind, const struct stun_addr *addr,
                          bool attested);
bool remote_ip_attested(const struct punch *p, const struct stun_addr *addr);
bool remote_ip_answered(const struct punch *p, const struct stun_addr *addr); /* not long ago */
const struct remote *remote_public(const struct punch *p, uint8_t family); /* best attested one */
void remotes_sweep(struct punch *p); /* drops what has stayed stale, if any may have */
void remotes_drop(struct punch *p);  /* the path that may have held one is lost */

/* ---- strangers.c ---- */
/* False: enough went to an address that nobody vouches for. */
bool strangers_allow(const struct punch *p, const struct pair *pair, unsigned reserve);
void strangers_count(struct punch *p, const struct pair *pair); /* a packet goes there */
void strangers_forget(struct punch *p);

/* ---- pairs.c ---- */
uint16_t pair_find(const struct punch *p, unsigned socket, const struct stun_addr *remote);
uint16_t pair_add(struct punch *p, unsigned socket, enum punch_kind kind,
                  const struct stun_addr *remote, bool attested);
void pair_form(struct punch *p, unsigned socket, const struct remote *r);
void pair_begin(struct punch *p, struct pair *pair, uint64_t at_us); /* a new round of checks */
void pair_trigger(struct punch *p, struct pair *pair);
unsigned pair_order(const struct pair *pair);
bool pair_better(const struct pair *a, const struct pair *b); /* a carries rather than b */
bool pair_planned(const struct pair *pair);                   /* not of the plain punch */
enum punch_technique pair_technique(const struct punch *p, const struct pair *pair);
void pair_select(struct punch *p);
void pair_event(struct punch *p, enum punch_event_kind kind, const struct pair *pair);
/* By what is translated: neither IPv6 nor the own network, whose way no NAT's profile describes. */
bool pair_crosses_nat(const struct pair *pair);

/* ---- checks.c ---- */
/* What is the same in every check of ours. */
struct check {
    const uint8_t *transaction;
    unsigned socket;
    uint8_t family;
    bool controlling, nominating;
};
size_t check_build(const struct punch *p, const struct check *c, uint8_t *buffer, size_t capacity);
size_t check_request(struct punch *p, struct pair *pair, uint8_t *buffer, size_t capacity);
size_t check_answer(struct punch *p, const struct answer *a, uint8_t *buffer, size_t capacity);
bool check_is_for_us(const struct punch *p, const struct stun_message *msg);
uint32_t check_priority(unsigned type_preference, unsigned local_preference);
struct transaction *check_find(struct punch *p, const uint8_t *id, uint16_t *pair);

/* ---- liveness.c: of the selected path ---- */
void liveness_begin(struct punch *p);
void liveness_advance(struct punch *p);
void liveness_answered(struct punch *p); /* a check on it */
void liveness_sent(struct punch *p);     /* link packets */
void liveness_heard(struct punch *p);
void liveness_ask_again(struct punch *p);
bool liveness_fears(const struct punch *p); /* the path may be lost */
uint64_t liveness_next(const struct punch *p);

/* ---- again.c: rounds after the first ---- */
void again_init(struct punch *p, uint64_t recover_us);
void again_lose(struct punch *p); /* the selected path is gone: punch again */
void again_connected(struct punch *p);
void again_advance(struct punch *p);
void again_note(struct punch *p);
/* The deadline has come: true, and another round has begun; false: it has failed. */
bool again_recovers(struct punch *p);
void again_failed(struct punch *p);
bool again_is_news(struct punch *p, enum punch_failure failure); /* once */
uint64_t again_next(const struct punch *p);

/* ---- samples.c: the fresh socket ---- */
bool samples_asked(const struct survey *s); /* each question at least once */
void samples_want(struct punch *p);
void samples_take(struct punch *p);
uint64_t samples_next(const struct punch *p);
void samples_socket(struct punch *p); /* the fresh socket is open */
void samples_socket_gone(struct punch *p);
bool samples_input(struct punch *p, const struct punch_pair *from, const struct stun_message *msg);
bool samples_output(struct punch *p, struct punch_out *out, uint8_t *buffer, size_t capacity);
uint64_t samples_hold(const struct punch *p); /* plain checks through the NAT wait until then */

/* ---- forecast.c: prediction ---- */
void forecast_advance(struct punch *p);
void forecast_samples(struct punch *p, const struct punch_note *note);
void forecast_plan(struct punch *p, const struct punch_note *note);
uint64_t forecast_next(const struct punch *p);

/* ---- search.c ---- */
/* False: it may not be, or has nothing to do. */
bool search_begin(struct punch *p, const struct plan_part *part, enum punch_technique technique,
                  uint64_t at_us);
void search_advance(struct punch *p);
void search_stop(struct punch *p);   /* closes what no pair uses */
void search_cancel(struct punch *p); /* the same; it has not failed */
void search_socket(struct punch *p, unsigned socket, bool open);
void search_guessed(struct punch *p); /* a packet to a guessed port, of no search */
bool search_output(struct punch *p, struct punch_out *out, uint8_t *buffer, size_t capacity);
/* An answer to one of its packets: the index of the pair that it became, or NO_PAIR. */
uint16_t search_input(struct punch *p, const struct punch_pair *from,
                      const struct stun_message *msg, uint64_t *rtt_us);
uint64_t search_next(const struct punch *p);
bool search_found(const struct punch *p, const struct pair *pair);
bool search_opens(const struct punch *p); /* of predicted ports; its sockets have yet to speak */
/* When they have: those that the peer hears most likely, at most room. */
size_t search_routes(const struct punch *p, struct punch_pair *routes, size_t room);

/* ---- outbox.c ---- */
bool outbox_blocked(const struct punch *p, unsigned reserve); /* the plain punch has sent enough */
bool outbox_allows(struct punch *p, const struct stun_addr *to, unsigned reserve);
bool outbox_futile(const struct punch *p); /* plain packets of ours could only do harm */
void outbox_count(struct punch *p);
uint64_t outbox_next(const struct punch *p);

#endif
