/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet of a lab: takes every packet from the devices of the namespaces, through NATs and
 * routers, and brings it to another after as long as its way takes.
 *
 *     host tun -> [gateway of its network] -> ... -> Internet -> ... -> [gateway] -> host tun
 *                  model, or a namespace          delay, loss
 *                  with two tuns (netfilter) */
#ifndef LAB_CARRIER_H
#define LAB_CARRIER_H

#include <stdio.h>

#include "lab/dice.h"
#include "lab/nat_model.h"
#include "lab/queue.h"
#include "lab/topology.h"

#define CARRIER_SESSIONS     16384 /* of a NAT, if it has no limit of its own */
#define CARRIER_PACKET_BYTES 65536

struct carrier_node {
    int tun; /* of a host, or inside of a netfilter gateway */
    int wan; /* outside of a netfilter gateway */
    struct nat_model *nat;
    void *memory;
    FILE *capture;
};

struct carrier_counts {
    uint64_t delivered, lost, duplicated, expired, unroutable, stopped, refused;
};

struct carrier {
    const struct topology *topology;
    struct carrier_node node[TOPOLOGY_NODES];
    struct queue queue;
    struct dice dice, nat_dice;
    struct carrier_counts count;
    bool talkative; /* says on stderr what becomes of packets that do not arrive */
    uint64_t begun_ns;
    uint8_t packet[CARRIER_PACKET_BYTES];
};

/* Makes the NATs of the model; devices are none (-1) until the caller sets them. The topology stays
 * the caller's and is not changed. False: no memory. */
bool carrier_init(struct carrier *c, const struct topology *t);
void carrier_close(struct carrier *c); /* also what it was given: devices, captures */

/* Takes what a device has: of a host or inside (wan false), or outside. */
void carrier_read(struct carrier *c, unsigned node, bool wan);
/* Brings what is due. Returns when to call it again, of CLOCK_MONOTONIC; UINT64_MAX: nothing waits.
 */
uint64_t carrier_deliver(struct carrier *c);

#endif
