/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "portmap/ssdp.h"

#define HEAD "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\n"
#define KIND "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"

static bool parse(const char *text, struct ssdp_place *place)
{
    struct stun_addr router = stun_addr_v4(192, 168, 1, 1, 0);
    size_t length = strlen(text);
    char *copy = malloc(length > 0 ? length : 1); /* ends where the packet does */
    assert_non_null(copy);
    memcpy(copy, text, length);
    bool ok = ssdp_parse(copy, length, &router, place);
    free(copy);
    return ok;
}

static void test_answers(void **state)
{
    struct ssdp_place place;
    (void)state;
    assert_true(parse(HEAD KIND "LOCATION: http://192.168.1.1:5000/rootDesc.xml\r\n\r\n", &place));
    assert_int_equal(place.port, 5000);
    assert_string_equal(place.path, "/rootDesc.xml");
    assert_true(parse(HEAD "location:http://192.168.1.1/d\n" KIND, &place));
    assert_int_equal(place.port, 80);
    assert_string_equal(place.path, "/d");
    assert_true(parse(HEAD KIND "Location: \t http://192.168.1.1:5000/d", &place));
}

static void test_what_is_no_answer(void **state)
{
    struct ssdp_place place;
    (void)state;
    assert_false(parse("", &place));
    assert_false(parse("HTTP/1.1 200 OK", &place));
    assert_false(parse(HEAD KIND "\r\n", &place));
    assert_false(parse(HEAD "ST: urn:dial-multiscreen-org:service:dial:1\r\n"
                            "LOCATION: http://192.168.1.1:5000/d\r\n\r\n",
                       &place));
    assert_false(
        parse("HTTP/1.1 404 OK\r\n" KIND "LOCATION: http://192.168.1.1:5000/d\r\n\r\n", &place));
    assert_false(
        parse("NOTIFY * HTTP/1.1\r\n" KIND "LOCATION: http://192.168.1.1:5000/d\r\n\r\n", &place));
    assert_false(parse(HEAD KIND "LOCATION: http://192.168.1.9:5000/d\r\n\r\n", &place));
    assert_false(parse(HEAD KIND "LOCATION: \r\n\r\n", &place));
    assert_false(parse(HEAD KIND "LOCATION:", &place));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_what_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
