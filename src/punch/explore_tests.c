/* SPDX-License-Identifier: BSD-2-Clause */
/* The tests that take a second: samples, filtering, early packets, reach, port blocks. */
#include "punch/explore_tests.h"

#include "nat/allocation.h"

#define QUIET_US    1000000u /* over which foreign mappings are counted */
#define BLOCK_TURNS 2

static struct explore_ask *ask(struct explore *e, unsigned socket, const struct stun_addr *to)
{
    return round_add(&e->round, socket, to);
}

static struct explore_ask *ask_change(struct explore *e, unsigned socket,
                                      const struct stun_addr *from)
{
    struct explore_ask *a = ask(e, socket, &e->home);

    a->from = *from;
    if (!stun_addr_same_ip(from, &e->home))
        a->change |= STUN_CHANGE_IP;
    if (from->port != e->home.port)
        a->change |= STUN_CHANGE_PORT;
    return a;
}

/* What the new mappings of this round were, in the order of asking. */
static void observe(struct explore *e)
{
    for (size_t i = 0; i < e->round.count && e->seen_count < NAT_MAX_OBSERVATIONS; i++) {
        const struct explore_ask *a = &e->round.asks[i];

        if (!a->is_sample || !a->answered)
            continue;
        e->seen[e->seen_count++] = (struct nat_observation){
            .socket = e->sockets[a->socket].number,
            .local = e->sockets[a->socket].local,
            .server = a->to,
            .mapped = a->mapped,
            .sent_us = a->first_us,
        };
    }
    nat_profile_from(e->seen, e->seen_count, &e->survey);
}

/* ---- samples ---- */

/* So much for the first seconds: the rest may wait. */
void explore_rest(struct explore *e)
{
    e->wait_us = e->began_us + EXPLORE_POLITE_US;
    explore_enter(e, EXPLORE_QUIET, 0, 0);
}

bool explore_wants_samples(const struct explore *e)
{
    return explore_is_dependent(e) && (e->survey.allocation == NAT_ALLOCATION_SEQUENTIAL ||
                                       nat_block_suspected(e->seen, e->seen_count));
}

/* Where the port does not matter to the mapping, two sockets give as many samples. */
void explore_begin_sample(struct explore *e)
{
    const struct stun_addr *to[] = {&e->home, &e->near, &e->side, &e->far};
    bool by_address = e->survey.mapping == NAT_MAPPING_ADDRESS_DEPENDENT;
    unsigned first = FIRST_FRESH + e->samples * 2;

    for (unsigned socket = first; socket < first + (by_address ? 2 : 1); socket++) {
        for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
            if (exists(to[i]) && !(by_address && to[i]->port != e->home.port))
                ask(e, socket, to[i])->is_sample = true;
        }
    }
}

void explore_end_sample(struct explore *e, uint64_t now_us)
{
    bool rate;

    observe(e);
    rate = e->survey.allocation == NAT_ALLOCATION_SEQUENTIAL;
    e->samples++;
    if (e->samples == 1) {
        e->wait_us = rate ? now_us + QUIET_US : now_us;
        explore_enter(e, EXPLORE_QUIET, FRESH_BITS, 0);
        return;
    }
    e->sampled = e->news = true;
    explore_enter(e, EXPLORE_PLAN, 0, 0);
}

/* ---- filtering, and what early packets do ---- */

void explore_begin_base(struct explore *e)
{
    for (unsigned i = 0; i < FIRST_FRESH + FRESH_SOCKETS; i++) {
        if (e->sockets[i].wanted)
            ask(e, i, &e->home)->is_sample = true;
    }
}

void explore_end_base(struct explore *e)
{
    bool all = true;

    observe(e);
    for (size_t i = 0; i < e->round.count; i++) {
        e->sockets[e->round.asks[i].socket].mapped = e->round.asks[i].mapped;
        all = all && e->round.asks[i].answered;
    }
    if (!all) /* the servers have fallen silent: another time, perhaps */
        explore_enter(e, EXPLORE_DONE, 0, 0);
    else
        explore_enter(e, e->filtered ? EXPLORE_REACH : EXPLORE_FILTER, FILTER_BIT | FRESH_BITS, 0);
}

void explore_begin_filter(struct explore *e)
{
    if (exists(&e->far))
        ask_change(e, FILTER_SOCKET, &e->far);
    if (exists(&e->near))
        ask_change(e, FILTER_SOCKET, &e->near);
    round_control(&e->round, FILTER_SOCKET, &e->home);
}

static bool heard(const struct explore *e, const struct stun_addr *from)
{
    for (size_t i = 0; i < e->round.count; i++) {
        if (e->round.asks[i].answered && stun_addr_equal(&e->round.asks[i].from, from))
            return true;
    }
    return false;
}

static enum nat_filtering judge_filter(const struct explore *e)
{
    bool silence_counts = round_convinced(&e->round);

    if (exists(&e->far) && heard(e, &e->far))
        return NAT_FILTERING_ENDPOINT_INDEPENDENT;
    if (!silence_counts || !exists(&e->near))
        return NAT_FILTERING_UNKNOWN;
    if (!heard(e, &e->near))
        return NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT;
    return exists(&e->far) ? NAT_FILTERING_ADDRESS_DEPENDENT : NAT_FILTERING_UNKNOWN;
}

void explore_end_filter(struct explore *e)
{
    e->learned.filtering = judge_filter(e);
    e->filtered = e->news = true;
    if (explore_is_consistent(e) && e->learned.filtering != NAT_FILTERING_UNKNOWN &&
        exists(&e->side) && exists(&e->far))
        explore_enter(e, EXPLORE_EARLY, FILTER_BIT | FRESH_BITS, 0);
    else
        explore_enter(e, EXPLORE_PLAN, FRESH_BITS, 0);
}

