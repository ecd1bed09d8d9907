/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rendezvous/wire.h"

#define CONFIG_NAME_BYTES 64

struct config_number {
    const char *name;
    size_t offset;
    uint32_t least, most;
};

#define CONFIG_LIMIT(name, field, least, most)                                                     \
    {                                                                                              \
        name, offsetof(struct config_limits, field), least, most                                   \
    }

static const struct config_number config_limit_names[] = {
    CONFIG_LIMIT("sessions", sessions, 1, 10000000),
    CONFIG_LIMIT("sessions-per-prefix", sessions_per_prefix, 1, 10000000),
    CONFIG_LIMIT("connection-rate", connection_rate, 1, 1000000),
    CONFIG_LIMIT("connection-burst", connection_burst, 1, 1000000),
    CONFIG_LIMIT("message-rate", message_rate, 1, 1000000),
    CONFIG_LIMIT("message-burst", message_burst, 1, 1000000),
    CONFIG_LIMIT("dial-rate", dial_rate, 1, 1000000),
    CONFIG_LIMIT("dial-burst", dial_burst, 1, 1000000),
    CONFIG_LIMIT("prefix-dial-rate", prefix_dial_rate, 1, 1000000),
    CONFIG_LIMIT("prefix-dial-burst", prefix_dial_burst, 1, 1000000),
    CONFIG_LIMIT("call-rate", call_rate, 1, 1000000),
    CONFIG_LIMIT("call-burst", call_burst, 1, 1000000),
    CONFIG_LIMIT("prefix-call-rate", prefix_call_rate, 1, 1000000),
    CONFIG_LIMIT("prefix-call-burst", prefix_call_burst, 1, 1000000),
    CONFIG_LIMIT("dials", dials, 1, 16777216),
    CONFIG_LIMIT("refusals", refusals, 1, 16777216),
    CONFIG_LIMIT("refusals-per-session", refusals_per_session, 1, 65535),
    CONFIG_LIMIT("live-dials", live_dials, 1, 1000000),
    CONFIG_LIMIT("dials-per-prefix", dials_per_prefix, 1, 16777216),
    CONFIG_LIMIT("note-rate", note_rate, 1, 1000000),
    CONFIG_LIMIT("notes", notes, 1, 1000000),
    CONFIG_LIMIT("relay-rate", relay_rate, 0, 4294967295),
    CONFIG_LIMIT("relay-peer-rate", relay_peer_rate, 0, 4294967295),
    CONFIG_LIMIT("relay-prefix-rate", relay_prefix_rate, 0, 4294967295),
    CONFIG_LIMIT("relay-total", relay_total, 0, 4294967295),
    CONFIG_LIMIT("relay-datagram-bytes", relay_datagram_bytes, 1, 65536),
    CONFIG_LIMIT("relay-sessions", relay_sessions, 0, 1000000),
    CONFIG_LIMIT("relay-sessions-per-prefix", relay_sessions_per_prefix, 0, 16777216),
    CONFIG_LIMIT("relay-streams", relay_streams, 0, 10000000),
    CONFIG_LIMIT("relay-streams-per-prefix", relay_streams_per_prefix, 0, 10000000),
    CONFIG_LIMIT("queue-bytes", queue_bytes, 16384, 16777216),
    CONFIG_LIMIT("handshake-seconds", handshake_seconds, 1, 3600),
    CONFIG_LIMIT("silence-seconds", silence_seconds, 1, 86400),
    CONFIG_LIMIT("bounce-rate", bounce_rate, 1, 1000000),
    CONFIG_LIMIT("bounce-burst", bounce_burst, 1, 1000000),
    CONFIG_LIMIT("keepalive-rate", keepalive_rate, 1, 1000000),
    CONFIG_LIMIT("keepalive-burst", keepalive_burst, 1, 1000000),
    CONFIG_LIMIT("behaviour-rate", behaviour_rate, 1, 1000000),
    CONFIG_LIMIT("behaviour-burst", behaviour_burst, 1, 1000000),
};

static bool config_fail(char why[static CONFIG_WHY_BYTES], const char *name, const char *value,
                        const char *expected)
{
    snprintf(why, CONFIG_WHY_BYTES, "%.32s \"%.60s\": %s", name, value, expected);
    return false;
}

