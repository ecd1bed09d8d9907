/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/verdict.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/network.h"

enum behaviour { UNMEASURED, LENIENT, STEADY, COUNTING, IN_A_BLOCK, AT_RANDOM, BEHAVIOURS };

#define N VERDICT_NO
#define S VERDICT_SEARCH
#define D VERDICT_DIRECT
static const enum verdict_reach rules[BEHAVIOURS][VERDICT_PEERS] = {
    [UNMEASURED] = {VERDICT_UNKNOWN, VERDICT_UNKNOWN, VERDICT_UNKNOWN, VERDICT_UNKNOWN, N},
    [LENIENT] = {D, D, D, D, N},
    [STEADY] = {D, D, S, S, N},
    [COUNTING] = {D, D, N, N, N},
    [IN_A_BLOCK] = {S, N, N, N, N},
    [AT_RANDOM] = {S, N, N, N, N},
};
#undef N
#undef S
#undef D

static const char *const peer_names[VERDICT_PEERS] = {"steady", "sequential", "block", "random",
                                                      "udp_blocked"};

static bool is(const char *text, const char *value)
{
    return text && strcmp(text, value) == 0;
}

static enum behaviour behaviour_of(const eyelet_nat *nat)
{
    bool lenient =
        is(nat->filtering, "endpoint-independent") || is(nat->filtering, "address-dependent");
    if (network_is_mapped(nat)) {
        return LENIENT;
    }
    if (is(nat->mapping, "none") || is(nat->mapping, "endpoint-independent")) {
        return lenient ? LENIENT : STEADY;
    }
    if (!network_is_known(nat->mapping)) {
        return UNMEASURED;
    }
    if (is(nat->allocation, "sequential")) {
        return COUNTING;
    }
    return is(nat->allocation, "port block") ? IN_A_BLOCK : AT_RANDOM;
}

static bool has_public(const eyelet_nat *nat, int family)
{
    struct sockaddr_storage addr;
    return network_public(nat, family, &addr) > 0;
}

__attribute__((format(printf, 2, 3))) static void append(char *text, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, VERDICT_TEXT_BYTES - used, format, args);
    va_end(args);
}

static size_t count_of(const struct verdict *verdict, enum verdict_reach reach)
{
    size_t count = 0;
    for (size_t i = 0; i < VERDICT_UDP_BLOCKED; i++) {
        count += verdict->reach[i] == reach;
    }
    return count;
}

/* "counts ports up, takes ports from one block or takes ports at random" */
static void append_habits(char *text, const struct verdict *verdict, enum verdict_reach reach)
{
    static const char *const habits[VERDICT_UDP_BLOCKED] = {
        "keeps one port for all destinations", "counts ports up", "takes ports from one block",
        "takes ports at random"};
    size_t all = count_of(verdict, reach);
    size_t left = all;
    for (size_t i = 0; i < VERDICT_UDP_BLOCKED; i++) {
        if (verdict->reach[i] == reach) {
            append(text, "%s%s", left == all ? "" : left == 1 ? " or " : ", ", habits[i]);
            left--;
        }
    }
}

static json_t *reach_json(enum verdict_reach reach)
{
    static const char *const names[] = {
        [VERDICT_NO] = "no", [VERDICT_SEARCH] = "search", [VERDICT_DIRECT] = "direct"};
    return reach == VERDICT_UNKNOWN ? json_null() : json_string(names[reach]);
}

struct verdict verdict_of(const eyelet_nat *nat)
{
    struct verdict verdict;
    bool six = has_public(nat, AF_INET6);
    memcpy(verdict.reach, rules[behaviour_of(nat)], sizeof(verdict.reach));
    verdict.ipv6 = six ? VERDICT_DIRECT : VERDICT_NO;
    if (!network_has_udp(nat) || (six && !has_public(nat, AF_INET))) {
        for (size_t i = 0; i < VERDICT_PEERS; i++) {
            verdict.reach[i] = VERDICT_NO;
        }
    }
    if (!network_has_udp(nat)) {
        verdict.ipv6 = VERDICT_NO;
    }
    return verdict;
}

