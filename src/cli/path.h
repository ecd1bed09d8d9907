/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses, paths and steps of a connection, in words and in JSON. */
#ifndef CLI_PATH_H
#define CLI_PATH_H

#include <jansson.h>
#include <stdbool.h>

#include "eyelet.h"

#define PATH_ADDRESS_BYTES 72
#define PATH_TEXT_BYTES    128

/* "ADDR:PORT" or "[V6]:PORT"; "?" if it is neither. Returns text. */
const char *path_address(const struct sockaddr_storage *addr, socklen_t bytes,
                         char text[static PATH_ADDRESS_BYTES]);
/* A JSON string, or null if bytes is 0. */
json_t *path_address_json(const struct sockaddr_storage *addr, socklen_t bytes);

const char *path_kind(const eyelet_path *path); /* "direct" or "relay" */
/* "direct 203.0.113.9:4711 (srflx)", "relay (udp)". Returns text. */
const char *path_text(const eyelet_path *path, char text[static PATH_TEXT_BYTES]);
/* kind, local, remote, rtt_ms, ms. */
json_t *path_json(const eyelet_path *path);

/* The step of this number, or the next one that is still kept; *number becomes the one after it.
 * False: there is none yet. */
bool step_next(const eyelet_conn *conn, size_t *number, eyelet_step *step);
/* ms, what, text. */
json_t *step_json(const eyelet_step *step);

/* Milliseconds, or null for 0: not measured. */
json_t *path_ms_json(uint64_t us);

#endif
