/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/nat_config.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_LIFE_US 120000000u
#define LONGEST_LIFE_S  1000000u
#define NAMES_DEEP      3 /* of a name that stands for a name */

static const struct nat_config_kind kinds[] = {
    {"open", "open", "no NAT: a public address, everything passes"},
    {"fw", "fw/apdf,life=30s/120s:in", "a public address behind a stateful firewall"},
    {"fw6", "apdm/apdf/random,v6=fw", "random NAT for IPv4; IPv6 behind a stateful firewall"},
    {"full-cone", "eim/eif/preserving", "anybody may send to a port that is open"},
    {"eim-adf", "eim/adf/preserving", "anybody at an address that was sent to"},
    {"cone", "eim/apdf/preserving", "the usual home router"},
    {"cone-clash", "eim/apdf/random", "the same where the port cannot be kept"},
    {"cone-hairpin", "eim/apdf/preserving,hairpin", "the same with hairpinning"},
    {"cone-short", "eim/apdf/preserving,life=30s",
     "only what is sent keeps its mappings, for 30 s"},
    {"cone-flood", "eim/apdf/preserving,flood=drop:10",
     "more than 10 unasked packets close a port"},
    {"eim-seq", "eim/apdf/seq+1", "one port for a socket, given in order"},
    {"linux-drop", "flow/apdf/preserving,life=30s/120s:in", "masquerade, INPUT DROP"},
    {"linux-accept", "flow/apdf/preserving,life=30s/120s:in,poison", "masquerade, INPUT ACCEPT"},
    {"linux-reject", "flow/apdf/preserving,life=30s/120s:in,reject", "masquerade, INPUT REJECT"},
    {"linux-random", "flow/apdf/random,life=30s/120s:in", "masquerade --random-fully"},
    {"adm", "adm/apdf/random", "a port for each remote address"},
    {"sym-seq1", "apdm/apdf/seq+1", "a port for each remote, the next one"},
    {"sym-seq2", "apdm/apdf/seq+2", "a port for each remote, the next but one"},
    {"sym-seq1-foreign", "apdm/apdf/seq+1,foreign=20/s", "the same, and others take some too"},
    {"block1024", "apdm/apdf/block1024", "a port for each remote out of 1024 of the host's own"},
    {"block2048-seq", "apdm/apdf/block2048-seq", "the next one of 2048 of the host's own"},
    {"random", "apdm/apdf/random", "a port for each remote, any"},
    {"cgn-cone", "cgn(cone;cone-clash)", "a home router behind a provider's cone"},
    {"cgn-block", "cgn(cone;block1024)", "a home router behind a provider's port blocks"},
    {"pool", "eim/apdf/random,pool=4:paired", "four public addresses, one for each host"},
    {"pool-arbitrary", "eim/apdf/random,pool=4:arbitrary", "four public addresses, any for each"},
    {"blocked", "blocked", "UDP does not pass"},
    {NULL, NULL, NULL},
};

struct word {
    unsigned value;
    const char *name;
};

static const struct word mappings[] = {{NAT_CONFIG_EIM, "eim"},
                                       {NAT_CONFIG_ADM, "adm"},
                                       {NAT_CONFIG_APDM, "apdm"},
                                       {NAT_CONFIG_FLOW, "flow"},
                                       {0, NULL}};
static const struct word filterings[] = {
    {NAT_CONFIG_EIF, "eif"}, {NAT_CONFIG_ADF, "adf"}, {NAT_CONFIG_APDF, "apdf"}, {0, NULL}};
static const struct word ipv6s[] = {{NAT_CONFIG_V6_NONE, "none"},
                                    {NAT_CONFIG_V6_OPEN, "open"},
                                    {NAT_CONFIG_V6_FIREWALL, "fw"},
                                    {0, NULL}};
static const struct word allocations[] = {{NAT_CONFIG_PRESERVING, "preserving"},
                                          {NAT_CONFIG_OVERLOAD, "overload"},
                                          {NAT_CONFIG_RANDOM, "random"},
                                          {0, NULL}};

static bool is(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static bool begins(const char **text, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*text, word, length) != 0)
        return false;
    *text += length;
    return true;
}

static bool one_of(const struct word *words, const char *text, size_t length, unsigned *value)
{
    for (; words->name; words++)
        if (is(text, length, words->name)) {
            *value = words->value;
            return true;
        }
    return false;
}

static const struct nat_config_kind *kind_named(const char *text, size_t length)
{
    for (const struct nat_config_kind *kind = kinds; kind->name; kind++)
        if (is(text, length, kind->name))
            return kind;
    return NULL;
}

/* Decimal digits, at most limit; moves *text behind them. */
static bool number(const char **text, uint64_t limit, uint64_t *value)
{
    const char *at = *text;
    uint64_t sum = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        sum = sum * 10 + (uint64_t)(*at - '0');
        if (sum > limit)
            return false;
    }
    if (at == *text)
        return false;
    *text = at;
    *value = sum;
    return true;
}

