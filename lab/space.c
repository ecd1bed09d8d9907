/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/space.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
    struct nlmsghdr header;
    union {
        struct ifaddrmsg address;
        struct rtmsg route;
    } body;
    uint8_t attributes[64];
};

static void add_attribute(struct request *r, unsigned short type, const void *data, size_t size)
{
    struct rtattr attribute = {.rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = type};
    uint8_t *at = (uint8_t *)r + NLMSG_ALIGN(r->header.nlmsg_len);
    memcpy(at, &attribute, sizeof(attribute));
    memcpy(at + sizeof(attribute), data, size);
    r->header.nlmsg_len =
        (uint32_t)(NLMSG_ALIGN(r->header.nlmsg_len) + RTA_ALIGN(RTA_LENGTH(size)));
}

/* Sends a request and waits for what the kernel says to it. */
static int ask(struct request *r)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    r->header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        uint8_t rest[256];
    } answer;
    int error = 0;
    if (send(fd, r, r->header.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
        error = -errno;
    else if (answer.header.nlmsg_type == NLMSG_ERROR)
        error = answer.error.error;
    close(fd);
    return error;
}

static int set_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
    close(fd);
    return error;
}

int space_here(void)
{
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int space_enter(int space)
{
    return setns(space, CLONE_NEWNET) < 0 ? -errno : 0;
}

int space_make(void)
{
    if (unshare(CLONE_NEWNET) < 0)
        return -errno;
    int error = set_loopback_up();
    return error ? error : space_here();
}

int space_add_address(const char *device, const struct stun_addr *addr, unsigned bits)
{
    struct request r = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)),
                                   .nlmsg_type = RTM_NEWADDR,
                                   .nlmsg_flags = NLM_F_CREATE}};
    r.body.address =
        (struct ifaddrmsg){.ifa_family = addr->family == STUN_IPV6 ? AF_INET6 : AF_INET,
                           .ifa_prefixlen = (uint8_t)bits,
                           .ifa_flags = addr->family == STUN_IPV6 ? IFA_F_NODAD : 0,
                           .ifa_index = if_nametoindex(device)};
    add_attribute(&r, IFA_LOCAL, addr->ip, stun_addr_ip_bytes(addr));
    add_attribute(&r, IFA_ADDRESS, addr->ip, stun_addr_ip_bytes(addr));
    return ask(&r);
}

int space_add_default_route(const char *device, enum stun_family family)
{
    struct request r = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
                                   .nlmsg_type = RTM_NEWROUTE,
                                   .nlmsg_flags = NLM_F_CREATE}};
    r.body.route = (struct rtmsg){.rtm_family = family == STUN_IPV6 ? AF_INET6 : AF_INET,
                                  .rtm_table = RT_TABLE_MAIN,
                                  .rtm_protocol = RTPROT_STATIC,
                                  .rtm_scope = RT_SCOPE_LINK,
                                  .rtm_type = RTN_UNICAST};
    unsigned index = if_nametoindex(device);
    add_attribute(&r, RTA_OIF, &index, sizeof(index));
    return ask(&r);
}

int space_set(const char *path, const char *value)
{
    char name[128];
    snprintf(name, sizeof(name), "/proc/sys/net/%s", path);
    int fd = open(name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = write(fd, value, strlen(value)) < 0 ? -errno : 0;
    close(fd);
    return error;
}
