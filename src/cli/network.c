/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/network.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "cli/path.h"

static const char *const labels[NETWORK_FIELDS] = {
    [NETWORK_UDP] = "UDP",
    [NETWORK_PUBLIC_IPV4] = "Public IPv4",
    [NETWORK_PUBLIC_IPV6] = "Public IPv6",
    [NETWORK_MAPPING] = "NAT mapping",
    [NETWORK_FILTERING] = "NAT filtering",
    [NETWORK_ALLOCATION] = "Port allocation",
    [NETWORK_STEP] = "Port steps",
    [NETWORK_BLOCK] = "Port block",
    [NETWORK_POOLING] = "Address pool",
    [NETWORK_EARLY] = "Early packets",
    [NETWORK_HAIRPIN] = "Hairpin",
    [NETWORK_LIFETIME] = "Mapping lifetime",
    [NETWORK_OPENER_TTL] = "Opener TTL",
    [NETWORK_PORT_MAPPING] = "Port mapping",
    [NETWORK_PROVIDER] = "Provider's NAT",
};

static const struct {
    enum network_field field;
    const char *value;
    const char *meaning;
} meanings[] = {
    {NETWORK_MAPPING, "none", "addresses are not changed"},
    {NETWORK_MAPPING, "endpoint-independent", "one public port for all destinations"},
    {NETWORK_MAPPING, "address-dependent", "another port for each address"},
    {NETWORK_MAPPING, "address-and-port-dependent", "another port for each destination"},
    {NETWORK_FILTERING, "endpoint-independent", "everybody may answer"},
    {NETWORK_FILTERING, "address-dependent", "an address may answer from any port"},
    {NETWORK_FILTERING, "address-and-port-dependent", "only who was asked may answer"},
    {NETWORK_ALLOCATION, "preserving", "the public port is the own port"},
    {NETWORK_ALLOCATION, "sequential", "ports are counted up"},
    {NETWORK_ALLOCATION, "other", "ports follow no pattern"},
    {NETWORK_EARLY, "harmless", "a peer may speak first"},
    {NETWORK_EARLY, "poisonous", "a peer that speaks first shuts itself out"},
    {NETWORK_PORT_MAPPING, "none", "turn on UPnP, NAT-PMP or PCP in the router"},
    {NETWORK_PORT_MAPPING, "off",
     "leave out --no-port-mapping, EYELET_PORT_MAPPING=no and "
     "\"port-mapping = no\""},
};

static const char *or_unknown(const char *text)
{
    return network_is_known(text) ? text : "unknown";
}

static bool is(const char *text, const char *value)
{
    return text && strcmp(text, value) == 0;
}

static const char *plain_text(const eyelet_nat *nat, enum network_field field)
{
    switch (field) {
    case NETWORK_MAPPING:
        return nat->mapping;
    case NETWORK_FILTERING:
        return nat->filtering;
    case NETWORK_ALLOCATION:
        return nat->allocation;
    case NETWORK_POOLING:
        return nat->pooling;
    case NETWORK_EARLY:
        return nat->early;
    case NETWORK_HAIRPIN:
        return nat->hairpin;
    case NETWORK_PORT_MAPPING:
        return nat->port_mapping;
    default:
        return NULL;
    }
}

static bool is_own_business(enum network_field field)
{
    return field == NETWORK_UDP || field == NETWORK_PORT_MAPPING || field == NETWORK_PROVIDER ||
           field == NETWORK_OPENER_TTL || field == NETWORK_PUBLIC_IPV6;
}

static bool is_sequential(const eyelet_nat *nat)
{
    return is(nat->allocation, "sequential") && nat->step != 0;
}

static void address_text(const eyelet_nat *nat, int family, const char *none, char *text)
{
    struct sockaddr_storage addr;
    char address[PATH_ADDRESS_BYTES];
    socklen_t bytes = network_public(nat, family, &addr);
    snprintf(text, NETWORK_TEXT_BYTES, "%s",
             bytes > 0 ? path_address(&addr, bytes, address) : none);
}

