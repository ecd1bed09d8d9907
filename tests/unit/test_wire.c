/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pb_encode.h>

#include "rendezvous/wire_text.h"

#define BUFFER_BYTES 4096
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void fill(void *out, size_t bytes, uint8_t value)
{
    memset(out, value, bytes);
}

#define SET_BYTES(field, count)                                                                    \
    do {                                                                                           \
        (field).size = (count);                                                                    \
        fill((field).bytes, (count), 0xAB);                                                        \
    } while (0)

static wire_Address address_v4(uint32_t port)
{
    wire_Address out = {.ip = {4, {192, 0, 2, 1}}, .port = port};
    return out;
}

static wire_Address address_v6(uint32_t port)
{
    wire_Address out = {.ip = {16, {0x20, 0x01, 0x0d, 0xb8}}, .port = port};
    return out;
}

static wire_Profile profile(void)
{
    return (wire_Profile){.mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT,
                          .allocation = NAT_ALLOCATION_SEQUENTIAL,
                          .pooling = NAT_POOLING_MANY,
                          .filtering = NAT_FILTERING_ADDRESS_DEPENDENT,
                          .step = -2,
                          .endpoints_seen = 4};
}

/* As large as they come. */
static wire_Coordinates coordinates(void)
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

static wire_ToMediator registration(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_registration_tag};
    wire_Register *body = &msg.body.registration;
    body->has_coordinates = true;
    body->coordinates = coordinates();
    body->visibility = wire_Visibility_VISIBLE_TO_LISTED;
    body->allowed_count = 64;
    for (size_t i = 0; i < 64; i++) {
        SET_BYTES(body->allowed[i], 32);
    }
    return msg;
}

static wire_ToMediator get_peer(void)
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

static wire_ToMediator dial_accept(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_dial_accept_tag};
    SET_BYTES(msg.body.dial_accept.dial_id, 16);
    return msg;
}

static wire_ToMediator dial_note(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_dial_note_tag};
    SET_BYTES(msg.body.dial_note.dial_id, 16);
    SET_BYTES(msg.body.dial_note.sealed, WIRE_MAX_NOTE_BYTES);
    return msg;
}

static wire_ToMediator complete(void)
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

static wire_ToMediator dial_end(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_dial_end_tag};
    SET_BYTES(msg.body.dial_end.dial_id, 16);
    return msg;
}

static wire_ToMediator resume(void)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_resume_tag};
    SET_BYTES(msg.body.resume.dial_id, 16);
    SET_BYTES(msg.body.resume.peer_id, 32);
    msg.body.resume.no_relay = true;
    return msg;
}

static wire_ToMediator ping(void)
{
    return (wire_ToMediator){.which_body = wire_ToMediator_ping_tag,
                             .body.ping.token = 0x1122334455667788};
}

static wire_FromMediator registered(void)
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

static wire_FromMediator peer_coord(void)
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

static wire_FromMediator resumed(void)
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

static wire_FromMediator note_from_mediator(void)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_dial_note_tag};
    SET_BYTES(msg.body.dial_note.dial_id, 16);
    SET_BYTES(msg.body.dial_note.sealed, 1);
    return msg;
}

static wire_FromMediator error(void)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_error_tag};
    msg.body.error.code = wire_ErrorCode_ERROR_SHUTTING_DOWN;
    SET_BYTES(msg.body.error.dial_id, 16);
    fill(msg.body.error.text, 120, 'x');
    return msg;
}

static wire_FromMediator pong(void)
{
    return (wire_FromMediator){.which_body = wire_FromMediator_pong_tag,
                               .body.pong.token = UINT64_MAX};
}

static wire_Note samples(void)
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

static wire_Note punch_plan(void)
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

static wire_Note refuse(void)
{
    wire_Note msg = {.which_body = wire_Note_refuse_tag};
    msg.body.refuse = (wire_Refuse){.reason = wire_RefuseReason_REFUSE_CLOSED, .text = "héllo ✓"};
    return msg;
}

static wire_Note send_first(void)
{
    return (wire_Note){.which_body = wire_Note_send_first_tag, .body.send_first = true};
}

