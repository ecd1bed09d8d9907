/* SPDX-License-Identifier: BSD-2-Clause */
/* The bounce server: the bytes of a datagram -> the bytes of the answer and the socket that sends
 * it. STUN Binding (RFC 8489), NAT behaviour discovery (RFC 5780), and the keepalives by which a
 * session's address is attested. Pure: time is an argument.
 *
 *   plain request       XOR-MAPPED-ADDRESS, and OTHER-ADDRESS where the answer stays within the 44
 *                       bytes that a plain one takes over IPv6 (RFC 5780 clients start with this)
 *   behaviour test      CHANGE-REQUEST, RESPONSE-PORT or PADDING in it, or so large that the answer
 *                       is not larger: RESPONSE-ORIGIN and OTHER-ADDRESS too
 *   keepalive           USERNAME, EYELET-SEQUENCE, MESSAGE-INTEGRITY-SHA256: XOR-MAPPED-ADDRESS
 *                       with integrity, and NONCE unless the keepalive has echoed it
 *   anything else       silence
 *
 * An answer with more than XOR-MAPPED-ADDRESS that is larger than its question, or one that goes
 * elsewhere than back along the question's way, costs a token of the small `behaviour` limit. */
#ifndef MEDIATOR_BOUNCE_H
#define MEDIATOR_BOUNCE_H

#include "mediator/attested.h"
#include "mediator/limit.h"
#include "mediator/nonce.h"

#define BOUNCE_MAX_SOCKETS        8 /* two families x two addresses x two ports */
#define BOUNCE_MAX_ANSWER_BYTES   128
#define BOUNCE_PLAIN_ANSWER_BYTES 44
#define BOUNCE_USERNAME_BYTES     16

struct bounce_socket {
    struct stun_addr bound;   /* an unspecified IP: of every address of this machine */
    struct stun_addr outside; /* as clients see it; the same unless a 1:1 NAT is in front */
};

struct bounce {
    struct bounce_socket sockets[BOUNCE_MAX_SOCKETS];
    size_t socket_count;
    uint8_t nonce_key[NONCE_KEY_BYTES]; /* random */
    struct limits *plain;               /* these three bound what one address prefix gets */
    struct limits *keepalive;
    struct limits *behaviour;
    /* The session with this ID, or NULL. */
    struct attested *(*find)(void *context, uint64_t session_id);
    void *context;
};

struct bounce_question {
    const uint8_t *bytes;
    size_t size;
    size_t socket; /* which one it came to */
    struct stun_addr from;
    struct stun_addr asked; /* address that it was sent to; needed where the socket has no own */
};

struct bounce_answer {
    uint8_t bytes[BOUNCE_MAX_ANSWER_BYTES];
    size_t size;
    size_t socket; /* which one sends it */
    struct stun_addr to;
};

/* False: no answer. */
bool bounce_answer(struct bounce *bounce, const struct bounce_question *question, uint64_t now_us,
                   struct bounce_answer *out);

/* The bounce endpoints to tell a client whose TLS session came to this local address: address 1
 * port 1, address 1 port 2, address 2 port 1, address 2 port 2, per family. Returns how many. */
size_t bounce_endpoints(const struct bounce *bounce, const struct stun_addr *control_local,
                        struct stun_addr out[static BOUNCE_MAX_SOCKETS]);

/* What a keepalive of this session from this address has to echo. */
void bounce_nonce(const struct bounce *bounce, uint64_t session_id, const struct stun_addr *addr,
                  uint64_t now_us, uint8_t out[static NONCE_BYTES]);

/* 16 lower-case hex digits: the name of a session in a keepalive. */
void bounce_username(uint64_t session_id, char text[static BOUNCE_USERNAME_BYTES + 1]);

#endif
