/* SPDX-License-Identifier: BSD-2-Clause */
/* Networks, paths and round trips, in words and in JSON; and the page that they stand on. */
#include "cli/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/page.h"
#include "cli/path.h"
#include "cli/roundtrips.h"

static socklen_t put_ipv4(struct sockaddr_storage *out, const char *text, uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, text, &addr.sin_addr), 1);
    memcpy(out, &addr, sizeof(addr));
    return sizeof(addr);
}

static socklen_t put_ipv6(struct sockaddr_storage *out, const char *text, uint16_t port)
{
    struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET6, text, &addr.sin6_addr), 1);
    memcpy(out, &addr, sizeof(addr));
    return sizeof(addr);
}

static void check(const eyelet_nat *nat, enum network_side side, enum network_field field,
                  const char *expected)
{
    char text[NETWORK_TEXT_BYTES];
    assert_string_equal(network_text(nat, side, field, text), expected);
}

static eyelet_nat sequential(void)
{
    eyelet_nat nat = {.mapping = "address-and-port-dependent",
                      .filtering = "address-and-port-dependent",
                      .allocation = "sequential",
                      .pooling = "one address",
                      .early = "unknown",
                      .hairpin = "no",
                      .step = 2,
                      .foreign_per_1000_s = 1500,
                      .opener_ttl = 3,
                      .servers = 4,
                      .settled = true,
                      .udp = true,
                      .port_mapping = "none"};
    nat.public_address_bytes = put_ipv4(&nat.public_address, "203.0.113.9", 4711);
    nat.public_ipv6_bytes = put_ipv6(&nat.public_ipv6, "2001:db8::7", 4712);
    return nat;
}

static void fields_are_said_in_words(void **state)
{
    eyelet_nat nat = sequential();
    (void)state;
    check(&nat, NETWORK_MINE, NETWORK_UDP, "yes (4 bounce endpoints answered)");
    check(&nat, NETWORK_MINE, NETWORK_PUBLIC_IPV4, "203.0.113.9:4711");
    check(&nat, NETWORK_MINE, NETWORK_PUBLIC_IPV6, "[2001:db8::7]:4712");
    check(&nat, NETWORK_MINE, NETWORK_STEP, "2; others take 1.5 ports a second");
    check(&nat, NETWORK_MINE, NETWORK_BLOCK, "");
    check(&nat, NETWORK_MINE, NETWORK_EARLY, "unknown");
    check(&nat, NETWORK_MINE, NETWORK_OPENER_TTL, "3");
    check(&nat, NETWORK_MINE, NETWORK_PORT_MAPPING, "no router answers");
    check(&nat, NETWORK_MINE, NETWORK_PROVIDER, "no sign of one");
    check(&nat, NETWORK_THEIRS, NETWORK_UDP, "");
    check(&nat, NETWORK_THEIRS, NETWORK_PORT_MAPPING, "");
    assert_string_equal(network_meaning(&nat, NETWORK_ALLOCATION), "ports are counted up");
    assert_string_equal(network_meaning(&nat, NETWORK_HAIRPIN), "");
    nat.port_mapping = "PCP";
    nat.mapped_address_bytes = put_ipv4(&nat.mapped_address, "203.0.113.9", 9);
    check(&nat, NETWORK_MINE, NETWORK_PORT_MAPPING, "PCP, 203.0.113.9:9");
    nat.block_ports = 1024;
    nat.block_first = 20480;
    check(&nat, NETWORK_MINE, NETWORK_BLOCK, "1024 ports from 20480 on");
}

