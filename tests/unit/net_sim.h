/* SPDX-License-Identifier: BSD-2-Clause */
/* A network in virtual time: two engines, their NATs, bounce servers and a mediator that carries
 * notes. Everything follows from the seed. */
#ifndef NET_SIM_H
#define NET_SIM_H

#include "lab/dice.h"
#include "lab/nat_model.h"
#include "punch/punch.h"
#include "small_nat.h"

#define NET_PACKETS      512
#define NET_NOTES        64
#define NET_OPEN         (-1)
#define NET_CALLER       0
#define NET_CALLEE       1
#define NET_ENGINE_BYTES (128 * 1024)
#define NET_SESSIONS     2048 /* of a NAT of the model */
#define NET_FLOWS        256
#define NET_RELAYED      2 /* + host: lan of a packet that comes to it by the relay */

/* Stateful: lets in what was asked for. */
struct net_firewall {
    struct {
        struct stun_addr inside, outside;
    } flow[NET_FLOWS];
    size_t flows;
};

struct net_host {
    int nat;                   /* index, or NET_OPEN */
    uint16_t socket_at[65536]; /* by port: number + 1, 0: none */
    struct stun_addr local[PUNCH_MAX_SOCKETS];
    bool has_socket[PUNCH_MAX_SOCKETS];
    struct punch *engine;
    struct punch_budget budget;
    _Alignas(max_align_t) uint8_t memory[NET_ENGINE_BYTES];
    uint64_t random;
    struct stun_addr public_addr; /* of socket 0 */
    int refuse;                   /* errno of every send */
    uint64_t talk_us;             /* when it sends its next link packet */
    uint64_t keepalive_us;        /* when the answer to its keepalive comes, which it sends when
                                     the path is in trouble; net_wider.c */
    struct net_firewall firewall; /* of IPv6 */

    /* what happened; times are UINT64_MAX until then */
    uint64_t usable_us, proven_us, path_us, failed_us, lost_us, doubt_us, link_us;
    struct punch_event usable, proven, path, failed;
    unsigned asked_first, plans, samples, wants, agains;
    unsigned paths, doubts, losses, failures; /* events */
    unsigned relayed;                         /* link packets that came by the relay */
    uint64_t heard_us, stall_us;    /* last link packet; longest time without one, while talking */
    unsigned sockets, most_sockets; /* of searches */
    unsigned searched, busiest;     /* packets of searches; in one second */
    unsigned hits;                  /* sockets of a search where the peer was heard */
    uint64_t search_us[1024];       /* when each of the last left */
    unsigned checks, answers, links, openers; /* sent, all */
    unsigned plain_100ms, plain_1s; /* checks and unheard link copies of the plain punch */
    unsigned to_stranger;           /* to addresses where nobody lives */
    uint64_t first_plain_us;
};

struct net_packet {
    bool used;
    uint64_t at_us;
    struct stun_addr from, to; /* as in the public network, or on the LAN */
    int lan;                   /* NAT whose LAN it is on, or NET_OPEN */
    uint16_t size;
    uint8_t bytes[PUNCH_MAX_PACKET_BYTES];
};

struct net {
    uint64_t now_us;
    uint64_t random;
    struct net_host host[2];
    struct small_nat nat[2];
    /* In place of a small NAT: one or two of the model, [0] nearest to the host. */
    struct nat_model model[2][NAT_CONFIG_LAYERS];
    unsigned layers[2];
    bool same_cgn;     /* the outer one of both is model[0][1] */
    bool knows_little; /* profiles hold mapping and allocation only */
    struct dice dice;
    uint64_t one_way_us;      /* NAT to NAT; jitter on top */
    uint64_t bounce_us;       /* one way to bounce servers */
    uint64_t bounce_of_us[2]; /* the same for one host, if not 0 */
    uint64_t jitter_us;
    uint64_t note_us; /* one way, peer to peer through the mediator */
    unsigned loss_percent, duplicate_percent;
    bool bounce_down, notes_lost, no_link;
    bool keepalives;      /* hosts notice and tell when their address has changed */
    uint64_t talk_gap_us; /* each host sends a link packet so often; 0: not */
    bool relay_down;      /* loses what it gets */
    uint8_t core_hops;    /* between the NATs */
    struct stun_addr bounce[4];
    struct net_packet packet[NET_PACKETS];
    size_t packets; /* none in use from here on */
    struct {
        bool used;
        uint64_t at_us;
        int to;
        bool candidates; /* the sender's public address instead */
        struct punch_note note;
    } note[NET_NOTES];
    /* A copy of each packet that left a host, for tests that replay or forge. */
    struct {
        int host;
        struct stun_addr from, to;
        uint16_t size;
        uint8_t bytes[PUNCH_MAX_PACKET_BYTES];
    } last_request[2];
    uint64_t memory[2][NAT_CONFIG_LAYERS][NET_SESSIONS * 24]; /* not cleared */
};

