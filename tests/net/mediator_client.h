/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts the real eyeletd and talks to it as clients do, for tests and benches. Blocking, with a
 * timeout on everything. */
#ifndef NET_MEDIATOR_CLIENT_H
#define NET_MEDIATOR_CLIENT_H

#include <gnutls/gnutls.h>
#include <sys/types.h>

#include "identity/identity.h"
#include "rendezvous/channel.h"
#include "rendezvous/wire.h"

#define MEDIATOR_ADDRESSES 4 /* 127.0.0.1 and 127.0.0.2; others where they are asked for */
#define MEDIATOR_BOUNCES   6
#define CLIENT_IPV6        0 /* for `last`: from ::1 */

struct mediator {
    pid_t pid;
    int output;      /* its standard output */
    char folder[64]; /* holds its key and its configuration */
    char id[IDENTITY_TEXT_BYTES];
    struct stun_addr control[MEDIATOR_ADDRESSES];
    struct stun_addr bounce[MEDIATOR_BOUNCES];
    size_t control_count, bounce_count;
};

/* A new folder, then mediator_start. program: path of eyeletd. limits: lines for [limits]. */
bool mediator_create(struct mediator *mediator, const char *program, const char *limits);
/* The same with settings (lines) instead of limits. */
bool mediator_create_with(struct mediator *mediator, const char *program, const char *settings);
/* On every address, of both families: control[0] and [1] are two ports of IPv4, the next two of
 * IPv6; bounce likewise. They are told as 0.0.0.0 and ::, and returned as 127.0.0.1 and ::1. */
bool mediator_create_everywhere(struct mediator *mediator, const char *program);
/* Starts it (again) in its folder and waits until it is ready. */
bool mediator_start(struct mediator *mediator, const char *program);
/* SIGTERM; its exit status, or -1 if it did not end in time or was killed. */
int mediator_stop(struct mediator *mediator);
void mediator_destroy(struct mediator *mediator);

struct client {
    struct identity identity;
    gnutls_certificate_credentials_t credentials;
    struct channel *channel;
    uint8_t instance; /* said when it registers, 8 times; 0: nothing is said */
    bool yields;      /* likewise */
    uint64_t session_id;
    uint8_t session_key[WIRE_SESSION_KEY_BYTES];
    uint64_t sequence; /* of its last keepalive */
    wire_Registered registered;
};

/* A TCP connection from 127.0.0.`last`, or -1. */
int client_tcp(const struct stun_addr *to, uint8_t last);
/* A fresh key, a TLS session from 127.0.0.`last`. */
bool client_open(struct client *client, const struct stun_addr *to, uint8_t last);
/* Again with the key it has. */
bool client_reopen(struct client *client, const struct stun_addr *to, uint8_t last);
/* A connection for relayed datagrams of the session of `client`; `*out` shares its credentials. */
bool client_open_relay(const struct client *client, const struct stun_addr *to, uint8_t last,
                       struct client *out);
/* A new session in the place of the one it has, if any: tried until the daemon has seen that others
 * are gone and has room. */
bool client_reopen_in_time(struct client *client, const struct stun_addr *to, uint8_t last);
/* Only the session; the key stays. */
void client_close(struct client *client);
void client_free(struct client *client);

bool client_send(struct client *client, const wire_ToMediator *msg);
/* 1: the next frame, until the next call. 0: none in time. -1: the session has ended. */
int client_frame(struct client *client, const uint8_t **frame, size_t *size, int timeout_ms);
/* 1: a message. 0: none in time. -1: the session has ended. */
int client_receive(struct client *client, wire_FromMediator *out, int timeout_ms);
/* Receives the next message within a second or two; true if it is of this kind. */
bool client_expect(struct client *client, pb_size_t which_body, wire_FromMediator *out);
/* The next message is this error. */
bool client_expect_error(struct client *client, wire_ErrorCode code, wire_FromMediator *out);
/* Nothing more comes and the session ends. */
bool client_expect_end(struct client *client, int timeout_ms);

/* REGISTER and its answer. host may be NULL: the text of a HOST candidate; allowed may be NULL. */
bool client_register(struct client *client, wire_Visibility visibility, const char *host,
                     const struct identity_id *allowed);
bool client_dial(struct client *client, const struct identity_id *whom, uint8_t dial,
                 const char *host);
bool client_note(struct client *client, uint8_t dial, uint8_t mark);
bool client_accept(struct client *client, uint8_t dial);
bool client_complete(struct client *client, uint8_t dial, wire_Outcome outcome);
bool client_dial_end(struct client *client, uint8_t dial);
bool client_resume(struct client *client, uint8_t dial, const struct identity_id *whom);

/* A UDP socket on 127.0.0.`last`, or -1. */
int client_udp(uint8_t last);
struct stun_addr client_local(int fd);
/* From now on it hears this address alone. */
bool client_connect_udp(int fd, const struct stun_addr *to);
/* Sends, and waits for one answer: its size, or 0 if none comes within timeout_ms. */
size_t client_ask(int fd, const struct stun_addr *to, const void *bytes, size_t size,
                  uint8_t *answer, size_t capacity, int timeout_ms);
bool client_sendto(int fd, const struct stun_addr *to, const void *bytes, size_t size);
/* One datagram: its size, or 0 if none comes in time. */
size_t client_recv(int fd, void *out, size_t capacity, int timeout_ms);
/* What a keepalive has to echo. */
struct client_nonce {
    uint8_t bytes[32];
    size_t size; /* 0: none */
};

/* Has the socket's address attested at this bounce endpoint. */
bool client_attest(struct client *client, int fd, const struct stun_addr *at);
/* The bytes of a keepalive of this session. nonce may be NULL. */
size_t client_keepalive(const struct client *client, uint64_t sequence,
                        const struct client_nonce *nonce, uint8_t *out, size_t capacity);
/* Whether the answer to a keepalive wants something echoed. */
bool client_challenged(const uint8_t *answer, size_t size, struct client_nonce *out);

uint64_t client_now_ms(void);

#endif
