/* SPDX-License-Identifier: BSD-2-Clause */
/* ICE connectivity checks as bytes (RFC 8445, 7). */
#include <string.h>

#include "punch/engine.h"

#define TYPE_PEER_REFLEXIVE 110 /* RFC 8445, 5.1.2.2 */

uint32_t check_priority(unsigned type_preference, unsigned local_preference)
{
    return ((uint32_t)type_preference << 24) + ((uint32_t)local_preference << 8) + (256 - 1);
}

bool check_is_for_us(const struct punch *p, const struct stun_message *msg)
{
    return msg->username != NULL && msg->username_bytes > p->local_ufrag_bytes &&
           memcmp(msg->username, p->local_ufrag, p->local_ufrag_bytes) == 0 &&
           msg->username[p->local_ufrag_bytes] == ':';
}

struct transaction *check_find(struct punch *p, const uint8_t *id, uint16_t *pair)
{
    for (uint16_t i = 0; i < PUNCH_MAX_PAIRS; i++) {
        for (size_t k = 0; p->pairs[i].used && k < TRANSACTIONS; k++) {
            struct transaction *t = &p->pairs[i].out[k];

            if (t->live && memcmp(t->id, id, STUN_TRANSACTION_BYTES) == 0) {
                *pair = i;
                return t;
            }
        }
    }
    return NULL;
}

size_t check_build(const struct punch *p, const struct check *c, uint8_t *buffer, size_t capacity)
{
    unsigned preference = c->family == STUN_IPV6 ? 65535 : 32767;
    char username[2 * PUNCH_MAX_CREDENTIAL + 1];
    struct stun_builder b;

    memcpy(username, p->remote_ufrag, p->remote_ufrag_bytes);
    username[p->remote_ufrag_bytes] = ':';
    memcpy(username + p->remote_ufrag_bytes + 1, p->local_ufrag, p->local_ufrag_bytes);

    stun_begin(&b, buffer, capacity, STUN_BINDING_REQUEST, c->transaction);
    stun_add_bytes(&b, STUN_USERNAME, username, p->remote_ufrag_bytes + 1 + p->local_ufrag_bytes);
    stun_add_u32(&b, STUN_PRIORITY, check_priority(TYPE_PEER_REFLEXIVE, preference - c->socket));
    stun_add_u64(&b, c->controlling ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED, p->tie_breaker);
    if (c->nominating)
        stun_add_flag(&b, STUN_USE_CANDIDATE);
    stun_add_integrity(&b, (const uint8_t *)p->remote_password, p->remote_password_bytes);
    stun_add_fingerprint(&b);
    return stun_finish(&b);
}

/* Each check is a transaction of its own: its answer then tells the round trip without doubt, and
 * no transaction ID ever stands for two different requests. */
size_t check_request(struct punch *p, struct pair *pair, uint8_t *buffer, size_t capacity)
{
    struct transaction *t = &pair->out[pair->next_out];
    struct check check = {.transaction = t->id,
                          .socket = pair->socket,
                          .family = pair->remote.family,
                          .controlling = p->controlling,
                          .nominating = p->controlling && pair->nominate};

    memset(t, 0, sizeof(*t));
    p->random(p->random_context, t->id, sizeof(t->id));
    t->sent_us = p->now_us;
    t->controlling = check.controlling;
    t->nominating = check.nominating;
    t->live = true;
    pair->next_out = (uint8_t)((pair->next_out + 1) % TRANSACTIONS);
    return check_build(p, &check, buffer, capacity);
}

static const char *reason(uint16_t error)
{
    switch (error) {
    case STUN_ERROR_UNKNOWN_ATTRIBUTE:
        return "Unknown Attribute";
    case STUN_ERROR_ROLE_CONFLICT:
        return "Role Conflict";
    default:
        return "Bad Request";
    }
}

size_t check_answer(struct punch *p, const struct answer *a, uint8_t *buffer, size_t capacity)
{
    struct stun_builder b;

    stun_begin(&b, buffer, capacity, a->error == 0 ? STUN_BINDING_SUCCESS : STUN_BINDING_ERROR,
               a->transaction);
    if (a->error == 0)
        stun_add_addr(&b, STUN_XOR_MAPPED_ADDRESS, &a->pair.remote);
    else
        stun_add_error(&b, a->error, reason(a->error));
    if (a->unknown_count > 0)
        stun_add_unknown_attributes(&b, a->unknown, a->unknown_count);
    stun_add_integrity(&b, (const uint8_t *)p->local_password, p->local_password_bytes);
    stun_add_fingerprint(&b);
    return stun_finish(&b);
}
