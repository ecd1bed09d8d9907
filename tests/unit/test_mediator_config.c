/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool load(struct config *config, const char *text, char why[static CONFIG_WHY_BYTES])
{
    char path[] = "/tmp/eyeletd-config-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    bool loaded = config_load(config, path, why);
    unlink(path);
    return loaded;
}

static void test_reads_a_file(void **state)
{
    struct config config;
    char why[CONFIG_WHY_BYTES];

    (void)state;
    config_init(&config);
    assert_true(load(&config,
                     "# two addresses\n"
                     "address = 192.0.2.1\n"
                     "address = 10.0.0.2=192.0.2.2\n"
                     "address = 2001:db8::1\n"
                     "port = 9856\nport = 443\n"
                     "bounce-port = 5000\nlog-level = warn\nsyslog = yes\nstate = /tmp/x\n"
                     "[limits]\nsessions = 5\nnotes = 7\n",
                     why));
    assert_int_equal(config.address_count, 3);
    assert_int_equal(config.address[1].bound.ip[0], 10);
    assert_int_equal(config.address[1].outside.ip[3], 2);
    assert_int_equal(config.port_count, 2);
    assert_int_equal(config.port[1], 443);
    assert_int_equal(config.bounce_port, 5000);
    assert_int_equal(config.log_level, LOG_LEVEL_WARN);
    assert_true(config.syslog);
    assert_string_equal(config.state, "/tmp/x");
    assert_int_equal(config.limits.sessions, 5);
    assert_int_equal(config.limits.notes, 7);
}

static void test_says_what_is_wrong_and_where(void **state)
{
    static const struct {
        const char *text, *expected;
    } bad[] = {
        {"port = 1\nport = 70000\n", "line 2: port \"70000\": expected a number up to 65535"},
        {"adress = 192.0.2.1\n", "line 1: adress \"192.0.2.1\": no such setting"},
        {"address = 192.0.2.1\naddress = 192.0.2.1\n", "given twice"},
        {"address = 10.0.0.1=2001:db8::1\n", "both of one family"},
        {"address = 192.0.2.1\naddress = 192.0.2.2\naddress = 192.0.2.3\n",
         "more than two addresses of one family"},
        {"[limits]\nnotes = 0\n", "line 2: notes \"0\": expected a number from 1 to 1000000"},
        {"[limits]\nfoo = 1\n", "no such limit"},
        {"[other]\nfoo = 1\n", "the only section is [limits]"},
        {"log-level = loud\n", "expected error, warn, info or debug"},
        {"syslog = maybe\n", "expected yes or no"},
        {"relay = maybe\n", "expected yes or no"},
        {"gibberish\n", "line 1: not NAME = VALUE"},
    };
    char why[CONFIG_WHY_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct config config;
        config_init(&config);
        assert_false(load(&config, bad[i].text, why));
        if (strstr(why, bad[i].expected) == NULL)
            fail_msg("\"%s\" gives \"%s\"", bad[i].text, why);
    }
}

static void test_limits_as_one_word(void **state)
{
    struct config config;
    char why[CONFIG_WHY_BYTES];

    (void)state;
    config_init(&config);
    assert_true(config_set_limit(&config, "relay-rate=1000", why));
    assert_int_equal(config.limits.relay_rate, 1000);
    assert_true(config_set_limit(&config, "relay-total=0", why));
    assert_int_equal(config.limits.relay_total, 0);
    assert_false(config_set_limit(&config, "relay-rate", why));
    assert_false(config_set_limit(&config, "=1", why));
    assert_false(config_set_limit(&config, "foo=1", why));
    assert_non_null(strstr(why, "no such limit"));
}

static void test_a_missing_file_is_an_error(void **state)
{
    struct config config;
    char why[CONFIG_WHY_BYTES];

    (void)state;
    config_init(&config);
    assert_false(config_load(&config, "/nonexistent/eyeletd.conf", why));
    assert_string_equal(why, "/nonexistent/eyeletd.conf: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_a_file),
        cmocka_unit_test(test_says_what_is_wrong_and_where),
        cmocka_unit_test(test_limits_as_one_word),
        cmocka_unit_test(test_a_missing_file_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
