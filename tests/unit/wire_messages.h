/* SPDX-License-Identifier: BSD-2-Clause */
/* One message of each kind, as large as they come. */
#ifndef TESTS_UNIT_WIRE_MESSAGES_H
#define TESTS_UNIT_WIRE_MESSAGES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rendezvous/wire.h"

#define BUFFER_BYTES 4096
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline void fill(void *out, size_t bytes, uint8_t value)
{
    memset(out, value, bytes);
}

#define SET_BYTES(field, count)                                                                    \
    do {                                                                                           \
        (field).size = (count);                                                                    \
        fill((field).bytes, (count), 0xAB);                                                        \
    } while (0)

static inline wire_Address address_v4(uint32_t port)
{
    wire_Address out = {.ip = {4, {192, 0, 2, 1}}, .port = port};
    return out;
}

static inline wire_Address address_v6(uint32_t port)
{
    wire_Address out = {.ip = {16, {0x20, 0x01, 0x0d, 0xb8}}, .port = port};
    return out;
}

static inline wire_Profile profile(void)
{
    return (wire_Profile){.mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT,
                          .allocation = NAT_ALLOCATION_SEQUENTIAL,
                          .pooling = NAT_POOLING_MANY,
                          .filtering = NAT_FILTERING_ADDRESS_DEPENDENT,
                          .step = -2,
                          .endpoints_seen = 4};
}

static inline wire_Coordinates coordinates(void)
{
    wire_Coordinates out = {
        .candidates_count = WIRE_MAX_CANDIDATES, .has_profile = true, .profile = profile()};
    for (uint32_t i = 0; i < WIRE_MAX_CANDIDATES; i++) {
        out.candidates[i].kind = (wire_CandidateKind)(1 + i % 4);
        out.candidates[i].has_address = true;
        out.candidates[i].address = i % 2 == 0 ? address_v4(1 + i) : address_v6(65535 - i);
    }
    return out;
}

static inline wire_ToMediator registration(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_registration_tag};
    wire_Register *body = &msg.body.registration;
    body->has_coordinates = true;
    body->coordinates = coordinates();
    body->visibility = wire_Visibility_VISIBLE_TO_LISTED;
    SET_BYTES(body->instance, 8);
    body->allowed_count = 64;
    for (size_t i = 0; i < 64; i++) {
        SET_BYTES(body->allowed[i], 32);
    }
    return msg;
}

static inline wire_ToMediator get_peer(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_get_peer_tag};
    wire_GetPeer *body = &msg.body.get_peer;
    SET_BYTES(body->dial_id, 16);
    SET_BYTES(body->peer_id, 32);
    body->has_coordinates = true;
    body->coordinates = coordinates();
    SET_BYTES(body->sealed, WIRE_MAX_SEALED_BYTES);
    return msg;
}

static inline wire_ToMediator dial_accept(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_dial_accept_tag};
    SET_BYTES(msg.body.dial_accept.dial_id, 16);
    return msg;
}

static inline wire_ToMediator dial_note(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_dial_note_tag};
    SET_BYTES(msg.body.dial_note.dial_id, 16);
    SET_BYTES(msg.body.dial_note.sealed, WIRE_MAX_NOTE_BYTES);
    return msg;
}

static inline wire_ToMediator complete(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_holepunching_complete_tag};
    wire_HolepunchingComplete *body = &msg.body.holepunching_complete;
    SET_BYTES(body->dial_id, 16);
    body->outcome = wire_Outcome_OUTCOME_DIRECT;
    body->technique = 3;
    body->elapsed_us = 40000;
    body->has_mine = true;
    body->mine = profile();
    return msg;
}

static inline wire_ToMediator dial_end(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_dial_end_tag};
    SET_BYTES(msg.body.dial_end.dial_id, 16);
    return msg;
}

static inline wire_ToMediator resume(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_resume_tag};
    SET_BYTES(msg.body.resume.dial_id, 16);
    SET_BYTES(msg.body.resume.peer_id, 32);
    msg.body.resume.no_relay = true;
    return msg;
}

static inline wire_ToMediator ping(void)
{
    return (wire_ToMediator){.which_body = wire_ToMediator_ping_tag,
                             .body.ping.token = 0x1122334455667788};
}

static inline wire_ToMediator relayed(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_relayed_tag};
    SET_BYTES(msg.body.relayed.datagram, 1260);
    msg.body.relayed.datagram.bytes[0] = 0x45;
    return msg;
}

