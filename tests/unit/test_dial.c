/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/dial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_US UINT64_C(1700000000000000)
#define S_US   UINT64_C(1000000)

struct pair {
    struct identity caller, callee, other;
    struct dial_offer offer;
    uint8_t sealed[WIRE_MAX_SEALED_BYTES];
    size_t sealed_bytes;
};

static void seal(struct pair *pair)
{
    assert_int_equal(dial_seal(&pair->caller, &pair->offer, pair->sealed, &pair->sealed_bytes),
                     DIAL_OK);
}

static int unseal(const struct pair *pair, struct dial_offer *out)
{
    return dial_unseal(&pair->callee, pair->offer.dial_id, &pair->caller.id, pair->sealed,
                       pair->sealed_bytes, out);
}

static int make_pair(void **state)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    if (pair == NULL || identity_generate(&pair->caller) != IDENTITY_OK ||
        identity_generate(&pair->callee) != IDENTITY_OK ||
        identity_generate(&pair->other) != IDENTITY_OK) {
        return -1;
    }
    pair->offer.caller = pair->caller.id;
    pair->offer.callee = pair->callee.id;
    pair->offer.timestamp_us = NOW_US;
    pair->offer.flight_bytes = 1200;
    identity_random(NULL, pair->offer.dial_id, sizeof(pair->offer.dial_id));
    identity_random(NULL, pair->offer.secret, sizeof(pair->offer.secret));
    identity_random(NULL, pair->offer.flight, pair->offer.flight_bytes);
    seal(pair);
    *state = pair;
    return 0;
}

static int free_pair(void **state)
{
    free(*state);
    return 0;
}

/* The other key with the same X25519 form: the point with its x coordinate negated. */
static struct identity_id negated(const struct identity_id *id)
{
    struct identity_id other = *id;
    other.bytes[IDENTITY_ID_BYTES - 1] ^= 0x80;
    return other;
}

static void the_callee_reads_what_the_caller_sealed(void **state)
{
    static const size_t flights[] = {0, 1, 1200, DIAL_MAX_FLIGHT_BYTES};
    struct pair *pair = *state;
    for (size_t i = 0; i < sizeof(flights) / sizeof(flights[0]); i++) {
        memset(pair->offer.flight, 0, sizeof(pair->offer.flight));
        memset(pair->offer.flight, 0xA5, flights[i]);
        pair->offer.flight_bytes = flights[i];
        seal(pair);
        assert_int_equal(pair->sealed_bytes, 48 + 202 + flights[i]);
        struct dial_offer out;
        assert_int_equal(unseal(pair, &out), DIAL_OK);
        assert_memory_equal(out.dial_id, pair->offer.dial_id, sizeof(out.dial_id));
        assert_true(identity_equal(&out.caller, &pair->caller.id));
        assert_true(identity_equal(&out.callee, &pair->callee.id));
        assert_int_equal(out.timestamp_us, NOW_US);
        assert_memory_equal(out.secret, pair->offer.secret, sizeof(out.secret));
        assert_int_equal(out.flight_bytes, flights[i]);
        assert_memory_equal(out.flight, pair->offer.flight, sizeof(out.flight));
    }
}

static void two_seals_of_one_offer_differ(void **state)
{
    struct pair *pair = *state;
    uint8_t first[WIRE_MAX_SEALED_BYTES];
    memcpy(first, pair->sealed, pair->sealed_bytes);
    seal(pair);
    assert_memory_not_equal(first, pair->sealed, pair->sealed_bytes);
}

static void seal_refuses_what_it_cannot_vouch_for(void **state)
{
    struct pair *pair = *state;
    uint8_t out[WIRE_MAX_SEALED_BYTES];
    size_t bytes;
    struct dial_offer offer = pair->offer;
    offer.flight_bytes = DIAL_MAX_FLIGHT_BYTES + 1;
    assert_int_equal(dial_seal(&pair->caller, &offer, out, &bytes), DIAL_ERR_SPACE);
    assert_int_equal(dial_seal(&pair->other, &pair->offer, out, &bytes), DIAL_ERR_FORMAT);
    offer = pair->offer;
    memset(&offer.callee, 0, sizeof(offer.callee)); /* a point of small order */
    assert_int_equal(dial_seal(&pair->caller, &offer, out, &bytes), DIAL_ERR_CRYPTO);
}

