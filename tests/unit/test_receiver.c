/* SPDX-License-Identifier: BSD-2-Clause */
/* The receiver in a temporary folder, fed by the real sender or by a hostile one. */
#include "cli/receiver.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#include "cli/sender.h"

struct world {
    char root[32];
    struct folder folder; /* root/in */
    struct receiver *receiver;
    enum transfer_code last; /* reported by the receiver */
    unsigned reports;
    enum transfer_code sent; /* the worst one reported by the sender */
    unsigned sent_reports;
};

static void on_received(void *context, const char *name, size_t name_bytes, uint64_t size_bytes,
                        enum transfer_code code, const char *text)
{
    struct world *w = context;
    (void)name;
    (void)name_bytes;
    (void)size_bytes;
    assert_true(code == TRANSFER_OK || strlen(text) > 0);
    w->last = code;
    w->reports++;
}

static void on_sent(void *context, const char *shown, uint64_t size_bytes, enum transfer_code code,
                    const char *text)
{
    struct world *w = context;
    (void)shown;
    (void)size_bytes;
    (void)text;
    w->sent = code > w->sent ? code : w->sent;
    w->sent_reports++;
}

static void on_warning(void *context, const char *shown, const char *text)
{
    (void)context;
    (void)shown;
    (void)text;
}

static char *path(const struct world *w, const char *name)
{
    static char text[5000];
    snprintf(text, sizeof(text), "%s/%s", w->root, name);
    return text;
}

