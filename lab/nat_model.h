/* SPDX-License-Identifier: BSD-2-Clause */
/* A NAT as a pure function of packets: no clock, no socket, no allocator, no random source of its
 * own. The same calls with the same random numbers give the same verdicts.
 *
 *                inside                             outside
 *     host  --- src, dst --->  nat_model_outbound  --- src rewritten --->
 *           <-- dst rewritten  nat_model_inbound   <--- src, dst ---
 *
 * Two layers (CGN) are two models, one after the other. Time to live is the router's part: hop.h.
 */
#ifndef LAB_NAT_MODEL_H
#define LAB_NAT_MODEL_H

#include "lab/nat_config.h"
#include "lab/nat_table.h"
#include "stun/addr.h"

#define NAT_MODEL_HOSTS 64 /* inside, with a block or an address of the pool */

enum { NAT_MODEL_ICMP = 1, NAT_MODEL_TCP = 6, NAT_MODEL_UDP = 17, NAT_MODEL_ICMP6 = 58 };

/* ICMP echo: the identifier is the port of the inside host, and the remote's port is 0. */
struct nat_model_packet {
    struct stun_addr src, dst;
    uint8_t protocol;
    uint8_t ttl; /* carried along untouched */
};

enum nat_model_action {
    NAT_MODEL_DROP,
    NAT_MODEL_FORWARD, /* to the other side */
    NAT_MODEL_HAIRPIN, /* outbound only: back inside, both addresses rewritten */
    NAT_MODEL_REFUSE,  /* answer with ICMP port unreachable, and drop */
};

enum nat_model_reason {
    NAT_MODEL_FINE,
    NAT_MODEL_BLOCKED,     /* UDP */
    NAT_MODEL_NO_ROUTE,    /* IPv6 without IPv6, or no address of this NAT */
    NAT_MODEL_UNMAPPED,    /* nobody has this port */
    NAT_MODEL_FILTERED,    /* somebody has, but not for this remote */
    NAT_MODEL_ROUTER,      /* a connection of the router itself (poison) */
    NAT_MODEL_BLACKLISTED, /* a mapping that was flooded */
    NAT_MODEL_FULL,        /* the session table */
    NAT_MODEL_NO_PORT,     /* none left to give */
    NAT_MODEL_NO_HAIRPIN,
    NAT_MODEL_REASONS
};

struct nat_model_verdict {
    enum nat_model_action action;
    enum nat_model_reason reason;
    struct nat_model_packet packet; /* rewritten; as it came for DROP and REFUSE */
};

struct nat_model_random {
    uint64_t (*draw)(void *context); /* uniform 64 bits */
    void *context;
};

struct nat_model_host {
    struct stun_addr ip;   /* port 0 */
    uint32_t address;      /* of the pool */
    uint32_t block;        /* number; UINT32_MAX: none yet */
    uint32_t last_port[2]; /* of a sequence in it: UDP, others; 0: not begun */
};

/* Zero-initialised memory is not a model: call nat_model_init. */
struct nat_model {
    struct nat_config config;
    struct stun_addr public_ip; /* the first of the pool, port 0 */
    struct nat_model_random random;
    struct nat_table table;
    struct nat_model_host host[NAT_MODEL_HOSTS];
    uint32_t hosts;
    uint32_t last_port[2];  /* of a sequence: UDP, others */
    uint64_t foreign_at_us; /* when the next one takes a port; 0: not begun */
    uint64_t drops[NAT_MODEL_REASONS];
};

/* Memory for so many sessions, to be aligned for uint64_t. */
size_t nat_model_memory_bytes(uint32_t sessions);

/* public_ip: IPv4, the first of config->pool consecutive addresses; ignored where the config does
 * not translate. The memory stays the caller's, and is used until the model is no more. False: the
 * memory has no room for a session, or the config is not one that nat_config_parse gives. */
bool nat_model_init(struct nat_model *n, const struct nat_config *config,
                    const struct stun_addr *public_ip, void *memory, size_t memory_bytes,
                    struct nat_model_random random);

/* now_us must not go back; it may be any number. */
struct nat_model_verdict nat_model_outbound(struct nat_model *n, uint64_t now_us,
                                            const struct nat_model_packet *packet);
struct nat_model_verdict nat_model_inbound(struct nat_model *n, uint64_t now_us,
                                           const struct nat_model_packet *packet);

/* ICMP errors quote the packet that they are about. inbound: the quoted packet has left here; its
 * src becomes the inside address, where the error goes. outbound: the quoted packet had come in;
 * its dst becomes the public address. False: no session of that packet; the error is dropped. */
bool nat_model_inbound_error(struct nat_model *n, uint64_t now_us, struct nat_model_packet *quoted);
bool nat_model_outbound_error(struct nat_model *n, uint64_t now_us,
                              struct nat_model_packet *quoted);

/* All state is gone; sequences begin anywhere. */
void nat_model_reboot(struct nat_model *n);

/* Whether this is a public address of the NAT, whatever the port. */
bool nat_model_owns(const struct nat_model *n, const struct stun_addr *ip);
/* Live sessions. */
uint32_t nat_model_sessions(struct nat_model *n, uint64_t now_us);
/* A few words. */
const char *nat_model_reason_text(enum nat_model_reason reason);

#endif
