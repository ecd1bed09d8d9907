/* SPDX-License-Identifier: BSD-2-Clause */
/* The test that takes minutes: how long an idle mapping lives. */
#include "punch/explore_tests.h"

#define SECOND    1000000u
#define SETTLE_US (3 * SECOND) /* Linux takes a flow for lasting after two seconds */

/* From EXPLORE_FIRST_IDLE_S upwards, or downwards if that is too long. A little less than the round
 * numbers that NATs use. */
static const uint16_t idle_ladder_s[] = {9, 18, EXPLORE_FIRST_IDLE_S, 58, 118, 178, 298};

bool explore_wants_life(const struct explore *e)
{
    bool open = e->survey.mapping == NAT_MAPPING_NONE &&
                e->learned.filtering == NAT_FILTERING_ENDPOINT_INDEPENDENT;

    return !open && e->idle_s != 0;
}

/* The next idle time, 0 if the answer is known. */
static uint16_t next_idle_s(const struct explore *e)
{
    size_t count = sizeof(idle_ladder_s) / sizeof(idle_ladder_s[0]);
    uint16_t below = 0;

    for (size_t i = 0; i < count; i++) {
        if (idle_ladder_s[i] > e->alive_s && e->dead_s == 0)
            return idle_ladder_s[i];
        if (idle_ladder_s[i] < e->dead_s)
            below = idle_ladder_s[i];
    }
    return e->dead_s != 0 && below > e->alive_s ? below : 0;
}

void explore_begin_prime(struct explore *e)
{
    (void)round_add(&e->round, LIFE_SOCKET, &e->home);
}

void explore_end_prime(struct explore *e, uint64_t now_us)
{
    const struct explore_ask *a = &e->round.asks[0];

    if (!a->answered) {
        explore_enter(e, EXPLORE_DONE, 0, 0);
        return;
    }
    e->primes++;
    e->sockets[LIFE_SOCKET].mapped = a->mapped;
    /* The clock starts with the last packet that went out or came in. */
    e->wait_us = e->primes == 1 ? now_us + SETTLE_US : now_us + (uint64_t)e->idle_s * SECOND;
    explore_enter(e, e->primes == 1 ? EXPLORE_SETTLE : EXPLORE_IDLE, LIFE_BIT, 0);
}

void explore_begin_life(struct explore *e)
{
    struct explore_ask *a = round_add(&e->round, FILTER_SOCKET, &e->home);

    a->hears = LIFE_SOCKET;
    a->response_port = e->sockets[LIFE_SOCKET].mapped.port;
    round_control(&e->round, FILTER_SOCKET, &e->home);
}

void explore_end_life(struct explore *e)
{
    const struct explore_round *r = &e->round;
    bool same_ip = stun_addr_same_ip(&r->control.mapped, &e->sockets[LIFE_SOCKET].mapped);

    e->primes = 0;
    if (r->asks[0].answered) {
        e->alive_s = e->idle_s;
    } else if (round_convinced(r) && same_ip) {
        e->dead_s = e->idle_s;
    } else { /* silence that may have another reason */
        e->learned.lifetime_s = e->alive_s;
        e->idle_s = 0;
        e->news = true;
        explore_enter(e, EXPLORE_PLAN, 0, 0);
        return;
    }
    e->idle_s = next_idle_s(e);
    if (e->idle_s == 0) {
        e->learned.lifetime_s = e->alive_s;
        e->news = true;
    }
    explore_enter(e, EXPLORE_PLAN, LIFE_BIT, 0);
}