static void write_file(const struct world *w, const char *name, const void *data, size_t bytes)
{
    FILE *file = fopen(path(w, name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

static void expect_file(const struct world *w, const char *name, const void *data, size_t bytes)
{
    char *got = malloc(bytes + 1);
    FILE *file = fopen(path(w, name), "r");
    assert_non_null(file);
    assert_int_equal(fread(got, 1, bytes + 1, file), bytes);
    assert_memory_equal(got, data, bytes);
    fclose(file);
    free(got);
}

static bool exists(const struct world *w, const char *name)
{
    struct stat st;
    return lstat(path(w, name), &st) == 0;
}

static int found;

static int count_entry(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    (void)name;
    (void)st;
    (void)type;
    found += ftw->level > 0;
    return 0;
}

static int entries_in(const struct world *w, const char *name)
{
    found = 0;
    assert_int_equal(nftw(path(w, name), count_entry, 8, FTW_PHYS), 0);
    return found;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    snprintf(w->root, sizeof(w->root), "/tmp/test-receiver-XXXXXX");
    assert_non_null(mkdtemp(w->root));
    assert_true(folder_open(&w->folder, path(w, "in"), false));
    w->receiver = receiver_new(&w->folder, on_received, w);
    assert_non_null(w->receiver);
    *state = w;
    return 0;
}

static int remove_entry(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(name);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    receiver_free(w->receiver);
    folder_close(&w->folder);
    nftw(w->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

/* ---- a hostile sender ---- */

static bool feed(struct world *w, const uint8_t *data, size_t bytes)
{
    return receiver_input(w->receiver, data, bytes);
}

static bool feed_hello(struct world *w, uint32_t entries, uint64_t bytes)
{
    uint8_t record[64];
    struct transfer_hello hello = {entries, bytes};
    return feed(w, record, transfer_build_hello(record, &hello));
}

static bool feed_offer(struct world *w, enum transfer_kind kind, const char *name, uint64_t size)
{
    static uint8_t record[TRANSFER_HEAD_BYTES + TRANSFER_MAX_BODY_BYTES];
    struct transfer_offer offer = {
        .kind = kind, .mode = 0644, .size_bytes = size, .name = name, .name_bytes = strlen(name)};
    return feed(w, record, transfer_build_offer(record, &offer));
}

static bool feed_data(struct world *w, const void *data, size_t bytes)
{
    uint8_t head[TRANSFER_HEAD_BYTES];
    transfer_build_head(head, TRANSFER_DATA, bytes);
    return feed(w, head, sizeof(head)) && feed(w, data, bytes);
}

static bool feed_end(struct world *w, const void *data, size_t bytes)
{
    uint8_t record[TRANSFER_HEAD_BYTES + TRANSFER_HASH_BYTES];
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(data, bytes));
    transfer_build_head(record, TRANSFER_END, TRANSFER_HASH_BYTES);
    memcpy(record + TRANSFER_HEAD_BYTES, hash.digest, TRANSFER_HASH_BYTES);
    return feed(w, record, sizeof(record));
}

static void a_file_takes_its_place(void **state)
{
    struct world *w = *state;
    const uint8_t *answers;
    assert_int_equal(receiver_output(w->receiver, &answers), 0);
    assert_true(feed_hello(w, 1, 5));
    assert_true(feed_offer(w, TRANSFER_KIND_FILE, "a/b/c", 5));
    assert_true(feed_data(w, "he", 2));
    assert_false(exists(w, "in/a/b/c"));
    assert_true(feed_data(w, "llo", 3));
    assert_true(feed_end(w, "hello", 5));
    expect_file(w, "in/a/b/c", "hello", 5);
    assert_int_equal(entries_in(w, "in"), 3);
    assert_true(receiver_progress(w->receiver).done);
    assert_false(feed_data(w, "x", 1));
}

static void names_that_lead_outside_are_refused(void **state)
{
    static const char *const bad[] = {"../x", "/tmp/x", "a/../../x", "..",
                                      ".",    "a//b",   "x\x1b[2J",  "\xff"};
    struct world *w = *state;
    size_t count = sizeof(bad) / sizeof(bad[0]);
    assert_true(feed_hello(w, (uint32_t)count, 0));
    for (size_t i = 0; i < count; i++) {
        assert_true(feed_offer(w, i & 1 ? TRANSFER_KIND_FILE : TRANSFER_KIND_FOLDER, bad[i], 0));
        assert_int_equal(w->last, TRANSFER_NAME_REFUSED);
    }
    assert_int_equal(w->reports, count);
    assert_true(receiver_progress(w->receiver).done);
    assert_int_equal(entries_in(w, ""), 1); /* nothing but the folder itself */
}

static void links_in_the_target_are_not_followed(void **state)
{
    struct world *w = *state;
    mkdir(path(w, "outside"), 0700);
    assert_int_equal(symlink("../outside", path(w, "in/link")), 0);
    assert_int_equal(symlink("../outside/new", path(w, "in/file")), 0);
    w->folder.overwrite = true;
    assert_true(feed_hello(w, 4, 1));
    assert_true(feed_offer(w, TRANSFER_KIND_FILE, "link/x", 0));
    assert_int_equal(w->last, TRANSFER_FILE);
    assert_true(feed_offer(w, TRANSFER_KIND_FOLDER, "link/y", 0));
    assert_int_equal(w->last, TRANSFER_FILE);
    assert_true(feed_offer(w, TRANSFER_KIND_FOLDER, "link", 0));
    assert_int_equal(w->last, TRANSFER_EXISTS);
    assert_true(feed_offer(w, TRANSFER_KIND_FILE, "file", 1)); /* replaces the link itself */
    assert_true(feed_data(w, "z", 1));
    assert_true(feed_end(w, "z", 1));
    assert_int_equal(entries_in(w, "outside"), 0);
    expect_file(w, "in/file", "z", 1);
}

static void what_exists_is_kept(void **state)
{
    struct world *w = *state;
    write_file(w, "in/data", "precious", 8);
    assert_true(feed_hello(w, 3, 2));
    assert_true(feed_offer(w, TRANSFER_KIND_FILE, "data", 1));
    assert_int_equal(w->last, TRANSFER_EXISTS);
    assert_true(feed_offer(w, TRANSFER_KIND_FOLDER, "data", 0));
    assert_int_equal(w->last, TRANSFER_EXISTS);
    /* and what comes into existence while the file is on its way */
    assert_true(feed_offer(w, TRANSFER_KIND_FILE, "late", 1));
    assert_true(feed_data(w, "x", 1));
    write_file(w, "in/late", "precious", 8);
    assert_true(feed_end(w, "x", 1));
    assert_int_equal(w->last, TRANSFER_EXISTS);
    expect_file(w, "in/data", "precious", 8);
    expect_file(w, "in/late", "precious", 8);
    assert_int_equal(entries_in(w, "in"), 2);
}

static void a_wrong_hash_is_not_kept(void **state)
{
    struct world *w = *state;
    assert_true(feed_hello(w, 2, 5));
    assert_true(feed_offer(w, TRANSFER_KIND_FILE, "a", 3));
    assert_true(feed_offer(w, TRANSFER_KIND_FILE, "b", 2));
    assert_true(feed_data(w, "abc", 3));
    assert_true(feed_end(w, "abd", 3));
    assert_int_equal(w->last, TRANSFER_INTEGRITY);
    assert_true(feed_data(w, "x", 1)); /* too short */
    assert_true(feed_end(w, "x", 1));
    assert_int_equal(w->last, TRANSFER_INTEGRITY);
    assert_int_equal(entries_in(w, "in"), 0);
    assert_true(receiver_progress(w->receiver).integrity_failed);
}

static void abandoned_files_are_removed(void **state)
{
    struct world *w = *state;
    uint8_t record[64];
    assert_true(feed_hello(w, 2, 20));
    assert_true(feed_offer(w, TRANSFER_KIND_FILE, "a", 10));
    assert_true(feed_offer(w, TRANSFER_KIND_FILE, "b", 10));
    assert_true(feed_data(w, "abc", 3));
    assert_int_equal(entries_in(w, "in"), 1);
    assert_true(feed(w, record,
                     transfer_build_answer(record, TRANSFER_ABANDON, TRANSFER_ABANDONED, "gone")));
    assert_int_equal(w->last, TRANSFER_ABANDONED);
    assert_int_equal(entries_in(w, "in"), 0);
    assert_true(feed_data(w, "abc", 3));
    receiver_free(w->receiver); /* the connection is lost */
    w->receiver = NULL;
    assert_int_equal(entries_in(w, "in"), 0);
}

static void broken_protocol_is_noticed(void **state)
{
    struct world *w = *state;
    assert_false(feed(w, (const uint8_t *)"GET / HTTP/1.1\r\n", 16));
    assert_true(strlen(receiver_why(w->receiver)) > 0);
    for (int which = 0; which < 6; which++) {
        receiver_free(w->receiver);
        w->receiver = receiver_new(&w->folder, on_received, w);
        if (which == 0) {
            assert_false(feed_offer(w, TRANSFER_KIND_FILE, "a", 1)); /* no greeting */
            continue;
        }
        assert_true(feed_hello(w, 2, 4));
        switch (which) {
        case 1:
            assert_false(feed_hello(w, 1, 1));
            break;
        case 2:
            assert_false(feed_data(w, "x", 1));
            break;
        case 3:
            assert_false(feed_offer(w, TRANSFER_KIND_FILE, "a", 5)); /* more than announced */
            break;
        case 4:
            assert_true(feed_offer(w, TRANSFER_KIND_FILE, "a", 2));
            assert_false(feed_data(w, "xyz", 3));
            break;
        default:
            assert_false(feed_end(w, "", 0));
        }
    }
}

static void more_offers_than_the_window_are_refused(void **state)
{
    struct world *w = *state;
    char name[16];
    assert_true(feed_hello(w, 100000, 0));
    for (int i = 0; i < TRANSFER_WINDOW; i++) {
        snprintf(name, sizeof(name), "%d", i);
        assert_true(feed_offer(w, TRANSFER_KIND_FILE, name, 0));
    }
    assert_false(feed_offer(w, TRANSFER_KIND_FILE, "x", 0));
}

static void too_large_for_the_disk_is_refused_at_once(void **state)
{
    struct world *w = *state;
    assert_true(feed_hello(w, 1, INT64_MAX));
    assert_true(feed_offer(w, TRANSFER_KIND_FILE, "a", INT64_MAX));
    assert_int_equal(w->last, TRANSFER_DISK_FULL);
    assert_int_equal(entries_in(w, "in"), 0);
}

/* ---- the real sender ---- */

static void transfer(struct world *w, struct tree *tree, size_t piece)
{
    struct sender *s = sender_new(tree, on_sent, on_warning, w);
    const uint8_t *data;
    size_t n;
    bool moved = true;
    while (moved && !sender_progress(s).done) {
        moved = false;
        while ((n = sender_output(s, &data)) > 0) {
            n = n < piece ? n : piece;
            assert_true(receiver_input(w->receiver, data, n));
            sender_sent(s, n);
            moved = true;
        }
        while ((n = receiver_output(w->receiver, &data)) > 0) {
            n = n < piece ? n : piece;
            assert_true(sender_input(s, data, n));
            receiver_sent(w->receiver, n);
            moved = true;
        }
    }
    assert_true(sender_progress(s).done);
    assert_int_equal(w->sent_reports, tree->count);
    assert_int_equal(w->reports, tree->count);
    sender_free(s);
}

static void a_tree_arrives_whole(void **state)
{
    struct world *w = *state;
    struct tree tree = {0};
    size_t bytes = 5000000;
    uint8_t *data = malloc(bytes);
    char name[64];
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)(i * i >> 7);
    }
    mkdir(path(w, "tree"), 0700);
    mkdir(path(w, "tree/deep"), 0700);
    write_file(w, "tree/big", data, bytes);
    write_file(w, "tree/empty", "", 0);
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "tree/deep/%d", i);
        write_file(w, name, data + i, (size_t)i);
    }
    assert_true(tree_add(&tree, path(w, "tree/")));
    assert_int_equal(tree.count, 604);
    transfer(w, &tree, 7001);
    assert_int_equal(w->sent, TRANSFER_OK);
    expect_file(w, "in/tree/big", data, bytes);
    expect_file(w, "in/tree/empty", "", 0);
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "in/tree/deep/%d", i);
        expect_file(w, name, data + i, (size_t)i);
    }
    tree_free(&tree);
    free(data);
}

