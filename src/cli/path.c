/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/path.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define RELAY_PREFIX "relay-"

const char *path_address(const struct sockaddr_storage *addr, socklen_t bytes,
                         char text[static PATH_ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN + 16];
    char port[8];
    if (bytes == 0 || getnameinfo((const struct sockaddr *)addr, bytes, host, sizeof(host), port,
                                  sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        snprintf(text, PATH_ADDRESS_BYTES, "?");
    } else {
        snprintf(text, PATH_ADDRESS_BYTES, addr->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
                 port);
    }
    return text;
}

json_t *path_address_json(const struct sockaddr_storage *addr, socklen_t bytes)
{
    char text[PATH_ADDRESS_BYTES];
    return bytes > 0 ? json_string(path_address(addr, bytes, text)) : json_null();
}

const char *path_kind(const eyelet_path *path)
{
    return path->direct ? "direct" : "relay";
}

const char *path_text(const eyelet_path *path, char text[static PATH_TEXT_BYTES])
{
    char address[PATH_ADDRESS_BYTES];
    const char *local = path->local ? path->local : "?";
    if (path->direct) {
        snprintf(text, PATH_TEXT_BYTES, "direct %s (%s)",
                 path_address(&path->remote, path->remote_bytes, address), local);
    } else {
        bool prefixed = strncmp(local, RELAY_PREFIX, strlen(RELAY_PREFIX)) == 0;
        snprintf(text, PATH_TEXT_BYTES, "relay (%s)",
                 prefixed ? local + strlen(RELAY_PREFIX) : local);
    }
    return text;
}

json_t *path_json(const eyelet_path *path)
{
    return json_pack("{s:s,s:s*,s:o,s:o,s:f}", "kind", path_kind(path), "local", path->local,
                     "remote", path_address_json(&path->remote, path->remote_bytes), "rtt_ms",
                     path_ms_json(path->rtt_us), "ms", (double)path->since_dial_us / 1000);
}

bool step_next(const eyelet_conn *conn, size_t *number, eyelet_step *step)
{
    int error;
    do {
        *step = (eyelet_step){.size = sizeof(*step)};
        error = eyelet_conn_step(conn, (*number)++, step);
    } while (error == EYELET_ERR_LIMIT); /* it has given way to newer ones */
    if (error != EYELET_OK) {
        (*number)--;
    }
    return error == EYELET_OK;
}

json_t *step_json(const eyelet_step *step)
{
    return json_pack("{s:f,s:s,s:s}", "ms", (double)step->at_us / 1000, "what", step->what, "text",
                     step->text);
}

json_t *path_ms_json(uint64_t us)
{
    return us > 0 ? json_real((double)us / 1000) : json_null();
}
