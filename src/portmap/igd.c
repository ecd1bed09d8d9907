/* SPDX-License-Identifier: BSD-2-Clause */
#include "portmap/igd.h"

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpreplyparse.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "portmap/http.h"
#include "portmap/ssdp.h"

enum {
    MAP_MS = 4000,
    SEARCH_MS = 2000, /* answers come within the second of MX */
    SEARCH_AGAIN_MS = 700,
    EXCHANGE_MS = 1500,
    GRACE_MS = 600,
    DESCRIPTIONS_AT_MOST = 3,
    PORTS_TO_TRY = 4,
    REQUEST_BYTES = 2048,
    XML_SLACK_BYTES = 16, /* miniupnpc looks one byte behind a text that ends in '=' */
};

/* UPnP errors (WANIPConnection:1 and :2). */
enum {
    NOT_AUTHORIZED = 606,
    NO_SUCH_ENTRY = 714,
    CONFLICT = 718,
    SAME_PORTS_REQUIRED = 724,
    ONLY_PERMANENT = 725,
    NO_FREE_PORT = 728,
};

static const char service_prefix[] = "urn:schemas-upnp-org:service:WAN";

static bool is_service(const char *service)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.";
    return strncmp(service, service_prefix, sizeof service_prefix - 1) == 0 &&
           strstr(service, "Connection:") != NULL && strspn(service, allowed) == strlen(service);
}

/* One command. 0, an error of UPnP, or -1: no answer. The value of `wanted` goes to value. */
static int command(const struct patience *p, const struct lease *l, const char *action,
                   const char *wanted, char value[static 64], const char *format, ...)
    __attribute__((format(printf, 6, 7)));

static int command(const struct patience *p, const struct lease *l, const char *action,
                   const char *wanted, char value[static 64], const char *format, ...)
{
    const struct lease_control *c = &l->control;
    const uint8_t *ip = l->gateway.router.ip;
    char arguments[768], body[1280], request[REQUEST_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(arguments, sizeof arguments, format, list);
    va_end(list);
    int length = snprintf(body, sizeof body,
                          "<?xml version=\"1.0\"?>\r\n"
                          "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
                          "s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\">"
                          "<s:Body><u:%s xmlns:u=\"%s\">%s</u:%s></s:Body></s:Envelope>\r\n",
                          action, c->service, arguments, action);
    snprintf(request, sizeof request,
             "POST %s HTTP/1.1\r\n"
             "Host: %u.%u.%u.%u:%u\r\n"
             "Content-Type: text/xml; charset=\"utf-8\"\r\n"
             "SOAPAction: \"%s#%s\"\r\n"
             "Content-Length: %d\r\n"
             "Connection: close\r\n"
             "\r\n"
             "%s",
             c->path, ip[0], ip[1], ip[2], ip[3], c->port, c->service, action, length, body);
    struct patience within = patience_within(p, EXCHANGE_MS);
    struct http_answer answer;
    char *bytes = calloc(1, HTTP_ANSWER_BYTES + XML_SLACK_BYTES);
    int error = -1;
    value[0] = '\0';
    if (bytes != NULL && http_exchange(&within, &l->gateway, c->port, request, bytes, &answer)) {
        error = igd_read_answer(answer.status, answer.body, answer.body_bytes, wanted, value);
    }
    free(bytes);
    return error;
}

static bool fetch_description(const struct patience *p, struct lease *l,
                              const struct ssdp_place *place)
{
    const uint8_t *ip = l->gateway.router.ip;
    char request[REQUEST_BYTES];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\n"
             "Host: %u.%u.%u.%u:%u\r\n"
             "Connection: close\r\n"
             "\r\n",
             place->path, ip[0], ip[1], ip[2], ip[3], place->port);
    struct patience within = patience_within(p, EXCHANGE_MS);
    struct http_answer answer;
    char *bytes = calloc(1, HTTP_ANSWER_BYTES + XML_SLACK_BYTES);
    bool found = bytes != NULL &&
                 http_exchange(&within, &l->gateway, place->port, request, bytes, &answer) &&
                 answer.status == 200 &&
                 igd_read_description(answer.body, answer.body_bytes, &l->gateway.router,
                                      place->port, &l->control);
    free(bytes);
    return found;
}

static bool is_new(const struct ssdp_place *tried, size_t count, const struct ssdp_place *place)
{
    for (size_t i = 0; i < count; i++) {
        if (tried[i].port == place->port && strcmp(tried[i].path, place->path) == 0) {
            return false;
        }
    }
    return true;
}

