/* SPDX-License-Identifier: BSD-2-Clause */
/* Mediator messages as structs (generated from eyelet.proto: wire_ToMediator, wire_FromMediator,
 * wire_Note) <-> bytes, and the rules that a message must keep. Bounded, no allocation. */
#ifndef RENDEZVOUS_WIRE_H
#define RENDEZVOUS_WIRE_H

#include "nat/predict.h"
#include "nat/profile.h"
#include "rendezvous/eyelet.pb.h"
#include "stun/addr.h"

#define WIRE_DIAL_ID_BYTES     16
#define WIRE_INSTANCE_BYTES    8
#define WIRE_SESSION_ID_BYTES  8
#define WIRE_SESSION_KEY_BYTES 32
#define WIRE_MAX_SEALED_BYTES  1600
#define WIRE_MAX_SEARCH        545  /* sockets or probes */
#define WIRE_MAX_NOTE_BYTES    1024 /* sealed; a plain Note must leave room for the seal */
#define WIRE_MAX_CANDIDATES    12
#define WIRE_DEFAULT_PORT      9856 /* TCP, control */
#define WIRE_BOUNCE_PORT       3478 /* UDP; the second bounce port is the next one */
#define WIRE_ALPN              "eyelet/1"
#define WIRE_RELAY_ALPN        "eyelet-relay/1" /* a second TLS connection, for relayed datagrams */
#define WIRE_RELAY_TAG_BYTES   8
#define WIRE_RELAY_TAG_FIRST   0x45 /* neither STUN nor anything else that a mediator is sent */
#define WIRE_MAX_RELAYED_BYTES 1252 /* of a relayed datagram, behind its tag */
#define WIRE_RELAYED_AT_ONCE   64   /* datagrams, each way over a control session: first flights */

/* Encoders return the size, or 0 if the message does not fit or breaks a rule (a bug of ours). */
size_t wire_encode_to_mediator(const wire_ToMediator *msg, uint8_t *buffer, size_t capacity);
size_t wire_encode_from_mediator(const wire_FromMediator *msg, uint8_t *buffer, size_t capacity);
size_t wire_encode_note(const wire_Note *msg, uint8_t *buffer, size_t capacity);

/* Decoders accept only messages that keep every rule of eyelet.proto: a body is present, IDs and
 * keys have their size, addresses are usable (stun_addr_is_usable) and normalised, enums known (an
 * unknown profile value becomes 0), counts within bounds. On false, *why is a constant sentence
 * fragment for a log or an error ("dial_id is not 16 bytes"). Never reads beyond size. */
bool wire_decode_to_mediator(const uint8_t *bytes, size_t size, wire_ToMediator *out,
                             const char **why);
bool wire_decode_from_mediator(const uint8_t *bytes, size_t size, wire_FromMediator *out,
                               const char **why);
bool wire_decode_note(const uint8_t *bytes, size_t size, wire_Note *out, const char **why);

void wire_from_addr(const struct stun_addr *addr, wire_Address *out);
struct stun_addr wire_to_addr(const wire_Address *addr);
void wire_from_profile(const struct nat_profile *p, wire_Profile *out);
/* public_addr is not on the wire: it comes out as none. */
void wire_to_profile(const wire_Profile *in, struct nat_profile *out);

#endif