static void nobody_else_can_open_it(void **state)
{
    struct pair *pair = *state;
    struct dial_offer out;
    assert_int_equal(dial_unseal(&pair->other, pair->offer.dial_id, &pair->caller.id, pair->sealed,
                                 pair->sealed_bytes, &out),
                     DIAL_ERR_UNSEAL);
    assert_int_equal(dial_unseal(&pair->caller, pair->offer.dial_id, &pair->caller.id, pair->sealed,
                                 pair->sealed_bytes, &out),
                     DIAL_ERR_UNSEAL);
}

static void the_mediator_cannot_swap_names(void **state)
{
    struct pair *pair = *state;
    struct dial_offer out;
    uint8_t other_dial[WIRE_DIAL_ID_BYTES] = {1};
    assert_int_equal(dial_unseal(&pair->callee, other_dial, &pair->caller.id, pair->sealed,
                                 pair->sealed_bytes, &out),
                     DIAL_ERR_NOT_FOR_US);
    assert_int_equal(dial_unseal(&pair->callee, pair->offer.dial_id, &pair->other.id, pair->sealed,
                                 pair->sealed_bytes, &out),
                     DIAL_ERR_NOT_FOR_US);
    struct identity_id minus = negated(&pair->caller.id);
    assert_int_equal(dial_unseal(&pair->callee, pair->offer.dial_id, &minus, pair->sealed,
                                 pair->sealed_bytes, &out),
                     DIAL_ERR_NOT_FOR_US);
    for (size_t i = 0; i < sizeof(out); i++) {
        assert_int_equal(((const uint8_t *)&out)[i], 0);
    }
}

/* A and -A share an X25519 key: what is sealed for one opens with the other's. */
static void a_dial_to_the_negated_key_is_not_for_us(void **state)
{
    struct pair *pair = *state;
    struct dial_offer out;
    pair->offer.callee = negated(&pair->callee.id);
    seal(pair);
    assert_int_equal(unseal(pair, &out), DIAL_ERR_NOT_FOR_US);
}

/* The caller seals in the name of -A, and the mediator goes along. */
static void nobody_signs_for_the_negated_key(void **state)
{
    struct pair *pair = *state;
    struct dial_offer out;
    struct identity pretender = pair->caller;
    pretender.id = negated(&pair->caller.id);
    pair->offer.caller = pretender.id;
    assert_int_equal(dial_seal(&pretender, &pair->offer, pair->sealed, &pair->sealed_bytes),
                     DIAL_OK);
    assert_int_equal(dial_unseal(&pair->callee, pair->offer.dial_id, &pretender.id, pair->sealed,
                                 pair->sealed_bytes, &out),
                     DIAL_ERR_SIGNATURE);
}

/* With the callee's own key anybody can seal, but not sign. */
static void a_stranger_cannot_dial_in_the_callers_name(void **state)
{
    struct pair *pair = *state;
    struct dial_offer out;
    struct identity pretender = pair->other;
    pretender.id = pair->caller.id;
    assert_int_equal(dial_seal(&pretender, &pair->offer, pair->sealed, &pair->sealed_bytes),
                     DIAL_OK);
    assert_int_equal(unseal(pair, &out), DIAL_ERR_SIGNATURE);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct pair *pair = *state;
    struct dial_offer out;
    pair->offer.flight_bytes = 40;
    seal(pair);
    for (size_t i = 0; i < pair->sealed_bytes; i++) {
        pair->sealed[i] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(unseal(pair, &out), DIAL_ERR_UNSEAL);
        pair->sealed[i] ^= (uint8_t)(1u << i % 8);
    }
    assert_int_equal(unseal(pair, &out), DIAL_OK);
}

static void every_truncation_is_noticed(void **state)
{
    struct pair *pair = *state;
    struct dial_offer out;
    pair->offer.flight_bytes = 40;
    seal(pair);
    size_t whole = pair->sealed_bytes;
    for (pair->sealed_bytes = 0; pair->sealed_bytes < whole; pair->sealed_bytes++) {
        assert_int_equal(unseal(pair, &out), DIAL_ERR_UNSEAL);
    }
    pair->sealed_bytes = sizeof(pair->sealed);
    assert_int_equal(unseal(pair, &out), DIAL_ERR_UNSEAL);
}

