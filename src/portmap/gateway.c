/* SPDX-License-Identifier: BSD-2-Clause */
#include "portmap/gateway.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Where the question is "which way to the Internet": the anycast address of PCP servers (RFC 7723),
 * which nobody has in a LAN. Nothing is sent to it. */
static const uint8_t somewhere[4] = {192, 0, 0, 9};

struct question {
    struct nlmsghdr header;
    struct rtmsg route;
    char attributes[RTA_SPACE(4) + RTA_SPACE(4)];
};

static void add_attribute(struct question *q, unsigned short type, const void *value)
{
    struct rtattr attribute = {.rta_len = RTA_LENGTH(4), .rta_type = type};
    char *at = (char *)q + NLMSG_ALIGN(q->header.nlmsg_len);
    memcpy(at, &attribute, sizeof attribute);
    memcpy(at + RTA_LENGTH(0), value, 4);
    q->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->header.nlmsg_len) + RTA_LENGTH(4));
}

enum gateway_result gateway_parse(const void *bytes, size_t length, struct gateway *out)
{
    struct nlmsghdr header;
    const size_t fixed = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct rtmsg));
    *out = (struct gateway){0};
    if (length < fixed) {
        return GATEWAY_NO_ROUTE;
    }
    memcpy(&header, bytes, sizeof header);
    if (header.nlmsg_type != RTM_NEWROUTE || header.nlmsg_len < fixed) {
        return GATEWAY_NO_ROUTE;
    }
    size_t end = header.nlmsg_len < length ? header.nlmsg_len : length;
    for (size_t at = fixed; at + sizeof(struct rtattr) <= end;) {
        struct rtattr attribute;
        const uint8_t *value = (const uint8_t *)bytes + at + RTA_LENGTH(0);
        memcpy(&attribute, (const char *)bytes + at, sizeof attribute);
        if (attribute.rta_len < RTA_LENGTH(0) || attribute.rta_len > end - at) {
            break;
        }
        if (attribute.rta_len == RTA_LENGTH(4)) {
            if (attribute.rta_type == RTA_GATEWAY) {
                out->router = stun_addr_from_ip(value, 4, 0);
            } else if (attribute.rta_type == RTA_PREFSRC) {
                out->local = stun_addr_from_ip(value, 4, 0);
            } else if (attribute.rta_type == RTA_OIF) {
                memcpy(&out->device, value, 4);
            }
        }
        at += RTA_ALIGN(attribute.rta_len);
    }
    if (out->local.family == STUN_NO_FAMILY || stun_addr_is_loopback(&out->local)) {
        return GATEWAY_NO_ROUTE;
    }
    return out->router.family == STUN_NO_FAMILY ? GATEWAY_ON_LINK : GATEWAY_FOUND;
}

enum gateway_result gateway_find(const char *interface, struct gateway *out)
{
    struct question q = {
        .header = {.nlmsg_len = NLMSG_LENGTH(sizeof q.route),
                   .nlmsg_type = RTM_GETROUTE,
                   .nlmsg_flags = NLM_F_REQUEST},
        .route = {.rtm_family = AF_INET, .rtm_dst_len = 32},
    };
    *out = (struct gateway){0};
    add_attribute(&q, RTA_DST, somewhere);
    if (interface != NULL) {
        unsigned int device = if_nametoindex(interface);
        if (device == 0) {
            return GATEWAY_NO_ROUTE;
        }
        add_attribute(&q, RTA_OIF, &device);
    }
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) {
        return GATEWAY_NO_ROUTE;
    }
    char answer[2048];
    struct timeval limit = {.tv_usec = 200000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ssize_t got = -1;
    if (send(fd, &q, q.header.nlmsg_len, 0) == (ssize_t)q.header.nlmsg_len) {
        got = recv(fd, answer, sizeof answer, 0);
    }
    close(fd);
    return gateway_parse(answer, got > 0 ? (size_t)got : 0, out);
}