static bool config_parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *out)
{
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < least || value > most)
        return false;
    *out = (uint32_t)value;
    return true;
}

static bool config_parse_bool(const char *text, bool *out)
{
    *out = strcmp(text, "yes") == 0;
    return *out || strcmp(text, "no") == 0;
}

static bool config_parse_ip(const char *text, struct stun_addr *out)
{
    uint8_t ip[16];

    if (inet_pton(AF_INET, text, ip) == 1)
        *out = stun_addr_from_ip(ip, 4, 0);
    else if (inet_pton(AF_INET6, text, ip) == 1)
        *out = stun_addr_from_ip(ip, 16, 0);
    else
        return false;
    return true;
}

/* "IP", or "IP=OUTSIDE" behind a 1:1 NAT. */
static bool config_add_address(struct config *config, const char *value,
                               char why[static CONFIG_WHY_BYTES])
{
    struct config_address address;
    char bound[INET6_ADDRSTRLEN];
    const char *equals = strchr(value, '=');
    size_t bound_bytes = equals != NULL ? (size_t)(equals - value) : strlen(value);
    size_t in_family = 0;

    if (bound_bytes >= sizeof bound)
        return config_fail(why, "address", value, "not an IP address");
    memcpy(bound, value, bound_bytes);
    bound[bound_bytes] = '\0';
    if (!config_parse_ip(bound, &address.bound))
        return config_fail(why, "address", value, "not an IP address");
    address.outside = address.bound;
    if (equals != NULL && (!config_parse_ip(equals + 1, &address.outside) ||
                           address.outside.family != address.bound.family))
        return config_fail(why, "address", value, "expected IP=IP, both of one family");
    for (size_t i = 0; i < config->address_count; i++) {
        if (stun_addr_same_ip(&config->address[i].bound, &address.bound))
            return config_fail(why, "address", value, "given twice");
        in_family += config->address[i].bound.family == address.bound.family;
    }
    if (in_family == 2)
        return config_fail(why, "address", value, "more than two addresses of one family");
    config->address[config->address_count++] = address;
    return true;
}

static bool config_add_port(struct config *config, const char *value,
                            char why[static CONFIG_WHY_BYTES])
{
    uint32_t number;

    if (!config_parse_number(value, 0, 65535, &number))
        return config_fail(why, "port", value, "expected a number up to 65535");
    if (config->port_count == CONFIG_MAX_PORTS)
        return config_fail(why, "port", value, "more than four ports");
    config->port[config->port_count++] = (uint16_t)number;
    return true;
}

static bool config_limit(struct config *config, const char *name, const char *value,
                         char why[static CONFIG_WHY_BYTES])
{
    for (size_t i = 0; i < sizeof config_limit_names / sizeof config_limit_names[0]; i++) {
        const struct config_number *limit = &config_limit_names[i];
        if (strcmp(name, limit->name) != 0)
            continue;
        uint32_t *field = (uint32_t *)(void *)((char *)&config->limits + limit->offset);
        if (config_parse_number(value, limit->least, limit->most, field))
            return true;
        snprintf(why, CONFIG_WHY_BYTES, "%s \"%.60s\": expected a number from %u to %u", name,
                 value, limit->least, limit->most);
        return false;
    }
    return config_fail(why, name, value, "no such limit");
}