static void assert_ice_text(const char *text, size_t characters)
{
    static const char ice[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    assert_int_equal(strlen(text), characters);
    assert_int_equal(strspn(text, ice), characters);
}

static void both_sides_derive_the_same_keys(void **state)
{
    struct pair *pair = *state;
    struct dial_offer out;
    struct dial_keys mine, yours;
    assert_int_equal(unseal(pair, &out), DIAL_OK);
    assert_int_equal(dial_derive(&pair->offer, &mine), DIAL_OK);
    assert_int_equal(dial_derive(&out, &yours), DIAL_OK);
    assert_memory_equal(&mine, &yours, sizeof(mine));
    assert_ice_text(mine.caller_ufrag, DIAL_UFRAG_BYTES);
    assert_ice_text(mine.callee_ufrag, DIAL_UFRAG_BYTES);
    assert_ice_text(mine.caller_password, DIAL_PASSWORD_BYTES);
    assert_ice_text(mine.callee_password, DIAL_PASSWORD_BYTES);
}

static void every_derived_value_is_its_own(void **state)
{
    struct pair *pair = *state;
    struct dial_keys keys[6];
    struct dial_offer offers[6];
    for (size_t i = 0; i < 6; i++) {
        offers[i] = pair->offer;
    }
    offers[1].dial_id[0] ^= 1;
    offers[2].secret[0] ^= 1;
    offers[3].caller.bytes[0] ^= 1;
    offers[4].callee.bytes[31] ^= 0x80;
    offers[5].caller = pair->offer.callee;
    offers[5].callee = pair->offer.caller;
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(dial_derive(&offers[i], &keys[i]), DIAL_OK);
        const struct dial_keys *k = &keys[i];
        assert_string_not_equal(k->caller_ufrag, k->callee_ufrag);
        assert_string_not_equal(k->caller_password, k->callee_password);
        assert_memory_not_equal(k->caller_ufrag, k->caller_password, DIAL_UFRAG_BYTES);
        assert_memory_not_equal(k->note_to_callee, k->note_to_caller, DIAL_KEY_BYTES);
        assert_memory_not_equal(k->note_to_callee, k->link_token, DIAL_KEY_BYTES);
        assert_memory_not_equal(k->note_to_caller, k->link_token, DIAL_KEY_BYTES);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(k->caller_ufrag, keys[j].caller_ufrag);
            assert_string_not_equal(k->caller_password, keys[j].caller_password);
            assert_string_not_equal(k->callee_password, keys[j].callee_password);
            assert_memory_not_equal(k->note_to_callee, keys[j].note_to_callee, DIAL_KEY_BYTES);
            assert_memory_not_equal(k->note_to_caller, keys[j].note_to_caller, DIAL_KEY_BYTES);
            assert_memory_not_equal(k->link_token, keys[j].link_token, DIAL_TOKEN_BYTES);
        }
    }
}

/* Checked against an independent HKDF (RFC 5869): other implementations must find the same. */
static void derived_values_are_stable(void **state)
{
    (void)state;
    struct dial_offer offer = {0};
    struct dial_keys keys;
    for (uint8_t i = 0; i < 32; i++) {
        offer.secret[i] = i;
        offer.caller.bytes[i] = (uint8_t)(0x40 + i);
        offer.callee.bytes[i] = (uint8_t)(0x80 + i);
        offer.dial_id[i % 16] = (uint8_t)(0xC0 + i % 16);
    }
    assert_int_equal(dial_derive(&offer, &keys), DIAL_OK);
    assert_string_equal(keys.caller_ufrag, "V8862bm/");
    assert_string_equal(keys.caller_password, "KQe+LHdGniMVZ/nVIBGGCJFr");
    assert_string_equal(keys.callee_ufrag, "vk0jAT8d");
    assert_string_equal(keys.callee_password, "1Rb53h12Ba3ZDZ2wRx7+fUX2");
    assert_memory_equal(keys.note_to_callee, "\x70\x2a\x3c\x75", 4);
    assert_memory_equal(keys.note_to_caller, "\x44\x1e\x19\x5e", 4);
    assert_memory_equal(keys.link_token, "\x7a\xfd\x9b\x05", 4);
}

/* ---- replays ---- */

static struct identity_id numbered(uint32_t number)
{
    struct identity_id id = {{0}};
    memcpy(id.bytes, &number, sizeof(number));
    return id;
}

static int admit(struct dial_guard *guard, uint32_t caller, uint64_t timestamp_us)
{
    struct identity_id id = numbered(caller);
    return dial_guard_admit(guard, &id, timestamp_us);
}

