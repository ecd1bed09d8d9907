/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t record[TRANSFER_HEAD_BYTES + TRANSFER_MAX_BODY_BYTES];

static struct transfer_head head_of(size_t bytes, bool from_sender)
{
    struct transfer_head head;
    assert_true(transfer_parse_head(record, from_sender, &head));
    assert_false(transfer_parse_head(record, !from_sender, &head));
    assert_true(transfer_parse_head(record, from_sender, &head));
    assert_int_equal(head.body_bytes + TRANSFER_HEAD_BYTES, bytes);
    return head;
}

static void hello_survives(void **state)
{
    struct transfer_hello hello = {0x12345678, 0x123456789abcdef0};
    struct transfer_hello back;
    (void)state;
    struct transfer_head head = head_of(transfer_build_hello(record, &hello), true);
    assert_int_equal(head.type, TRANSFER_HELLO);
    uint8_t *body = record + TRANSFER_HEAD_BYTES;
    assert_true(transfer_parse_hello(body, head.body_bytes, &back));
    assert_int_equal(back.entries, hello.entries);
    assert_int_equal(back.bytes, hello.bytes);
    assert_false(transfer_parse_hello(body, head.body_bytes - 1, &back));
    body[8] = TRANSFER_VERSION + 1;
    assert_false(transfer_parse_hello(body, head.body_bytes, &back));
}

static void offer_survives(void **state)
{
    struct transfer_offer offer = {.mode = 0640,
                                   .mtime_s = -5,
                                   .mtime_ns = 999999999,
                                   .size_bytes = 1ULL << 40,
                                   .name = "a/b",
                                   .name_bytes = 3};
    struct transfer_offer back;
    (void)state;
    struct transfer_head head = head_of(transfer_build_offer(record, &offer), true);
    uint8_t *body = record + TRANSFER_HEAD_BYTES;
    assert_true(transfer_parse_offer(body, head.body_bytes, &back));
    assert_int_equal(back.kind, TRANSFER_KIND_FILE);
    assert_int_equal(back.mode, 0640);
    assert_int_equal(back.mtime_s, -5);
    assert_int_equal(back.mtime_ns, 999999999);
    assert_int_equal(back.size_bytes, offer.size_bytes);
    assert_int_equal(back.name_bytes, 3);
    assert_memory_equal(back.name, "a/b", 3);
    assert_false(transfer_parse_offer(body, TRANSFER_OFFER_BYTES, &back));
    body[0] = 2; /* neither file nor folder */
    assert_false(transfer_parse_offer(body, head.body_bytes, &back));
    body[0] = TRANSFER_KIND_FOLDER; /* with a size */
    assert_false(transfer_parse_offer(body, head.body_bytes, &back));
    body[0] = TRANSFER_KIND_FILE;
    body[1] = 0x08; /* set-user-ID */
    assert_false(transfer_parse_offer(body, head.body_bytes, &back));
    body[1] = 0x01;
    body[15] = 0x80; /* more than a file can have */
    assert_false(transfer_parse_offer(body, head.body_bytes, &back));
}

static void answers_survive(void **state)
{
    char text[TRANSFER_MAX_TEXT_BYTES + 10];
    struct transfer_answer back;
    (void)state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    struct transfer_head head =
        head_of(transfer_build_answer(record, TRANSFER_VERDICT, TRANSFER_DISK_FULL, text), false);
    assert_true(transfer_parse_answer(record + TRANSFER_HEAD_BYTES, head.body_bytes, &back));
    assert_int_equal(back.code, TRANSFER_DISK_FULL);
    assert_int_equal(back.text_bytes, TRANSFER_MAX_TEXT_BYTES);
    record[TRANSFER_HEAD_BYTES] = TRANSFER_CODE_COUNT;
    assert_false(transfer_parse_answer(record + TRANSFER_HEAD_BYTES, head.body_bytes, &back));
    assert_false(transfer_parse_answer(record + TRANSFER_HEAD_BYTES, 0, &back));
    for (int code = 0; code < TRANSFER_CODE_COUNT; code++) {
        assert_non_null(transfer_code_name((enum transfer_code)code));
    }
}

static void done_survives(void **state)
{
    struct transfer_done done = {7, 0xfffffffe};
    struct transfer_done back;
    (void)state;
    struct transfer_head head = head_of(transfer_build_done(record, &done), false);
    assert_true(transfer_parse_done(record + TRANSFER_HEAD_BYTES, head.body_bytes, &back));
    assert_int_equal(back.succeeded, 7);
    assert_int_equal(back.failed, 0xfffffffe);
    assert_false(transfer_parse_done(record + TRANSFER_HEAD_BYTES, 7, &back));
}

static void sizes_that_cannot_be_are_refused(void **state)
{
    static const struct {
        enum transfer_type type;
        bool from_sender;
        size_t bytes;
    } bad[] = {
        {TRANSFER_HELLO, true, TRANSFER_HELLO_BYTES - 1},
        {TRANSFER_OFFER, true, TRANSFER_OFFER_BYTES},
        {TRANSFER_OFFER, true, TRANSFER_MAX_BODY_BYTES + 1},
        {TRANSFER_DATA, true, 0},
        {TRANSFER_DATA, true, TRANSFER_MAX_CHUNK_BYTES + 1},
        {TRANSFER_END, true, TRANSFER_HASH_BYTES + 1},
        {TRANSFER_ABANDON, true, 0},
        {TRANSFER_ANSWER, false, 0},
        {TRANSFER_VERDICT, false, TRANSFER_MAX_TEXT_BYTES + 2},
        {TRANSFER_DONE, false, TRANSFER_DONE_BYTES + 1},
        {(enum transfer_type)'?', true, 1},
    };
    struct transfer_head head;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        transfer_build_head(record, bad[i].type, bad[i].bytes);
        assert_false(transfer_parse_head(record, bad[i].from_sender, &head));
    }
}

static void random_bytes_break_nothing(void **state)
{
    (void)state;
    srand(2);
    for (int round = 0; round < 50000; round++) {
        struct transfer_head head;
        struct transfer_hello hello;
        struct transfer_offer offer;
        struct transfer_answer answer;
        struct transfer_done done;
        size_t bytes = (size_t)rand() % 64;
        uint8_t *body = malloc(bytes + 1); /* so that a sanitizer sees its end */
        for (size_t i = 0; i < bytes; i++) {
            body[i] = (uint8_t)rand();
        }
        if (bytes >= TRANSFER_HEAD_BYTES) {
            (void)transfer_parse_head(body, round & 1, &head);
        }
        (void)transfer_parse_hello(body, bytes, &hello);
        if (transfer_parse_offer(body, bytes, &offer)) {
            assert_ptr_equal(offer.name + offer.name_bytes, body + bytes);
        }
        (void)transfer_parse_answer(body, bytes, &answer);
        (void)transfer_parse_done(body, bytes, &done);
        free(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_survives),
        cmocka_unit_test(offer_survives),
        cmocka_unit_test(answers_survive),
        cmocka_unit_test(done_survives),
        cmocka_unit_test(sizes_that_cannot_be_are_refused),
        cmocka_unit_test(random_bytes_break_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