const char *verdict_text(const struct verdict *verdict, char text[static VERDICT_TEXT_BYTES])
{
    text[0] = '\0';
    if (count_of(verdict, VERDICT_UNKNOWN) > 0) {
        append(text, "cannot be told yet: how this NAT maps ports is not known");
    } else if (count_of(verdict, VERDICT_NO) == VERDICT_UDP_BLOCKED) {
        append(text, verdict->ipv6 == VERDICT_DIRECT ? "whoever has IPv6" : "nobody");
        return text;
    } else if (count_of(verdict, VERDICT_NO) == 0) {
        append(text, "everybody except peers whose UDP is blocked");
    } else if (count_of(verdict, VERDICT_NO) == VERDICT_UDP_BLOCKED - 1) {
        append(text, "only peers whose NAT ");
        append_habits(text, verdict, verdict->reach[VERDICT_STEADY]);
        append(text, verdict->reach[VERDICT_STEADY] == VERDICT_SEARCH
                         ? ", after a search of some seconds"
                         : "");
    } else {
        append(text, "everybody except peers whose NAT ");
        append_habits(text, verdict, VERDICT_NO);
        append(text, ", or whose UDP is blocked");
    }
    if (count_of(verdict, VERDICT_SEARCH) > 0 && count_of(verdict, VERDICT_NO) == 0) {
        append(text, "; after a search of some seconds where the NAT ");
        append_habits(text, verdict, VERDICT_SEARCH);
    }
    if (verdict->ipv6 == VERDICT_DIRECT &&
        count_of(verdict, VERDICT_DIRECT) < VERDICT_UDP_BLOCKED) {
        append(text, "; at once whoever has IPv6");
    }
    return text;
}

size_t verdict_advice(const eyelet_nat *nat, const char *advice[static VERDICT_MAX_ADVICE])
{
    struct verdict verdict = verdict_of(nat);
    bool all = count_of(&verdict, VERDICT_DIRECT) == VERDICT_UDP_BLOCKED;
    size_t count = 0;
    if (!network_has_udp(nat)) {
        advice[count++] = "let UDP out through the firewall of this network: without it everything "
                          "is relayed, over TCP";
    } else if (!all && is(nat->mapping, "none")) {
        advice[count++] = "let UDP in through the firewall of this network: then everybody whose "
                          "UDP gets out is reached at once";
    } else if (!all && !network_is_mapped(nat)) {
        if (nat->behind_provider) {
            advice[count++] = "ask the provider for a public IPv4 address, or for IPv6: its NAT "
                              "stands above the home router, so that port mapping there does not "
                              "help";
        } else if (is(nat->port_mapping, "off")) {
            advice[count++] = "allow port mapping: it is turned off on this machine";
        } else if (!is(nat->port_mapping, "asking")) {
            advice[count++] = "turn on port mapping in the router (UPnP IGD, NAT-PMP or PCP): then "
                              "everybody whose UDP gets out is reached at once";
        }
        if (!has_public(nat, AF_INET6) && !nat->behind_provider) {
            advice[count++] = "turn on IPv6 in the router, if the provider has it: peers that have "
                              "it, too, are then reached at once";
        }
    }
    if (count_of(&verdict, VERDICT_UNKNOWN) > 0 && nat->servers > 0) {
        advice[count++] =
            "use a mediator with two addresses: with one, the NAT's mapping cannot be "
            "told";
    }
    if (!nat->relay) {
        advice[count++] =
            "use a mediator that relays: with this one, who is not reached directly is "
            "not reached at all";
    }
    return count;
}

json_t *verdict_json(const eyelet_nat *nat)
{
    struct verdict verdict = verdict_of(nat);
    const char *advice[VERDICT_MAX_ADVICE];
    char text[VERDICT_TEXT_BYTES];
    size_t count = verdict_advice(nat, advice);
    json_t *reaches = json_object();
    json_t *list = json_array();
    for (size_t i = 0; i < VERDICT_PEERS; i++) {
        json_object_set_new(reaches, peer_names[i], reach_json(verdict.reach[i]));
    }
    json_object_set_new(reaches, "ipv6", reach_json(verdict.ipv6));
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_string(advice[i]));
    }
    return json_pack("{s:o,s:s,s:o}", "reaches", reaches, "text", verdict_text(&verdict, text),
                     "advice", list);
}
