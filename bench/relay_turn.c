/* SPDX-License-Identifier: BSD-2-Clause */
/*   client ---- ChannelData ----> TURN server ---- datagram ----> peer */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "identity/identity.h"
#include "relay_way.h"
#include "stun/stun.h"

#define RELAY_TURN_PORT    3500
#define RELAY_TURN_TRIES   3
#define RELAY_TURN_CHANNEL 0x4000

enum {
    TURN_ALLOCATE = 0x0003,
    TURN_CHANNEL_BIND = 0x0009,
    TURN_SUCCESS = 0x0100,
    TURN_CHANNEL_NUMBER = 0x000C,
    TURN_XOR_PEER_ADDRESS = 0x0012,
    TURN_XOR_RELAYED_ADDRESS = 0x0016,
    TURN_REQUESTED_TRANSPORT = 0x0019,
    TURN_TRANSPORT_UDP = 17 << 24,
};

/* The value of an XOR address attribute; the same function both ways. IPv4. */
static void turn_xor(const uint8_t in[static 8], uint8_t out[static 8])
{
    static const uint8_t mask[8] = {0, 0, 0x21, 0x12, 0x21, 0x12, 0xA4, 0x42};

    for (size_t i = 0; i < sizeof mask; i++)
        out[i] = in[i] ^ mask[i];
}

/* Sends the request until it is answered; the answer stays in `bytes`. */
static bool turn_ask(int fd, struct stun_builder *request, uint8_t *bytes, size_t capacity,
                     struct stun_message *answer)
{
    size_t size = stun_finish(request);

    for (int i = 0; i < RELAY_TURN_TRIES && size > 0; i++) {
        if (send(fd, request->buffer, size, 0) < 0)
            continue;
        ssize_t got = recv(fd, bytes, capacity, 0);
        if (got > 0 && stun_parse(bytes, (size_t)got, answer) == STUN_OK &&
            memcmp(answer->transaction, request->buffer + 8, STUN_TRANSACTION_BYTES) == 0)
            return answer->type == ((request->buffer[0] << 8 | request->buffer[1]) | TURN_SUCCESS);
    }
    return false;
}

static void turn_begin(struct stun_builder *request, uint8_t *bytes, size_t capacity, uint16_t type)
{
    uint8_t transaction[STUN_TRANSACTION_BYTES];

    identity_random(NULL, transaction, sizeof transaction);
    stun_begin(request, bytes, capacity, type, transaction);
}

static bool turn_allocate(int fd, struct in_addr *ip, uint16_t *port)
{
    uint8_t out[256], in[1500], relayed[8];
    struct stun_builder request;
    struct stun_message answer;
    size_t size;

    turn_begin(&request, out, sizeof out, TURN_ALLOCATE);
    stun_add_u32(&request, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP);
    if (!turn_ask(fd, &request, in, sizeof in, &answer))
        return false;
    const uint8_t *value = stun_find(&answer, TURN_XOR_RELAYED_ADDRESS, &size);
    if (value == NULL || size != sizeof relayed)
        return false;
    turn_xor(value, relayed);
    *port = (uint16_t)(relayed[2] << 8 | relayed[3]);
    memcpy(ip, relayed + 4, sizeof *ip);
    return true;
}

static bool turn_bind(int fd, const struct sockaddr_in *peer)
{
    uint8_t out[256], in[1500], value[8] = {0, STUN_IPV4};
    struct stun_builder request;
    struct stun_message answer;

    memcpy(value + 2, &peer->sin_port, 2);
    memcpy(value + 4, &peer->sin_addr, 4);
    turn_xor(value, value);
    turn_begin(&request, out, sizeof out, TURN_CHANNEL_BIND);
    stun_add_u32(&request, TURN_CHANNEL_NUMBER, RELAY_TURN_CHANNEL << 16);
    stun_add_bytes(&request, TURN_XOR_PEER_ADDRESS, value, sizeof value);
    return turn_ask(fd, &request, in, sizeof in, &answer);
}

const char *relay_way_turn(struct relay_way *way, const struct relay_way_addresses *at, bool down)
{
    static const uint8_t header[] = {RELAY_TURN_CHANNEL >> 8, RELAY_TURN_CHANNEL & 0xFF,
                                     RELAY_WAY_PAYLOAD_BYTES >> 8, RELAY_WAY_PAYLOAD_BYTES & 0xFF};
    static const struct timeval patience = {.tv_sec = 1};
    int client = relay_way_socket(at->own, 0, at->server, RELAY_TURN_PORT);
    int peer = relay_way_socket(at->peer, 0, at->server, 0);
    struct sockaddr_in bound, relayed = {.sin_family = AF_INET};
    socklen_t bytes = sizeof bound;
    uint16_t port;

    if (client < 0 || peer < 0 || getsockname(peer, (struct sockaddr *)&bound, &bytes) < 0 ||
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        return "no socket";
    if (!turn_allocate(client, &relayed.sin_addr, &port))
        return "no allocation";
    if (!turn_bind(client, &bound))
        return "no channel";
    relayed.sin_port = htons(port);
    if (connect(peer, (struct sockaddr *)&relayed, sizeof relayed) < 0)
        return "no way to the relayed address";
    *way = (struct relay_way){.send_fd = down ? peer : client, .receive_fd = down ? client : peer};
    memcpy(down ? way->arrived : way->sent, header, sizeof header);
    *(down ? &way->arrived_bytes : &way->sent_bytes) = sizeof header;
    return NULL;
}
