/* SPDX-License-Identifier: BSD-2-Clause */
/* What a lab consists of: networks behind NATs, hosts in them, the ways between them, programs on
 * them. Networks nest: a home inside a provider's network inside the Internet (node 0).
 *
 * A file of it, line by line ("#" begins a comment):
 *
 *   network NAME KIND [in NETWORK] [lan PREFIX]   KIND: nat_config.h, or nf-... (netfilter.h)
 *   host NAME [in NETWORK] [at ADDRESS[,ADDRESS]...]
 *   rtt NODE NODE MS                              round trip between them
 *   rtt MS                                        between all that have no other
 *   jitter MS | loss P% | duplicate P% | reorder P%    of every way through the Internet
 *   hops N                                        routers of the Internet, default 1
 *   seed N
 *   run NODE [after NODE "TEXT"]: COMMAND         a shell command, begun when the other has said
 * TEXT
 */
#ifndef LAB_TOPOLOGY_H
#define LAB_TOPOLOGY_H

#include "lab/hop.h"
#include "lab/nat_config.h"
#include "stun/addr.h"

#define TOPOLOGY_NODES     24
#define TOPOLOGY_PROGRAMS  16
#define TOPOLOGY_ADDRESSES 4
#define TOPOLOGY_NAME      32
#define TOPOLOGY_TEXT      64
#define TOPOLOGY_INTERNET  0

enum topology_gateway { TOPOLOGY_NO_GATEWAY, TOPOLOGY_MODEL, TOPOLOGY_NETFILTER };

struct topology_node {
    char name[TOPOLOGY_NAME];
    bool host;
    unsigned parent;
    /* network */
    enum topology_gateway gateway;
    struct nat_config config;              /* MODEL */
    char netfilter[NAT_CONFIG_TEXT_BYTES]; /* NETFILTER: its kind, without options */
    bool translates;
    enum nat_config_ipv6 ipv6; /* also of a host: none or open */
    struct stun_addr outside;  /* in the parent; the first of config.pool */
    struct stun_addr router;   /* inside */
    struct hop_prefix lan;
    bool lan_given;
    unsigned children; /* networks and hosts in it so far */
    /* host */
    struct stun_addr address[TOPOLOGY_ADDRESSES];
    unsigned addresses;
    bool addresses_given;
    struct stun_addr address6; /* of a host, or of the gateway inside */
    struct stun_addr second6;  /* of a host of the Internet */
};

/* From one child of a network to another. */
struct topology_way {
    uint64_t delay_us;
    bool given;
};

struct topology_program {
    unsigned node;
    const char *command;      /* for the shell, or NULL */
    char *const *argv;        /* else this */
    unsigned after;           /* node; TOPOLOGY_INTERNET: none */
    char text[TOPOLOGY_TEXT]; /* that a program of that node has said */
};

struct topology {
    struct topology_node node[TOPOLOGY_NODES];
    unsigned nodes;
    struct topology_way way[TOPOLOGY_NODES][TOPOLOGY_NODES];
    uint64_t default_delay_us, jitter_us;
    double loss, duplicate, reorder; /* 0..1 */
    unsigned hops;
    uint64_t seed;
    struct topology_program program[TOPOLOGY_PROGRAMS];
    unsigned programs;
};

void topology_init(struct topology *t);

/* Each returns a node, or 0 with *error set (static text). A kind of two layers makes two networks:
 * NAME, and NAME-isp around it. */
unsigned topology_network(struct topology *t, const char *name, const char *kind, unsigned parent,
                          const char **error);
unsigned topology_host(struct topology *t, const char *name, unsigned parent, const char **error);
bool topology_set_lan(struct topology *t, unsigned network, const char *prefix);
/* Addresses separated by commas, in place of the usual one. */
bool topology_set_address(struct topology *t, unsigned host, const char *addresses);

/* UINT32_MAX: no such node. */
unsigned topology_find(const struct topology *t, const char *name);
void topology_rtt(struct topology *t, unsigned one, unsigned other, double ms);
bool topology_run(struct topology *t, const struct topology_program *program);

/* Reads a file's text, which is changed and must outlive the topology (commands point into it).
 * False: *line and *error say where and why. */
bool topology_read(struct topology *t, char *text, unsigned *line, const char **error);

/* Gives out the addresses and delays that nobody has chosen. Call it once, last. */
bool topology_finish(struct topology *t, const char **error);

/* Whether dst, as it is written in network, leads to its child: a host's address, the outside of
 * its NAT, or anything that lies behind a router that does not translate. */
bool topology_leads_to(const struct topology *t, unsigned child, const struct stun_addr *dst);
/* The address of a host as the Internet sees it (port 0). */
struct stun_addr topology_public(const struct topology *t, unsigned host);
/* The child of the network in which both stand below it: *one_side and *other_side. */
void topology_meet(const struct topology *t, unsigned one, unsigned other, unsigned *one_side,
                   unsigned *other_side);

#endif