static void a_file_that_changes_is_abandoned(void **state)
{
    struct world *w = *state;
    struct tree tree = {0};
    write_file(w, "shrinks", "123456", 6);
    write_file(w, "vanishes", "123456", 6);
    write_file(w, "stays", "123456", 6);
    assert_true(tree_add(&tree, path(w, "shrinks")));
    assert_true(tree_add(&tree, path(w, "vanishes")));
    assert_true(tree_add(&tree, path(w, "stays")));
    assert_int_equal(truncate(path(w, "shrinks"), 3), 0);
    unlink(path(w, "vanishes"));
    transfer(w, &tree, 1);
    assert_int_equal(w->sent, TRANSFER_FILE);
    assert_int_equal(entries_in(w, "in"), 1);
    expect_file(w, "in/stays", "123456", 6);
    tree_free(&tree);
}

/* A limit of the file size stands in for a full disk: EFBIG comes where ENOSPC would. */
static void a_full_disk_is_said_on_both_sides(void **state)
{
    struct world *w = *state;
    struct tree tree = {0};
    struct rlimit old;
    struct rlimit small;
    size_t bytes = 4 << 20;
    void *data = calloc(1, bytes);
    write_file(w, "big", data, bytes);
    write_file(w, "small", "ok", 2);
    write_file(w, "medium", data, 600000);
    free(data);
    assert_true(tree_add(&tree, path(w, "big")));
    assert_true(tree_add(&tree, path(w, "medium"))); /* not reserved beforehand: fails at a write */
    assert_true(tree_add(&tree, path(w, "small")));
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    transfer(w, &tree, 1 << 20);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(w->sent, TRANSFER_DISK_FULL);
    assert_int_equal(receiver_progress(w->receiver).failed, 2);
    assert_int_equal(receiver_progress(w->receiver).succeeded, 1);
    assert_int_equal(entries_in(w, "in"), 1);
    expect_file(w, "in/small", "ok", 2);
    tree_free(&tree);
}

