/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "identity/rawkey.h"
#include "stun/stun.h"

#define CLIENT_PATIENCE_MS 5000
#define CLIENT_EXPECT_MS   2500 /* longer than a refusal takes */
#define CLIENT_QUEUE_BYTES (1 << 20)

union client_name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static socklen_t client_sockaddr(const struct stun_addr *addr, union client_name *out)
{
    memset(out, 0, sizeof *out);
    if (addr->family == STUN_IPV6) {
        out->in6.sin6_family = AF_INET6;
        out->in6.sin6_port = htons(addr->port);
        memcpy(&out->in6.sin6_addr, addr->ip, sizeof out->in6.sin6_addr);
        return sizeof out->in6;
    }
    out->in.sin_family = AF_INET;
    out->in.sin_port = htons(addr->port);
    memcpy(&out->in.sin_addr, addr->ip, sizeof out->in.sin_addr);
    return sizeof out->in;
}

static bool client_wait(int fd, short events, int timeout_ms)
{
    struct pollfd polled = {.fd = fd, .events = events};
    int ready;

    do {
        ready = poll(&polled, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

uint64_t client_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int client_socket(int type, uint8_t last)
{
    struct stun_addr from = stun_addr_v4(127, 0, 0, last, 0);
    union client_name name;

    if (last == CLIENT_IPV6)
        stun_addr_parse("[::1]:0", &from);
    socklen_t bytes = client_sockaddr(&from, &name);
    int fd = socket(name.any.sa_family, type | SOCK_CLOEXEC, 0);

    if (fd >= 0 && bind(fd, &name.any, bytes) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int client_tcp(const struct stun_addr *to, uint8_t last)
{
    union client_name name;
    socklen_t bytes = client_sockaddr(to, &name);
    int fd = client_socket(SOCK_STREAM, last);

    if (fd >= 0 && connect(fd, &name.any, bytes) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool client_connect(struct client *client, const struct stun_addr *to, uint8_t last,
                           bool for_relay)
{
    uint64_t until_ms = client_now_ms() + CLIENT_PATIENCE_MS;
    int fd = client_tcp(to, last);

    if (fd < 0)
        return false;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct channel_config config = {.fd = fd,
                                    .for_relay = for_relay,
                                    .credentials = client->credentials,
                                    .max_queue_bytes = CLIENT_QUEUE_BYTES};
    if (channel_new(&client->channel, &config) != CHANNEL_OK)
        return false;
    while (client_now_ms() < until_ms) {
        if (channel_process(client->channel) != CHANNEL_OK)
            return false;
        if (channel_is_open(client->channel))
            return true;
        client_wait(fd, channel_wants_write(client->channel) ? POLLIN | POLLOUT : POLLIN, 100);
    }
    return false;
}

bool client_reopen(struct client *client, const struct stun_addr *to, uint8_t last)
{
    return client_connect(client, to, last, false);
}

bool client_reopen_in_time(struct client *client, const struct stun_addr *to, uint8_t last)
{
    uint64_t until_ms = client_now_ms() + CLIENT_PATIENCE_MS;

    do {
        client_close(client);
        if (client_reopen(client, to, last))
            return true;
    } while (client_now_ms() < until_ms);
    return false;
}

bool client_open_relay(const struct client *client, const struct stun_addr *to, uint8_t last,
                       struct client *out)
{
    *out = (struct client){.identity = client->identity, .credentials = client->credentials};
    uint8_t session_id[WIRE_SESSION_ID_BYTES];
    for (size_t i = 0; i < sizeof session_id; i++)
        session_id[i] = (uint8_t)(client->session_id >> (56 - 8 * i));
    return client_connect(out, to, last, true) &&
           channel_send(out->channel, session_id, sizeof session_id) == CHANNEL_OK;
}

bool client_open(struct client *client, const struct stun_addr *to, uint8_t last)
{
    *client = (struct client){0};
    return identity_generate(&client->identity) == IDENTITY_OK &&
           rawkey_credentials(&client->identity, &client->credentials) == IDENTITY_OK &&
           client_reopen(client, to, last);
}

void client_close(struct client *client)
{
    channel_free(client->channel);
    client->channel = NULL;
}

void client_free(struct client *client)
{
    client_close(client);
    if (client->credentials != NULL)
        gnutls_certificate_free_credentials(client->credentials);
    client->credentials = NULL;
}

bool client_send(struct client *client, const wire_ToMediator *msg)
{
    uint8_t frame[CHANNEL_MAX_FRAME_BYTES];
    size_t size = wire_encode_to_mediator(msg, frame, sizeof frame);

    return size > 0 && channel_send(client->channel, frame, size) == CHANNEL_OK;
}

int client_frame(struct client *client, const uint8_t **frame, size_t *size, int timeout_ms)
{
    uint64_t until_ms = client_now_ms() + (uint64_t)timeout_ms;

    for (;;) {
        if (channel_process(client->channel) != CHANNEL_OK)
            return -1;
        int got = channel_receive(client->channel, frame, size);
        if (got != 0)
            return got > 0 ? 1 : -1;
        uint64_t now_ms = client_now_ms();
        if (now_ms >= until_ms)
            return 0;
        client_wait(channel_fd(client->channel),
                    channel_wants_write(client->channel) ? POLLIN | POLLOUT : POLLIN,
                    (int)(until_ms - now_ms));
    }
}

int client_receive(struct client *client, wire_FromMediator *out, int timeout_ms)
{
    const uint8_t *frame;
    const char *why;
    size_t size;
    int got = client_frame(client, &frame, &size, timeout_ms);

    if (got != 1)
        return got;
    return wire_decode_from_mediator(frame, size, out, &why) ? 1 : -1;
}

bool client_expect(struct client *client, pb_size_t which_body, wire_FromMediator *out)
{
    return client_receive(client, out, CLIENT_EXPECT_MS) == 1 && out->which_body == which_body;
}

bool client_expect_error(struct client *client, wire_ErrorCode code, wire_FromMediator *out)
{
    return client_expect(client, wire_FromMediator_error_tag, out) && out->body.error.code == code;
}

bool client_expect_end(struct client *client, int timeout_ms)
{
    wire_FromMediator msg;

    return client_receive(client, &msg, timeout_ms) == -1;
}

/* ---- messages ---- */

static void client_add_host(wire_Coordinates *coordinates, const char *host)
{
    struct stun_addr addr;

    if (host == NULL || !stun_addr_parse(host, &addr))
        return;
    wire_Candidate *candidate = &coordinates->candidates[coordinates->candidates_count++];
    candidate->kind = wire_CandidateKind_CANDIDATE_HOST;
    candidate->attested = true; /* not ours to say */
    candidate->has_address = true;
    wire_from_addr(&addr, &candidate->address);
}

bool client_register(struct client *client, wire_Visibility visibility, const char *host,
                     const struct identity_id *allowed)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_registration_tag};
    wire_Register *body = &msg.body.registration;
    wire_FromMediator answer;

    body->has_coordinates = true;
    client_add_host(&body->coordinates, host);
    body->visibility = visibility;
    body->yields = client->yields;
    if (client->instance != 0) {
        body->instance.size = WIRE_INSTANCE_BYTES;
        memset(body->instance.bytes, client->instance, WIRE_INSTANCE_BYTES);
    }
    if (allowed != NULL) {
        body->allowed_count = 1;
        body->allowed[0].size = IDENTITY_ID_BYTES;
        memcpy(body->allowed[0].bytes, allowed->bytes, IDENTITY_ID_BYTES);
    }
    if (!client_send(client, &msg) ||
        !client_expect(client, wire_FromMediator_registered_tag, &answer))
        return false;
    client->registered = answer.body.registered;
    client->session_id = 0;
    for (size_t i = 0; i < WIRE_SESSION_ID_BYTES; i++)
        client->session_id = client->session_id << 8 | client->registered.session_id.bytes[i];
    memcpy(client->session_key, client->registered.session_key.bytes, WIRE_SESSION_KEY_BYTES);
    return true;
}

/* Short test dial IDs: one byte repeated. */
#define client_set_dial_id(field, dial)                                                            \
    ((field).size = WIRE_DIAL_ID_BYTES, memset((field).bytes, dial, WIRE_DIAL_ID_BYTES))

bool client_dial(struct client *client, const struct identity_id *whom, uint8_t dial,
                 const char *host)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_get_peer_tag};
    wire_GetPeer *body = &msg.body.get_peer;

    client_set_dial_id(body->dial_id, dial);
    body->peer_id.size = IDENTITY_ID_BYTES;
    memcpy(body->peer_id.bytes, whom->bytes, IDENTITY_ID_BYTES);
    body->has_coordinates = true;
    client_add_host(&body->coordinates, host);
    body->sealed.size = WIRE_MAX_SEALED_BYTES;
    memset(body->sealed.bytes, dial, WIRE_MAX_SEALED_BYTES);
    return client_send(client, &msg);
}

bool client_note(struct client *client, uint8_t dial, uint8_t mark)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_dial_note_tag};

    client_set_dial_id(msg.body.dial_note.dial_id, dial);
    msg.body.dial_note.sealed.size = 1;
    msg.body.dial_note.sealed.bytes[0] = mark;
    return client_send(client, &msg);
}

bool client_accept(struct client *client, uint8_t dial)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_dial_accept_tag};

    client_set_dial_id(msg.body.dial_accept.dial_id, dial);
    return client_send(client, &msg);
}