enum net_nat_kind {
    NET_NAT_CONE, /* endpoint-independent mapping, address-and-port-dependent filtering */
    NET_NAT_CONE_ADF,
    NET_NAT_FULL_CONE,
    NET_NAT_LINUX,  /* masquerade, INPUT ACCEPT: poisoned by early packets */
    NET_NAT_STEP_1, /* symmetric, next port = last + 1 */
    NET_NAT_STEP_2,
    NET_NAT_RANDOM, /* symmetric */
    NET_NAT_NONE,
    NET_NAT_KINDS
};

const char *net_nat_name(enum net_nat_kind kind);

/* Two hosts behind these NATs, 20 ms one way between them (d = 40 ms), 10 ms to the mediator. */
void net_init(struct net *n, enum net_nat_kind caller, enum net_nat_kind callee, uint64_t seed);
/* The same behind NATs of the model, by the words of nat_config.h. */
void net_init_kinds(struct net *n, const char *caller, const char *callee, uint64_t seed);
void net_same_cgn(struct net *n); /* after net_init_kinds, of two kinds with two layers */
void net_same_lan(struct net *n); /* after net_init: both behind the caller's NAT */
void net_engine(struct net *n, int host, uint64_t give_up_us); /* makes the engine, with socket 0 */
/* Tells host about the other: public address attested, private one if wanted, profile. */
void net_tell(struct net *n, int host, bool with_private);
void net_start(struct net *n, int host, uint64_t start_at_us);
/* The whole dial: caller told and started at caller_us, callee at callee_us. */
void net_dial(struct net *n, uint64_t caller_us, uint64_t callee_us, bool with_private);
/* With these round trips to the mediator and between the peers. The dial leaves at 0. */
struct net_times {
    uint64_t caller_us, callee_us, peers_us;
    uint64_t relayed_us; /* s, one way through the mediator; set by net_dial_timed */
};
void net_dial_timed(struct net *n, struct net_times *t);
/* Both are done with the dial: what is under way is lost, all sockets but the first are closed.
 * NATs and budgets remember; there may be another dial. */
void net_hang_up(struct net *n);
/* Runs until the time, or until nothing is left to do. */
void net_run(struct net *n, uint64_t until_us);
bool net_run_connected(struct net *n, uint64_t until_us); /* stops when both are connected */
/* Puts bytes into the public network, as if sent from there. */
void net_inject(struct net *n, uint64_t at_us, const struct stun_addr *from,
                const struct stun_addr *to, const uint8_t *bytes, size_t size);
void net_profile(const struct net *n, int host, struct nat_profile *out);
uint64_t net_random(uint64_t *state);
void net_random_bytes(void *context, uint8_t *out, size_t bytes);

/* ---- net_wider.c: what comes after the dial, and IPv6 ---- */
void net_relay(struct net *n, bool up);   /* tells both engines */
void net_reboot(struct net *n, int host); /* the outermost NAT of a host */
/* The host is elsewhere: another address of its own, behind the same NAT. */
void net_move(struct net *n, int host);
void net_ipv6(struct net *n); /* after net_init: both get a socket behind a stateful firewall */
void net_add_ipv6(struct net *n, int host);  /* after net_engine */
void net_tell_ipv6(struct net *n, int host); /* of the other's */

/* ---- between the files of the network ---- */
bool net_out6(struct net *n, int host, const struct stun_addr *from, const struct stun_addr *to,
              uint8_t ttl);
bool net_in6(struct net *n, const struct stun_addr *from, const struct stun_addr *to);
void net_keepalive_answered(struct net *n, int host);
void net_candidates(struct net *n, int host); /* a note of candidates has come */
void net_flush(struct net *n, int host);
void net_send_link(struct net *n, int host);
void net_note_candidates(struct net *n, int from);

void net_carry(struct net *n, uint64_t delay_us, int lan, const struct stun_addr *from,
               const struct stun_addr *to, const uint8_t *bytes, size_t size);
/* The NAT that a packet from outside meets first, or NET_OPEN. */
int net_nat_at(struct net *n, const struct stun_addr *to);
/* From outside through layers from-1..0; *nat is the one that it comes out of. */
bool net_model_in(struct net *n, int *nat, unsigned from, const struct stun_addr *source,
                  struct stun_addr *to);
/* From a host outwards. False: it has died, or gone back inside. */
bool net_model_out(struct net *n, int nat, struct stun_addr *source, const struct stun_addr *to,
                   uint8_t ttl, const uint8_t *bytes, size_t size);
void net_model_profile(const struct net *n, int host, struct nat_profile *out);

#endif
