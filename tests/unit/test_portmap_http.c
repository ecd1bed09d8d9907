/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "portmap/http.h"

/* From memory that ends where the text does; the body is copied to `body`. */
static enum http_progress parse(const char *text, size_t length, bool ended, struct http_answer *a,
                                char body[static 256])
{
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    enum http_progress progress = http_parse(copy, length, ended, a);
    if (progress == HTTP_DONE) {
        assert_true(a->body_bytes < 256);
        memcpy(body, a->body, a->body_bytes);
        body[a->body_bytes] = '\0';
    }
    free(copy);
    return progress;
}

static void expect(const char *text, enum http_progress progress, int status, const char *content)
{
    struct http_answer a;
    char body[256];
    assert_int_equal(parse(text, strlen(text), true, &a, body), progress);
    if (progress == HTTP_DONE) {
        assert_int_equal(a.status, status);
        assert_string_equal(body, content);
    }
}

static void test_whole_answers(void **state)
{
    (void)state;
    expect("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", HTTP_DONE, 200, "body");
    expect("HTTP/1.0 200 OK\r\n\r\nuntil the end", HTTP_DONE, 200, "until the end");
    expect("HTTP/1.1 500 No\ncontent-length:2\n\nnomore", HTTP_DONE, 500, "no");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
           "chunked\r\n\r\n4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\n\r\n",
           HTTP_DONE, 200, "Wikipedia");
    expect("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", HTTP_DONE, 204, "");
}

static void test_broken_answers(void **state)
{
    (void)state;
    expect("", HTTP_BROKEN, 0, "");
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", HTTP_BROKEN, 0, "");
    expect("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nbody", HTTP_BROKEN, 0, "");
    expect("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nbody", HTTP_BROKEN, 0,
           "");
    expect("HTTP/1.1 20x OK\r\n\r\n", HTTP_BROKEN, 0, "");
    expect("HTTP/2 200\r\n\r\n", HTTP_BROKEN, 0, "");
    expect("SSH-2.0-dropbear\r\n\r\n", HTTP_BROKEN, 0, "");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nWiki\r\n", HTTP_BROKEN,
           0, "");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWi", HTTP_BROKEN, 0, "");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", HTTP_BROKEN, 0, "");
}

static void test_answers_in_pieces(void **state)
{
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nWikipedia",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n5\r\npedia\r\n0\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char bytes[128];
        struct http_answer a;
        size_t whole = strlen(texts[i]);
        for (size_t length = 0; length < whole; length++) { /* the same bytes, as they come in */
            bytes[length] = texts[i][length];
            assert_int_equal(http_parse(bytes, length, false, &a), HTTP_MORE);
        }
        assert_int_equal(http_parse(bytes, whole, false, &a), HTTP_DONE);
        assert_int_equal(a.body_bytes, 9);
        assert_memory_equal(a.body, "Wikipedia", 9);
    }
}

static void test_urls(void **state)
{
    static const char *const bad[] = {
        "http://192.168.1.2/",
        "http://192.168.1.1.evil.org/",
        "http://192.168.1.1@8.8.8.8/",
        "http://router/",
        "https://192.168.1.1/",
        "http://192.168.1.1:0/",
        "http://192.168.1.1:99999/",
        "http://192.168.1.1:/",
        "http:/192.168.1.1/",
        "http://",
        "",
        "192.168.1.1/",
        "http://192.168.1.1/a b",
        "http://192.168.1.1/a\r\nX: y",
        "http://[::1]/",
        "http://192.168.1.1/\x80",
        "http://192.168.001.1/",
        "http://3232235777/",
        "http://192.168.1.1:80:80/",
        "http://[::ffff:192.168.1.2]/",
    };
    struct stun_addr router = stun_addr_v4(192, 168, 1, 1, 0);
    char path[LEASE_URL_BYTES], url[256];
    uint16_t port = 0;
    (void)state;
    snprintf(url, sizeof url, "http://192.168.1.1:5000/rootDesc.xml");
    assert_true(http_parse_url(url, strlen(url), &router, &port, path));
    assert_int_equal(port, 5000);
    assert_string_equal(path, "/rootDesc.xml");
    assert_true(http_parse_url("HTTP://192.168.1.1", 18, &router, &port, path));
    assert_int_equal(port, 80);
    assert_string_equal(path, "/");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(http_parse_url(bad[i], strlen(bad[i]), &router, &port, path));
    snprintf(url, sizeof url, "http://192.168.1.1/%0200d", 1);
    assert_false(http_parse_url(url, strlen(url), &router, &port, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_answers),
        cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_answers_in_pieces),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
