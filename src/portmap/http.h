/* SPDX-License-Identifier: BSD-2-Clause */
/* As much HTTP as UPnP needs, and no more: one request to one address, an answer of bounded size
 * in bounded time, no redirects. */
#ifndef PORTMAP_HTTP_H
#define PORTMAP_HTTP_H

#include "portmap/lease.h"
#include "portmap/patience.h"

#define HTTP_ANSWER_BYTES 65536

enum http_progress { HTTP_MORE, HTTP_DONE, HTTP_BROKEN };

struct http_answer {
    int status;
    char *body; /* points into the bytes that were parsed */
    size_t body_bytes;
};

/* Reads what has come so far; `ended`: nothing more will come. On HTTP_DONE the body is in one
 * piece (chunks are joined in place). */
enum http_progress http_parse(char *bytes, size_t length, bool ended, struct http_answer *out);

/* "http://ADDRESS[:PORT]/PATH" with the very IP address of `host`: its port and its path ("/..."),
 * or false. `url` ends after url_bytes. */
bool http_parse_url(const char *url, size_t url_bytes, const struct stun_addr *host, uint16_t *port,
                    char path[static LEASE_URL_BYTES]);

/* Sends `request` to the gateway's `port` and reads the answer into bytes[HTTP_ANSWER_BYTES].
 * False: none, or a broken one, or too late. */
bool http_exchange(const struct patience *p, const struct gateway *gateway, uint16_t port,
                   const char *request, char *bytes, struct http_answer *out);

#endif
