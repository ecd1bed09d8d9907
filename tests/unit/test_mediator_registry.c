/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct registry_entry entry_of(uint64_t number)
{
    struct registry_entry entry = {.session_id = number};

    memcpy(entry.id.bytes, &number, sizeof number);
    return entry;
}

static void test_finds_by_both_names(void **state)
{
    struct registry *registry = registry_new();
    struct registry_entry one = entry_of(1), two = entry_of(2), three = entry_of(3);

    (void)state;
    registry_add(registry, &one);
    registry_add(registry, &two);
    assert_ptr_equal(registry_by_id(registry, &one.id, NULL), &one);
    assert_ptr_equal(registry_by_session(registry, 2), &two);
    assert_null(registry_by_id(registry, &three.id, NULL));
    assert_null(registry_by_session(registry, 3));
    assert_int_equal(registry_count(registry), 2);
    registry_free(registry);
}

static void test_one_of_many_with_an_id_listens(void **state)
{
    struct registry *registry = registry_new();
    struct registry_entry entries[3];
    unsigned seen = 0;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        entries[i] = entry_of(7);
        entries[i].session_id = 1 + i;
        entries[i].instance = i;
        registry_add(registry, &entries[i]);
    }
    assert_null(registry_listener(registry, &entries[0].id));
    entries[1].listens = true;
    assert_ptr_equal(registry_listener(registry, &entries[0].id), &entries[1]);
    for (struct registry_entry *entry = registry_by_id(registry, &entries[0].id, NULL);
         entry != NULL; entry = registry_by_id(registry, &entries[0].id, entry))
        seen |= 1u << entry->instance;
    assert_int_equal(seen, 7);
    registry_remove(registry, &entries[1]);
    assert_null(registry_listener(registry, &entries[0].id));
    assert_non_null(registry_by_id(registry, &entries[0].id, NULL));
    registry_free(registry);
}

static void test_removes_once(void **state)
{
    struct registry *registry = registry_new();
    struct registry_entry one = entry_of(1);

    (void)state;
    registry_remove(registry, &one);
    registry_add(registry, &one);
    registry_remove(registry, &one);
    registry_remove(registry, &one);
    assert_int_equal(registry_count(registry), 0);
    assert_null(registry_by_id(registry, &one.id, NULL));
    assert_null(registry_by_session(registry, 1));
    registry_add(registry, &one);
    assert_ptr_equal(registry_by_session(registry, 1), &one);
    registry_free(registry);
}

static void test_grows(void **state)
{
    enum { MANY = 5000 };
    struct registry *registry = registry_new();
    struct registry_entry *entries = calloc(MANY, sizeof *entries);

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        entries[i] = entry_of(i + 1);
        registry_add(registry, &entries[i]);
    }
    for (size_t i = 0; i < MANY; i += 2)
        registry_remove(registry, &entries[i]);
    for (size_t i = 0; i < MANY; i++) {
        struct registry_entry *expected = i % 2 == 0 ? NULL : &entries[i];
        assert_ptr_equal(registry_by_id(registry, &entries[i].id, NULL), expected);
        assert_ptr_equal(registry_by_session(registry, i + 1), expected);
    }
    assert_int_equal(registry_count(registry), MANY / 2);
    free(entries);
    registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_by_both_names),
        cmocka_unit_test(test_one_of_many_with_an_id_listens),
        cmocka_unit_test(test_removes_once),
        cmocka_unit_test(test_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
