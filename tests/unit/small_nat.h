/* SPDX-License-Identifier: BSD-2-Clause */
/* A NAT in memory, for tests in virtual time (RFC 4787 terms). */
#ifndef SMALL_NAT_H
#define SMALL_NAT_H

#include "nat/profile.h"

#define SMALL_NAT_FLOWS  2048
#define SMALL_NAT_POISON 2048

struct small_nat {
    /* what it is */
    struct stun_addr public_ip;
    enum nat_mapping mapping;
    enum nat_filtering filtering;
    enum nat_allocation allocation; /* OTHER: random */
    int32_t step;
    unsigned foreign; /* foreign allocations between two of ours: 0..foreign, by chance */
    /* Like Linux with INPUT ACCEPT: what nobody inside has asked for goes to the router itself and
     * takes the 5-tuple away from the hosts behind it. Mapping per flow, port preserved if free. */
    bool poisons;
    uint64_t random;

    /* what it remembers */
    struct {
        struct stun_addr inside,
            key; /* key: the part of the remote address that the mapping sees */
        uint16_t port;
    } flow[SMALL_NAT_FLOWS];
    size_t flows;
    struct {
        uint16_t port;
        struct stun_addr remote;
    } allowed[SMALL_NAT_FLOWS];
    size_t alloweds;
    struct {
        uint16_t port;
        struct stun_addr remote;
    } taken[SMALL_NAT_POISON];
    size_t takens;
    uint16_t next_port;
};

void small_nat_init(struct small_nat *n, const struct stun_addr *public_ip, enum nat_mapping m,
                    enum nat_filtering f, enum nat_allocation a, int32_t step, uint64_t seed);
/* A packet from inside: *source becomes what the outside sees. */
void small_nat_out(struct small_nat *n, struct stun_addr *source, const struct stun_addr *to);
/* A packet from outside: *to becomes the inside address; false if it is dropped. */
bool small_nat_in(struct small_nat *n, const struct stun_addr *source, struct stun_addr *to);

#endif
