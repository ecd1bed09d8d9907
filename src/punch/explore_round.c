/* SPDX-License-Identifier: BSD-2-Clause */
#include "punch/explore_round.h"

#include <string.h>

#define MS 1000u

#define PLAIN_ROUNDS   6
#define TEST_ROUNDS    10
#define LIMITED_ROUNDS 8
#define LIMITED_US     (250 * MS) /* the server's patience for behaviour tests was used up */
#define MAX_WAIT_US    (1000 * MS)
#define DOUBT          1000

/* Makes a plain question as large as its full answer: that costs nothing of a server's patience. */
static const char software[] = "eyelet (NAT behaviour discovery)";

static bool wanted(const struct explore_round *r, const struct explore_ask *a)
{
    return a->is_opener ? !r->asks[a->serves].answered : !a->answered;
}

static bool all_answered(const struct explore_round *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (wanted(r, &r->asks[i]))
            return false;
    }
    return true;
}

static void renew(struct explore_round *r, struct explore_ask *a)
{
    a->answered = false;
    a->first_us = 0;
    r->random(r->random_context, a->transaction, STUN_TRANSACTION_BYTES);
}

static uint64_t wait_us(const struct explore_round *r)
{
    static const uint32_t plain_ms[PLAIN_ROUNDS] = {20, 40, 80, 160, 300, 400};
    uint64_t wait = r->rtt_us + r->rtt_us / 2 + 20 * MS;

    if (!r->tests && wait < plain_ms[r->rounds] * MS)
        wait = plain_ms[r->rounds] * MS;
    return wait < MAX_WAIT_US ? wait : MAX_WAIT_US;
}

static void begin(struct explore_round *r, uint64_t now_us)
{
    r->pausing = false;
    for (size_t i = 0; i < r->count; i++)
        r->asks[i].due = wanted(r, &r->asks[i]);
    if (r->tests) {
        renew(r, &r->control);
        r->control.due = true;
        r->control_told_origin = false;
    }
    r->ends_us = now_us + wait_us(r);
}

/* A round whose control came back without RESPONSE-ORIGIN does not count at all. */
static bool account(struct explore_round *r)
{
    bool limited = r->tests && r->control.answered && !r->control_told_origin;

    r->rounds += !limited;
    r->limited += limited;
    if (r->tests && !limited) {
        r->controls++;
        r->controls_lost += !r->control.answered;
    }
    return !limited;
}

static bool write_ask(const struct explore_round *r, const struct explore_ask *a, uint8_t *buffer,
                      size_t capacity, size_t *size)
{
    bool is_request = !a->is_opener && !a->is_indication;
    struct stun_builder b;

    stun_begin(&b, buffer, capacity, is_request ? STUN_BINDING_REQUEST : STUN_BINDING_INDICATION,
               a->transaction);
    if (a->change != 0 || a == &r->control)
        stun_add_u32(&b, STUN_CHANGE_REQUEST, a->change);
    if (a->response_port != 0) {
        uint8_t port[4] = {(uint8_t)(a->response_port >> 8), (uint8_t)a->response_port};

        stun_add_bytes(&b, STUN_RESPONSE_PORT, port, sizeof(port));
    }
    if (is_request && a != &r->control && a->change == 0 && a->response_port == 0)
        stun_add_bytes(&b, STUN_SOFTWARE, software, strlen(software));
    *size = stun_finish(&b);
    return *size > 0;
}

static bool answers(const struct explore_ask *a, unsigned socket, const struct stun_addr *from,
                    const struct stun_message *msg)
{
    bool is_answer = msg->type == STUN_BINDING_SUCCESS || msg->type == STUN_BINDING_ERROR;

    if (a->is_opener || a->first_us == 0 || a->hears != socket ||
        memcmp(a->transaction, msg->transaction, STUN_TRANSACTION_BYTES) != 0)
        return false;
    if (a->is_indication)
        return msg->type == STUN_BINDING_INDICATION;
    return is_answer && (msg->type == STUN_BINDING_ERROR || stun_addr_equal(&a->from, from));
}

