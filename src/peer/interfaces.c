/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/interfaces.h"

#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "peer/udp.h"

#define LISTED_MAX 64

static bool is_virtual_bridge(const char *name)
{
    static const char *const prefixes[] = {"docker", "br-",    "virbr", "lxcbr",
                                           "lxdbr",  "podman", "cni"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool holds(const struct interfaces *i, const struct stun_addr *addr)
{
    for (size_t at = 0; at < i->count; at++) {
        if (stun_addr_same_ip(&i->addresses[at], addr)) {
            return true;
        }
    }
    return false;
}

/* Privacy addresses and the lasting one of a network are one machine on one wire. */
static bool has_neighbour(const struct interfaces *i, const struct stun_addr *addr)
{
    for (size_t at = 0; at < i->count; at++) {
        if (i->addresses[at].family == STUN_IPV6 && memcmp(i->addresses[at].ip, addr->ip, 8) == 0) {
            return true;
        }
    }
    return false;
}

static void add(struct interfaces *out, const struct stun_addr *addr, size_t end)
{
    if (out->count < end && !holds(out, addr) &&
        (addr->family == STUN_IPV4 || !has_neighbour(out, addr))) {
        out->addresses[out->count] = *addr;
        out->addresses[out->count++].port = 0;
    }
}

static bool is_worth_telling(const struct interface_address *a)
{
    return a->running && !a->loopback && !a->unfit && !stun_addr_is_link_local(&a->addr) &&
           !is_virtual_bridge(a->name);
}

static void choose(const struct interface_address *listed, size_t count, enum stun_family family,
                   struct interfaces *out)
{
    const struct stun_addr *source = &out->source[family];
    size_t end = out->count + INTERFACES_MAX_A_FAMILY;
    if (source->family == family && !stun_addr_is_loopback(source) &&
        !stun_addr_is_link_local(source)) {
        add(out, source, end);
    }
    for (unsigned temporary = 0; temporary < 2; temporary++) {
        for (size_t i = 0; i < count; i++) {
            if (listed[i].addr.family == family && listed[i].temporary == temporary &&
                is_worth_telling(&listed[i])) {
                add(out, &listed[i].addr, end);
            }
        }
    }
}

void interfaces_choose(const struct interface_address *listed, size_t count,
                       const struct stun_addr source[static INTERFACES_FAMILIES],
                       struct interfaces *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->source, source, sizeof out->source);
    choose(listed, count, STUN_IPV4, out);
    choose(listed, count, STUN_IPV6, out);
}

/* What getifaddrs does not tell. */
struct ipv6_flags {
    struct {
        uint8_t ip[16];
        unsigned flags;
    } of[LISTED_MAX];
    size_t count;
};

static bool parse_ip(const char *hex, uint8_t ip[static 16])
{
    for (size_t i = 0; i < 16; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            return false;
        }
        ip[i] = (uint8_t)byte;
    }
    return true;
}

static void read_ipv6_flags(struct ipv6_flags *out)
{
    char line[160], hex[33];
    unsigned flags;
    out->count = 0;
    FILE *file = fopen("/proc/thread-self/net/if_inet6", "re");
    if (file == NULL) {
        return;
    }
    while (out->count < LISTED_MAX && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%32s %*x %*x %*x %x", hex, &flags) == 2 && strlen(hex) == 32 &&
            parse_ip(hex, out->of[out->count].ip)) {
            out->of[out->count++].flags = flags;
        }
    }
    fclose(file);
}

static unsigned flags_of(const struct ipv6_flags *flags, const struct stun_addr *addr)
{
    for (size_t i = 0; addr->family == STUN_IPV6 && i < flags->count; i++) {
        if (memcmp(flags->of[i].ip, addr->ip, 16) == 0) {
            return flags->of[i].flags;
        }
    }
    return 0;
}

struct stun_addr interfaces_source_to(const struct stun_addr *to)
{
    struct stun_addr found = {0};
    struct sockaddr_storage sa;
    socklen_t bytes = udp_sockaddr(to, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        if (connect(fd, (struct sockaddr *)&sa, bytes) == 0) {
            bytes = sizeof sa;
            if (getsockname(fd, (struct sockaddr *)&sa, &bytes) == 0) {
                found = udp_stun_addr((struct sockaddr *)&sa);
                found.port = 0;
            }
        }
        close(fd);
    }
    return found;
}

bool interfaces_has(const struct stun_addr *own)
{
    struct stun_addr any_port = *own;
    struct sockaddr_storage sa;
    any_port.port = 0;
    socklen_t bytes = udp_sockaddr(&any_port, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&sa, bytes) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return has;
}

void interfaces_look(struct interfaces *out)
{
    /* TEST-NET-1 and the discard prefix (RFC 6666): only default routes lead there. */
    static const uint8_t discard[16] = {0x01, [15] = 0x01};
    const struct stun_addr anywhere = stun_addr_v4(192, 0, 2, 1, 9);
    const struct stun_addr anywhere6 = stun_addr_from_ip(discard, sizeof discard, 9);
    struct stun_addr source[INTERFACES_FAMILIES] = {
        [STUN_IPV4] = interfaces_source_to(&anywhere),
        [STUN_IPV6] = interfaces_source_to(&anywhere6),
    };
    struct interface_address listed[LISTED_MAX];
    struct ipv6_flags flags;
    size_t count = 0;
    struct ifaddrs *list = NULL;
    read_ipv6_flags(&flags);
    if (getifaddrs(&list) != 0) {
        list = NULL;
    }
    for (struct ifaddrs *i = list; i != NULL && count < LISTED_MAX; i = i->ifa_next) {
        if (i->ifa_addr == NULL) {
            continue;
        }
        struct interface_address a = {.addr = udp_stun_addr(i->ifa_addr), .name = i->ifa_name};
        if (a.addr.family != STUN_NO_FAMILY) {
            const unsigned up = IFF_UP | IFF_RUNNING;
            unsigned f = flags_of(&flags, &a.addr);
            a.running = (i->ifa_flags & up) == up;
            a.loopback = (i->ifa_flags & IFF_LOOPBACK) != 0;
            a.temporary = (f & IFA_F_TEMPORARY) != 0;
            a.unfit = (f & (IFA_F_DEPRECATED | IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0;
            listed[count++] = a;
        }
    }
    interfaces_choose(listed, count, source, out);
    if (list != NULL) {
        freeifaddrs(list);
    }
}

bool interfaces_equal(const struct interfaces *a, const struct interfaces *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (!holds(b, &a->addresses[i])) {
            return false;
        }
    }
    return a->count == b->count &&
           stun_addr_same_ip(&a->source[STUN_IPV4], &b->source[STUN_IPV4]) &&
           stun_addr_same_ip(&a->source[STUN_IPV6], &b->source[STUN_IPV6]);
}

struct stun_addr interfaces_first(const struct interfaces *i, enum stun_family family)
{
    for (size_t at = 0; at < i->count; at++) {
        if (i->addresses[at].family == family) {
            return i->addresses[at];
        }
    }
    return (struct stun_addr){0};
}
