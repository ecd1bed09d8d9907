/* SPDX-License-Identifier: BSD-2-Clause */
/* A network namespace without a name: it is gone when its file descriptor is closed and no program
 * is left in it. Functions return 0 or a negative errno, and act where the calling thread is. */
#ifndef LAB_SPACE_H
#define LAB_SPACE_H

#include "stun/addr.h"

/* The calling thread is in the new namespace afterwards. Returns its descriptor. */
int space_make(void);
int space_enter(int space);
/* Of the namespace where the calling thread is. */
int space_here(void);

int space_add_address(const char *device, const struct stun_addr *addr, unsigned bits);
/* All of the family that has no better route. */
int space_add_default_route(const char *device, enum stun_family family);
/* A file below /proc/sys/net. */
int space_set(const char *path, const char *value);

#endif
