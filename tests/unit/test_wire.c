/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/wire.h"

#include "wire_messages.h"

static wire_ToMediator (*const to_mediator[])(void) = {
    registration, get_peer, dial_accept, dial_note, complete, ping, dial_end, resume, relayed};
static wire_FromMediator (*const from_mediator[])(void) = {
    registered, peer_coord, note_from_mediator, error, pong, resumed, relayed_from_mediator};
static wire_Note (*const notes[])(void) = {samples,    punch_plan,      refuse,
                                           send_first, more_candidates, punch_again};

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
        cmocka_unit_test(unknown_fields_are_skipped_unknown_bodies_are_not),
        cmocka_unit_test(clients_cannot_attest),
        cmocka_unit_test(unknown_profile_values_become_unknown),
        cmocka_unit_test(a_missing_part_is_an_empty_one),
        cmocka_unit_test(truncated_messages_are_survived),
        cmocka_unit_test(mutated_messages_are_survived),
        cmocka_unit_test(addresses_and_profiles_convert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
