/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/hop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { IPV4_HEADER = 20, IPV6_HEADER = 40, ICMP_HEADER = 8, REPLY_TTL = 64 };

static uint32_t sum_words(uint32_t sum, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i + 1 < size; i += 2)
        sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    if (size % 2)
        sum += (uint32_t)(bytes[size - 1] << 8);
    return sum;
}

static void put_checksum(uint8_t *at, uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    sum = ~sum;
    at[0] = (uint8_t)(sum >> 8);
    at[1] = (uint8_t)sum;
}

static void put_u16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static size_t ipv4_header_bytes(const uint8_t *packet)
{
    return (size_t)(packet[0] & 15) * 4;
}

/* Errors about errors would never end (RFC 1122, 3.2.2). */
static bool ipv4_deserves_answer(const uint8_t *packet, size_t size)
{
    if ((packet[6] & 0x1f) || packet[7])
        return false;
    if (packet[9] != IPPROTO_ICMP)
        return true;
    size_t header = ipv4_header_bytes(packet);
    return size > header && (packet[header] == 8 || packet[header] == 0);
}

static size_t answer_v4(uint8_t *out, const uint8_t *packet, size_t size,
                        const struct hop_addr *router, uint8_t type, uint8_t code)
{
    if (!ipv4_deserves_answer(packet, size))
        return 0;
    size_t quoted = size;
    if (quoted > HOP_REPLY_BYTES - IPV4_HEADER - ICMP_HEADER)
        quoted = HOP_REPLY_BYTES - IPV4_HEADER - ICMP_HEADER;
    size_t total = IPV4_HEADER + ICMP_HEADER + quoted;
    memset(out, 0, IPV4_HEADER + ICMP_HEADER);
    out[0] = 0x45;
    out[1] = 0xc0; /* internetwork control, as routers send it */
    put_u16(out + 2, total);
    out[8] = REPLY_TTL;
    out[9] = IPPROTO_ICMP;
    memcpy(out + 12, router->ip, 4);
    memcpy(out + 16, packet + 12, 4);
    put_checksum(out + 10, sum_words(0, out, IPV4_HEADER));
    uint8_t *icmp = out + IPV4_HEADER;
    icmp[0] = type;
    icmp[1] = code;
    memcpy(icmp + ICMP_HEADER, packet, quoted);
    put_checksum(icmp + 2, sum_words(0, icmp, ICMP_HEADER + quoted));
    return total;
}

static size_t answer_v6(uint8_t *out, const uint8_t *packet, size_t size,
                        const struct hop_addr *router, uint8_t type, uint8_t code)
{
    if (packet[6] == IPPROTO_ICMPV6 && (size <= IPV6_HEADER || packet[IPV6_HEADER] < 128))
        return 0;
    size_t quoted = size;
    if (quoted > HOP_REPLY_BYTES - IPV6_HEADER - ICMP_HEADER)
        quoted = HOP_REPLY_BYTES - IPV6_HEADER - ICMP_HEADER;
    size_t body = ICMP_HEADER + quoted;
    memset(out, 0, IPV6_HEADER + ICMP_HEADER);
    out[0] = 0x60;
    put_u16(out + 4, body);
    out[6] = IPPROTO_ICMPV6;
    out[7] = REPLY_TTL;
    memcpy(out + 8, router->ip, 16);
    memcpy(out + 24, packet + 8, 16);
    uint8_t *icmp = out + IPV6_HEADER;
    icmp[0] = type;
    icmp[1] = code;
    memcpy(icmp + ICMP_HEADER, packet, quoted);
    uint32_t sum = sum_words((uint32_t)(IPPROTO_ICMPV6 + body), out + 8, 32);
    put_checksum(icmp + 2, sum_words(sum, icmp, body));
    return IPV6_HEADER + body;
}

bool hop_prefix_parse(const char *text, struct hop_prefix *prefix)
{
    char buffer[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "/");
    if (length >= sizeof(buffer))
        return false;
    memcpy(buffer, text, length);
    buffer[length] = 0;
    memset(prefix, 0, sizeof(*prefix));
    if (inet_pton(AF_INET, buffer, prefix->addr.ip) == 1)
        prefix->addr.bytes = 4;
    else if (inet_pton(AF_INET6, buffer, prefix->addr.ip) == 1)
        prefix->addr.bytes = 16;
    else
        return false;
    unsigned long bits = prefix->addr.bytes * 8u;
    if (text[length] == '/') {
        char *end;
        unsigned long given = strtoul(text + length + 1, &end, 10);
        if (end == text + length + 1 || *end || given > bits)
            return false;
        bits = given;
    }
    prefix->bits = (uint8_t)bits;
    return true;
}

bool hop_prefix_has(const struct hop_prefix *prefix, const struct hop_addr *addr)
{
    if (prefix->addr.bytes != addr->bytes)
        return false;
    size_t whole = prefix->bits / 8u;
    if (memcmp(prefix->addr.ip, addr->ip, whole) != 0)
        return false;
    unsigned rest = prefix->bits % 8u;
    return rest == 0 || (prefix->addr.ip[whole] ^ addr->ip[whole]) >> (8 - rest) == 0;
}

bool hop_destination(const uint8_t *packet, size_t size, struct hop_addr *to)
{
    memset(to, 0, sizeof(*to));
    if (size >= IPV4_HEADER && packet[0] >> 4 == 4) {
        size_t header = ipv4_header_bytes(packet);
        size_t total = (size_t)(packet[2] << 8 | packet[3]);
        if (header < IPV4_HEADER || header > size || total != size)
            return false;
        to->bytes = 4;
        memcpy(to->ip, packet + 16, 4);
        return true;
    }
    if (size >= IPV6_HEADER && packet[0] >> 4 == 6) {
        to->bytes = 16;
        memcpy(to->ip, packet + 24, 16);
        return true;
    }
    return false;
}

bool hop_age(uint8_t *packet)
{
    if (packet[0] >> 4 == 6) {
        if (packet[7] <= 1)
            return false;
        packet[7]--;
        return true;
    }
    if (packet[8] <= 1)
        return false;
    packet[8]--;
    /* One less in the high byte of a word is 0x100 more in the checksum (RFC 1141). */
    uint32_t sum = (uint32_t)(packet[10] << 8 | packet[11]) + 0x100;
    sum = (sum & 0xffff) + (sum >> 16);
    put_u16(packet + 10, sum);
    return true;
}

size_t hop_time_exceeded(uint8_t out[static HOP_REPLY_BYTES], const uint8_t *packet, size_t size,
                         const struct hop_addr *router)
{
    bool v6 = packet[0] >> 4 == 6;
    if (router->bytes != (v6 ? 16 : 4))
        return 0;
    return v6 ? answer_v6(out, packet, size, router, 3, 0)
              : answer_v4(out, packet, size, router, 11, 0);
}

size_t hop_port_unreachable(uint8_t out[static HOP_REPLY_BYTES], const uint8_t *packet, size_t size,
                            const struct hop_addr *router)
{
    bool v6 = packet[0] >> 4 == 6;
    if (router->bytes != (v6 ? 16 : 4))
        return 0;
    return v6 ? answer_v6(out, packet, size, router, 1, 4)
              : answer_v4(out, packet, size, router, 3, 3);
}