static void every_field_is_in_the_json(void **state)
{
    static const char *const names[] = {
        "udp",          "public_ipv4",     "public_ipv6",    "mapping",
        "filtering",    "allocation",      "step",           "block_ports",
        "block_first",  "pooling",         "early",          "foreign_per_1000_s",
        "hairpin",      "lifetime_s",      "opener_ttl",     "servers",
        "port_mapping", "behind_provider", "mapped_address", "settled",
        "complete"};
    eyelet_nat nat = sequential();
    json_t *known = network_json(&nat, NETWORK_MINE);
    (void)state;
    assert_int_equal(json_object_size(known), sizeof(names) / sizeof(names[0]));
    assert_int_equal(json_integer_value(json_object_get(known, "step")), 2);
    assert_true(json_is_false(json_object_get(known, "hairpin")));
    assert_true(json_is_null(json_object_get(known, "early")));
    assert_true(json_is_null(json_object_get(known, "lifetime_s")));
    assert_true(json_is_true(json_object_get(known, "udp")));
    json_decref(known);
    nat = (eyelet_nat){0};
    json_t *unknown = network_json(&nat, NETWORK_THEIRS);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_true(json_is_null(json_object_get(unknown, names[i])));
    }
    json_decref(unknown);
}

static void nothing_known_is_said_so(void **state)
{
    eyelet_nat nat = {0};
    char text[NETWORK_TEXT_BYTES];
    (void)state;
    for (int i = 0; i < NETWORK_FIELDS; i++) {
        (void)network_text(&nat, NETWORK_MINE, (enum network_field)i, text);
        (void)network_text(&nat, NETWORK_THEIRS, (enum network_field)i, text);
        assert_string_equal(network_meaning(&nat, (enum network_field)i), "");
        assert_true(strlen(network_label((enum network_field)i)) < PAGE_LABEL_CELLS);
    }
    check(&nat, NETWORK_MINE, NETWORK_UDP, "no: nothing answers over UDP");
    check(&nat, NETWORK_MINE, NETWORK_PORT_MAPPING, "unknown");
}

static void paths_are_named(void **state)
{
    char text[PATH_TEXT_BYTES];
    eyelet_path path = {.direct = true, .local = "srflx"};
    (void)state;
    path.remote_bytes = put_ipv4(&path.remote, "203.0.113.9", 4711);
    assert_string_equal(path_text(&path, text), "direct 203.0.113.9:4711 (srflx)");
    json_t *json = path_json(&path);
    assert_string_equal(json_string_value(json_object_get(json, "remote")), "203.0.113.9:4711");
    assert_true(json_is_null(json_object_get(json, "rtt_ms")));
    json_decref(json);
    path = (eyelet_path){.local = "relay-udp", .rtt_us = 80900};
    assert_string_equal(path_text(&path, text), "relay (udp)");
    json = path_json(&path);
    assert_string_equal(json_string_value(json_object_get(json, "kind")), "relay");
    assert_true(json_real_value(json_object_get(json, "rtt_ms")) > 80.8);
    json_decref(json);
}

static void round_trips_are_counted(void **state)
{
    struct roundtrips trips = {0};
    char text[ROUNDTRIPS_TEXT_BYTES];
    (void)state;
    assert_string_equal(roundtrips_text(&trips, text), "");
    json_t *json = roundtrips_json(&trips);
    assert_true(json_is_null(json));
    json_decref(json);
    roundtrips_add(&trips, 40000);
    roundtrips_add(&trips, 44000);
    assert_string_equal(roundtrips_text(&trips, text), "40.0/42.0/44.0/2.0 ms");
}

static void rows_are_wrapped_at_words(void **state)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    (void)state;
    page_row(stream, 44, "Label", "one two three four five six seven");
    page_row(stream, 10, "Long", "averyveryverylongwordthatfitsnowhere x");
    page_row(stream, 80, "Empty", "");
    page_item(stream, 46, "Item", "1 ms ", "one two three four five six");
    page_pair(stream, "Pair", "left", 8, "right");
    page_pair(stream, "Half", "left", 8, "");
    fclose(stream);
    assert_string_equal(text, "Label             one two three four five\n"
                              "                  six seven\n"
                              "Long              averyveryverylongwordthatfitsnowhere\n"
                              "                  x\n"
                              "Empty\n"
                              "Item              1 ms one two three four five\n"
                              "                       six\n"
                              "Pair              left      right\n"
                              "Half              left\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_said_in_words), cmocka_unit_test(every_field_is_in_the_json),
        cmocka_unit_test(nothing_known_is_said_so), cmocka_unit_test(paths_are_named),
        cmocka_unit_test(round_trips_are_counted),  cmocka_unit_test(rows_are_wrapped_at_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
