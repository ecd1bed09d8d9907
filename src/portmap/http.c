/* SPDX-License-Identifier: BSD-2-Clause */
#include "portmap/http.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct span {
    char *at;
    size_t bytes;
};

/* The line at the start of s without its end; cuts it off s. False: no whole line. */
static bool cut_line(struct span *s, struct span *line)
{
    char *end = s->bytes > 0 ? memchr(s->at, '\n', s->bytes) : NULL;
    if (end == NULL) {
        return false;
    }
    size_t taken = (size_t)(end - s->at) + 1;
    *line = (struct span){s->at, taken - 1};
    if (line->bytes > 0 && line->at[line->bytes - 1] == '\r') {
        line->bytes--;
    }
    s->at += taken;
    s->bytes -= taken;
    return true;
}

/* The value of a header line called `name`. */
static bool header_value(struct span line, const char *name, struct span *value)
{
    size_t length = strlen(name);
    if (line.bytes <= length || strncasecmp(line.at, name, length) != 0 || line.at[length] != ':') {
        return false;
    }
    *value = (struct span){line.at + length + 1, line.bytes - length - 1};
    while (value->bytes > 0 && (*value->at == ' ' || *value->at == '\t')) {
        value->at++;
        value->bytes--;
    }
    return true;
}

/* Digits at the start of s; at most HTTP_ANSWER_BYTES. */
static bool read_number(struct span s, unsigned int base, size_t *out)
{
    size_t value = 0;
    size_t i;
    for (i = 0; i < s.bytes && isxdigit((unsigned char)s.at[i]); i++) {
        unsigned int digit = isdigit((unsigned char)s.at[i])
                                 ? (unsigned int)(s.at[i] - '0')
                                 : (unsigned int)(tolower((unsigned char)s.at[i]) - 'a' + 10);
        if (digit >= base) {
            return false;
        }
        value = value * base + digit;
        if (value > HTTP_ANSWER_BYTES) {
            return false;
        }
    }
    *out = value;
    return i > 0;
}

static enum http_progress join_chunks(struct span rest, bool ended, struct http_answer *out)
{
    /* Twice: the bytes must stay as they are until all of it is there. */
    for (int pass = 0; pass < 2; pass++) {
        struct span s = rest, line;
        char *to = rest.at;
        size_t chunk = 1;
        while (chunk != 0) {
            if (!cut_line(&s, &line)) {
                return ended ? HTTP_BROKEN : HTTP_MORE;
            }
            if (!read_number(line, 16, &chunk)) {
                return HTTP_BROKEN;
            }
            if (chunk > s.bytes) {
                return ended ? HTTP_BROKEN : HTTP_MORE;
            }
            if (pass == 1) {
                memmove(to, s.at, chunk);
            }
            to += chunk;
            s.at += chunk;
            s.bytes -= chunk;
            if (chunk != 0 && !cut_line(&s, &line)) {
                return ended ? HTTP_BROKEN : HTTP_MORE;
            }
        }
        out->body = rest.at;
        out->body_bytes = (size_t)(to - rest.at);
    }
    return HTTP_DONE;
}