static void a_timestamp_of_a_caller_is_admitted_once(void **state)
{
    (void)state;
    struct dial_guard *guard = dial_guard_new(NOW_US);
    assert_int_equal(admit(guard, 1, NOW_US), DIAL_OK);
    assert_int_equal(admit(guard, 1, NOW_US), DIAL_ERR_REPLAY);
    assert_int_equal(admit(guard, 2, NOW_US), DIAL_OK);
    assert_int_equal(admit(guard, 1, NOW_US + 1), DIAL_OK);
    assert_int_equal(admit(guard, 1, NOW_US), DIAL_ERR_REPLAY);
    assert_int_equal(admit(guard, 1, NOW_US + 1), DIAL_ERR_REPLAY);
    dial_guard_free(guard);
}

/* Programs with one key that call at the same moment. */
static void dials_of_one_moment_may_overtake_each_other(void **state)
{
    (void)state;
    struct dial_guard *guard = dial_guard_new(NOW_US);
    const uint64_t newest = NOW_US + 10 * S_US;
    assert_int_equal(admit(guard, 1, newest), DIAL_OK);
    for (uint64_t i = 7; i >= 1; i--) {
        assert_int_equal(admit(guard, 1, newest - i), DIAL_OK);
    }
    for (uint64_t i = 0; i < 8; i++) {
        assert_int_equal(admit(guard, 1, newest - i), DIAL_ERR_REPLAY);
    }
    assert_int_equal(admit(guard, 1, newest + 1), DIAL_OK);
    assert_int_equal(admit(guard, 1, newest - 7), DIAL_ERR_REPLAY); /* no longer held */
    assert_int_equal(admit(guard, 1, newest - 8), DIAL_ERR_REPLAY); /* too many newer ones */
    assert_int_equal(admit(guard, 2, newest), DIAL_OK);
    assert_int_equal(admit(guard, 2, newest - DIAL_GUARD_REORDER_US - 1), DIAL_ERR_REPLAY);
    assert_int_equal(admit(guard, 2, newest - DIAL_GUARD_REORDER_US), DIAL_OK);
    dial_guard_free(guard);
}

static void dials_from_before_the_guard_are_refused(void **state)
{
    (void)state;
    struct dial_guard *guard = dial_guard_new(NOW_US);
    assert_int_equal(admit(guard, 1, NOW_US - DIAL_GUARD_SLACK_US - 1), DIAL_ERR_CLOCK);
    assert_int_equal(admit(guard, 1, 0), DIAL_ERR_CLOCK);
    assert_int_equal(admit(guard, 1, NOW_US - DIAL_GUARD_SLACK_US), DIAL_OK);
    dial_guard_free(guard);
    guard = dial_guard_new(5); /* a clock that was never set */
    assert_int_equal(admit(guard, 1, 0), DIAL_ERR_CLOCK);
    assert_int_equal(admit(guard, 1, 1), DIAL_OK);
    dial_guard_free(guard);
    dial_guard_free(NULL);
}

static void a_forgotten_caller_cannot_be_replayed(void **state)
{
    (void)state;
    struct dial_guard *guard = dial_guard_new(NOW_US);
    const uint32_t callers = 3 * DIAL_GUARD_CALLERS;
    for (uint32_t i = 0; i < callers; i++) {
        assert_int_equal(admit(guard, i, NOW_US + i), DIAL_OK);
    }
    for (uint32_t i = 0; i < callers; i++) {
        int refused = i < callers - DIAL_GUARD_CALLERS ? DIAL_ERR_CLOCK : DIAL_ERR_REPLAY;
        assert_int_equal(admit(guard, i, NOW_US + i), refused);
    }
    /* A new dial of a forgotten caller is welcome. */
    assert_int_equal(admit(guard, 0, NOW_US + callers), DIAL_OK);
    dial_guard_free(guard);
}

static void nothing_is_admitted_twice(uint32_t callers)
{
    enum { DIALS = 4000 };
    static struct {
        uint32_t caller;
        uint64_t timestamp_us;
    } admitted[DIALS];
    struct dial_guard *guard = dial_guard_new(NOW_US);
    uint32_t random = 1;
    size_t count = 0;
    for (uint32_t i = 0; i < DIALS; i++) {
        random = random * 1664525 + 1013904223;
        uint32_t caller = (random >> 8) % callers;
        uint64_t timestamp = NOW_US + i * S_US / 100 + (random >> 4) % (20 * S_US);
        dial_guard_set_now(guard, NOW_US + i * S_US / 100 + 10 * S_US);
        if (admit(guard, caller, timestamp) == DIAL_OK) {
            admitted[count].caller = caller;
            admitted[count++].timestamp_us = timestamp;
        }
    }
    assert_true(count > DIALS / 8);
    for (size_t i = 0; i < count; i++) {
        assert_int_not_equal(admit(guard, admitted[i].caller, admitted[i].timestamp_us), DIAL_OK);
    }
    dial_guard_free(guard);
}

