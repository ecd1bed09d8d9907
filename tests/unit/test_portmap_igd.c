/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "portmap/igd.h"

#define UPNP "urn:schemas-upnp-org:"
#define DEVICE(type, inside)                                                                       \
    "<device><deviceType>" UPNP "device:" type "</deviceType>" inside "</device>"
#define SERVICE(type, control)                                                                     \
    "<service><serviceType>" type "</serviceType><controlURL>" control                             \
    "</controlURL><eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL></service>"
#define ROUTER(base, services)                                                                     \
    "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\">" base DEVICE(         \
        "InternetGatewayDevice:1",                                                                 \
        "<deviceList>" DEVICE(                                                                     \
            "WANDevice:1",                                                                         \
            "<deviceList>" DEVICE("WANConnectionDevice:1",                                         \
                                  "<serviceList>" services                                         \
                                  "</serviceList>") "</deviceList>") "</deviceList>") "</root>"
#define IP_SERVICE  UPNP "service:WANIPConnection:1"
#define PPP_SERVICE UPNP "service:WANPPPConnection:1"

static bool read_description(const char *text, struct lease_control *c)
{
    struct stun_addr router = stun_addr_v4(192, 168, 1, 1, 0);
    char *copy = strdup(text);
    assert_non_null(copy);
    memset(c, 0, sizeof *c);
    bool ok = igd_read_description(copy, strlen(text), &router, 5000, c);
    free(copy);
    return ok;
}

static void test_descriptions(void **state)
{
    struct lease_control c;
    (void)state;
    assert_true(read_description(ROUTER("", SERVICE(IP_SERVICE, "/ctl/IPConn")), &c));
    assert_int_equal(c.port, 5000);
    assert_string_equal(c.path, "/ctl/IPConn");
    assert_string_equal(c.service, IP_SERVICE);
    assert_true(read_description(ROUTER("", SERVICE(UPNP "service:WANIPConnection:2", "ctl")), &c));
    assert_string_equal(c.path, "/ctl");
    assert_string_equal(c.service, UPNP "service:WANIPConnection:2");
    assert_true(read_description(ROUTER("", SERVICE(PPP_SERVICE, "/p")), &c));
    assert_string_equal(c.service, PPP_SERVICE);
    assert_true(read_description(
        ROUTER("<URLBase>http://192.168.1.1:80/</URLBase>", SERVICE(IP_SERVICE, "/b")), &c));
    assert_int_equal(c.port, 80);
    assert_true(read_description(ROUTER("", SERVICE(IP_SERVICE, "http://192.168.1.1:99/c")), &c));
    assert_int_equal(c.port, 99);
    assert_string_equal(c.path, "/c");
}

static void test_second_service(void **state)
{
    struct lease_control c;
    (void)state;
    assert_true(read_description(
        ROUTER("", SERVICE(IP_SERVICE, "http://192.0.2.9/evil") SERVICE(PPP_SERVICE, "/good")),
        &c));
    assert_string_equal(c.path, "/good");
    assert_string_equal(c.service, PPP_SERVICE);
}

static void test_descriptions_that_lead_elsewhere(void **state)
{
    static const char *const bad[] = {
        "",
        "no xml",
        "<root></root>",
        ROUTER("", ""),
        ROUTER("", SERVICE(IP_SERVICE, "http://192.0.2.9/evil")),
        ROUTER("", SERVICE(IP_SERVICE, "http://192.168.1.1@192.0.2.9/evil")),
        ROUTER("", SERVICE(IP_SERVICE, "/a\r\nHost: evil")),
        ROUTER("<URLBase>http://192.0.2.9:80/</URLBase>", SERVICE(IP_SERVICE, "/b")),
        ROUTER("", SERVICE(UPNP "service:WANCommonInterfaceConfig:1", "/c")),
        ROUTER("", SERVICE("urn:schemas-upnp-org:service:WANIPConnection:1\"\r\nX: y", "/d")),
    };
    struct lease_control c;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(read_description(bad[i], &c));
}

static void test_long_descriptions(void **state)
{
    struct lease_control c;
    char *text = malloc(70000);
    struct stun_addr router = stun_addr_v4(192, 168, 1, 1, 0);
    (void)state;
    assert_non_null(text);
    memset(text, '<', 70000);
    assert_false(igd_read_description(text, 70000, &router, 80, &c));
    assert_false(igd_read_description(text, 65536, &router, 80, &c));
    memset(text, 'a', 70000);
    memcpy(text, "<controlURL>", 12);
    assert_false(igd_read_description(text, 65536, &router, 80, &c));
    free(text);
}

static int read_answer(int status, const char *text, const char *name, char value[static 64])
{
    return igd_read_answer(status, text, strlen(text), name, value);
}

static void test_answers(void **state)
{
    char value[64];
    char long_one[1024];
    (void)state;
    assert_int_equal(
        read_answer(200, "<a><b><NewExternalIPAddress>203.0.113.10</NewExternalIPAddress></b></a>",
                    "NewExternalIPAddress", value),
        0);
    assert_string_equal(value, "203.0.113.10");
    assert_int_equal(read_answer(200, "<a></a>", "NewExternalIPAddress", value), 0);
    assert_string_equal(value, "");
    assert_int_equal(read_answer(500, "<a><errorCode>718</errorCode></a>", NULL, value), 718);
    assert_int_equal(read_answer(200, "<a><errorCode>718</errorCode></a>", NULL, value), 718);
    assert_int_equal(read_answer(500, "<a><errorCode>-3</errorCode></a>", NULL, value), -1);
    assert_int_equal(read_answer(500, "<a><errorCode>0</errorCode></a>", NULL, value), -1);
    assert_int_equal(read_answer(500, "oh", NULL, value), -1);
    assert_int_equal(read_answer(200, "", NULL, value), -1);
    snprintf(long_one, sizeof long_one, "<a><b>%0900d</b></a>", 7);
    assert_int_equal(read_answer(200, long_one, "b", value), 0);
    assert_true(strlen(value) < sizeof value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test(test_second_service),
        cmocka_unit_test(test_descriptions_that_lead_elsewhere),
        cmocka_unit_test(test_long_descriptions),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
