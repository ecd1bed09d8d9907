/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/locator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *name;
        uint16_t port;
        bool has_port;
    } good[] = {
        {"mediator.example", "mediator.example", "mediator.example:9856", 9856, false},
        {"mediator.example:443", "mediator.example", "mediator.example:443", 443, true},
        {"192.0.2.1:65535", "192.0.2.1", "192.0.2.1:65535", 65535, true},
        {"[2001:db8::1]", "2001:db8::1", "[2001:db8::1]:9856", 9856, false},
        {"[2001:db8::1]:443", "2001:db8::1", "[2001:db8::1]:443", 443, true},
        {"2001:db8::1", "2001:db8::1", "[2001:db8::1]:9856", 9856, false},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct locator l;
        char name[LOCATOR_NAME_BYTES];
        assert_true(locator_parse(good[i].text, &l));
        assert_string_equal(l.host, good[i].host);
        assert_int_equal(l.port, good[i].port);
        assert_int_equal(l.has_port, good[i].has_port);
        assert_false(l.has_key);
        assert_string_equal(locator_name(&l, name), good[i].name);
    }
    static const char *const bad[] = {"",         ":443",     "host:", "host:0",    "host:65536",
                                      "host:12x", "host:+5",  "[::1",  "[::1]x",    "[]",
                                      "host#",    "host#abc", "#",     "two words", "line\nbreak"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct locator l;
        assert_false(locator_parse(bad[i], &l));
    }
    char lengthy[400];
    memset(lengthy, 'a', sizeof lengthy);
    lengthy[sizeof lengthy - 1] = '\0';
    struct locator l;
    assert_false(locator_parse(lengthy, &l));
}

static void test_key_in_text(void **state)
{
    (void)state;
    struct identity self;
    char id[IDENTITY_TEXT_BYTES], text[200];
    struct locator l;
    assert_int_equal(identity_generate(&self), IDENTITY_OK);
    snprintf(text, sizeof text, "host:1#%s", identity_text(&self.id, id));
    assert_true(locator_parse(text, &l));
    assert_true(l.has_key);
    assert_true(identity_equal(&l.key, &self.id));
}

static void test_pinning(void **state)
{
    (void)state;
    char folder[] = "/tmp/eyelet-locator-XXXXXX", path[100], line[400], id[IDENTITY_TEXT_BYTES];
    struct identity one, two;
    struct identity_id pinned;
    struct locator l, other;
    struct stat st;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/new/known_mediators", folder);
    assert_int_equal(identity_generate(&one), IDENTITY_OK);
    assert_int_equal(identity_generate(&two), IDENTITY_OK);
    assert_true(locator_parse("mediator.example", &l));
    assert_true(locator_parse("mediator.example:98", &other));

    assert_int_equal(locator_check_pin(path, &l, &one.id, &pinned), PIN_ADDED);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(locator_check_pin(path, &l, &one.id, &pinned), PIN_MATCH);
    assert_int_equal(locator_check_pin(path, &l, &two.id, &pinned), PIN_MISMATCH);
    assert_true(identity_equal(&pinned, &one.id));
    /* Another port is another mediator, and a refused key is never written down. */
    assert_int_equal(locator_check_pin(path, &other, &two.id, &pinned), PIN_ADDED);
    assert_int_equal(locator_check_pin(path, &l, &one.id, &pinned), PIN_MATCH);

    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    snprintf(line + 200, 200, "mediator.example:9856 %s\n", identity_text(&one.id, id));
    assert_string_equal(line, line + 200);
    fclose(f);

    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "mediator.example:9856 garbage\n");
    fclose(f);
    assert_int_equal(locator_check_pin(path, &l, &one.id, &pinned), PIN_BAD_FILE);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(locator_check_pin(path, &l, &one.id, &pinned), PIN_IO_ERROR);
    rmdir(path);
    snprintf(path, sizeof path, "%s/new", folder);
    rmdir(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_key_in_text),
        cmocka_unit_test(test_pinning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