static void whatever_the_order_nothing_is_admitted_twice(void **state)
{
    (void)state;
    nothing_is_admitted_twice(1500); /* more than are remembered */
    nothing_is_admitted_twice(20);   /* more dials of each than are remembered */
}

static void dials_of_the_future_shut_nobody_out(void **state)
{
    (void)state;
    struct dial_guard *guard = dial_guard_new(NOW_US);
    dial_guard_set_now(guard, NOW_US);
    assert_int_equal(admit(guard, 1, NOW_US + DIAL_GUARD_SLACK_US + 1), DIAL_ERR_CLOCK);
    assert_int_equal(admit(guard, 1, UINT64_MAX), DIAL_ERR_CLOCK);
    uint32_t ahead = 0;
    for (uint32_t i = 0; i < 10 * DIAL_GUARD_CALLERS; i++) {
        ahead += admit(guard, i, NOW_US + DIAL_GUARD_SLACK_US) == DIAL_OK;
    }
    assert_int_equal(ahead, DIAL_GUARD_CALLERS / 2);
    for (uint32_t i = 0; i < 10 * DIAL_GUARD_CALLERS; i++) {
        dial_guard_set_now(guard, NOW_US + i);
        assert_int_equal(admit(guard, 100000 + i, NOW_US + i), DIAL_OK);
        assert_int_equal(admit(guard, 100000 + i, NOW_US + i), DIAL_ERR_REPLAY);
    }
    /* Who is there already may go on, ahead or not. */
    assert_int_equal(admit(guard, 0, NOW_US + DIAL_GUARD_SLACK_US + 1), DIAL_OK);
    dial_guard_free(guard);
}

/* ---- notes ---- */

struct notes {
    struct dial_note_box to, from;
    uint8_t sealed[3][WIRE_MAX_NOTE_BYTES];
    size_t sealed_bytes[3];
    uint8_t opened[WIRE_MAX_NOTE_BYTES];
};

static void make_notes(struct notes *notes)
{
    static const char *texts[3] = {"one", "two", "three"};
    memset(notes, 0, sizeof(*notes));
    identity_random(NULL, notes->to.key, sizeof(notes->to.key));
    memcpy(notes->from.key, notes->to.key, sizeof(notes->to.key));
    for (size_t i = 0; i < 3; i++) {
        notes->sealed_bytes[i] =
            dial_note_seal(&notes->to, (const uint8_t *)texts[i], strlen(texts[i]),
                           notes->sealed[i], sizeof(notes->sealed[i]));
        assert_int_equal(notes->sealed_bytes[i], strlen(texts[i]) + DIAL_NOTE_OVERHEAD_BYTES);
    }
}

static size_t open_note(struct notes *notes, size_t i)
{
    return dial_note_open(&notes->from, notes->sealed[i], notes->sealed_bytes[i], notes->opened,
                          sizeof(notes->opened));
}

static void notes_open_once_and_in_order(void **state)
{
    (void)state;
    struct notes notes;
    make_notes(&notes);
    assert_int_equal(open_note(&notes, 0), 3);
    assert_memory_equal(notes.opened, "one", 3);
    assert_int_equal(open_note(&notes, 0), 0);
    assert_int_equal(open_note(&notes, 2), 5); /* one may be lost */
    assert_memory_equal(notes.opened, "three", 5);
    assert_int_equal(open_note(&notes, 1), 0); /* but may not come late */
    assert_int_equal(open_note(&notes, 2), 0);
}

static void damaged_notes_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct notes notes;
    make_notes(&notes);
    for (size_t i = 0; i < notes.sealed_bytes[0]; i++) {
        notes.sealed[0][i] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(open_note(&notes, 0), 0);
        notes.sealed[0][i] ^= (uint8_t)(1u << i % 8);
    }
    size_t whole = notes.sealed_bytes[0];
    for (notes.sealed_bytes[0] = 0; notes.sealed_bytes[0] < whole; notes.sealed_bytes[0]++) {
        assert_int_equal(open_note(&notes, 0), 0);
    }
    assert_int_equal(notes.from.counter, 0);
    assert_int_equal(open_note(&notes, 0), 3);
    notes.from.key[0] ^= 1;
    assert_int_equal(open_note(&notes, 1), 0);
}

