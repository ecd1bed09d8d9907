/* SPDX-License-Identifier: BSD-2-Clause */
/*   caller ---- tag | payload ----> eyeletd ---- other tag | payload ----> callee */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "identity/rawkey.h"
#include "mediator_client.h"
#include "relay_way.h"
#include "stun/stun.h"

#define RELAY_EYELET_PORT        9856
#define RELAY_EYELET_BOUNCE      3478
#define RELAY_EYELET_PATIENCE_MS 1000
#define RELAY_EYELET_QUEUE_BYTES 65536
#define RELAY_EYELET_TRIES       500

static bool eyelet_open(struct client *client, struct in_addr own, struct in_addr server)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = own};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_addr = server, .sin_port = htons(RELAY_EYELET_PORT)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
        identity_generate(&client->identity) != IDENTITY_OK ||
        rawkey_credentials(&client->identity, &client->credentials) != IDENTITY_OK)
        return false;
    struct channel_config config = {
        .fd = fd, .credentials = client->credentials, .max_queue_bytes = RELAY_EYELET_QUEUE_BYTES};
    if (channel_new(&client->channel, &config) != CHANNEL_OK)
        return false;
    for (int i = 0; i < RELAY_EYELET_TRIES && channel_process(client->channel) == CHANNEL_OK; i++) {
        if (channel_is_open(client->channel))
            return true;
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        poll(&polled, 1, 10);
    }
    return false;
}

/* A keepalive from this socket, and another one that echoes what the answer brings. */
static bool eyelet_attest(const struct client *client, int fd)
{
    uint8_t bytes[STUN_MAX_MESSAGE_BYTES];
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    struct client_nonce nonce = {0};

    for (uint64_t sequence = 1; sequence <= 2; sequence++) {
        size_t size = client_keepalive(client, sequence, &nonce, bytes, sizeof bytes);
        if (size == 0 || send(fd, bytes, size, 0) < 0 ||
            poll(&polled, 1, RELAY_EYELET_PATIENCE_MS) < 1)
            return false;
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0)
            return false;
        if (!client_challenged(bytes, (size_t)got, &nonce))
            return true;
    }
    return false;
}

/* The tag that a PEER_COORD brings. */
static const char *eyelet_tag(struct client *client, uint8_t tag[static RELAY_WAY_HEADER_BYTES])
{
    wire_FromMediator msg;

    if (!client_expect(client, wire_FromMediator_peer_coord_tag, &msg))
        return "the dial was not answered";
    if (msg.body.peer_coord.relay_tag.size != RELAY_WAY_HEADER_BYTES)
        return "no relay session (limits of eyeletd?)";
    memcpy(tag, msg.body.peer_coord.relay_tag.bytes, RELAY_WAY_HEADER_BYTES);
    return NULL;
}

const char *relay_way_eyelet(struct relay_way *way, const struct relay_way_addresses *at)
{
    struct client *peers = calloc(2, sizeof *peers);
    struct client *caller = &peers[0], *callee = &peers[1];
    const char *why;

    if (peers == NULL)
        return "no memory";
    *way = (struct relay_way){
        .send_fd = relay_way_socket(at->own, 0, at->server, RELAY_EYELET_BOUNCE),
        .receive_fd = relay_way_socket(at->peer, 0, at->server, RELAY_EYELET_BOUNCE),
        .sent_bytes = RELAY_WAY_HEADER_BYTES,
        .arrived_bytes = RELAY_WAY_HEADER_BYTES,
        .peers = peers,
    };
    if (way->send_fd < 0 || way->receive_fd < 0)
        return "no socket";
    if (!eyelet_open(caller, at->own, at->server) || !eyelet_open(callee, at->peer, at->server))
        return "no session";
    if (!client_register(caller, wire_Visibility_VISIBLE_TO_NOBODY, NULL, NULL) ||
        !client_register(callee, wire_Visibility_VISIBLE_TO_ANYONE, NULL, NULL))
        return "not registered";
    if (!eyelet_attest(caller, way->send_fd) || !eyelet_attest(callee, way->receive_fd))
        return "no answer to a keepalive";
    if (!client_dial(caller, &callee->identity.id, 1, NULL))
        return "no dial";
    why = eyelet_tag(caller, way->sent);
    return why != NULL ? why : eyelet_tag(callee, way->arrived);
}

void relay_way_eyelet_end(struct relay_way *way)
{
    for (size_t i = 0; i < 2 && way->peers != NULL; i++)
        client_free(&way->peers[i]);
    free(way->peers);
    way->peers = NULL;
}
