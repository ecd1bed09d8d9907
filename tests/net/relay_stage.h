/* SPDX-License-Identifier: BSD-2-Clause */
/* The real eyeletd and two peers who speak through its relay, for the tests of it. EYELETD names
 * the program. Functions without a result assert. */
#ifndef NET_RELAY_STAGE_H
#define NET_RELAY_STAGE_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mediator_client.h"

#define ANYONE       wire_Visibility_VISIBLE_TO_ANYONE
#define PEER_COORD   wire_FromMediator_peer_coord_tag
#define RESUMED      wire_FromMediator_resumed_tag
#define NO_SUCH_DIAL wire_ErrorCode_ERROR_NO_SUCH_DIAL

#define TAG       WIRE_RELAY_TAG_BYTES
#define SOON_MS   1000
#define NEVER_MS  60
#define MAX_BYTES 1252

/* One of the two members of dial 1. */
struct side {
    struct client client;
    struct client stream; /* its connection for datagrams; unused: no channel */
    int udp;
    uint8_t tag[TAG];
};

struct stage {
    struct mediator mediator;
    struct side a, b;
    wire_FromMediator msg;
};

#define RELAY_TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* a from 127.0.0.3, b from 127.0.0.4, both registered, nothing attested. */
int set_up(void **state);
/* The same with lines for [limits]. */
int set_up_with(void **state, const char *limits);
/* Fails if the daemon has crashed or leaked. */
int tear_down(void **state);
bool has_ipv6(void);

/* Registered, nothing attested. free_side may be called in any case. */
bool open_side(struct stage *stage, struct side *side, size_t control, uint8_t last);
void free_side(struct side *side);
/* False: no answer. After it everything that the side has sent to this endpoint has been read. */
bool attest(struct stage *stage, struct side *side, size_t bounce);
/* a calls b: dial 1. False: no relay was given. */
bool dial(struct stage *stage);
void open_stream(struct stage *stage, struct side *side, uint8_t last);

/* A datagram of `size` bytes `mark`, by UDP. */
void say(struct stage *stage, const struct side *from, size_t bounce, uint8_t mark, size_t size);
void hear(const struct side *to, uint8_t mark, size_t size);
void hear_nothing(const struct side *to);
/* What came is that datagram. */
void assert_whole(const struct side *to, const uint8_t *bytes, size_t got, uint8_t mark,
                  size_t size);

#endif