static void udp_text(const eyelet_nat *nat, char *text)
{
    if (!network_has_udp(nat)) {
        snprintf(text, NETWORK_TEXT_BYTES, "no: nothing answers over UDP");
    } else if (nat->servers > 0) {
        snprintf(text, NETWORK_TEXT_BYTES, "yes (%u bounce endpoint%s answered)", nat->servers,
                 nat->servers == 1 ? "" : "s");
    } else {
        snprintf(text, NETWORK_TEXT_BYTES, "yes");
    }
}

static void step_text(const eyelet_nat *nat, char *text)
{
    if (is_sequential(nat)) {
        snprintf(text, NETWORK_TEXT_BYTES, "%d; others take %.1f ports a second", (int)nat->step,
                 nat->foreign_per_1000_s / 1000.0);
    }
}

static void block_text(const eyelet_nat *nat, char *text)
{
    if (nat->block_ports > 0) {
        snprintf(text, NETWORK_TEXT_BYTES, "%u ports from %u on", (unsigned)nat->block_ports,
                 (unsigned)nat->block_first);
    }
}

static void mapping_text(const eyelet_nat *nat, char *text)
{
    char address[PATH_ADDRESS_BYTES];
    if (network_is_mapped(nat)) {
        snprintf(text, NETWORK_TEXT_BYTES, "%s, %s", nat->port_mapping,
                 path_address(&nat->mapped_address, nat->mapped_address_bytes, address));
    } else if (is(nat->mapping, "none")) {
        snprintf(text, NETWORK_TEXT_BYTES, "not needed");
    } else if (is(nat->port_mapping, "none")) {
        snprintf(text, NETWORK_TEXT_BYTES, "no router answers");
    } else if (is(nat->port_mapping, "asking")) {
        snprintf(text, NETWORK_TEXT_BYTES, "still asking the router");
    } else {
        snprintf(text, NETWORK_TEXT_BYTES, "%s", or_unknown(nat->port_mapping));
    }
}

static json_t *text_json(const char *text)
{
    return network_is_known(text) ? json_string(text) : json_null();
}

static json_t *number_json(bool known, json_int_t number)
{
    return known ? json_integer(number) : json_null();
}

static json_t *boolean_json(bool known, bool value)
{
    return known ? json_boolean(value) : json_null();
}

static json_t *public_json(const eyelet_nat *nat, int family)
{
    struct sockaddr_storage addr;
    socklen_t bytes = network_public(nat, family, &addr);
    return path_address_json(&addr, bytes);
}

bool network_is_known(const char *text)
{
    return text && *text && strcmp(text, "unknown") != 0;
}

bool network_has_udp(const eyelet_nat *nat)
{
    return nat->udp || nat->servers > 0;
}

bool network_is_mapped(const eyelet_nat *nat)
{
    return nat->mapped_address_bytes > 0 && network_is_known(nat->port_mapping) &&
           !is(nat->port_mapping, "off") && !is(nat->port_mapping, "asking") &&
           !is(nat->port_mapping, "none");
}

socklen_t network_public(const eyelet_nat *nat, int family, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (nat->public_address_bytes > 0 && nat->public_address.ss_family == family) {
        *out = nat->public_address;
        return nat->public_address_bytes;
    }
    if (family == AF_INET6 && nat->public_ipv6_bytes > 0) {
        *out = nat->public_ipv6;
        return nat->public_ipv6_bytes;
    }
    return 0;
}

const char *network_label(enum network_field field)
{
    return labels[field];
}

