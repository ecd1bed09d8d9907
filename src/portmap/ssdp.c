/* SPDX-License-Identifier: BSD-2-Clause */
#include "portmap/ssdp.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "portmap/http.h"

static const uint8_t group[4] = {239, 255, 255, 250};

enum { SSDP_PORT = 1900, ANSWERS_AT_ONCE = 64 };

static void send_search(int fd, const uint8_t to[static 4], const char *target)
{
    char text[256];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(SSDP_PORT)};
    memcpy(&address.sin_addr, to, 4);
    int length = snprintf(text, sizeof text,
                          "M-SEARCH * HTTP/1.1\r\n"
                          "HOST: 239.255.255.250:1900\r\n"
                          "MAN: \"ssdp:discover\"\r\n"
                          "MX: 1\r\n"
                          "ST: urn:schemas-upnp-org:%s\r\n"
                          "\r\n",
                          target);
    /* Lost or refused: it is asked again. */
    if (sendto(fd, text, (size_t)length, MSG_NOSIGNAL, (struct sockaddr *)&address,
               sizeof address) < 0) {
        return;
    }
}

int ssdp_open(const struct gateway *gateway)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    struct ip_mreqn out = {.imr_ifindex = (int)gateway->device};
    memcpy(&local.sin_addr, gateway->local.ip, 4);
    memcpy(&out.imr_address, gateway->local.ip, 4);
    int hops = 2;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (bind(fd, (struct sockaddr *)&local, sizeof local) != 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof out) != 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof hops) != 0) {
        close(fd);
        return -1;
    }
    ssdp_search(fd, gateway);
    return fd;
}

void ssdp_search(int fd, const struct gateway *gateway)
{
    static const char *const targets[] = {
        "device:InternetGatewayDevice:1",
        "device:InternetGatewayDevice:2",
        "service:WANIPConnection:1",
        "service:WANPPPConnection:1",
    };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        send_search(fd, group, targets[i]);
    }
    send_search(fd, gateway->router.ip, targets[0]);
}

bool ssdp_parse(const char *bytes, size_t length, const struct stun_addr *router,
                struct ssdp_place *out)
{
    static const char name[] = "location:";
    static const char kind[] = "urn:schemas-upnp-org:";
    bool ok = length > 12 && memcmp(bytes, "HTTP/1.", 7) == 0 && memcmp(bytes + 8, " 200", 4) == 0;
    bool right_kind = length > sizeof kind && memmem(bytes, length, kind, sizeof kind - 1) != NULL;
    for (size_t at = 0; ok && right_kind && at < length;) {
        const char *line = bytes + at;
        const char *end = memchr(line, '\n', length - at);
        size_t line_bytes = end != NULL ? (size_t)(end - line) : length - at;
        at += line_bytes + 1;
        if (line_bytes > 0 && line[line_bytes - 1] == '\r') {
            line_bytes--;
        }
        if (line_bytes >= sizeof name - 1 && strncasecmp(line, name, sizeof name - 1) == 0) {
            line += sizeof name - 1;
            line_bytes -= sizeof name - 1;
            while (line_bytes > 0 && (*line == ' ' || *line == '\t')) {
                line++;
                line_bytes--;
            }
            return http_parse_url(line, line_bytes, router, &out->port, out->path);
        }
    }
    return false;
}

bool ssdp_receive(int fd, const struct gateway *gateway, struct ssdp_place *out)
{
    char bytes[SSDP_PACKET_BYTES];
    for (int budget = ANSWERS_AT_ONCE; budget > 0; budget--) {
        struct sockaddr_in from = {0};
        socklen_t from_bytes = sizeof from;
        ssize_t got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &from_bytes);
        if (got < 0) {
            return false;
        }
        if (memcmp(&from.sin_addr, gateway->router.ip, 4) == 0 &&
            ssdp_parse(bytes, (size_t)got, &gateway->router, out)) {
            return true;
        }
    }
    return false;
}