static void notes_must_fit(void **state)
{
    (void)state;
    struct notes notes;
    make_notes(&notes);
    uint8_t plain[WIRE_MAX_NOTE_BYTES] = {0};
    size_t most = WIRE_MAX_NOTE_BYTES - DIAL_NOTE_OVERHEAD_BYTES;
    uint8_t *out = notes.sealed[0];
    assert_int_equal(dial_note_seal(&notes.to, plain, most + 1, out, WIRE_MAX_NOTE_BYTES), 0);
    assert_int_equal(dial_note_seal(&notes.to, plain, 0, out, DIAL_NOTE_OVERHEAD_BYTES - 1), 0);
    assert_int_equal(dial_note_seal(&notes.to, plain, most, out, WIRE_MAX_NOTE_BYTES),
                     WIRE_MAX_NOTE_BYTES);
    assert_int_equal(dial_note_open(&notes.from, out, WIRE_MAX_NOTE_BYTES, notes.opened, most - 1),
                     0);
    assert_int_equal(dial_note_open(&notes.from, out, WIRE_MAX_NOTE_BYTES, notes.opened, most),
                     most);
    notes.to.counter = UINT64_MAX;
    assert_int_equal(dial_note_seal(&notes.to, plain, 1, out, WIRE_MAX_NOTE_BYTES), 0);
}

/* A callee that is made to open one dial twice starts counting twice. */
static void equal_counters_do_not_make_equal_notes(void **state)
{
    (void)state;
    struct notes notes;
    make_notes(&notes);
    notes.to.counter = 0;
    size_t bytes = dial_note_seal(&notes.to, (const uint8_t *)"one", 3, notes.sealed[1],
                                  sizeof(notes.sealed[1]));
    assert_memory_not_equal(notes.sealed[0], notes.sealed[1], bytes);
    assert_memory_not_equal(notes.sealed[0] + bytes - 3, notes.sealed[1] + bytes - 3, 3);
}

static void every_error_has_a_text(void **state)
{
    (void)state;
    for (int error = DIAL_ERR_SPACE; error <= DIAL_OK; error++) {
        assert_string_not_equal(dial_strerror(error), "unknown error");
    }
    assert_string_equal(dial_strerror(1), "unknown error");
}

int main(void)
{
#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, make_pair, free_pair)
    const struct CMUnitTest tests[] = {
        WITH_PAIR(the_callee_reads_what_the_caller_sealed),
        WITH_PAIR(two_seals_of_one_offer_differ),
        WITH_PAIR(seal_refuses_what_it_cannot_vouch_for),
        WITH_PAIR(nobody_else_can_open_it),
        WITH_PAIR(the_mediator_cannot_swap_names),
        WITH_PAIR(a_dial_to_the_negated_key_is_not_for_us),
        WITH_PAIR(nobody_signs_for_the_negated_key),
        WITH_PAIR(a_stranger_cannot_dial_in_the_callers_name),
        WITH_PAIR(every_flipped_bit_is_noticed),
        WITH_PAIR(every_truncation_is_noticed),
        WITH_PAIR(both_sides_derive_the_same_keys),
        WITH_PAIR(every_derived_value_is_its_own),
        cmocka_unit_test(derived_values_are_stable),
        cmocka_unit_test(a_timestamp_of_a_caller_is_admitted_once),
        cmocka_unit_test(dials_of_one_moment_may_overtake_each_other),
        cmocka_unit_test(dials_from_before_the_guard_are_refused),
        cmocka_unit_test(a_forgotten_caller_cannot_be_replayed),
        cmocka_unit_test(whatever_the_order_nothing_is_admitted_twice),
        cmocka_unit_test(dials_of_the_future_shut_nobody_out),
        cmocka_unit_test(notes_open_once_and_in_order),
        cmocka_unit_test(damaged_notes_are_refused_and_change_nothing),
        cmocka_unit_test(notes_must_fit),
        cmocka_unit_test(equal_counters_do_not_make_equal_notes),
        cmocka_unit_test(every_error_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
