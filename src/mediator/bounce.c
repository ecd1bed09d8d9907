/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/bounce.h"

#include <stdio.h>
#include <string.h>

#define BOUNCE_NO_SOCKET SIZE_MAX

static bool bounce_is_wildcard(const struct stun_addr *addr)
{
    static const uint8_t unspecified[sizeof addr->ip];

    return memcmp(addr->ip, unspecified, sizeof unspecified) == 0;
}

/* Our own address as the client knows it. */
static struct stun_addr bounce_outside(const struct bounce_socket *socket,
                                       const struct stun_addr *asked)
{
    struct stun_addr outside = socket->outside;

    if (bounce_is_wildcard(&outside) && asked->family == outside.family)
        memcpy(outside.ip, asked->ip, sizeof outside.ip);
    return outside;
}

static size_t bounce_other_socket(const struct bounce *bounce, size_t from, uint32_t change)
{
    const struct stun_addr *here = &bounce->sockets[from].bound;

    for (size_t i = 0; i < bounce->socket_count; i++) {
        const struct stun_addr *there = &bounce->sockets[i].bound;
        if (there->family == here->family &&
            stun_addr_same_ip(here, there) == !(change & STUN_CHANGE_IP) &&
            (here->port == there->port) == !(change & STUN_CHANGE_PORT))
            return i;
    }
    return BOUNCE_NO_SOCKET;
}