bool client_complete(struct client *client, uint8_t dial, wire_Outcome outcome)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_holepunching_complete_tag};

    client_set_dial_id(msg.body.holepunching_complete.dial_id, dial);
    msg.body.holepunching_complete.outcome = outcome;
    return client_send(client, &msg);
}

bool client_dial_end(struct client *client, uint8_t dial)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_dial_end_tag};

    client_set_dial_id(msg.body.dial_end.dial_id, dial);
    return client_send(client, &msg);
}

bool client_resume(struct client *client, uint8_t dial, const struct identity_id *whom)
{
    wire_ToMediator msg = {.which_body = wire_ToMediator_resume_tag};

    client_set_dial_id(msg.body.resume.dial_id, dial);
    msg.body.resume.peer_id.size = IDENTITY_ID_BYTES;
    memcpy(msg.body.resume.peer_id.bytes, whom->bytes, IDENTITY_ID_BYTES);
    return client_send(client, &msg);
}

/* ---- datagrams ---- */

int client_udp(uint8_t last)
{
    return client_socket(SOCK_DGRAM, last);
}

struct stun_addr client_local(int fd)
{
    union client_name name = {0};
    socklen_t bytes = sizeof name;

    getsockname(fd, &name.any, &bytes);
    return name.any.sa_family == AF_INET6
               ? stun_addr_from_ip((const uint8_t *)&name.in6.sin6_addr, 16,
                                   ntohs(name.in6.sin6_port))
               : stun_addr_from_ip((const uint8_t *)&name.in.sin_addr, 4, ntohs(name.in.sin_port));
}

