/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "peer/story.h"

static void test_first_and_last_steps_stay(void **state)
{
    (void)state;
    struct story *s = story_new();
    const size_t count = STORY_FIRST_STEPS + 2 * STORY_LAST_STEPS + 5;
    assert_null(story_step(s, 0));
    for (size_t i = 0; i < count; i++) {
        story_tell(s, i * 10, "path", "step %zu", i);
    }
    assert_int_equal(story_count(s), count);
    for (size_t i = 0; i < count; i++) {
        const struct story_step *step = story_step(s, i);
        if (i >= STORY_FIRST_STEPS && i < count - STORY_LAST_STEPS) {
            assert_null(step);
            continue;
        }
        char expected[32];
        snprintf(expected, sizeof expected, "step %zu", i);
        assert_string_equal(step->text, expected);
        assert_string_equal(step->what, "path");
        assert_int_equal(step->at_us, i * 10);
    }
    assert_null(story_step(s, count));
    story_free(s);
}

static void test_long_texts_are_cut(void **state)
{
    (void)state;
    struct story *s = story_new();
    char text[2 * STORY_TEXT_BYTES];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    story_tell(s, 1, "dial", "%s", text);
    assert_int_equal(strlen(story_step(s, 0)->text), STORY_TEXT_BYTES - 1);
    story_free(s);
}

static void test_without_memory(void **state)
{
    (void)state;
    story_tell(NULL, 1, "dial", "nothing");
    assert_null(story_step(NULL, 0));
    assert_int_equal(story_count(NULL), 0);
    story_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_and_last_steps_stay),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