void config_init(struct config *config)
{
    *config = (struct config){
        .bounce_port = WIRE_BOUNCE_PORT,
        .state = "/var/lib/eyeletd",
        .log_level = LOG_LEVEL_INFO,
        .relay = true,
        .limits =
            {
                .sessions = 16384,
                .sessions_per_prefix = 256,
                .connection_rate = 20,
                .connection_burst = 100,
                .message_rate = 50,
                .message_burst = 400, /* a client resumes all its dials at once */
                .dial_rate = 5,
                .dial_burst = 20,
                .prefix_dial_rate = 50,
                .prefix_dial_burst = 200,
                .call_rate = 20,
                .call_burst = 50,
                .prefix_call_rate = 5,
                .prefix_call_burst = 20,
                .dials = 65536,
                .refusals = 16384,
                .refusals_per_session = 16,
                .live_dials = 256,
                .dials_per_prefix = 4096,
                .note_rate = 2,
                .notes = 64,
                .relay_rate = 25000000,
                .relay_peer_rate = 25000000,
                .relay_prefix_rate = 62500000,
                .relay_total = 125000000,
                .relay_datagram_bytes = 512,
                .relay_sessions = 256,
                .relay_sessions_per_prefix = 1024,
                .relay_streams = 1024,
                .relay_streams_per_prefix = 128,
                .queue_bytes = 65536,
                .handshake_seconds = 10,
                .silence_seconds = 90,
                .bounce_rate = 100,
                .bounce_burst = 300,
                .keepalive_rate = 1000,
                .keepalive_burst = 2000,
                .behaviour_rate = 10,
                .behaviour_burst = 30,
            },
    };
}

bool config_set(struct config *config, const char *section, const char *name, const char *value,
                char why[static CONFIG_WHY_BYTES])
{
    uint32_t number;

    if (strcmp(section, "limits") == 0)
        return config_limit(config, name, value, why);
    if (section[0] != '\0')
        return config_fail(why, "section", section, "the only section is [limits]");
    if (strcmp(name, "address") == 0)
        return config_add_address(config, value, why);
    if (strcmp(name, "port") == 0)
        return config_add_port(config, value, why);
    if (strcmp(name, "bounce-port") == 0) {
        if (!config_parse_number(value, 0, 65534, &number))
            return config_fail(why, name, value, "expected a number up to 65534");
        config->bounce_port = (uint16_t)number;
        return true;
    }
    if (strcmp(name, "state") == 0) {
        size_t bytes = strlen(value);
        if (bytes == 0 || bytes >= sizeof config->state)
            return config_fail(why, name, value, "expected the path of a folder");
        memcpy(config->state, value, bytes + 1);
        return true;
    }
    if (strcmp(name, "log-level") == 0)
        return log_level_parse(value, &config->log_level) ||
               config_fail(why, name, value, "expected error, warn, info or debug");
    if (strcmp(name, "syslog") == 0)
        return config_parse_bool(value, &config->syslog) ||
               config_fail(why, name, value, "expected yes or no");
    if (strcmp(name, "relay") == 0)
        return config_parse_bool(value, &config->relay) ||
               config_fail(why, name, value, "expected yes or no");
    return config_fail(why, name, value, "no such setting");
}

bool config_set_limit(struct config *config, const char *limit, char why[static CONFIG_WHY_BYTES])
{
    char name[CONFIG_NAME_BYTES];
    const char *equals = strchr(limit, '=');
    size_t bytes = equals != NULL ? (size_t)(equals - limit) : 0;

    if (bytes == 0 || bytes >= sizeof name)
        return config_fail(why, "limit", limit, "expected NAME=VALUE");
    memcpy(name, limit, bytes);
    name[bytes] = '\0';
    return config_limit(config, name, equals + 1, why);
}

struct config_reader {
    struct config *config;
    char *why;
};

static int config_handle(void *user, const char *section, const char *name, const char *value)
{
    struct config_reader *reader = user;
    char why[CONFIG_WHY_BYTES];

    if (config_set(reader->config, section, name, value, why))
        return 1;
    /* inih goes on after an error and reports the first line: so must its reason be. */
    if (reader->why[0] == '\0')
        memcpy(reader->why, why, sizeof why);
    return 0;
}

bool config_load(struct config *config, const char *path, char why[static CONFIG_WHY_BYTES])
{
    char reason[CONFIG_WHY_BYTES] = "";
    struct config_reader reader = {.config = config, .why = reason};
    int line = ini_parse(path, config_handle, &reader);

    if (line == 0)
        return true;
    if (line < 0)
        snprintf(why, CONFIG_WHY_BYTES, "%.150s: %s", path, strerror(errno));
    else
        snprintf(why, CONFIG_WHY_BYTES, "%.100s line %d: %.120s", path, line,
                 reason[0] != '\0' ? reason : "not NAME = VALUE");
    return false;
}