bool client_connect_udp(int fd, const struct stun_addr *to)
{
    union client_name name;
    socklen_t bytes = client_sockaddr(to, &name);

    return connect(fd, &name.any, bytes) == 0;
}

bool client_sendto(int fd, const struct stun_addr *to, const void *bytes, size_t size)
{
    union client_name name;
    socklen_t name_bytes = client_sockaddr(to, &name);

    return sendto(fd, bytes, size, 0, &name.any, name_bytes) == (ssize_t)size;
}

size_t client_recv(int fd, void *out, size_t capacity, int timeout_ms)
{
    ssize_t got = client_wait(fd, POLLIN, timeout_ms) ? recv(fd, out, capacity, 0) : 0;

    return got > 0 ? (size_t)got : 0;
}

size_t client_ask(int fd, const struct stun_addr *to, const void *bytes, size_t size,
                  uint8_t *answer, size_t capacity, int timeout_ms)
{
    return client_sendto(fd, to, bytes, size) ? client_recv(fd, answer, capacity, timeout_ms) : 0;
}

bool client_attest(struct client *client, int fd, const struct stun_addr *at)
{
    uint8_t keepalive[160], answer[128];
    struct client_nonce nonce = {0}; /* not the one of Registered: other addresses, too */

    for (int i = 0; i < 2; i++) {
        size_t size =
            client_keepalive(client, ++client->sequence, &nonce, keepalive, sizeof keepalive);
        size_t got = client_ask(fd, at, keepalive, size, answer, sizeof answer, 1000);
        if (got == 0)
            return false;
        if (!client_challenged(answer, got, &nonce))
            return true;
    }
    return false;
}

bool client_challenged(const uint8_t *answer, size_t size, struct client_nonce *out)
{
    struct stun_message msg;
    const uint8_t *nonce;
    size_t bytes;

    if (stun_parse(answer, size, &msg) != STUN_OK ||
        (nonce = stun_find(&msg, STUN_NONCE, &bytes)) == NULL || bytes > sizeof out->bytes)
        return false;
    memcpy(out->bytes, nonce, bytes);
    out->size = bytes;
    return true;
}

size_t client_keepalive(const struct client *client, uint64_t sequence,
                        const struct client_nonce *nonce, uint8_t *out, size_t capacity)
{
    struct stun_builder builder;
    uint8_t transaction[STUN_TRANSACTION_BYTES];
    char username[17];

    identity_random(NULL, transaction, sizeof transaction);
    snprintf(username, sizeof username, "%016llx", (unsigned long long)client->session_id);
    stun_begin(&builder, out, capacity, STUN_BINDING_REQUEST, transaction);
    stun_add_bytes(&builder, STUN_USERNAME, username, 16);
    if (nonce != NULL && nonce->size > 0)
        stun_add_bytes(&builder, STUN_NONCE, nonce->bytes, nonce->size);
    stun_add_u64(&builder, STUN_EYELET_SEQUENCE, sequence);
    stun_add_integrity_sha256(&builder, client->session_key, sizeof client->session_key);
    stun_add_fingerprint(&builder);
    return stun_finish(&builder);
}