static bool bounce_parse_username(const struct stun_message *msg, uint64_t *session_id)
{
    *session_id = 0;
    if (msg->username == NULL || msg->username_bytes != BOUNCE_USERNAME_BYTES)
        return false;
    for (size_t i = 0; i < BOUNCE_USERNAME_BYTES; i++) {
        uint8_t digit = msg->username[i];
        if (digit >= '0' && digit <= '9')
            *session_id = *session_id << 4 | (uint64_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            *session_id = *session_id << 4 | (uint64_t)(digit - 'a' + 10);
        else
            return false;
    }
    return true;
}

static bool bounce_finish(const struct stun_builder *builder, struct bounce_answer *out)
{
    out->size = stun_finish(builder);
    return out->size > 0;
}

static bool bounce_keepalive(struct bounce *bounce, const struct bounce_question *question,
                             const struct stun_message *msg, uint64_t now_us,
                             struct bounce_answer *out)
{
    struct attested_address from = {
        .addr = question->from, .asked = question->asked, .socket = (uint8_t)question->socket};
    uint64_t session_id;
    size_t echoed_bytes;
    const uint8_t *echoed = stun_find(msg, STUN_NONCE, &echoed_bytes);
    uint8_t nonce[NONCE_BYTES];
    struct stun_builder builder;

    if (!msg->has_sequence || msg->integrity_sha256_at == 0 || msg->unknown_count > 0 ||
        !bounce_parse_username(msg, &session_id) ||
        !limits_take(bounce->keepalive, &question->from, now_us))
        return false;
    struct attested *session = bounce->find(bounce->context, session_id);
    if (session == NULL || !stun_integrity_sha256_ok(msg, session->key, sizeof session->key))
        return false;
    bool echoes = echoed != NULL && nonce_is_right(bounce->nonce_key, session_id, &question->from,
                                                   now_us, echoed, echoed_bytes);
    enum attested_verdict verdict =
        attested_keepalive(session, &from, msg->sequence, echoes, now_us);
    if (verdict == ATTESTED_SILENCE)
        return false;
    stun_begin(&builder, out->bytes, sizeof out->bytes, STUN_BINDING_SUCCESS, msg->transaction);
    stun_add_addr(&builder, STUN_XOR_MAPPED_ADDRESS, &question->from);
    if (verdict == ATTESTED_CHALLENGE) {
        bounce_nonce(bounce, session_id, &question->from, now_us, nonce);
        stun_add_bytes(&builder, STUN_NONCE, nonce, sizeof nonce);
    }
    stun_add_integrity_sha256(&builder, session->key, sizeof session->key);
    return bounce_finish(&builder, out) && out->size <= question->size;
}

/* Without a reason phrase: it would only make the answer larger. */
static bool bounce_error(const struct stun_message *msg, uint16_t code, const uint16_t *unknown,
                         size_t unknown_count, struct bounce_answer *out)
{
    struct stun_builder builder;

    stun_begin(&builder, out->bytes, sizeof out->bytes, STUN_BINDING_ERROR, msg->transaction);
    stun_add_error(&builder, code, "");
    if (unknown_count > 0)
        stun_add_unknown_attributes(&builder, unknown, unknown_count);
    return bounce_finish(&builder, out);
}

/* What an answer tells about ourselves. */
enum bounce_extent { BOUNCE_MAPPED, BOUNCE_MAPPED_AND_OTHER, BOUNCE_EVERYTHING };

static bool bounce_success(const struct bounce *bounce, const struct bounce_question *question,
                           const struct stun_message *msg, enum bounce_extent extent,
                           struct bounce_answer *out)
{
    struct stun_builder builder;
    size_t other = bounce_other_socket(bounce, question->socket, STUN_CHANGE_IP | STUN_CHANGE_PORT);

    stun_begin(&builder, out->bytes, sizeof out->bytes, STUN_BINDING_SUCCESS, msg->transaction);
    stun_add_addr(&builder, STUN_XOR_MAPPED_ADDRESS, &question->from);
    if (extent == BOUNCE_EVERYTHING) {
        struct stun_addr origin = bounce_outside(&bounce->sockets[out->socket], &question->asked);
        stun_add_addr(&builder, STUN_RESPONSE_ORIGIN, &origin);
    }
    if (extent >= BOUNCE_MAPPED_AND_OTHER && other != BOUNCE_NO_SOCKET)
        stun_add_addr(&builder, STUN_OTHER_ADDRESS, &bounce->sockets[other].outside);
    return bounce_finish(&builder, out);
}

/* The longest answer that this question may cost. */
static bool bounce_success_within(struct bounce *bounce, const struct bounce_question *question,
                                  const struct stun_message *msg, bool tests_behaviour,
                                  uint64_t now_us, struct bounce_answer *out)
{
    if (!bounce_success(bounce, question, msg, BOUNCE_EVERYTHING, out))
        return false;
    if (out->size <= question->size)
        return true;
    if (!limits_take(bounce->behaviour, &question->from, now_us))
        return bounce_success(bounce, question, msg, BOUNCE_MAPPED, out);
    if (tests_behaviour)
        return true;
    if (!bounce_success(bounce, question, msg, BOUNCE_MAPPED_AND_OTHER, out))
        return false;
    return out->size <= BOUNCE_PLAIN_ANSWER_BYTES ||
           bounce_success(bounce, question, msg, BOUNCE_MAPPED, out);
}

static bool bounce_binding(struct bounce *bounce, const struct bounce_question *question,
                           const struct stun_message *msg, uint64_t now_us,
                           struct bounce_answer *out)
{
    static const uint16_t change_request = STUN_CHANGE_REQUEST;
    uint32_t change = msg->change_request & (STUN_CHANGE_IP | STUN_CHANGE_PORT);
    bool tests_behaviour = msg->has_change_request || msg->has_response_port || msg->has_padding;

    if (!limits_take(bounce->plain, &question->from, now_us))
        return false;
    if (msg->unknown_count > 0)
        return bounce_error(msg, STUN_ERROR_UNKNOWN_ATTRIBUTE, msg->unknown, msg->unknown_count,
                            out);
    if (msg->has_response_port && (msg->has_padding || msg->response_port == 0))
        return bounce_error(msg, STUN_ERROR_BAD_REQUEST, NULL, 0, out);
    if (change != 0)
        out->socket = bounce_other_socket(bounce, question->socket, change);
    if (out->socket == BOUNCE_NO_SOCKET) {
        out->socket = question->socket;
        return bounce_error(msg, STUN_ERROR_UNKNOWN_ATTRIBUTE, &change_request, 1, out);
    }
    if (msg->has_response_port)
        out->to.port = msg->response_port;
    if (change != 0 || msg->has_response_port)
        return limits_take(bounce->behaviour, &question->from, now_us) &&
               bounce_success(bounce, question, msg, BOUNCE_EVERYTHING, out);
    return bounce_success_within(bounce, question, msg, tests_behaviour, now_us, out);
}

bool bounce_answer(struct bounce *bounce, const struct bounce_question *question, uint64_t now_us,
                   struct bounce_answer *out)
{
    struct stun_message msg;

    if (!stun_addr_is_usable(&question->from) ||
        stun_parse(question->bytes, question->size, &msg) != STUN_OK ||
        msg.type != STUN_BINDING_REQUEST)
        return false;
    out->socket = question->socket;
    out->to = question->from;
    if (msg.has_sequence || msg.integrity_sha256_at != 0)
        return bounce_keepalive(bounce, question, &msg, now_us, out);
    return bounce_binding(bounce, question, &msg, now_us, out);
}

size_t bounce_endpoints(const struct bounce *bounce, const struct stun_addr *control_local,
                        struct stun_addr out[static BOUNCE_MAX_SOCKETS])
{
    size_t count = 0;

    for (size_t i = 0; i < bounce->socket_count; i++) {
        struct stun_addr outside = bounce_outside(&bounce->sockets[i], control_local);
        if (!bounce_is_wildcard(&outside))
            out[count++] = outside;
    }
    return count;
}

void bounce_nonce(const struct bounce *bounce, uint64_t session_id, const struct stun_addr *addr,
                  uint64_t now_us, uint8_t out[static NONCE_BYTES])
{
    nonce_make(bounce->nonce_key, session_id, addr, now_us, out);
}

void bounce_username(uint64_t session_id, char text[static BOUNCE_USERNAME_BYTES + 1])
{
    snprintf(text, BOUNCE_USERNAME_BYTES + 1, "%016llx", (unsigned long long)session_id);
}