/* S first: once the NAT has moved a flow of this socket, its next ones follow that. */
void explore_begin_early(struct explore *e)
{
    ask(e, FILTER_SOCKET, &e->side);
    ask(e, FILTER_SOCKET, &e->far);
    if (exists(&e->near))
        ask(e, FILTER_SOCKET, &e->near);
}

void explore_end_early(struct explore *e)
{
    const struct stun_addr *mine = &e->sockets[FILTER_SOCKET].mapped;
    const struct explore_round *r = &e->round;
    const struct explore_ask *side = &r->asks[0];
    bool all = true, moved = false;

    for (size_t i = 1; i < r->count; i++) {
        all = all && r->asks[i].answered;
        moved = moved || (r->asks[i].answered && !stun_addr_equal(&r->asks[i].mapped, mine));
    }
    if (side->answered && stun_addr_equal(&side->mapped, mine) && (moved || all))
        e->learned.early = moved ? NAT_EARLY_POISONOUS : NAT_EARLY_HARMLESS;
    e->news = true;
    explore_enter(e, EXPLORE_PLAN, FRESH_BITS, 0);
}

/* ---- how far a packet must go, and hairpin ---- */

static bool wants_ttl(const struct explore *e)
{
    return exists(&e->far) && (e->learned.filtering == NAT_FILTERING_ADDRESS_DEPENDENT ||
                               e->learned.filtering == NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
}

static bool wants_hairpin(const struct explore *e)
{
    return e->survey.mapping == NAT_MAPPING_ENDPOINT_INDEPENDENT && e->ttl_base == 0;
}

bool explore_wants_reach(const struct explore *e)
{
    return !e->reached && explore_is_consistent(e) && (wants_ttl(e) || wants_hairpin(e));
}

/* A NAT is at least one hop away, a firewall may be on this host. */
static unsigned first_ttl(const struct explore *e)
{
    return e->ttl_base + (e->survey.mapping == NAT_MAPPING_NONE ? 1u : 2u);
}

static void add_hairpin(struct explore *e, unsigned from, unsigned to)
{
    struct explore_ask *a = ask(e, from, &e->sockets[to].mapped);

    a->hears = (uint8_t)to;
    a->is_indication = true;
}

void explore_begin_reach(struct explore *e)
{
    for (unsigned i = 0; i < FRESH_SOCKETS && wants_ttl(e); i++) {
        struct explore_ask *opener = ask(e, FIRST_FRESH + i, &e->far);

        opener->is_opener = true;
        opener->ttl = (uint8_t)(first_ttl(e) + i);
        opener->serves = (uint8_t)e->round.count;
        ask_change(e, FIRST_FRESH + i, &e->far);
    }
    if (wants_hairpin(e)) {
        add_hairpin(e, FIRST_FRESH, FIRST_FRESH + 1);
        add_hairpin(e, FIRST_FRESH + 1, FIRST_FRESH);
    }
    round_control(&e->round, FIRST_FRESH, &e->home);
}

/* The least TTL that got through, if all below it are known not to. */
static uint8_t judge_ttl(const struct explore *e)
{
    for (size_t i = 0; i < e->round.count; i++) {
        const struct explore_ask *a = &e->round.asks[i];

        if (a->is_opener && e->round.asks[a->serves].answered)
            return i == 0 || round_convinced(&e->round) ? a->ttl : 0;
    }
    return 0;
}

static enum nat_hairpin judge_hairpin(const struct explore *e)
{
    for (size_t i = 0; i < e->round.count; i++) {
        if (e->round.asks[i].is_indication && e->round.asks[i].answered)
            return NAT_HAIRPIN_YES;
    }
    /* The one that came first may have done the harm that early packets do. */
    if (e->learned.early != NAT_EARLY_HARMLESS)
        return NAT_HAIRPIN_UNKNOWN;
    return round_convinced(&e->round) ? NAT_HAIRPIN_NO : NAT_HAIRPIN_UNKNOWN;
}

/* A lost opener lets the answer come too early: where that does harm, another try decides. */
static bool is_doubtful(const struct explore *e, uint8_t ttl)
{
    return e->learned.early != NAT_EARLY_HARMLESS && ttl > first_ttl(e) && e->doubtful_ttl == 0;
}

void explore_end_reach(struct explore *e)
{
    uint8_t ttl = wants_ttl(e) ? judge_ttl(e) : 0;
    bool further = wants_ttl(e) && ttl == 0 && e->ttl_base == 0 && round_convinced(&e->round);
    bool again = is_doubtful(e, ttl);

    if (wants_hairpin(e))
        e->learned.hairpin = judge_hairpin(e);
    if (again)
        e->doubtful_ttl = ttl;
    else
        e->learned.opener_ttl =
            ttl != 0 && e->doubtful_ttl != 0 && e->doubtful_ttl < ttl ? e->doubtful_ttl : ttl;
    if (further)
        e->ttl_base = FRESH_SOCKETS;
    e->news = true;
    e->reached = !further && !again;
    if (e->reached)
        explore_enter(e, EXPLORE_PLAN, 0, 0);
    else
        explore_rest(e);
}

/* ---- port blocks of a consistent NAT ---- */

bool explore_wants_block(const struct explore *e)
{
    return e->blocks < BLOCK_TURNS && !explore_is_dependent(e) &&
           nat_block_suspected(e->seen, e->seen_count);
}

void explore_end_block(struct explore *e)
{
    observe(e);
    e->blocks++;
    e->news = e->news || e->blocks == BLOCK_TURNS;
    explore_enter(e, EXPLORE_PLAN, 0, 0);
}
