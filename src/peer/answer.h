/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls of others: admitted, refused, or crossing one of ours. */
#ifndef PEER_ANSWER_H
#define PEER_ANSWER_H

#include "link/link.h"
#include "rendezvous/dial.h"

struct eyelet_conn;
struct eyelet_endpoint;

/* The mediator brings a call. */
void answer_call(struct eyelet_endpoint *ep, uint64_t now_us, const wire_PeerCoord *msg);
/* Our dial gives way to the peer's: same conn for the application, other role on the wire. */
void answer_turn_around(struct eyelet_conn *conn, uint64_t now_us, const wire_PeerCoord *msg,
                        const struct dial_offer *offer);

/* ---- what both roles need (calls.c) ---- */
/* After dial_derive. */
void calls_key_notes(struct eyelet_conn *conn);
struct link_config calls_link_settings(const struct eyelet_conn *conn, uint64_t initial_rtt_us);
/* What the mediator says of the relay. */
void calls_take_relay(struct eyelet_conn *conn, const uint8_t *tag, size_t tag_bytes,
                      const char *refusal);
void calls_refuse(struct eyelet_conn *conn, wire_RefuseReason reason, const char *text);

#endif