static bool duration(const char **text, uint64_t *us)
{
    if (!number(text, LONGEST_LIFE_S * 1000u, us) || *us == 0)
        return false;
    if (begins(text, "ms"))
        *us *= 1000;
    else if (begins(text, "s") && *us <= LONGEST_LIFE_S)
        *us *= 1000000;
    else
        return false;
    return true;
}

static bool parse_allocation(const char *text, size_t length, struct nat_config *c)
{
    unsigned value;
    uint64_t n;
    if (one_of(allocations, text, length, &value)) {
        c->allocation = (enum nat_config_allocation)value;
        return true;
    }
    const char *at = text, *end = text + length;
    if (begins(&at, "seq") && (*at == '+' || *at == '-')) {
        bool down = *at++ == '-';
        c->allocation = NAT_CONFIG_SEQUENTIAL;
        if (!number(&at, 1000, &n) || n == 0)
            return false;
        c->step = down ? -(int32_t)n : (int32_t)n;
        return at == end;
    }
    at = text;
    if (begins(&at, "preserving+")) {
        c->allocation = NAT_CONFIG_PRESERVING;
        if (!number(&at, 1000, &n) || n == 0)
            return false;
        c->step = (int32_t)n;
        return at == end;
    }
    at = text;
    if (begins(&at, "block")) {
        c->allocation = NAT_CONFIG_BLOCK;
        if (!number(&at, 32768, &n) || n < 2)
            return false;
        c->block = (uint32_t)n;
        c->step = begins(&at, "-seq");
        return at == end;
    }
    return false;
}

static const char *parse_base(const char *text, size_t length, struct nat_config *c)
{
    unsigned value;
    const char *at = text;
    if (is(text, length, "open")) {
        c->mapping = NAT_CONFIG_NONE;
        c->filtering = NAT_CONFIG_EIF;
        return NULL;
    }
    if (is(text, length, "blocked")) {
        c->mapping = NAT_CONFIG_FLOW;
        c->filtering = NAT_CONFIG_APDF;
        c->allocation = NAT_CONFIG_PRESERVING;
        c->udp_blocked = true;
        return NULL;
    }
    if (begins(&at, "fw") && at == text + length) {
        c->mapping = NAT_CONFIG_NONE;
        c->filtering = NAT_CONFIG_APDF;
        return NULL;
    }
    size_t first = strcspn(text, "/,");
    if (text[first] != '/')
        return "no such kind";
    if (is(text, first, "fw"))
        c->mapping = NAT_CONFIG_NONE;
    else if (one_of(mappings, text, first, &value))
        c->mapping = (enum nat_config_mapping)value;
    else
        return "no such mapping (eim, adm, apdm, flow)";
    const char *second = text + first + 1;
    size_t second_length = strcspn(second, "/,");
    if (!one_of(filterings, second, second_length, &value))
        return "no such filtering (eif, adf, apdf)";
    c->filtering = (enum nat_config_filtering)value;
    const char *third = second + second_length;
    if (c->mapping == NAT_CONFIG_NONE)
        return third == text + length ? NULL : "a firewall gives out no ports";
    if (*third != '/' || !parse_allocation(third + 1, (size_t)(text + length - third) - 1, c))
        return "no such allocation (preserving, overload, seq+N, blockN, random)";
    return NULL;
}

static bool parse_life(const char *at, const char *end, struct nat_config *c)
{
    if (!duration(&at, &c->life_us))
        return false;
    c->answered_life_us = c->life_us;
    if (*at == '/' && (at++, !duration(&at, &c->answered_life_us)))
        return false;
    c->refreshed_inbound = begins(&at, ":in");
    return at == end;
}

static bool parse_flood(const char *at, const char *end, struct nat_config *c)
{
    uint64_t n;
    if (begins(&at, "drop:"))
        c->flood = NAT_CONFIG_FLOOD_DROP;
    else if (begins(&at, "blacklist:"))
        c->flood = NAT_CONFIG_FLOOD_BLACKLIST;
    else
        return false;
    if (!number(&at, 1000000, &n))
        return false;
    c->flood_packets = (uint32_t)n;
    return at == end;
}

static bool parse_pool(const char *at, const char *end, struct nat_config *c)
{
    uint64_t n;
    if (!number(&at, 16, &n) || n == 0)
        return false;
    c->pool = (uint32_t)n;
    c->pool_arbitrary = begins(&at, ":arbitrary");
    if (!c->pool_arbitrary)
        begins(&at, ":paired");
    c->pool_arbitrary &= n > 1;
    return at == end;
}

static bool parse_ports(const char *at, const char *end, struct nat_config *c)
{
    uint64_t low, high;
    if (!number(&at, 65535, &low) || *at++ != '-' || !number(&at, 65535, &high) || low == 0 ||
        low > high)
        return false;
    c->port_min = (uint16_t)low;
    c->port_max = (uint16_t)high;
    return at == end;
}

static bool parse_number(const char *at, const char *end, const char *unit, uint32_t *value)
{
    uint64_t n;
    if (!number(&at, 10000000, &n) || n == 0)
        return false;
    *value = (uint32_t)n;
    return begins(&at, unit) && at == end;
}

