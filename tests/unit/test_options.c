/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line, the settings around it, and how a run ends. */
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/outcome.h"
#include "cli/progress.h"
#include "cli/settings.h"
#include "eyelet.h"

/* Words in one string. */
static bool parse(struct options *options, const char *line)
{
    static char copy[256];
    static char *argv[32];
    int argc = 0;
    strncpy(copy, line, sizeof(copy) - 1);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    return options_parse(options, argc, argv);
}

static void options_stand_before_and_after_the_verb(void **state)
{
    struct options o;
    (void)state;
    assert_true(
        parse(&o, "eyelet --json --mediator m#x -q send a --peer p b --timeout 7 -vv -- -c"));
    assert_true(o.json && o.quiet);
    assert_int_equal(o.verbose, 2);
    assert_string_equal(o.mediator, "m#x");
    assert_string_equal(o.verb, "send");
    assert_string_equal(o.peer, "p");
    assert_int_equal(o.timeout_s, 7);
    assert_int_equal(o.argument_count, 3);
    assert_string_equal(o.arguments[0], "a");
    assert_string_equal(o.arguments[2], "-c");
    assert_null(options_misplaced(&o, OPTIONS_PEER | OPTIONS_TIMEOUT));
    assert_string_equal(options_misplaced(&o, OPTIONS_PEER), "--timeout");
    options_free(&o);
    assert_true(parse(&o, "eyelet listen --allow a --allow any --exec cat"));
    assert_int_equal(o.allow_count, 2);
    assert_string_equal(o.allow[1], "any");
    options_free(&o);
    assert_true(parse(&o, "eyelet"));
    assert_null(o.verb);
}

static void wrong_options_are_explained(void **state)
{
    static const char *const bad[] = {
        "eyelet --nonsense id",
        "eyelet id --nonsense",
        "eyelet listen --allow",
        "eyelet --timeout 0 id",
        "eyelet --timeout -1 id",
        "eyelet --timeout 1s id",
        "eyelet --timeout 9999999 id",
        "eyelet -x",
        "eyelet ping -c x y",
        "eyelet ping -c -1 y",
        "eyelet ping -i 0 y",
        "eyelet ping -i nan y",
        "eyelet ping -i 1x y",
        "eyelet --patience 0 id",
        "eyelet ping -i 9999 y",
        "eyelet connect --relay-only x --direct-only",
        "eyelet --key= id",
        "eyelet --json=1 id",
    };
    struct options o;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(parse(&o, bad[i]));
        assert_true(strlen(o.why) > 0);
        options_free(&o);
    }
    assert_false(parse(&o, "eyelet id -qxv --json"));
    assert_string_equal(o.why, "-x is not an option");
    assert_true(o.json);
}

static void paths_can_be_chosen(void **state)
{
    struct options o;
    (void)state;
    assert_true(parse(&o, "eyelet --direct-only --patience 9 connect x --no-port-mapping"));
    assert_true(o.direct_only && !o.relay_only && o.no_port_mapping);
    assert_int_equal(o.patience_s, 9);
    assert_non_null(options_misplaced(&o, OPTIONS_NETWORK));
    assert_non_null(options_misplaced(&o, OPTIONS_PATH));
    assert_null(options_misplaced(&o, OPTIONS_PATH | OPTIONS_NETWORK));
    assert_true(parse(&o, "eyelet --relay-only ping x -c 0 -i 0.25"));
    assert_true(o.relay_only && !o.direct_only);
    assert_int_equal(o.count, 0);
    assert_int_equal(o.interval_ms, 250);
    assert_string_equal(options_misplaced(&o, OPTIONS_PATH), "-c or -i");
}

static void the_config_file_is_checked(void **state)
{
    struct settings s = {0};
    (void)state;
    assert_true(settings_parse(&s, "# mine\nmediator = host:1#id\nkey = /k\n"));
    assert_string_equal(s.mediator, "host:1#id");
    assert_string_equal(s.key, "/k");
    assert_true(settings_parse(&s, "paths = relay-only\nport-mapping = no\npatience = 30\n"));
    assert_int_equal(s.policy, EYELET_RELAY_ONLY);
    assert_int_equal(s.patience_s, 30);
    assert_true(s.no_port_mapping);
    assert_true(settings_parse(&s, "paths = any\nport-mapping = yes\n"));
    assert_int_equal(s.policy, EYELET_ANY_PATH);
    assert_false(s.no_port_mapping);
    assert_false(settings_parse(&s, "paths = both\n"));
    assert_false(settings_parse(&s, "port-mapping = 1\n"));
    assert_false(settings_parse(&s, "patience = 0\n"));
    assert_false(settings_parse(&s, "patience = 12345678901\n"));
    assert_false(settings_parse(&s, "patience = -1\n"));
    assert_false(settings_parse(&s, "mediator = a\nnonsense = 1\n"));
    assert_non_null(strstr(s.why, "line 2"));
    assert_false(settings_parse(&s, "mediator =\n"));
    assert_false(settings_parse(&s, "[part]\nmediator = a\n"));
    assert_false(settings_parse(&s, "just words\n"));
    settings_free(&s);
}

