/* SPDX-License-Identifier: BSD-2-Clause */
/* A mapping by UPnP: the router found by SSDP, its description and its answers read by miniupnpc.
 * Of that library only what reads XML is used: its own network functions follow redirects, and
 * bound neither the size of an answer nor the time that it takes. */
#ifndef PORTMAP_IGD_H
#define PORTMAP_IGD_H

#include "portmap/lease.h"
#include "portmap/patience.h"

/* Makes the mapping that l asks for. search_fd: of ssdp_open, or -1 for a gateway that is already
 * known (l->control). A port that is taken is replaced by others, chosen with the nonce. Takes at
 * most 4 s. */
enum lease_result igd_map(const struct patience *p, struct lease *l, int search_fd);

/* Whether the router still has l's mapping and its outer address; LEASE_REFUSED if not. */
enum lease_result igd_check(const struct patience *p, const struct lease *l);

void igd_unmap(const struct patience *p, const struct lease *l);

/* Reads a description that was fetched from port `port` of the gateway: where its commands go, on
 * the same gateway. Changes `text`. */
bool igd_read_description(char *text, size_t length, const struct stun_addr *router, uint16_t port,
                          struct lease_control *out);

/* Reads the answer to a command: the value of the element `name` (NULL: none wanted), cut to
 * value[64], "" without one. 0, or the error that it tells, or -1. */
int igd_read_answer(int status, const char *text, size_t length, const char *name,
                    char value[static 64]);

#endif