/* Fills l->control. */
static enum lease_result find(const struct patience *p, struct lease *l, int fd)
{
    struct patience within = patience_within(p, SEARCH_MS);
    struct ssdp_place tried[DESCRIPTIONS_AT_MOST] = {0};
    size_t count = 0;
    uint64_t again_us = patience_now_us() + SEARCH_AGAIN_MS * 1000;
    for (;;) {
        struct ssdp_place place = {0};
        if (ssdp_receive(fd, &l->gateway, &place) && is_new(tried, count, &place) &&
            count < DESCRIPTIONS_AT_MOST) {
            tried[count++] = place;
            if (fetch_description(p, l, &place)) {
                l->spoken = PORTMAP_UPNP;
                return LEASE_MADE;
            }
        }
        enum patience_end end = patience_wait(&within, fd, POLLIN, again_us);
        if (end == PATIENCE_STOPPED) {
            return LEASE_STOPPED;
        }
        uint64_t now = patience_now_us();
        if (end == PATIENCE_OVER && now >= again_us && now < within.deadline_us) {
            ssdp_search(fd, &l->gateway);
            again_us = within.deadline_us;
        } else if (now >= within.deadline_us) {
            if (count > 0) {
                lease_blame(l, "UPnP: the router's description names no service for port mapping");
            }
            return count > 0 ? LEASE_REFUSED : LEASE_SILENT;
        }
    }
}

static bool ask_address(const struct patience *p, const struct lease *l, struct stun_addr *out,
                        char text[static 64])
{
    struct stun_addr addr;
    char with_port[72];
    if (command(p, l, "GetExternalIPAddress", "NewExternalIPAddress", text, "%s", "") != 0) {
        return false;
    }
    snprintf(with_port, sizeof with_port, "%s:1", text);
    if (!stun_addr_parse(with_port, &addr)) {
        return false;
    }
    addr.port = 0;
    *out = addr;
    return lease_is_outer_address(l, &addr);
}

static int add(const struct patience *p, struct lease *l, uint32_t lifetime_s)
{
    char value[64];
    const uint8_t *ip = l->gateway.local.ip;
    if (patience_is_stopped(p)) {
        return -1;
    }
    /* A router may well execute the removal that follows before a command whose answer was not
     * waited for. */
    struct patience to_the_end = *p;
    to_the_end.grace_ms = GRACE_MS;
    l->unanswered = PORTMAP_UPNP;
    int error = command(&to_the_end, l, "AddPortMapping", NULL, value,
                        "<NewRemoteHost></NewRemoteHost>"
                        "<NewExternalPort>%u</NewExternalPort>"
                        "<NewProtocol>UDP</NewProtocol>"
                        "<NewInternalPort>%u</NewInternalPort>"
                        "<NewInternalClient>%u.%u.%u.%u</NewInternalClient>"
                        "<NewEnabled>1</NewEnabled>"
                        "<NewPortMappingDescription>eyelet</NewPortMappingDescription>"
                        "<NewLeaseDuration>%u</NewLeaseDuration>",
                        l->wanted_port, l->internal_port, ip[0], ip[1], ip[2], ip[3], lifetime_s);
    if (error > 0) {
        l->unanswered = PORTMAP_NO_PROTOCOL;
    }
    return error;
}

/* Adds the mapping; chooses another port when the first is taken. 0 or an error as of command. */
static int add_somehow(const struct patience *p, struct lease *l)
{
    uint32_t lifetime_s = l->wanted_s;
    int error = -1;
    for (size_t i = 0; i < PORTS_TO_TRY; i++) {
        error = add(p, l, lifetime_s);
        if (error == ONLY_PERMANENT && lifetime_s != 0) {
            lifetime_s = 0;
            error = add(p, l, lifetime_s);
        }
        if (error == SAME_PORTS_REQUIRED && l->wanted_port != l->internal_port) {
            l->wanted_port = l->internal_port;
        } else if (error == CONFLICT) {
            l->wanted_port =
                (uint16_t)(20001 + (l->nonce[2 * i] << 8 | l->nonce[2 * i + 1]) % 40000);
        } else {
            break;
        }
    }
    l->lifetime_s = lifetime_s;
    return error;
}

static const char *error_text(int error)
{
    switch (error) {
    case NOT_AUTHORIZED:
        return " (not authorized)";
    case CONFLICT:
        return " (the port is taken)";
    case NO_FREE_PORT:
        return " (no free port)";
    default:
        return "";
    }
}