static void random_answers_break_nothing(void **state)
{
    struct world *w = *state;
    struct tree tree = {0};
    static const uint8_t types[] = {'A', 'V', 'F', 'X', 0};
    write_file(w, "one", "1", 1);
    assert_true(tree_add(&tree, path(w, "one")));
    srand(3);
    for (int round = 0; round < 2000; round++) {
        struct sender *s = sender_new(&tree, on_sent, on_warning, w);
        const uint8_t *data;
        bool ok = true;
        for (int i = 0; ok && i < 10; i++) {
            uint8_t record[16] = {types[rand() % 5], 0, 0, 0, (uint8_t)(rand() % 10)};
            record[5] = (uint8_t)(rand() % 3);
            sender_sent(s, sender_output(s, &data));
            ok = sender_input(s, record, 5 + (size_t)record[4]);
        }
        sender_free(s);
    }
    tree_free(&tree);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_file_takes_its_place),
        WITH_WORLD(names_that_lead_outside_are_refused),
        WITH_WORLD(links_in_the_target_are_not_followed),
        WITH_WORLD(what_exists_is_kept),
        WITH_WORLD(a_wrong_hash_is_not_kept),
        WITH_WORLD(abandoned_files_are_removed),
        WITH_WORLD(broken_protocol_is_noticed),
        WITH_WORLD(more_offers_than_the_window_are_refused),
        WITH_WORLD(too_large_for_the_disk_is_refused_at_once),
        WITH_WORLD(a_tree_arrives_whole),
        WITH_WORLD(a_file_that_changes_is_abandoned),
        WITH_WORLD(a_full_disk_is_said_on_both_sides),
        WITH_WORLD(random_answers_break_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
