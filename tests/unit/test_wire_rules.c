/* SPDX-License-Identifier: BSD-2-Clause */
/* What the types of eyelet.proto allow, and its rules do not. */
#include "rendezvous/wire_rules.h"

#include <pb_encode.h>

#include "wire_messages.h"

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
    BREAK_TO(registration, "instance is not 8 bytes", msg.body.registration.instance.size = 7);
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
    BREAK_FROM(relayed_from_mediator, "datagram is not 9 to 1260 bytes that begin with 0x45",
               msg.body.relayed.datagram.size = 8);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_rules_of_addresses),
        cmocka_unit_test(broken_rules_to_the_mediator),
        cmocka_unit_test(broken_rules_from_the_mediator),
        cmocka_unit_test(broken_rules_of_notes),
        cmocka_unit_test(counts_and_sizes_out_of_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