static inline wire_FromMediator relayed_from_mediator(void)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_relayed_tag};
    msg.body.relayed = relayed().body.relayed;
    return msg;
}

static inline wire_FromMediator registered(void)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_registered_tag};
    wire_Registered *body = &msg.body.registered;
    SET_BYTES(body->session_id, 8);
    SET_BYTES(body->session_key, 32);
    body->bounce_count = 8;
    for (uint32_t i = 0; i < 8; i++) {
        body->bounce[i] = i < 4 ? address_v4(3478 + i % 2) : address_v6(3478 + i % 2);
    }
    body->has_seen = true;
    body->seen = address_v6(1);
    body->relay = true;
    return msg;
}

static inline wire_FromMediator peer_coord(void)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_peer_coord_tag};
    wire_PeerCoord *body = &msg.body.peer_coord;
    SET_BYTES(body->dial_id, 16);
    SET_BYTES(body->peer_id, 32);
    body->has_coordinates = true;
    body->coordinates = coordinates();
    body->coordinates.candidates[3].attested = true;
    SET_BYTES(body->sealed, WIRE_MAX_SEALED_BYTES);
    body->opener_due_us = 20000;
    body->path_rtt_us = 40000;
    body->same_public_address = true;
    SET_BYTES(body->relay_tag, WIRE_RELAY_TAG_BYTES);
    body->relay_tag.bytes[0] = WIRE_RELAY_TAG_FIRST;
    return msg;
}

static inline wire_FromMediator resumed(void)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_resumed_tag};
    wire_Resumed *body = &msg.body.resumed;
    SET_BYTES(body->dial_id, 16);
    SET_BYTES(body->peer_id, 32);
    body->both = true;
    fill(body->relay_refusal, sizeof(body->relay_refusal) - 1, 'x');
    body->has_coordinates = true;
    body->coordinates = coordinates();
    body->coordinates.hidden = true;
    body->opener_due_us = 20000;
    body->path_rtt_us = 40000;
    body->same_public_address = true;
    return msg;
}

static inline wire_FromMediator note_from_mediator(void)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_dial_note_tag};
    SET_BYTES(msg.body.dial_note.dial_id, 16);
    SET_BYTES(msg.body.dial_note.sealed, 1);
    return msg;
}

static inline wire_FromMediator error(void)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_error_tag};
    msg.body.error.code = wire_ErrorCode_ERROR_SHUTTING_DOWN;
    SET_BYTES(msg.body.error.dial_id, 16);
    fill(msg.body.error.text, 120, 'x');
    return msg;
}

static inline wire_FromMediator pong(void)
{
    return (wire_FromMediator){.which_body = wire_FromMediator_pong_tag,
                               .body.pong.token = UINT64_MAX};
}

static inline wire_Note samples(void)
{
    wire_Note msg = {.which_body = wire_Note_samples_tag};
    msg.body.samples = (wire_Samples){.has_public_address = true,
                                      .public_address = address_v4(40008),
                                      .ports_count = 8,
                                      .ports = {1, 2, 3, 4, 5, 6, 7, 65535},
                                      .has_profile = true,
                                      .profile = profile()};
    return msg;
}

static inline wire_Note punch_plan(void)
{
    wire_Note msg = {.which_body = wire_Note_punch_plan_tag};
    wire_PunchPlan *body = &msg.body.punch_plan;
    *body = (wire_PunchPlan){.technique = 2,
                             .has_target = true,
                             .target = address_v6(0),
                             .ports_count = 64,
                             .start_after_us = 20000,
                             .fresh_socket = true};
    for (uint32_t i = 0; i < 64; i++) {
        body->ports[i] = 65535 - i;
    }
    return msg;
}

static inline wire_Note refuse(void)
{
    wire_Note msg = {.which_body = wire_Note_refuse_tag};
    msg.body.refuse = (wire_Refuse){.reason = wire_RefuseReason_REFUSE_CLOSED, .text = "héllo ✓"};
    return msg;
}

static inline wire_Note send_first(void)
{
    return (wire_Note){.which_body = wire_Note_send_first_tag, .body.send_first = true};
}

static inline wire_Note punch_again(void)
{
    return (wire_Note){.which_body = wire_Note_punch_again_tag, .body.punch_again = true};
}

static inline wire_Note more_candidates(void)
{
    return (wire_Note){.which_body = wire_Note_candidates_tag, .body.candidates = coordinates()};
}

#endif