/* Non-blocking, from our address on the way to the gateway; -1: none. */
static int open_stream(const struct gateway *gateway, uint16_t port)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    struct sockaddr_in router = {.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&local.sin_addr, gateway->local.ip, 4);
    memcpy(&router.sin_addr, gateway->router.ip, 4);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 &&
        (bind(fd, (struct sockaddr *)&local, sizeof local) != 0 ||
         (connect(fd, (struct sockaddr *)&router, sizeof router) != 0 && errno != EINPROGRESS))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool send_all(struct patience *p, int fd, const char *request)
{
    size_t left = strlen(request);
    while (left > 0) {
        if (patience_finish(p, fd, POLLOUT) != PATIENCE_READY) {
            return false;
        }
        ssize_t sent = send(fd, request, left, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        if (sent > 0) {
            request += sent;
            left -= (size_t)sent;
        }
    }
    return true;
}

static bool receive_all(struct patience *p, int fd, char *bytes, struct http_answer *out)
{
    size_t length = 0;
    enum http_progress progress = HTTP_MORE;
    while (progress == HTTP_MORE && length < HTTP_ANSWER_BYTES) {
        if (patience_finish(p, fd, POLLIN) != PATIENCE_READY) {
            return false;
        }
        ssize_t got = recv(fd, bytes + length, HTTP_ANSWER_BYTES - length, 0);
        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        if (got >= 0) {
            length += (size_t)got;
            progress = http_parse(bytes, length, got == 0, out);
        }
    }
    return progress == HTTP_DONE;
}

enum http_progress http_parse(char *bytes, size_t length, bool ended, struct http_answer *out)
{
    struct span rest = {bytes, length}, line, value;
    size_t promised = 0, status;
    bool chunked = false, has_length = false;
    *out = (struct http_answer){0};
    if (!cut_line(&rest, &line)) {
        return ended ? HTTP_BROKEN : HTTP_MORE;
    }
    if (line.bytes < 12 || memcmp(line.at, "HTTP/1.", 7) != 0 || line.at[8] != ' ' ||
        !read_number((struct span){line.at + 9, 3}, 10, &status) || status < 100) {
        return HTTP_BROKEN;
    }
    do {
        if (!cut_line(&rest, &line)) {
            return ended ? HTTP_BROKEN : HTTP_MORE;
        }
        if (header_value(line, "Content-Length", &value)) {
            if (!read_number(value, 10, &promised)) {
                return HTTP_BROKEN;
            }
            has_length = true;
        } else if (header_value(line, "Transfer-Encoding", &value)) {
            chunked = value.bytes >= 7 && strncasecmp(value.at, "chunked", 7) == 0;
        }
    } while (line.bytes > 0);
    out->status = (int)status;
    if (chunked) {
        return join_chunks(rest, ended, out);
    }
    out->body = rest.at;
    out->body_bytes = has_length && promised < rest.bytes ? promised : rest.bytes;
    if (has_length ? rest.bytes >= promised : ended) {
        return HTTP_DONE;
    }
    return ended ? HTTP_BROKEN : HTTP_MORE;
}

bool http_parse_url(const char *url, size_t url_bytes, const struct stun_addr *host, uint16_t *port,
                    char path[static LEASE_URL_BYTES])
{
    static const char scheme[] = "http://";
    char place[32];
    struct stun_addr addr;
    if (url_bytes < sizeof scheme || strncasecmp(url, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    url += sizeof scheme - 1;
    url_bytes -= sizeof scheme - 1;
    const char *slash = memchr(url, '/', url_bytes);
    size_t place_bytes = slash != NULL ? (size_t)(slash - url) : url_bytes;
    size_t path_bytes = url_bytes - place_bytes;
    if (place_bytes > 21 || path_bytes >= LEASE_URL_BYTES) {
        return false;
    }
    snprintf(place, sizeof place, "%.*s%s", (int)place_bytes, url,
             memchr(url, ':', place_bytes) != NULL ? "" : ":80");
    if (!stun_addr_parse(place, &addr) || addr.port == 0 || !stun_addr_same_ip(&addr, host)) {
        return false;
    }
    for (size_t i = 0; i < path_bytes; i++) {
        if (slash[i] <= ' ' || slash[i] > '~') { /* it goes into the head of a request */
            return false;
        }
    }
    *port = addr.port;
    snprintf(path, LEASE_URL_BYTES, "%.*s", (int)path_bytes, path_bytes > 0 ? slash : "");
    if (path_bytes == 0) {
        memcpy(path, "/", 2);
    }
    return true;
}

bool http_exchange(const struct patience *p, const struct gateway *gateway, uint16_t port,
                   const char *request, char *bytes, struct http_answer *out)
{
    struct patience own = *p;
    *out = (struct http_answer){0};
    int fd = open_stream(gateway, port);
    if (fd < 0) {
        return false;
    }
    bool done = send_all(&own, fd, request) && receive_all(&own, fd, bytes, out);
    close(fd);
    return done;
}
