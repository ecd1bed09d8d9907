/* SPDX-License-Identifier: BSD-2-Clause */
#include "stun/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* Not strtoul: it would take signs, spaces and an empty text. */
static bool parse_port(const char *text, uint16_t *out)
{
    uint32_t port = 0;
    size_t digits = 0;

    for (; text[digits] >= '0' && text[digits] <= '9'; digits++) {
        if (digits == 5)
            return false;
        port = port * 10 + (uint32_t)(text[digits] - '0');
    }
    if (digits == 0 || text[digits] != '\0' || port > UINT16_MAX)
        return false;
    *out = (uint16_t)port;
    return true;
}

/* The part of the text that inet_pton can read, as a string of its own. */
static bool copy_host(char host[static INET6_ADDRSTRLEN], const char *start, const char *end)
{
    size_t size = (size_t)(end - start);

    if (size >= INET6_ADDRSTRLEN)
        return false;
    memcpy(host, start, size);
    host[size] = '\0';
    return true;
}

struct stun_addr stun_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct stun_addr){.family = STUN_IPV4, .ip = {a, b, c, d}, .port = port};
}

struct stun_addr stun_addr_from_ip(const uint8_t *ip, size_t ip_bytes, uint16_t port)
{
    struct stun_addr addr = {0};

    if (ip_bytes == 16 && memcmp(ip, v4_mapped_prefix, sizeof(v4_mapped_prefix)) == 0) {
        ip += sizeof(v4_mapped_prefix);
        ip_bytes = 4;
    }
    if (ip_bytes != 4 && ip_bytes != 16)
        return addr;
    addr.family = ip_bytes == 4 ? STUN_IPV4 : STUN_IPV6;
    memcpy(addr.ip, ip, ip_bytes);
    addr.port = port;
    return addr;
}

bool stun_addr_parse(const char *text, struct stun_addr *out)
{
    bool v6 = text[0] == '[';
    const char *host_end = v6 ? strchr(text, ']') : strchr(text, ':');
    char host[INET6_ADDRSTRLEN];
    uint8_t ip[16];
    uint16_t port;

    if (v6)
        text++;
    if (host_end == NULL || !copy_host(host, text, host_end))
        return false;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, host, ip) != 1)
        return false;
    if (v6)
        host_end++;
    if (*host_end != ':' || !parse_port(host_end + 1, &port))
        return false;
    *out = stun_addr_from_ip(ip, v6 ? 16 : 4, port);
    return true;
}

const char *stun_addr_text(const struct stun_addr *addr, char text[static STUN_ADDR_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN];

    if (addr->family == STUN_IPV4 && inet_ntop(AF_INET, addr->ip, host, sizeof(host)) != NULL)
        snprintf(text, STUN_ADDR_TEXT_BYTES, "%s:%u", host, addr->port);
    else if (addr->family == STUN_IPV6 && inet_ntop(AF_INET6, addr->ip, host, sizeof(host)) != NULL)
        snprintf(text, STUN_ADDR_TEXT_BYTES, "[%s]:%u", host, addr->port);
    else
        snprintf(text, STUN_ADDR_TEXT_BYTES, "-");
    return text;
}

bool stun_addr_same_ip(const struct stun_addr *a, const struct stun_addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, stun_addr_ip_bytes(a)) == 0;
}

bool stun_addr_equal(const struct stun_addr *a, const struct stun_addr *b)
{
    return stun_addr_same_ip(a, b) && a->port == b->port;
}

size_t stun_addr_ip_bytes(const struct stun_addr *addr)
{
    switch (addr->family) {
    case STUN_IPV4:
        return 4;
    case STUN_IPV6:
        return 16;
    default:
        return 0;
    }
}

bool stun_addr_is_private(const struct stun_addr *addr)
{
    const uint8_t *ip = addr->ip;

    if (addr->family == STUN_IPV6)
        return (ip[0] & 0xfe) == 0xfc;
    if (addr->family != STUN_IPV4)
        return false;
    return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
           (ip[0] == 192 && ip[1] == 168) || (ip[0] == 100 && (ip[1] & 0xc0) == 64);
}

bool stun_addr_is_loopback(const struct stun_addr *addr)
{
    static const uint8_t v6_loopback[16] = {[15] = 1};

    if (addr->family == STUN_IPV6)
        return memcmp(addr->ip, v6_loopback, sizeof(v6_loopback)) == 0;
    return addr->family == STUN_IPV4 && addr->ip[0] == 127;
}

bool stun_addr_is_link_local(const struct stun_addr *addr)
{
    if (addr->family == STUN_IPV6)
        return addr->ip[0] == 0xfe && (addr->ip[1] & 0xc0) == 0x80;
    return addr->family == STUN_IPV4 && addr->ip[0] == 169 && addr->ip[1] == 254;
}

bool stun_addr_is_usable(const struct stun_addr *addr)
{
    static const uint8_t v6_unspecified[16] = {0};
    static const uint8_t v4_broadcast[4] = {255, 255, 255, 255};

    if (addr->port == 0)
        return false;
    if (addr->family == STUN_IPV6)
        return addr->ip[0] != 0xff && memcmp(addr->ip, v6_unspecified, sizeof(v6_unspecified)) != 0;
    /* 0.0.0.0/8 is "this network": the kernel takes 0.0.0.0 for the host itself. */
    return addr->family == STUN_IPV4 && addr->ip[0] != 0 && (addr->ip[0] & 0xf0) != 224 &&
           memcmp(addr->ip, v4_broadcast, sizeof(v4_broadcast)) != 0;
}
