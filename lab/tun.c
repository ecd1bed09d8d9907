/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int set_up(const char *device)
{
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = 0;
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
        error = -errno;
    } else {
        request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
        if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
            error = -errno;
    }
    close(fd);
    return error;
}

int tun_open_here(const char *device, const char **step)
{
    *step = "open /dev/net/tun";
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    *step = "create the device";
    int error = ioctl(fd, TUNSETIFF, &request) < 0 ? -errno : 0;
    if (!error) {
        *step = "bring the device up";
        error = set_up(device);
    }
    if (error) {
        close(fd);
        return error;
    }
    return fd;
}

int tun_open(const char *netns, const char *device, const char **step)
{
    char path[256];
    snprintf(path, sizeof(path), "%s%s", strchr(netns, '/') ? "" : "/run/netns/", netns);
    *step = "open the namespace";
    int theirs = open(path, O_RDONLY | O_CLOEXEC);
    if (theirs < 0)
        return -errno;
    int ours = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int fd = -errno;
    if (ours >= 0) {
        *step = "enter the namespace (needs root)";
        if (setns(theirs, CLONE_NEWNET) < 0) {
            fd = -errno;
        } else {
            fd = tun_open_here(device, step);
            if (setns(ours, CLONE_NEWNET) < 0) {
                *step = "come back from the namespace";
                int error = -errno;
                if (fd >= 0)
                    close(fd);
                fd = error;
            }
        }
        close(ours);
    }
    close(theirs);
    return fd;
}