const char *network_text(const eyelet_nat *nat, enum network_side side, enum network_field field,
                         char text[static NETWORK_TEXT_BYTES])
{
    text[0] = '\0';
    if (side == NETWORK_THEIRS && is_own_business(field)) {
        return text;
    }
    switch (field) {
    case NETWORK_UDP:
        udp_text(nat, text);
        break;
    case NETWORK_PUBLIC_IPV4:
        address_text(nat, AF_INET, side == NETWORK_MINE ? "none seen" : "unknown", text);
        break;
    case NETWORK_PUBLIC_IPV6:
        address_text(nat, AF_INET6, "none seen", text);
        break;
    case NETWORK_STEP:
        step_text(nat, text);
        break;
    case NETWORK_BLOCK:
        block_text(nat, text);
        break;
    case NETWORK_LIFETIME:
        if (nat->lifetime_s > 0) {
            snprintf(text, NETWORK_TEXT_BYTES, "at least %u s", (unsigned)nat->lifetime_s);
        } else {
            snprintf(text, NETWORK_TEXT_BYTES, "unknown%s",
                     side == NETWORK_MINE ? " (takes minutes to measure)" : "");
        }
        break;
    case NETWORK_OPENER_TTL:
        if (nat->opener_ttl > 0) {
            snprintf(text, NETWORK_TEXT_BYTES, "%u", (unsigned)nat->opener_ttl);
        } else {
            snprintf(text, NETWORK_TEXT_BYTES, "unknown");
        }
        break;
    case NETWORK_PORT_MAPPING:
        mapping_text(nat, text);
        break;
    case NETWORK_PROVIDER:
        snprintf(text, NETWORK_TEXT_BYTES, "%s",
                 nat->behind_provider   ? "likely: there is one above the home router"
                 : network_has_udp(nat) ? "no sign of one"
                                        : "unknown");
        break;
    default:
        snprintf(text, NETWORK_TEXT_BYTES, "%s", or_unknown(plain_text(nat, field)));
        break;
    }
    return text;
}

const char *network_meaning(const eyelet_nat *nat, enum network_field field)
{
    if (field == NETWORK_PORT_MAPPING &&
        (is(nat->mapping, "none") || network_is_mapped(nat) ||
         (nat->behind_provider && is(nat->port_mapping, "none")))) {
        return "";
    }
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (meanings[i].field == field && is(plain_text(nat, field), meanings[i].value)) {
            return meanings[i].meaning;
        }
    }
    return "";
}

json_t *network_json(const eyelet_nat *nat, enum network_side side)
{
    bool mine = side == NETWORK_MINE;
    bool measured = mine && network_has_udp(nat);
    bool hairpin = network_is_known(nat->hairpin);
    bool mapped = mine && network_is_mapped(nat);
    return json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}",
        "udp", boolean_json(mine, network_has_udp(nat)), "public_ipv4", public_json(nat, AF_INET),
        "public_ipv6", public_json(nat, AF_INET6), "mapping", text_json(nat->mapping), "filtering",
        text_json(nat->filtering), "allocation", text_json(nat->allocation), "step",
        number_json(is_sequential(nat), nat->step), "foreign_per_1000_s",
        number_json(is_sequential(nat), nat->foreign_per_1000_s), "block_ports",
        number_json(nat->block_ports > 0, nat->block_ports), "block_first",
        number_json(nat->block_ports > 0, nat->block_first), "pooling", text_json(nat->pooling),
        "early", text_json(nat->early), "hairpin", boolean_json(hairpin, is(nat->hairpin, "yes")),
        "lifetime_s", number_json(nat->lifetime_s > 0, nat->lifetime_s), "opener_ttl",
        number_json(nat->opener_ttl > 0, nat->opener_ttl), "servers",
        number_json(mine || nat->servers > 0, nat->servers), "port_mapping",
        mine ? text_json(nat->port_mapping) : json_null(), "mapped_address",
        path_address_json(&nat->mapped_address, mapped ? nat->mapped_address_bytes : 0),
        "behind_provider", boolean_json(measured, nat->behind_provider), "settled",
        boolean_json(mine, nat->settled), "complete", boolean_json(mine, nat->complete));
}