static void take(struct explore_round *r, uint64_t now_us, struct explore_ask *a,
                 const struct stun_message *msg)
{
    if (msg->type == STUN_BINDING_ERROR) {
        r->refused = true;
        return;
    }
    if (a->answered || msg->unknown_count != 0 ||
        (!a->is_indication && !stun_addr_is_usable(&msg->mapped)))
        return;
    a->answered = true;
    a->mapped = msg->mapped;
    if (a == &r->control)
        r->control_told_origin = msg->response_origin.family != STUN_NO_FAMILY;
    /* Of a question that was repeated the first may have been lost: the least is the best guess. */
    if (!a->is_indication && now_us > a->first_us &&
        (r->rtt_us == 0 || now_us - a->first_us < r->rtt_us))
        r->rtt_us = now_us - a->first_us;
}

void round_clear(struct explore_round *r)
{
    struct explore_round kept = {
        .rtt_us = r->rtt_us, .random = r->random, .random_context = r->random_context};

    *r = kept;
}

struct explore_ask *round_add(struct explore_round *r, unsigned socket, const struct stun_addr *to)
{
    struct explore_ask *a = &r->asks[r->count++];

    memset(a, 0, sizeof(*a));
    a->socket = a->hears = (uint8_t)socket;
    a->to = a->from = *to;
    renew(r, a);
    return a;
}

void round_control(struct explore_round *r, unsigned socket, const struct stun_addr *to)
{
    r->tests = true;
    r->control.socket = r->control.hears = (uint8_t)socket;
    r->control.to = r->control.from = *to;
}

bool round_input(struct explore_round *r, uint64_t now_us, unsigned socket,
                 const struct stun_addr *from, const struct stun_message *msg)
{
    for (size_t i = 0; i < r->count; i++) {
        if (answers(&r->asks[i], socket, from, msg)) {
            take(r, now_us, &r->asks[i], msg);
            return true;
        }
    }
    if (!r->tests || !answers(&r->control, socket, from, msg))
        return false;
    take(r, now_us, &r->control, msg);
    return true;
}

bool round_output(struct explore_round *r, uint64_t now_us, unsigned *socket, struct stun_addr *to,
                  unsigned *ttl, uint8_t *buffer, size_t capacity, size_t *size)
{
    struct explore_ask *a = NULL;

    if (r->over || r->ends_us == 0)
        return false;
    for (size_t i = 0; i < r->count && a == NULL; i++) {
        if (r->asks[i].due)
            a = &r->asks[i];
    }
    if (a == NULL && r->tests && r->control.due)
        a = &r->control;
    if (a == NULL || !write_ask(r, a, buffer, capacity, size))
        return false;
    a->due = false;
    a->first_us = a->first_us == 0 ? now_us : a->first_us;
    a->last_us = now_us;
    *socket = a->socket;
    *to = a->to;
    *ttl = a->ttl;
    return true;
}

bool round_advance(struct explore_round *r, uint64_t now_us)
{
    if (r->over)
        return true;
    if (r->ends_us == 0) {
        begin(r, now_us);
        return false;
    }
    if (all_answered(r)) {
        r->over = true;
        return true;
    }
    if (now_us < r->ends_us)
        return false;
    if (r->pausing) {
        begin(r, now_us);
        return false;
    }
    r->pausing = !account(r);
    r->over = r->refused || r->rounds >= (r->tests ? TEST_ROUNDS : PLAIN_ROUNDS) ||
              r->limited >= LIMITED_ROUNDS || (r->tests && round_convinced(r));
    if (r->pausing)
        r->ends_us = now_us + (LIMITED_US << (r->limited < 4 ? r->limited : 4));
    else if (!r->over)
        begin(r, now_us);
    return r->over;
}

uint64_t round_next_timeout(const struct explore_round *r)
{
    bool due = r->control.due;

    if (r->over)
        return UINT64_MAX;
    for (size_t i = 0; i < r->count; i++)
        due = due || r->asks[i].due;
    return due ? 0 : r->ends_us;
}

bool round_convinced(const struct explore_round *r)
{
    uint64_t with = DOUBT, against = 1;

    for (unsigned i = 0; i < r->controls; i++) {
        with *= r->controls_lost + 1;
        against *= r->controls + 2;
    }
    return !r->refused && r->controls > 0 && against > with;
}