static const char *parse_option(const char *at, size_t length, struct nat_config *c)
{
    const char *end = at + length;
    unsigned value;
    if (is(at, length, "hairpin")) {
        c->hairpin = true;
        return NULL;
    }
    if (is(at, length, "poison")) {
        c->poison = true;
        return NULL;
    }
    if (is(at, length, "reject")) {
        c->reject = true;
        return NULL;
    }
    if (begins(&at, "pool="))
        return parse_pool(at, end, c) ? NULL : "pool=N[:paired|:arbitrary], at most 16";
    if (begins(&at, "life="))
        return parse_life(at, end, c) ? NULL : "life=T[/T][:in], T such as 30s";
    if (begins(&at, "foreign="))
        return parse_number(at, end, "/s", &c->foreign_per_s) ? NULL : "foreign=N/s";
    if (begins(&at, "flood="))
        return parse_flood(at, end, c) ? NULL : "flood=drop:N or flood=blacklist:N";
    if (begins(&at, "sessions="))
        return parse_number(at, end, "", &c->sessions) ? NULL : "sessions=N";
    if (begins(&at, "ports="))
        return parse_ports(at, end, c) ? NULL : "ports=LOW-HIGH";
    if (begins(&at, "v6=")) {
        if (!one_of(ipv6s, at, (size_t)(end - at), &value))
            return "v6=none, v6=open or v6=fw";
        c->ipv6 = (enum nat_config_ipv6)value;
        return NULL;
    }
    return "no such option";
}

static const char *parse_options(const char *at, struct nat_config *c)
{
    while (*at == ',') {
        size_t length = strcspn(++at, ",");
        const char *error = parse_option(at, length, c);
        if (error)
            return error;
        at += length;
    }
    return *at ? "something follows" : NULL;
}

static const char *check(const struct nat_config *c)
{
    if (c->mapping != NAT_CONFIG_NONE && c->allocation == NAT_CONFIG_BLOCK &&
        c->block > (uint32_t)(c->port_max - c->port_min) + 1)
        return "a block is larger than the range of ports";
    if (c->foreign_per_s > 100000)
        return "foreign: at most 100000/s";
    return NULL;
}

/* Behind depth names that stand for others. */
static const char *parse_layer(const char *text, struct nat_config *c, unsigned depth)
{
    size_t length = strcspn(text, ",");
    const struct nat_config_kind *kind = kind_named(text, length);
    const char *error;
    if (kind && !is(kind->text, strlen(kind->text), kind->name)) {
        if (depth == NAMES_DEEP)
            return "a name stands for itself";
        error = parse_layer(kind->text, c, depth + 1);
    } else {
        memset(c, 0, sizeof(*c));
        c->pool = 1;
        c->port_min = 1024;
        c->port_max = 65535;
        c->life_us = c->answered_life_us = DEFAULT_LIFE_US;
        error = parse_base(text, length, c);
    }
    if (!error)
        error = parse_options(text + length, c);
    return error ? error : check(c);
}

bool nat_config_split(const char *text, char inner[static NAT_CONFIG_TEXT_BYTES],
                      char outer[static NAT_CONFIG_TEXT_BYTES])
{
    const struct nat_config_kind *kind = kind_named(text, strlen(text));
    if (kind)
        text = kind->text;
    outer[0] = 0;
    const char *body = text;
    if (!begins(&body, "cgn("))
        return (size_t)snprintf(inner, NAT_CONFIG_TEXT_BYTES, "%s", text) < NAT_CONFIG_TEXT_BYTES;
    size_t length = strlen(body);
    if (length < 2 || length >= NAT_CONFIG_TEXT_BYTES || body[length - 1] != ')')
        return false;
    const char *semicolon = memchr(body, ';', length);
    size_t inner_length = semicolon ? (size_t)(semicolon - body) : 0;
    const char *second = semicolon ? semicolon + 1 : body;
    snprintf(inner, NAT_CONFIG_TEXT_BYTES, "%.*s", (int)inner_length, body);
    if (!semicolon)
        snprintf(inner, NAT_CONFIG_TEXT_BYTES, "cone");
    snprintf(outer, NAT_CONFIG_TEXT_BYTES, "%.*s", (int)(body + length - 1 - second), second);
    return outer[0] && inner[0];
}

bool nat_config_parse(const char *text, struct nat_stack *stack, const char **error)
{
    char inner[NAT_CONFIG_TEXT_BYTES], outer[NAT_CONFIG_TEXT_BYTES];
    memset(stack, 0, sizeof(*stack));
    if (!nat_config_split(text, inner, outer)) {
        *error = "cgn(INNER;OUTER)";
        return false;
    }
    stack->layers = outer[0] ? 2 : 1;
    *error = parse_layer(inner, &stack->layer[0], 0);
    if (!*error && outer[0])
        *error = parse_layer(outer, &stack->layer[1], 0);
    return !*error;
}

const struct nat_config_kind *nat_config_kinds(void)
{
    return kinds;
}
