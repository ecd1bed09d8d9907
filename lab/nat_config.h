/* SPDX-License-Identifier: BSD-2-Clause */
/* How a NAT of the model behaves (the words of RFC 4787), and its short text form:
 *
 *   KIND[,OPTION]...
 *
 *   KIND     MAPPING/FILTERING/ALLOCATION, or one of
 *            open           no NAT: everything passes, addresses stay
 *            fw[/FILTERING] stateful firewall without translation
 *            blocked        UDP does not pass; the rest does, as behind flow/apdf/preserving
 *            cgn(INNER;OUTER) two layers, cgn(OUTER) = cgn(cone;OUTER)
 *            a name of nat_config_kinds()
 *   MAPPING  eim | adm | apdm | flow
 *   FILTERING eif | adf | apdf
 *   ALLOCATION preserving[+STEP] | overload | seq+STEP | seq-STEP | blockSIZE[-seq] | random
 *
 *   OPTION   pool=N[:paired|:arbitrary]  public addresses; paired (default): one for each host
 *            life=T[/T2][:in]  mapping lifetime ("30s", "500ms"); T2 once the remote has answered;
 *                              :in = inbound packets refresh too
 *            hairpin           a packet to a public address of this NAT comes back in
 *            foreign=N/s       other customers take a port of a sequence so often
 *            poison            Linux with INPUT ACCEPT: an unasked packet becomes a connection of
 *                              the router itself, whose port then is taken towards that remote
 *            reject            unasked packets are answered with ICMP port unreachable
 *            flood=drop:N | flood=blacklist:N   more than N unasked packets a second to a mapping
 *                              remove it, or close it for what comes from outside
 *            sessions=N        size of the session table
 *            ports=LOW-HIGH    that are given out; default 1024-65535
 *            v6=none|open|fw   what IPv6 gets: no route (default), everything, a firewall
 *
 * Example: "apdm/apdf/seq+2,foreign=20/s,life=30s:in". */
#ifndef LAB_NAT_CONFIG_H
#define LAB_NAT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAT_CONFIG_TEXT_BYTES 256
#define NAT_CONFIG_LAYERS     2

enum nat_config_mapping {
    NAT_CONFIG_EIM = 1, /* endpoint-independent */
    NAT_CONFIG_ADM,     /* address-dependent */
    NAT_CONFIG_APDM,    /* address-and-port-dependent */
    /* Linux: an own mapping for each flow, the one of the same socket if that is free towards the
     * new remote; two hosts may share a port towards different remotes. */
    NAT_CONFIG_FLOW,
    NAT_CONFIG_NONE, /* addresses stay: open, fw */
};

enum nat_config_filtering { NAT_CONFIG_EIF = 1, NAT_CONFIG_ADF, NAT_CONFIG_APDF };

enum nat_config_allocation {
    NAT_CONFIG_PRESERVING = 1, /* the inside port until a clash, then random or +step */
    NAT_CONFIG_OVERLOAD,       /* the inside port always; the latest owner gets what comes in */
    NAT_CONFIG_SEQUENTIAL,     /* the last one + step */
    NAT_CONFIG_BLOCK,          /* of block ports a host; inside random, or sequential with step 1 */
    NAT_CONFIG_RANDOM,
};

enum nat_config_flood { NAT_CONFIG_FLOOD_NONE, NAT_CONFIG_FLOOD_DROP, NAT_CONFIG_FLOOD_BLACKLIST };

enum nat_config_ipv6 { NAT_CONFIG_V6_NONE, NAT_CONFIG_V6_OPEN, NAT_CONFIG_V6_FIREWALL };

/* One layer. */
struct nat_config {
    enum nat_config_mapping mapping;
    enum nat_config_filtering filtering;
    enum nat_config_allocation allocation;
    enum nat_config_flood flood;
    enum nat_config_ipv6 ipv6;
    int32_t step;           /* SEQUENTIAL; PRESERVING: 0 = random after a clash; BLOCK: 0, 1 */
    uint32_t block;         /* ports of a block */
    uint32_t pool;          /* public addresses, 1..16 */
    uint32_t flood_packets; /* a second */
    uint32_t sessions;      /* 0: as many as there is memory for */
    uint32_t foreign_per_s; /* SEQUENTIAL */
    uint16_t port_min, port_max;
    uint64_t life_us, answered_life_us; /* equal unless given */
    bool pool_arbitrary, refreshed_inbound, hairpin, poison, reject, udp_blocked;
};

/* What stands between a host and the Internet. layer[0] is nearest to the host. */
struct nat_stack {
    uint32_t layers; /* 1, 2 */
    struct nat_config layer[NAT_CONFIG_LAYERS];
};

/* False: not such a text; *error then says why in a few words (static text). */
bool nat_config_parse(const char *text, struct nat_stack *stack, const char **error);

/* Writes the text that parses to this layer, and returns it. */
const char *nat_config_text(const struct nat_config *config,
                            char text[static NAT_CONFIG_TEXT_BYTES]);

struct nat_config_kind {
    const char *name;
    const char *text;
    const char *about; /* one line */
};

/* The named kinds; the end has no name. */
const struct nat_config_kind *nat_config_kinds(void);

/* The two layers of "cgn(A;B)" or of a name that stands for one, as texts; the text itself in inner
 * and "" in outer for anything else. False: too long, or no closing parenthesis. */
bool nat_config_split(const char *text, char inner[static NAT_CONFIG_TEXT_BYTES],
                      char outer[static NAT_CONFIG_TEXT_BYTES]);

#endif
