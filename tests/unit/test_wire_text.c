/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/wire_text.h"

#include "wire_messages.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_harmless_after_decoding),
        cmocka_unit_test(only_wellformed_utf8_is_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