enum lease_result igd_map(const struct patience *p, struct lease *l, int search_fd)
{
    struct patience within = patience_within(p, MAP_MS);
    if (search_fd >= 0) {
        enum lease_result found = find(&within, l, search_fd);
        if (found != LEASE_MADE) {
            return found;
        }
    }
    struct stun_addr outer = {0};
    char text[64];
    if (!ask_address(&within, l, &outer, text)) {
        bool sane = text[0] != '\0' && strspn(text, "0123456789.") == strlen(text);
        lease_blame(l, "UPnP: the router has no public address%s%.15s", sane ? ": " : "",
                    sane ? text : "");
        return LEASE_REFUSED;
    }
    l->router = outer;
    int error = add_somehow(&within, l);
    if (error == 0) {
        l->protocol = PORTMAP_UPNP;
        l->unanswered = PORTMAP_NO_PROTOCOL;
        l->external = outer;
        l->external.port = l->wanted_port;
        return LEASE_MADE;
    }
    if (patience_is_stopped(p)) {
        return LEASE_STOPPED;
    }
    if (error < 0) {
        lease_blame(l, "UPnP: the router stopped answering");
        igd_unmap(&within, l);
        l->unanswered = patience_is_stopped(p) ? PORTMAP_UPNP : PORTMAP_NO_PROTOCOL;
    } else {
        lease_blame(l, "UPnP: error %d%s", error, error_text(error));
    }
    return LEASE_REFUSED;
}

enum lease_result igd_check(const struct patience *p, const struct lease *l)
{
    struct stun_addr outer = {0};
    char text[64], client[64], ours[LEASE_IP_TEXT_BYTES];
    if (!ask_address(p, l, &outer, text) || !stun_addr_equal(&outer, &l->router)) {
        return LEASE_REFUSED;
    }
    int error = command(p, l, "GetSpecificPortMappingEntry", "NewInternalClient", client,
                        "<NewRemoteHost></NewRemoteHost>"
                        "<NewExternalPort>%u</NewExternalPort>"
                        "<NewProtocol>UDP</NewProtocol>",
                        l->external.port);
    /* Routers that cannot tell are not blamed for it. */
    bool kept = error == 0 ? strcmp(client, lease_ip_text(&l->gateway.local, ours)) == 0
                           : error > 0 && error != NO_SUCH_ENTRY;
    return kept ? LEASE_MADE : LEASE_REFUSED;
}

void igd_unmap(const struct patience *p, const struct lease *l)
{
    char value[64];
    command(p, l, "DeletePortMapping", NULL, value,
            "<NewRemoteHost></NewRemoteHost>"
            "<NewExternalPort>%u</NewExternalPort>"
            "<NewProtocol>UDP</NewProtocol>",
            l->wanted_port);
}

bool igd_read_description(char *text, size_t length, const struct stun_addr *router, uint16_t port,
                          struct lease_control *out)
{
    char base[LEASE_URL_BYTES];
    struct IGDdatas data = {0};
    struct UPNPUrls urls = {0};
    bool found = false;
    if (length == 0 || length > HTTP_ANSWER_BYTES) {
        return false;
    }
    parserootdesc(text, (int)length, &data);
    const uint8_t *ip = router->ip;
    snprintf(base, sizeof base, "http://%u.%u.%u.%u:%u/", ip[0], ip[1], ip[2], ip[3], port);
    for (int i = 0; i < 2 && !found; i++) {
        const struct IGDdatas_service *service = i == 0 ? &data.first : &data.second;
        if (!is_service(service->servicetype)) {
            continue;
        }
        data.first = *service; /* GetUPNPUrls reads only this one */
        GetUPNPUrls(&urls, &data, base, 0);
        if (urls.controlURL != NULL && http_parse_url(urls.controlURL, strlen(urls.controlURL),
                                                      router, &out->port, out->path)) {
            memcpy(out->service, service->servicetype, sizeof out->service);
            found = true;
        }
        FreeUPNPUrls(&urls);
    }
    return found;
}

int igd_read_answer(int status, const char *text, size_t length, const char *name,
                    char value[static 64])
{
    struct NameValueParserData pairs = {0};
    int error = status == 200 ? 0 : -1;
    value[0] = '\0';
    if (length == 0 || length > HTTP_ANSWER_BYTES) {
        return -1;
    }
    ParseNameValue(text, (int)length, &pairs);
    const char *code = GetValueFromNameValueList(&pairs, "errorCode");
    const char *found = name != NULL ? GetValueFromNameValueList(&pairs, name) : NULL;
    if (code != NULL) {
        long number = strtol(code, NULL, 10);
        error = number > 0 && number < 10000 ? (int)number : -1;
    }
    if (found != NULL) {
        snprintf(value, 64, "%s", found);
    }
    ClearNameValueList(&pairs);
    return error;
}