static void the_command_line_wins(void **state)
{
    char root[] = "/tmp/test-options-XXXXXX";
    char folder[64];
    struct options o;
    struct settings s;
    struct stat st;
    (void)state;
    assert_non_null(mkdtemp(root));
    snprintf(folder, sizeof(folder), "%s/a/b", root);
    setenv("EYELET_CONFIG", folder, 1);
    setenv("EYELET_MEDIATOR", "environment", 1);
    unsetenv("EYELET_KEY");
    assert_true(parse(&o, "eyelet id"));
    assert_true(settings_load(&s, &o));
    assert_string_equal(s.mediator, "environment");
    assert_string_equal(s.key + strlen(folder), "/key");
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    settings_free(&s);
    assert_true(parse(&o, "eyelet --mediator line --key k id"));
    assert_true(settings_load(&s, &o));
    assert_string_equal(s.mediator, "line");
    assert_string_equal(s.key, "k");
    settings_free(&s);
    setenv("EYELET_PATHS", "relay-only", 1);
    setenv("EYELET_PORT_MAPPING", "no", 1);
    setenv("EYELET_PATIENCE", "7", 1);
    assert_true(parse(&o, "eyelet --patience 8 id"));
    assert_true(settings_load(&s, &o));
    assert_int_equal(s.policy, EYELET_RELAY_ONLY);
    assert_int_equal(s.patience_s, 8);
    assert_true(s.no_port_mapping);
    settings_free(&s);
    assert_true(parse(&o, "eyelet --direct-only id"));
    assert_true(settings_load(&s, &o));
    assert_int_equal(s.policy, EYELET_DIRECT_ONLY);
    assert_int_equal(s.patience_s, 7);
    settings_free(&s);
    setenv("EYELET_PATHS", "none", 1);
    assert_false(settings_load(&s, &o));
    assert_non_null(strstr(s.why, "EYELET_PATHS"));
    settings_free(&s);
    unsetenv("EYELET_PATHS");
    unsetenv("EYELET_PORT_MAPPING");
    unsetenv("EYELET_PATIENCE");
    unsetenv("EYELET_CONFIG");
    setenv("XDG_CONFIG_HOME", folder, 1);
    assert_true(settings_load(&s, &o));
    assert_string_equal(s.folder + strlen(folder), "/eyelet");
    settings_free(&s);
    rmdir(strcat(folder, "/eyelet"));
    folder[strlen(folder) - strlen("/eyelet")] = '\0';
    rmdir(folder);
    folder[strlen(folder) - strlen("/b")] = '\0';
    rmdir(folder);
    rmdir(root);
}

static void exit_codes_are_the_contract(void **state)
{
    static const struct {
        int error;
        int exit_code;
        const char *code;
    } contract[] = {
        {EYELET_OK, 0, "ok"},
        {EYELET_ERR_MEDIATOR, 3, "mediator-unreachable"},
        {EYELET_ERR_MEDIATOR_KEY, 3, "mediator-key-changed"},
        {EYELET_ERR_NO_SUCH_PEER, 4, "no-such-peer"},
        {EYELET_ERR_REFUSED, 5, "refused"},
        {EYELET_ERR_NO_PATH, 6, "no-direct-path"},
        {EYELET_ERR_RELAY, 7, "relay-refused"},
        {EYELET_ERR_WRONG_PEER, 8, "wrong-peer"},
        {EYELET_ERR_TIMEOUT, 1, "timeout"},
        {EYELET_ERR_CLOSED, 1, "closed"},
        {EYELET_ERR_PROTOCOL, 1, "protocol"},
        {-1000, 1, "other"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(contract) / sizeof(contract[0]); i++) {
        struct outcome outcome = outcome_of_error(contract[i].error);
        assert_int_equal(outcome.exit_code, contract[i].exit_code);
        assert_string_equal(outcome.code, contract[i].code);
    }
    for (int error = EYELET_ERR_RELAY; error < 0; error++) {
        assert_string_not_equal(outcome_of_error(error).code, "other");
    }
}

static void the_end_of_a_command_travels_as_a_code(void **state)
{
    const struct outcome_command ends[] = {{.status = 0}, {.status = 255}, {.signal = 9}};
    struct outcome_command out;
    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        assert_true(outcome_command_parse(outcome_command_code(&ends[i]), &out));
        assert_memory_equal(&out, &ends[i], sizeof(out));
        assert_int_equal(outcome_command_failed(&out), i > 0);
    }
    const unsigned long long others[] = {0, 1, 0xff, 0x200, 0x300, 0x6579656c, 0x10000000103};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(outcome_command_parse(others[i], &out));
    }
}

static void the_progress_line_fits(void **state)
{
    char line[512];
    char size[16];
    (void)state;
    for (unsigned columns = 1; columns < 200; columns++) {
        progress_line(line, sizeof(line), columns, "folder/a long name of a file", 1u << 30,
                      3u << 30, 123456789.0);
        assert_true(strlen(line) < columns);
        assert_true(columns <= 3 || strstr(line, "33%") != NULL);
    }
    progress_line(line, sizeof(line), 80, "name", 0, 0, 0);
    assert_non_null(strstr(line, "100%"));
    assert_string_equal(progress_size(999, size), "999 B");
    assert_string_equal(progress_size(1000, size), "1.0 kB");
    assert_string_equal(progress_size(999950, size), "1.0 MB");
    assert_string_equal(progress_size(UINT64_MAX, size), "18.4 EB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_before_and_after_the_verb),
        cmocka_unit_test(wrong_options_are_explained),
        cmocka_unit_test(paths_can_be_chosen),
        cmocka_unit_test(the_config_file_is_checked),
        cmocka_unit_test(the_command_line_wins),
        cmocka_unit_test(exit_codes_are_the_contract),
        cmocka_unit_test(the_end_of_a_command_travels_as_a_code),
        cmocka_unit_test(the_progress_line_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
