/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void good_names_have_no_fault(void **state)
{
    static const char *const good[] = {
        "a",
        "a b",
        "...",
        "..a",
        ".hidden",
        "folder/file",
        "\xc3\xbcml\xc3\xa4ut",
        "-rf",
        "a\\b",
        "\xe6\x97\xa5\xe6\x9c\xac",
        "\xf0\x9f\x98\x80",
        "a:b",
        "$(x)",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_null(names_fault(good[i], strlen(good[i])));
    }
}

static void bad_names_have_one(void **state)
{
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a/..",
        "a//b",
        "a/",
        "./a",
        "a/.",
        "x\x1b]0;owned\x07y",
        "a\nb",
        "a\tb",
        "a\x7f",
        "\xc2\x9b"
        "31m",
        "\xff",
        "\xc0\xaf",
        "\xe0\x80\xaf",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "a\xc3",
        "gpj.\xe2\x80\xae"
        "exe",
        "a\xe2\x80\x8b"
        "b",
        "\xe2\x81\xa6x",
        "\xc2\xadx",
        "\xe2\x81\xa0x",
        "\xef\xbb\xbf"
        "a",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(names_fault(bad[i], strlen(bad[i])));
    }
    assert_non_null(names_fault("a\0b", 3));
}

static void lengths_are_bounded(void **state)
{
    char name[NAMES_MAX_BYTES + 2];
    (void)state;
    memset(name, 'a', sizeof(name));
    assert_null(names_fault(name, NAMES_MAX_COMPONENT_BYTES));
    assert_non_null(names_fault(name, NAMES_MAX_COMPONENT_BYTES + 1));
    for (size_t i = 99; i < sizeof(name); i += 100) {
        name[i] = '/';
    }
    assert_null(names_fault(name, NAMES_MAX_BYTES));
    assert_non_null(names_fault(name, NAMES_MAX_BYTES + 1));
    for (size_t i = 1; i < sizeof(name); i += 2) {
        name[i] = '/';
    }
    assert_null(names_fault(name, 2 * NAMES_MAX_DEPTH - 1));
    assert_non_null(names_fault(name, 2 * NAMES_MAX_DEPTH + 1));
}

static void what_is_shown_is_harmless(void **state)
{
    char out[64];
    (void)state;
    assert_string_equal(names_show("plain \xc3\xbc", 8, out, sizeof(out)), "plain \xc3\xbc");
    assert_string_equal(names_show("a\x1b[2Jb", 6, out, sizeof(out)), "a\\x1b[2Jb");
    assert_string_equal(names_show("\xff\n\0", 3, out, sizeof(out)), "\\xff\\x0a\\x00");
    assert_string_equal(names_show("\xc2\x9b", 2, out, sizeof(out)), "\\xc2\\x9b");
    assert_string_equal(names_show("abcdefghij", 10, out, 8), "abcd...");
    assert_string_equal(names_show("", 0, out, 8), "");
}

static void random_names_are_judged_and_shown(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        char name[40];
        char out[64];
        size_t bytes = (size_t)rand() % sizeof(name);
        for (size_t i = 0; i < bytes; i++) {
            name[i] = (char)rand();
        }
        names_fault(name, bytes);
        names_show(name, bytes, out, 8 + (size_t)rand() % 56);
        for (const unsigned char *c = (unsigned char *)out; *c; c++) {
            assert_true(*c >= 0x20 && *c != 0x7f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_names_have_no_fault),
        cmocka_unit_test(bad_names_have_one),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(what_is_shown_is_harmless),
        cmocka_unit_test(random_names_are_judged_and_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
