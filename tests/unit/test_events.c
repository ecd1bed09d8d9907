/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eyelet.h"

static void nothing_to_fill_or_wait_for_is_said(void **state)
{
    eyelet_id peer = {0};
    eyelet_event event;
    eyelet_conn *conn = NULL;
    (void)state;
    assert_int_equal(eyelet_wait(NULL, 0, &event), EYELET_ERR_ARGUMENT);
    assert_int_equal(eyelet_accept(NULL, 0, &conn), EYELET_ERR_ARGUMENT);
    assert_int_equal(eyelet_connect(NULL, &peer, 0, &conn), EYELET_ERR_ARGUMENT);
    assert_int_equal(eyelet_connect(NULL, &peer, 0, NULL), EYELET_ERR_ARGUMENT);
    assert_null(conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_fill_or_wait_for_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
