/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams at a bounce server. Input: one byte that chooses the client's family, one whether the
 * integrity, and then the nonce, is made right for a known session, then the datagram. Whatever
 * comes, an answer goes back to the client's own IP and is no larger than its question or a plain
 * answer allows. */
#include <assert.h>
#include <string.h>

#include "mediator/bounce.h"

#define SESSION_ID         1
#define NOW_US             1000000
#define MOST_FOR_DISCOVERY 92 /* a Binding success over IPv6 with both of our addresses */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct attested *find(void *context, uint64_t session_id)
{
    return session_id == SESSION_ID ? context : NULL;
}

/* Signs what the fuzzer made up, so that the way behind the integrity check is walked too. */
static size_t sign(const uint8_t *data, size_t size, const struct attested *session,
                   const uint8_t nonce[NONCE_BYTES], uint8_t *out, size_t capacity)
{
    struct stun_builder builder = {.buffer = out, .capacity = capacity, .size = size};

    if (size < STUN_HEADER_BYTES || size > capacity)
        return 0;
    memcpy(out, data, size);
    if (nonce != NULL)
        stun_add_bytes(&builder, STUN_NONCE, nonce, NONCE_BYTES);
    stun_add_integrity_sha256(&builder, session->key, sizeof session->key);
    return stun_finish(&builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct attested session = {.key = {1}};
    struct limit_rate rate = {.per_second = 1, .burst = 4};
    struct bounce bounce = {
        .plain = limits_new(8, rate),
        .keepalive = limits_new(8, rate),
        .behaviour = limits_new(8, rate),
        .find = find,
        .context = &session,
    };
    struct bounce_answer answer;
    uint8_t made[STUN_MAX_MESSAGE_BYTES], nonce[NONCE_BYTES];

    if (size >= 2 && bounce.plain != NULL && bounce.keepalive != NULL && bounce.behaviour != NULL) {
        bool ipv6 = data[0] & 1;
        struct bounce_question question = {.bytes = data + 2, .size = size - 2};
        for (uint8_t i = 0; i < 4; i++) {
            uint8_t ip[16] = {0x20, 0x01, [15] = (uint8_t)(1 + i / 2)};
            bounce.sockets[i].bound = bounce.sockets[i].outside =
                stun_addr_from_ip(ip, ipv6 ? 16 : 4, (uint16_t)(3478 + i % 2));
        }
        bounce.sockets[2].bound.ip[3] = bounce.sockets[3].bound.ip[3] = 7;
        bounce.socket_count = data[0] & 2 ? 4 : 2;
        question.from =
            stun_addr_from_ip((const uint8_t *)"\x20\x01\x02\x03zzzzzzzzzzzz", ipv6 ? 16 : 4, 4444);
        if (data[1] & 1) {
            nonce_make(bounce.nonce_key, SESSION_ID, &question.from, NOW_US, nonce);
            question.size =
                sign(data + 2, size - 2, &session, data[1] & 2 ? nonce : NULL, made, sizeof made);
            question.bytes = made;
        }
        if (question.size > 0 && bounce_answer(&bounce, &question, NOW_US, &answer)) {
            struct stun_message reply;
            assert(stun_addr_same_ip(&answer.to, &question.from));
            assert(answer.socket < bounce.socket_count);
            assert(stun_parse(answer.bytes, answer.size, &reply) == STUN_OK);
            assert(answer.size <= question.size || answer.size <= BOUNCE_PLAIN_ANSWER_BYTES ||
                   (reply.response_origin.family != STUN_NO_FAMILY &&
                    answer.size <= MOST_FOR_DISCOVERY));
        }
    }
    limits_free(bounce.plain);
    limits_free(bounce.keepalive);
    limits_free(bounce.behaviour);
    return 0;
}
