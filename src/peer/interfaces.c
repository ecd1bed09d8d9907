/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/interfaces.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "peer/udp.h"

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

/* The source address that the kernel would choose towards the Internet; nothing is sent. */
static struct stun_addr default_route_address(void)
{
    struct stun_addr found = {0};
    struct stun_addr anywhere =
        stun_addr_v4(192, 0, 2, 1, 9); /* TEST-NET-1: only routed by default */
    struct sockaddr_storage sa;
    socklen_t bytes = udp_sockaddr(&anywhere, &sa);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
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

static size_t add(struct stun_addr *out, size_t count, const struct stun_addr *addr)
{
    for (size_t i = 0; i < count; i++) {
        if (stun_addr_same_ip(&out[i], addr)) {
            return count;
        }
    }
    if (count < INTERFACES_MAX) {
        out[count++] = *addr;
    }
    return count;
}

size_t interfaces_addresses(struct stun_addr out[static INTERFACES_MAX])
{
    size_t count = 0;
    struct stun_addr first = default_route_address();
    if (first.family == STUN_IPV4 && !stun_addr_is_loopback(&first)) {
        count = add(out, count, &first);
    }
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0) {
        return count;
    }
    for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET ||
            (i->ifa_flags & (IFF_UP | IFF_LOOPBACK)) != IFF_UP || is_virtual_bridge(i->ifa_name)) {
            continue;
        }
        struct stun_addr addr = udp_stun_addr(i->ifa_addr);
        addr.port = 0;
        if (!stun_addr_is_link_local(&addr)) {
            count = add(out, count, &addr);
        }
    }
    freeifaddrs(list);
    return count;
}
