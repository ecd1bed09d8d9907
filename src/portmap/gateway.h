/* SPDX-License-Identifier: BSD-2-Clause */
/* The router that the default route names. */
#ifndef PORTMAP_GATEWAY_H
#define PORTMAP_GATEWAY_H

#include "stun/addr.h"

struct gateway {
    struct stun_addr router; /* IPv4, port 0 */
    struct stun_addr local;  /* our address on the way to it, port 0 */
    unsigned int device;     /* its number, as of if_nametoindex */
};

enum gateway_result {
    GATEWAY_FOUND,
    GATEWAY_NO_ROUTE, /* no IPv4, or not by this device */
    GATEWAY_ON_LINK,  /* the route names a device alone: a tunnel, or a modem */
};

/* interface: NULL for any. */
enum gateway_result gateway_find(const char *interface, struct gateway *out);

/* From the kernel's answer to the question for a route. */
enum gateway_result gateway_parse(const void *bytes, size_t length, struct gateway *out);

#endif