static wire_Note punch_again(void)
{
    return (wire_Note){.which_body = wire_Note_punch_again_tag, .body.punch_again = true};
}

static wire_Note more_candidates(void)
{
    return (wire_Note){.which_body = wire_Note_candidates_tag, .body.candidates = coordinates()};
}

static wire_ToMediator (*const to_mediator[])(void) = {
    registration, get_peer, dial_accept, dial_note, complete, ping, dial_end, resume};
static wire_FromMediator (*const from_mediator[])(void) = {
    registered, peer_coord, note_from_mediator, error, pong, resumed};
static wire_Note (*const notes[])(void) = {samples,    punch_plan,      refuse,
                                           send_first, more_candidates, punch_again};

/* ---- what the tests below do for each of the three kinds ---- */

/* Encoded twice the same: every field has survived. */
#define ASSERT_ROUND_TRIP(kind, fields, make)                                                      \
    do {                                                                                           \
        uint8_t bytes[BUFFER_BYTES], again[BUFFER_BYTES];                                          \
        const char *why;                                                                           \
        wire_##fields msg = make(), out;                                                           \
        size_t size = wire_encode_##kind(&msg, bytes, sizeof(bytes));                              \
        assert_true(size > 0);                                                                     \
        assert_true(wire_decode_##kind(bytes, size, &out, &why));                                  \
        assert_int_equal(out.which_body, msg.which_body);                                          \
        assert_int_equal(wire_encode_##kind(&out, again, sizeof(again)), size);                    \
        assert_memory_equal(again, bytes, size);                                                   \
        assert_int_equal(wire_encode_##kind(&msg, bytes, size - 1), 0);                            \
        assert_int_equal(wire_encode_##kind(&msg, bytes, size), size);                             \
    } while (0)

/* The rule is kept on both ways: the encoder refuses it, and so does the decoder when somebody
 * else has encoded it. */
#define ASSERT_BROKEN(kind, fields, msg, expected)                                                 \
    do {                                                                                           \
        uint8_t bytes[BUFFER_BYTES];                                                               \
        const char *why = NULL;                                                                    \
        wire_##fields out;                                                                         \
        assert_int_equal(wire_encode_##kind(&(msg), bytes, sizeof(bytes)), 0);                     \
        pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof(bytes));                        \
        assert_true(pb_encode(&stream, wire_##fields##_fields, &(msg)));                           \
        assert_false(wire_decode_##kind(bytes, stream.bytes_written, &out, &why));                 \
        assert_string_equal(why, expected);                                                        \
    } while (0)

#define BREAK_TO(make, expected, ...)                                                              \
    do {                                                                                           \
        wire_ToMediator msg = make();                                                              \
        __VA_ARGS__;                                                                               \
        ASSERT_BROKEN(to_mediator, ToMediator, msg, expected);                                     \
    } while (0)
#define BREAK_FROM(make, expected, ...)                                                            \
    do {                                                                                           \
        wire_FromMediator msg = make();                                                            \
        __VA_ARGS__;                                                                               \
        ASSERT_BROKEN(from_mediator, FromMediator, msg, expected);                                 \
    } while (0)
#define BREAK_NOTE(make, expected, ...)                                                            \
    do {                                                                                           \
        wire_Note msg = make();                                                                    \
        __VA_ARGS__;                                                                               \
        ASSERT_BROKEN(note, Note, msg, expected);                                                  \
    } while (0)

static void every_message_survives_a_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(to_mediator); i++) {
        ASSERT_ROUND_TRIP(to_mediator, ToMediator, to_mediator[i]);
    }
    for (size_t i = 0; i < COUNT(from_mediator); i++) {
        ASSERT_ROUND_TRIP(from_mediator, FromMediator, from_mediator[i]);
    }
    for (size_t i = 0; i < COUNT(notes); i++) {
        ASSERT_ROUND_TRIP(note, Note, notes[i]);
    }
}

static void decoded_fields_are_what_was_sent(void **state)
{
    (void)state;
    uint8_t bytes[BUFFER_BYTES];
    const char *why;
    wire_FromMediator msg = peer_coord(), out;
    size_t size = wire_encode_from_mediator(&msg, bytes, sizeof(bytes));
    assert_true(wire_decode_from_mediator(bytes, size, &out, &why));
    const wire_PeerCoord *body = &out.body.peer_coord;
    assert_int_equal(body->coordinates.candidates_count, WIRE_MAX_CANDIDATES);
    assert_true(body->coordinates.candidates[3].attested);
    assert_false(body->coordinates.candidates[2].attested);
    struct stun_addr addr = wire_to_addr(&body->coordinates.candidates[1].address);
    assert_int_equal(addr.family, STUN_IPV6);
    assert_int_equal(addr.port, 65534);
    assert_int_equal(body->sealed.size, WIRE_MAX_SEALED_BYTES);
    assert_int_equal(body->coordinates.profile.step, -2);
    assert_int_equal(body->opener_due_us, 20000);
    assert_true(body->same_public_address);
}

static void the_largest_messages_fit_their_carriers(void **state)
{
    (void)state;
    uint8_t bytes[BUFFER_BYTES];
    for (size_t i = 0; i < COUNT(notes); i++) {
        wire_Note note = notes[i]();
        size_t size = wire_encode_note(&note, bytes, sizeof(bytes));
        assert_true(size + 8 + 16 + 16 <= WIRE_MAX_NOTE_BYTES);
    }
    assert_true(wire_ToMediator_size <= 8192);
    assert_true(wire_FromMediator_size <= 8192);
}

static void broken_rules_of_addresses(void **state)
{
    (void)state;
#define CANDIDATE msg.body.get_peer.coordinates.candidates[11]
#define IP        CANDIDATE.address.ip
    BREAK_TO(get_peer, "an address is missing", CANDIDATE.has_address = false);
    BREAK_TO(get_peer, "an address is not 4 or 16 bytes", IP.size = 0);
    BREAK_TO(get_peer, "an address is not 4 or 16 bytes", IP.size = 5);
    BREAK_TO(get_peer, "a port is not 1 to 65535", CANDIDATE.address.port = 0);
    BREAK_TO(get_peer, "a port is not 1 to 65535", CANDIDATE.address.port = 65536);
    BREAK_TO(get_peer, "an address is not one that can be sent to",
             fill(IP.bytes, IP.size = 16, 0));
    BREAK_TO(get_peer, "an address is not one that can be sent to",
             fill(IP.bytes, IP.size = 4, 0xFF));
    BREAK_TO(get_peer, "an address is not one that can be sent to",
             fill(IP.bytes, IP.size = 4, 0xE0));
    BREAK_TO(get_peer, "an address is not one that can be sent to",
             fill(IP.bytes, IP.size = 16, 0xFF));
    static const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 1};
    BREAK_TO(get_peer, "an address is IPv4-mapped", memcpy(IP.bytes, mapped, 16));
#undef IP
#undef CANDIDATE
}

static void broken_rules_to_the_mediator(void **state)
{
    (void)state;
    BREAK_TO(get_peer, "a candidate's kind is unknown",
             msg.body.get_peer.coordinates.candidates[0].kind =
                 wire_CandidateKind_CANDIDATE_UNSPECIFIED);
    BREAK_TO(get_peer, "a candidate's kind is unknown",
             msg.body.get_peer.coordinates.candidates[0].kind = (wire_CandidateKind)5);
    BREAK_TO(registration, "visibility is unknown",
             msg.body.registration.visibility = (wire_Visibility)4);
    BREAK_TO(registration, "an allowed ID is not 32 bytes",
             msg.body.registration.allowed[63].size = 31);
    BREAK_TO(registration, "an allowed ID is not 32 bytes",
             msg.body.registration.allowed[0].size = 0);
    BREAK_TO(get_peer, "dial_id is not 16 bytes", msg.body.get_peer.dial_id.size = 15);
    BREAK_TO(get_peer, "peer_id is not 32 bytes", msg.body.get_peer.peer_id.size = 0);
    BREAK_TO(get_peer, "sealed is not 1 to 1600 bytes", msg.body.get_peer.sealed.size = 0);
    BREAK_TO(dial_accept, "dial_id is not 16 bytes", msg.body.dial_accept.dial_id.size = 0);
    BREAK_TO(dial_note, "dial_id is not 16 bytes", msg.body.dial_note.dial_id.size = 1);
    BREAK_TO(dial_note, "sealed is not 1 to 1024 bytes", msg.body.dial_note.sealed.size = 0);
    BREAK_TO(complete, "dial_id is not 16 bytes", msg.body.holepunching_complete.dial_id.size = 8);
    BREAK_TO(complete, "outcome is unknown",
             msg.body.holepunching_complete.outcome = wire_Outcome_OUTCOME_UNSPECIFIED);
    BREAK_TO(complete, "outcome is unknown",
             msg.body.holepunching_complete.outcome = (wire_Outcome)5);
    BREAK_TO(dial_end, "dial_id is not 16 bytes", msg.body.dial_end.dial_id.size = 0);
    BREAK_TO(resume, "dial_id is not 16 bytes", msg.body.resume.dial_id.size = 15);
    BREAK_TO(resume, "peer_id is not 32 bytes", msg.body.resume.peer_id.size = 31);
    BREAK_TO(ping, "the message has no known body", msg.which_body = 0);
}

static void broken_rules_from_the_mediator(void **state)
{
    (void)state;
    BREAK_FROM(registered, "session_id is not 8 bytes", msg.body.registered.session_id.size = 7);
    BREAK_FROM(registered, "session_key is not 32 bytes", msg.body.registered.session_key.size = 0);
    BREAK_FROM(registered, "a port is not 1 to 65535", msg.body.registered.bounce[7].port = 0);
    BREAK_FROM(registered, "there are more than 4 bounce endpoints of one family",
               msg.body.registered.bounce[7] = address_v4(1));
    BREAK_FROM(registered, "there are more than 4 bounce endpoints of one family",
               msg.body.registered.bounce[0] = address_v6(1));
    BREAK_FROM(registered, "an address is missing", msg.body.registered.has_seen = false);
    BREAK_FROM(peer_coord, "dial_id is not 16 bytes", msg.body.peer_coord.dial_id.size = 0);
    BREAK_FROM(peer_coord, "peer_id is not 32 bytes", msg.body.peer_coord.peer_id.size = 31);
    BREAK_FROM(peer_coord, "an address is missing",
               msg.body.peer_coord.coordinates.candidates[0].has_address = false);
    BREAK_FROM(peer_coord, "relay_tag is not 8 bytes that begin with 0x45",
               msg.body.peer_coord.relay_tag.size = 7);
    BREAK_FROM(peer_coord, "relay_tag is not 8 bytes that begin with 0x45",
               msg.body.peer_coord.relay_tag.bytes[0] = 0x44);
    BREAK_FROM(peer_coord, "text is not UTF-8", strcpy(msg.body.peer_coord.relay_refusal, "\xE9"));
    BREAK_FROM(resumed, "dial_id is not 16 bytes", msg.body.resumed.dial_id.size = 0);
    BREAK_FROM(resumed, "peer_id is not 32 bytes", msg.body.resumed.peer_id.size = 0);
    BREAK_FROM(resumed, "relay_tag is not 8 bytes that begin with 0x45",
               SET_BYTES(msg.body.resumed.relay_tag, 8));
    BREAK_FROM(resumed, "text is not UTF-8", strcpy(msg.body.resumed.relay_refusal, "\xE9"));
    BREAK_FROM(resumed, "an address is missing",
               msg.body.resumed.coordinates.candidates[0].has_address = false);
    BREAK_FROM(note_from_mediator, "dial_id is not 16 bytes", msg.body.dial_note.dial_id.size = 0);
    BREAK_FROM(error, "the error's code is unknown",
               msg.body.error.code = wire_ErrorCode_ERROR_UNSPECIFIED);
    BREAK_FROM(error, "the error's code is unknown", msg.body.error.code = (wire_ErrorCode)7);
    BREAK_FROM(error, "dial_id is neither empty nor 16 bytes", msg.body.error.dial_id.size = 4);
    BREAK_FROM(error, "text is not UTF-8", strcpy(msg.body.error.text, "caf\xE9"));
    BREAK_FROM(pong, "the message has no known body", msg.which_body = 0);
}

static void broken_rules_of_notes(void **state)
{
    (void)state;
    BREAK_NOTE(samples, "an address is missing", msg.body.samples.has_public_address = false);
    BREAK_NOTE(samples, "a port is not 1 to 65535", msg.body.samples.ports[0] = 0);
    BREAK_NOTE(samples, "a port is not 1 to 65535", msg.body.samples.ports[7] = 65536);
    BREAK_NOTE(punch_plan, "an address is missing", msg.body.punch_plan.has_target = false);
    BREAK_NOTE(punch_plan, "a port is not 0 to 65535", msg.body.punch_plan.target.port = 65536);
    BREAK_NOTE(punch_plan, "an address is not 4 or 16 bytes",
               msg.body.punch_plan.target.ip.size = 3);
    BREAK_NOTE(punch_plan, "a port is not 1 to 65535", msg.body.punch_plan.ports[63] = 0);
    BREAK_NOTE(refuse, "the reason is unknown",
               msg.body.refuse.reason = wire_RefuseReason_REFUSE_UNSPECIFIED);
    BREAK_NOTE(refuse, "the reason is unknown", msg.body.refuse.reason = (wire_RefuseReason)5);
    BREAK_NOTE(refuse, "text is not UTF-8", strcpy(msg.body.refuse.text, "\xC0\xAF"));
    BREAK_NOTE(send_first, "send_first is not true", msg.body.send_first = false);
    BREAK_NOTE(punch_again, "punch_again is not true", msg.body.punch_again = false);
    BREAK_NOTE(more_candidates, "a candidate's kind is unknown",
               msg.body.candidates.candidates[0].kind = (wire_CandidateKind)9);
    BREAK_NOTE(send_first, "the message has no known body", msg.which_body = 0);
}

/* What the structs cannot even hold: one more element, one more byte. */
static void counts_and_sizes_out_of_bounds(void **state)
{
    (void)state;
    uint8_t bytes[BUFFER_BYTES];
    const char *why;
    wire_ToMediator out;
    /* Register with 65 allowed IDs of 32 bytes. */
    size_t at = 0;
    size_t body = 65 * 34;
    bytes[at++] = 0x0A;
    bytes[at++] = (uint8_t)(body & 0x7F) | 0x80;
    bytes[at++] = (uint8_t)(body >> 7);
    for (size_t i = 0; i < 65; i++) {
        bytes[at++] = 0x1A;
        bytes[at++] = 32;
        fill(bytes + at, 32, 1);
        at += 32;
    }
    assert_false(wire_decode_to_mediator(bytes, at, &out, &why));
    assert_true(strlen(why) > 0);
    /* DialAccept with a dial ID of 17 bytes. */
    static const uint8_t long_id[] = {0x1A, 19, 0x0A, 17, 1,  2,  3,  4,  5,  6, 7,
                                      8,    9,  10,   11, 12, 13, 14, 15, 16, 17};
    assert_false(wire_decode_to_mediator(long_id, sizeof(long_id), &out, &why));
    assert_true(strlen(why) > 0);
    /* Coordinates marked as absent would vanish. */
    wire_ToMediator msg = get_peer();
    msg.body.get_peer.has_coordinates = false;
    assert_int_equal(wire_encode_to_mediator(&msg, bytes, sizeof(bytes)), 0);
    msg.body.get_peer.coordinates.candidates_count = 0;
    assert_true(wire_encode_to_mediator(&msg, bytes, sizeof(bytes)) > 0);
    msg.body.get_peer.has_coordinates = true;
    msg.body.get_peer.coordinates.candidates_count = WIRE_MAX_CANDIDATES + 1;
    assert_int_equal(wire_encode_to_mediator(&msg, bytes, sizeof(bytes)), 0);
}

static void unknown_fields_are_skipped_unknown_bodies_are_not(void **state)
{
    (void)state;
    const char *why;
    wire_ToMediator out;
    /* Ping with token 7 and an unknown field 9 = 1 inside. */
    static const uint8_t newer[] = {0x32, 11, 0x09, 7, 0, 0, 0, 0, 0, 0, 0, 0x48, 1};
    assert_true(wire_decode_to_mediator(newer, sizeof(newer), &out, &why));
    assert_int_equal(out.body.ping.token, 7);
    static const uint8_t unknown[] = {0x7A, 2, 0x08, 1};
    assert_false(wire_decode_to_mediator(unknown, sizeof(unknown), &out, &why));
    assert_string_equal(why, "the message has no known body");
    assert_false(wire_decode_to_mediator(unknown, 0, &out, &why));
}

static void clients_cannot_attest(void **state)
{
    (void)state;
    uint8_t bytes[BUFFER_BYTES];
    const char *why;
    wire_ToMediator msg = registration(), out;
    msg.body.registration.coordinates.candidates[5].attested = true;
    size_t size = wire_encode_to_mediator(&msg, bytes, sizeof(bytes));
    assert_true(wire_decode_to_mediator(bytes, size, &out, &why));
    assert_false(out.body.registration.coordinates.candidates[5].attested);
    wire_Note note = more_candidates(), note_out;
    note.body.candidates.candidates[0].attested = true;
    size = wire_encode_note(&note, bytes, sizeof(bytes));
    assert_true(wire_decode_note(bytes, size, &note_out, &why));
    assert_false(note_out.body.candidates.candidates[0].attested);
}

static void unknown_profile_values_become_unknown(void **state)
{
    (void)state;
    uint8_t bytes[BUFFER_BYTES];
    const char *why;
    wire_ToMediator msg = complete(), out;
    msg.body.holepunching_complete.mine = (wire_Profile){.mapping = 5,
                                                         .allocation = 5,
                                                         .pooling = UINT32_MAX,
                                                         .filtering = 4,
                                                         .early = 3,
                                                         .hairpin = 3,
                                                         .foreign_per_1000_s = UINT32_MAX,
                                                         .block_ports = 1024,
                                                         .block_first = 65000,
                                                         .lifetime_s = 65536,
                                                         .step = INT32_MIN,
                                                         .endpoints_seen = 1000};
    size_t size = wire_encode_to_mediator(&msg, bytes, sizeof(bytes));
    assert_true(wire_decode_to_mediator(bytes, size, &out, &why));
    const wire_Profile *mine = &out.body.holepunching_complete.mine;
    assert_int_equal(mine->mapping, 0);
    assert_int_equal(mine->allocation, 0);
    assert_int_equal(mine->pooling, 0);
    assert_int_equal(mine->filtering, 0);
    assert_int_equal(mine->step, 0);
    assert_int_equal(mine->endpoints_seen, 255);
    assert_int_equal(mine->early, 0);
    assert_int_equal(mine->hairpin, 0);
    assert_int_equal(mine->foreign_per_1000_s, 0);
    assert_int_equal(mine->block_ports, 0);
    assert_int_equal(mine->block_first, 0);
    assert_int_equal(mine->lifetime_s, 0);
}

static void a_missing_part_is_an_empty_one(void **state)
{
    (void)state;
    uint8_t bytes[BUFFER_BYTES];
    const char *why;
    wire_ToMediator msg = {.which_body = wire_ToMediator_registration_tag}, out;
    size_t size = wire_encode_to_mediator(&msg, bytes, sizeof(bytes));
    assert_true(size > 0);
    assert_true(wire_decode_to_mediator(bytes, size, &out, &why));
    assert_true(out.body.registration.has_coordinates);
    assert_true(out.body.registration.coordinates.has_profile);
    assert_int_equal(out.body.registration.coordinates.candidates_count, 0);
}

static void text_is_harmless_after_decoding(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *read;
    } cases[] = {
        {"plain", "plain"},
        {"\x1b[2Jgone\r\n\t\x7f", "?[2Jgone????"},
        {"a\xC2\x9B"
         "1mb",
         "a?1mb"}, /* C1 */
        {"\xE2\x80\xAE"
         "evil\xE2\x81\xA6",
         "?evil?"},            /* override, isolate */
        {"\xE2\x80\xA8", "?"}, /* line separator */
        {"\xF0\x9F\x98\x80 \xC3\xA9", "\xF0\x9F\x98\x80 \xC3\xA9"},
        {"", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[BUFFER_BYTES];
        const char *why;
        wire_Note msg = refuse(), out;
        strcpy(msg.body.refuse.text, cases[i].sent);
        size_t size = wire_encode_note(&msg, bytes, sizeof(bytes));
        assert_true(wire_decode_note(bytes, size, &out, &why));
        assert_string_equal(out.body.refuse.text, cases[i].read);
        wire_FromMediator coord = peer_coord(), coord_out;
        strcpy(coord.body.peer_coord.relay_refusal, cases[i].sent);
        size = wire_encode_from_mediator(&coord, bytes, sizeof(bytes));
        assert_true(wire_decode_from_mediator(bytes, size, &coord_out, &why));
        assert_string_equal(coord_out.body.peer_coord.relay_refusal, cases[i].read);
    }
}

static void only_wellformed_utf8_is_text(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xC3",
        "\xC3(",
        "\xC0\x80",
        "\xC1\xBF",
        "\xE0\x80\x80",
        "\xE2\x82",
        "\xED\xA0\x80",
        "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80",
        "\xF8\x88\x80\x80\x80",
        "\xFF",
    };
    static const char *const good[] = {"",
                                       "a",
                                       "\x7F",
                                       "\xC2\x80",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(wire_text_is_utf8(bad[i]));
    }
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(wire_text_is_utf8(good[i]));
    }
}

/* Decodes a copy that ends where the bytes end, so that a sanitizer sees every step too far. What
 * is accepted must keep the rules: the encoder says so. */
static void decode_all(const uint8_t *bytes, size_t size)
{
    uint8_t copy[BUFFER_BYTES], again[BUFFER_BYTES];
    const char *why;
    union {
        wire_ToMediator to;
        wire_FromMediator from;
        wire_Note note;
    } out;
    uint8_t *end = copy + sizeof(copy) - size;
    memcpy(end, bytes, size);
    if (wire_decode_to_mediator(end, size, &out.to, &why)) {
        assert_true(wire_encode_to_mediator(&out.to, again, sizeof(again)) > 0);
    }
    if (wire_decode_from_mediator(end, size, &out.from, &why)) {
        assert_true(wire_encode_from_mediator(&out.from, again, sizeof(again)) > 0);
    }
    if (wire_decode_note(end, size, &out.note, &why)) {
        assert_true(wire_encode_note(&out.note, again, sizeof(again)) > 0);
    }
}

static size_t encode_any(size_t which, uint8_t bytes[static BUFFER_BYTES])
{
    if (which < COUNT(to_mediator)) {
        wire_ToMediator msg = to_mediator[which]();
        return wire_encode_to_mediator(&msg, bytes, BUFFER_BYTES);
    }
    which -= COUNT(to_mediator);
    if (which < COUNT(from_mediator)) {
        wire_FromMediator msg = from_mediator[which]();
        return wire_encode_from_mediator(&msg, bytes, BUFFER_BYTES);
    }
    wire_Note msg = notes[which - COUNT(from_mediator)]();
    return wire_encode_note(&msg, bytes, BUFFER_BYTES);
}

#define ALL_MESSAGES (COUNT(to_mediator) + COUNT(from_mediator) + COUNT(notes))

static void truncated_messages_are_survived(void **state)
{
    (void)state;
    for (size_t which = 0; which < ALL_MESSAGES; which++) {
        uint8_t bytes[BUFFER_BYTES];
        size_t whole = encode_any(which, bytes);
        for (size_t size = 0; size < whole; size++) {
            wire_ToMediator out;
            const char *why;
            /* Every body stands in one field, so no part of it is a whole message. */
            assert_false(wire_decode_to_mediator(bytes, size, &out, &why));
            assert_true(strlen(why) > 0);
            if (size < 64 || size > whole - 64) {
                decode_all(bytes, size);
            }
        }
    }
}

static void mutated_messages_are_survived(void **state)
{
    (void)state;
    uint32_t random = 12345;
    for (uint32_t round = 0; round < 2000; round++) {
        uint8_t bytes[BUFFER_BYTES];
        size_t size = encode_any(round % ALL_MESSAGES, bytes);
        for (uint32_t change = 0; change <= round % 4; change++) {
            random = random * 1664525 + 1013904223;
            bytes[(random >> 8) % size] ^= (uint8_t)(1u << (random >> 29));
        }
        decode_all(bytes, size);
    }
}

static void addresses_and_profiles_convert(void **state)
{
    (void)state;
    struct stun_addr v4 = stun_addr_v4(192, 0, 2, 7, 4711), v6;
    wire_Address wire;
    assert_true(stun_addr_parse("[2001:db8::7]:9", &v6));
    wire_from_addr(&v4, &wire);
    assert_int_equal(wire.ip.size, 4);
    struct stun_addr back = wire_to_addr(&wire);
    assert_true(stun_addr_equal(&v4, &back));
    wire_from_addr(&v6, &wire);
    assert_int_equal(wire.ip.size, 16);
    back = wire_to_addr(&wire);
    assert_true(stun_addr_equal(&v6, &back));
    wire.port = 65536 + 9;
    back = wire_to_addr(&wire);
    assert_int_equal(back.family, STUN_NO_FAMILY);
    struct stun_addr none = {0};
    wire_from_addr(&none, &wire);
    assert_int_equal(wire.ip.size, 0);

    struct nat_profile p = {.mapping = NAT_MAPPING_ADDRESS_DEPENDENT,
                            .allocation = NAT_ALLOCATION_SEQUENTIAL,
                            .pooling = NAT_POOLING_ONE,
                            .filtering = NAT_FILTERING_ENDPOINT_INDEPENDENT,
                            .step = -7,
                            .endpoints_seen = 4};
    struct nat_profile q;
    wire_Profile on_wire;
    wire_from_profile(&p, &on_wire);
    wire_to_profile(&on_wire, &q);
    assert_int_equal(q.mapping, p.mapping);
    assert_int_equal(q.allocation, p.allocation);
    assert_int_equal(q.pooling, p.pooling);
    assert_int_equal(q.filtering, p.filtering);
    assert_int_equal(q.step, p.step);
    assert_int_equal(q.endpoints_seen, p.endpoints_seen);
    assert_int_equal(q.public_addr.family, STUN_NO_FAMILY);
    on_wire.mapping = 77;
    on_wire.step = 1 << 20;
    wire_to_profile(&on_wire, &q);
    assert_int_equal(q.mapping, NAT_MAPPING_UNKNOWN);
    assert_int_equal(q.step, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_survives_a_round_trip),
        cmocka_unit_test(decoded_fields_are_what_was_sent),
        cmocka_unit_test(the_largest_messages_fit_their_carriers),
        cmocka_unit_test(broken_rules_of_addresses),
        cmocka_unit_test(broken_rules_to_the_mediator),
        cmocka_unit_test(broken_rules_from_the_mediator),
        cmocka_unit_test(broken_rules_of_notes),
        cmocka_unit_test(counts_and_sizes_out_of_bounds),
        cmocka_unit_test(unknown_fields_are_skipped_unknown_bodies_are_not),
        cmocka_unit_test(clients_cannot_attest),
        cmocka_unit_test(unknown_profile_values_become_unknown),
        cmocka_unit_test(a_missing_part_is_an_empty_one),
        cmocka_unit_test(text_is_harmless_after_decoding),
        cmocka_unit_test(only_wellformed_utf8_is_text),
        cmocka_unit_test(truncated_messages_are_survived),
        cmocka_unit_test(mutated_messages_are_survived),
        cmocka_unit_test(addresses_and_profiles_convert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
