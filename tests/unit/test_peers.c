/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/peers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ID_A "cdg665yxrcvw36zo2ma7wjg6jwfxz5cv2riwredm2rjntjwnvnya"
#define ID_B "3duu3s2eob7i6xwrbgbp43csb3ofdzxbi6z4h6xubq66zhm76qea"

static void write_temporary(char path[static 32], const char *text)
{
    snprintf(path, 32, "/tmp/test-peers-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void lines_are_names_and_ids(void **state)
{
    char name[PEERS_MAX_NAME_BYTES + 1];
    eyelet_id id;
    (void)state;
    assert_int_equal(peers_parse_line("anna " ID_A "\n", name, &id), 1);
    assert_string_equal(name, "anna");
    assert_int_equal(peers_parse_line("\t b\t " ID_B "  # home\r\n", name, &id), 1);
    assert_string_equal(name, "b");
    assert_int_equal(peers_parse_line("", name, &id), 0);
    assert_int_equal(peers_parse_line("  # nothing\n", name, &id), 0);
    assert_int_equal(peers_parse_line("anna\n", name, &id), -1);
    assert_int_equal(peers_parse_line("anna " ID_A " more\n", name, &id), -1);
    assert_int_equal(peers_parse_line("anna " ID_A "a\n", name, &id), -1);
    assert_int_equal(peers_parse_line("an\x1b[Jna " ID_A "\n", name, &id), -1);
}

static void peers_are_ids_or_names(void **state)
{
    char path[32];
    char why[PEERS_WHY_BYTES];
    eyelet_id id;
    eyelet_id want;
    (void)state;
    write_temporary(path, "# friends\nanna " ID_A "\nberta " ID_B "\n");
    assert_int_equal(eyelet_id_parse(ID_B, &want), EYELET_OK);
    assert_true(peers_resolve(ID_B, "/nonexistent/file", &id, why));
    assert_memory_equal(&id, &want, sizeof(id));
    assert_true(peers_resolve("berta", path, &id, why));
    assert_memory_equal(&id, &want, sizeof(id));
    assert_false(peers_resolve("carla", path, &id, why));
    assert_non_null(strstr(why, "carla"));
    assert_false(peers_resolve("berta", "/nonexistent/file", &id, why));
    assert_false(peers_resolve("\x1b[2J", path, &id, why));
    assert_null(strchr(why, '\x1b'));
    unlink(path);
    write_temporary(path, "broken line here\nanna " ID_A "\n");
    assert_false(peers_resolve("anna", path, &id, why));
    assert_non_null(strstr(why, "line 1"));
    unlink(path);
}

static void lists_say_who_may_call(void **state)
{
    char known[32];
    char list[32];
    char why[PEERS_WHY_BYTES];
    struct peers peers = {0};
    eyelet_id a;
    eyelet_id b;
    (void)state;
    eyelet_id_parse(ID_A, &a);
    eyelet_id_parse(ID_B, &b);
    write_temporary(known, "anna " ID_A "\n");
    write_temporary(list, "\n# mine\n anna # laptop\n");
    assert_true(peers_allow_file(&peers, list, known, why));
    assert_true(peers_has(&peers, &a));
    assert_false(peers_has(&peers, &b));
    assert_true(peers_allow(&peers, ID_B, known, why));
    assert_true(peers_has(&peers, &b));
    peers_free(&peers);
    assert_false(peers_has(&peers, &b));
    assert_true(peers_allow(&peers, "any", known, why));
    assert_true(peers_has(&peers, &b));
    assert_false(peers_allow(&peers, "nobody", known, why));
    errno = 0;
    assert_false(peers_allow_file(&peers, "/nonexistent/file", known, why));
    assert_int_equal(errno, ENOENT);
    peers_free(&peers);
    unlink(known);
    unlink(list);
}

static void faults_name_file_and_line(void **state)
{
    char known[32];
    char list[32];
    char why[PEERS_WHY_BYTES];
    char text[2200];
    char place[64];
    struct peers peers = {0};
    eyelet_id id;
    (void)state;
    /* a comment longer than any line that is read in one piece, whose end is no peer */
    memset(text, 'x', sizeof(text));
    snprintf(text, 3, "# ");
    text[2] = 'x';
    snprintf(text + 2000, sizeof(text) - 2000, " any\nanna " ID_A "\nberta\n");
    write_temporary(known, text);
    assert_true(peers_resolve("anna", known, &id, why));
    assert_false(peers_resolve("berta", known, &id, why));
    snprintf(place, sizeof(place), "%s, line 3: ", known);
    assert_memory_equal(why, place, strlen(place));
    snprintf(text + 2000, sizeof(text) - 2000, " any\n\ncarla\n");
    write_temporary(list, text);
    assert_false(peers_allow_file(&peers, list, "/nonexistent/file", why));
    snprintf(place, sizeof(place), "%s, line 3: ", list);
    assert_memory_equal(why, place, strlen(place));
    assert_false(peers.anyone);
    assert_false(peers_allow_file(&peers, "/", known, why));
    assert_int_equal(errno, EISDIR);
    unlink(known);
    unlink(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_names_and_ids),
        cmocka_unit_test(peers_are_ids_or_names),
        cmocka_unit_test(lists_say_who_may_call),
        cmocka_unit_test(faults_name_file_and_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
