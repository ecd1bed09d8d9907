/* SPDX-License-Identifier: BSD-2-Clause */
/* A TUN device inside a network namespace, held by a process outside of it. */
#ifndef LAB_TUN_H
#define LAB_TUN_H

/* netns: a name of `ip netns`, or a path such as /proc/PID/ns/net. The device vanishes with the fd,
 * which is non-blocking and carries bare IP packets. Returns the fd or a negative errno; *step says
 * what failed. The calling thread is in its own namespace again afterwards. */
int tun_open(const char *netns, const char *device, const char **step);

/* The same in the namespace where the calling thread is. */
int tun_open_here(const char *device, const char **step);

#endif
