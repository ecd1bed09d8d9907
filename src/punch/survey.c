/* SPDX-License-Identifier: BSD-2-Clause */
#include "punch/survey.h"

#include <string.h>

#define ABANDONED UINT8_MAX

static const uint64_t gap_us[] = {20000, 40000, 80000, 160000, 300000, 400000};
#define GAPS (sizeof(gap_us) / sizeof(gap_us[0]))

static bool open_question(const struct survey *s, size_t i)
{
    return s->asked[i].mapped.family == STUN_NO_FAMILY && s->asked[i].sent != ABANDONED;
}

void survey_init(struct survey *s, uint64_t give_up_us)
{
    memset(s, 0, sizeof(*s));
    s->give_up_us = give_up_us;
}

bool survey_ask(struct survey *s, uint64_t now_us, const struct survey_question *q,
                void (*random)(void *, uint8_t *, size_t), void *random_context)
{
    if (s->count == SURVEY_MAX_QUESTIONS || !stun_addr_is_usable(&q->server))
        return false;
    memset(&s->asked[s->count], 0, sizeof(s->asked[s->count]));
    s->asked[s->count].q = *q;
    s->asked[s->count].next_us = now_us;
    random(random_context, s->asked[s->count].transaction, STUN_TRANSACTION_BYTES);
    s->count++;
    return true;
}

bool survey_input(struct survey *s, uint64_t now_us, unsigned socket, const struct stun_addr *from,
                  const struct stun_message *msg)
{
    (void)now_us;
    if (msg->type != STUN_BINDING_SUCCESS && msg->type != STUN_BINDING_ERROR)
        return false;
    for (size_t i = 0; i < s->count; i++) {
        if (s->asked[i].q.socket != socket || !stun_addr_equal(&s->asked[i].q.server, from) ||
            memcmp(s->asked[i].transaction, msg->transaction, STUN_TRANSACTION_BYTES) != 0)
            continue;
        if (msg->type == STUN_BINDING_SUCCESS && msg->unknown_count == 0 && open_question(s, i) &&
            stun_addr_is_usable(&msg->mapped))
            s->asked[i].mapped = msg->mapped;
        return true;
    }
    return false;
}

bool survey_output(struct survey *s, uint64_t now_us, unsigned *socket, struct stun_addr *to,
                   uint8_t *buffer, size_t capacity, size_t *size)
{
    for (size_t i = 0; i < s->count; i++) {
        struct stun_builder b;

        if (!open_question(s, i))
            continue;
        if (now_us >= s->give_up_us) {
            s->asked[i].sent = ABANDONED;
            continue;
        }
        if (s->asked[i].next_us > now_us)
            continue;
        /* The same bytes each time: the same question, so the same transaction. */
        stun_begin(&b, buffer, capacity, STUN_BINDING_REQUEST, s->asked[i].transaction);
        *size = stun_finish(&b);
        if (*size == 0)
            return false;
        if (s->asked[i].sent == 0)
            s->asked[i].first_sent_us = now_us;
        *socket = s->asked[i].q.socket;
        *to = s->asked[i].q.server;
        s->asked[i].next_us =
            s->asked[i].sent < GAPS ? now_us + gap_us[s->asked[i].sent] : UINT64_MAX;
        if (s->asked[i].sent < ABANDONED - 1)
            s->asked[i].sent++;
        return true;
    }
    return false;
}

uint64_t survey_next_timeout(const struct survey *s)
{
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < s->count; i++) {
        if (!open_question(s, i))
            continue;
        if (s->asked[i].next_us < next)
            next = s->asked[i].next_us;
        if (s->give_up_us < next)
            next = s->give_up_us;
    }
    return next;
}

bool survey_done(const struct survey *s, uint64_t now_us)
{
    if (now_us >= s->give_up_us)
        return true;
    for (size_t i = 0; i < s->count; i++) {
        if (open_question(s, i))
            return false;
    }
    return true;
}

size_t survey_observations(const struct survey *s, struct nat_observation *out, size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < s->count && count < max; i++) {
        if (s->asked[i].mapped.family == STUN_NO_FAMILY)
            continue;
        out[count++] = (struct nat_observation){
            .socket = s->asked[i].q.socket,
            .local = s->asked[i].q.local,
            .server = s->asked[i].q.server,
            .mapped = s->asked[i].mapped,
            .sent_us = s->asked[i].first_sent_us,
        };
    }
    return count;
}

void survey_samples(const struct survey *s, uint16_t socket, struct nat_samples *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < s->count; i++) {
        const struct stun_addr *mapped = &s->asked[i].mapped;

        if (s->asked[i].q.socket != socket || mapped->family == STUN_NO_FAMILY)
            continue;
        /* Two servers that saw one port saw one mapping: it counts once. */
        if (out->count > 0 && out->ports[out->count - 1] == mapped->port)
            continue;
        if (out->count == NAT_MAX_SAMPLES) {
            memmove(out->ports, out->ports + 1, sizeof(out->ports[0]) * (NAT_MAX_SAMPLES - 1));
            out->count--;
        }
        out->ports[out->count++] = mapped->port;
        out->public_addr = *mapped;
    }
}
