/* SPDX-License-Identifier: BSD-2-Clause */
/* Registration as src/peer/warm.c does it: what bounce servers see becomes the profile; keepalives
 * that the mediator attests hold the data socket's mapping. */
#include <string.h>

#include "sim/trace.h"
#include "sim/world.h"

#define KEEPALIVE_US       14000000u
#define SURVEY_US          2000000u
#define SURVEY_PATIENCE_US 250000u

static uint64_t keepalive_wait_us(unsigned tries)
{
    static const uint32_t waits[] = {20000, 60000, 140000, 300000, 600000, 1000000, 2000000};
    size_t last = sizeof(waits) / sizeof(waits[0]) - 1;

    return waits[tries < last ? tries : last];
}

static void send_keepalive(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    struct peer_keepalive *k = &p->keepalive;
    char username[BOUNCE_USERNAME_BYTES + 1];
    uint8_t packet[160];
    struct stun_builder b;

    k->sequence++;
    k->next_us = peer_now(w, host) + keepalive_wait_us(k->tries++);
    peer_random(&p->dice, k->transaction, sizeof(k->transaction));
    bounce_username(mediator_session(host), username);
    stun_begin(&b, packet, sizeof(packet), STUN_BINDING_REQUEST, k->transaction);
    stun_add_bytes(&b, STUN_USERNAME, username, BOUNCE_USERNAME_BYTES);
    stun_add_bytes(&b, STUN_NONCE, k->nonce, sizeof(k->nonce));
    stun_add_u64(&b, STUN_EYELET_SEQUENCE, k->sequence);
    stun_add_integrity_sha256(&b, w->mediator.attested[host].key,
                              sizeof(w->mediator.attested[host].key));
    stun_add_fingerprint(&b);
    (void)peer_send(w, host, PUNCH_DATA_SOCKET, &w->scene.bounce[(k->tries - 1) % SCENE_BOUNCE], 0,
                    packet, stun_finish(&b));
}

void warm_keepalive(struct world *w, uint32_t host)
{
    w->peer[host].keepalive.tries = 0;
    w->peer[host].keepalive.next_us = peer_now(w, host);
}

static void put(wire_Coordinates *out, wire_CandidateKind kind, const struct stun_addr *addr)
{
    wire_Candidate *c;

    if (addr->family == STUN_NO_FAMILY || out->candidates_count == WIRE_MAX_CANDIDATES)
        return;
    c = &out->candidates[out->candidates_count++];
    c->kind = kind;
    c->has_address = true;
    wire_from_addr(addr, &c->address);
}

void warm_publish(struct world *w, uint32_t host)
{
    const struct scene_host *is = &w->scene.host[host];
    struct peer *p = &w->peer[host];
    struct stun_addr outer = is->outer;
    wire_Coordinates out = {.has_profile = true};

    wire_from_profile(&p->profile, &out.profile);
    put(&out, wire_CandidateKind_CANDIDATE_SERVER_REFLEXIVE, &p->reflexive);
    put(&out, wire_CandidateKind_CANDIDATE_HOST, &p->local[PUNCH_DATA_SOCKET]);
    outer.port = p->local[PUNCH_DATA_SOCKET].port;
    put(&out, wire_CandidateKind_CANDIDATE_HOST, &outer);
    for (uint32_t i = 0; i < is->lies; i++)
        put(&out,
            i % 2 == 0 ? wire_CandidateKind_CANDIDATE_HOST
                       : wire_CandidateKind_CANDIDATE_PORT_MAPPED,
            &is->lie[i]);
    mediator_publish(w, host, &out);
}

static void learn(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    struct nat_observation seen[NAT_MAX_OBSERVATIONS];
    size_t count = survey_observations(&p->survey, seen, NAT_MAX_OBSERVATIONS);
    char text[STUN_ADDR_TEXT_BYTES];

    if (count == p->published)
        return;
    p->published = count;
    nat_profile_from(seen, count, &p->profile);
    for (size_t i = 0; i < count; i++) {
        if (seen[i].socket == PUNCH_DATA_SOCKET)
            p->reflexive = seen[i].mapped;
    }
    trace_say(w, host == WORLD_CALLER ? "caller" : "callee",
              "* learns: public address %s, mapping %s, allocation %s, step %d",
              stun_addr_text(&p->reflexive, text), nat_mapping_text(p->profile.mapping),
              nat_allocation_text(p->profile.allocation), (int)p->profile.step);
    warm_publish(w, host);
}

static void ask_from(struct world *w, uint32_t host, unsigned socket)
{
    struct peer *p = &w->peer[host];

    for (uint32_t i = 0; i < SCENE_BOUNCE; i++) {
        struct survey_question q = {
            .socket = (uint16_t)socket, .local = p->local[socket], .server = w->scene.bounce[i]};

        (void)survey_ask(&p->survey, peer_now(w, host), &q, peer_random, &p->dice);
    }
}

static void begin_survey(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];

    survey_init(&p->survey, peer_now(w, host) + SURVEY_US);
    p->surveying = true;
    p->survey_began_us = peer_now(w, host);
    p->published = 0;
    ask_from(w, host, PUNCH_DATA_SOCKET);
    ask_from(w, host, PEER_BARE);
    learn_want(w, host);
}

static void step_survey(struct world *w, uint32_t host)
{
    struct peer *p = &w->peer[host];
    uint64_t now_us = peer_now(w, host);
    uint8_t packet[64];
    unsigned socket;
    struct stun_addr to;
    size_t size;

    if (!p->surveying)
        return;
    while (survey_output(&p->survey, now_us, &socket, &to, packet, sizeof(packet), &size))
        (void)peer_send(w, host, socket, &to, 0, packet, size);
    if (survey_done(&p->survey, now_us) || now_us - p->survey_began_us >= SURVEY_PATIENCE_US)
        learn(w, host);
    p->surveying = !survey_done(&p->survey, now_us);
}

void warm_begin(struct world *w, uint32_t host)
{
    begin_survey(w, host);
    warm_publish(w, host);
    w->peer[host].keepalive.next_us = peer_now(w, host);
}

static bool keepalive_answer(struct world *w, uint32_t host, const struct stun_message *msg)
{
    struct peer *p = &w->peer[host];
    struct peer_keepalive *k = &p->keepalive;
    size_t nonce_bytes;
    const uint8_t *nonce = stun_find(msg, STUN_NONCE, &nonce_bytes);
    bool moved;

    if (msg->type != STUN_BINDING_SUCCESS ||
        memcmp(msg->transaction, k->transaction, STUN_TRANSACTION_BYTES) != 0)
        return false;
    if (!stun_integrity_sha256_ok(msg, w->mediator.attested[host].key,
                                  sizeof(w->mediator.attested[host].key)))
        return true;
    moved = k->attested && !stun_addr_equal(&msg->mapped, &p->reflexive) &&
            nat_profile_is_consistent(&p->profile);
    k->attested = true;
    k->tries = 0;
    k->next_us = peer_now(w, host) + KEEPALIVE_US;
    if (nonce != NULL && nonce_bytes == sizeof(k->nonce)) {
        memcpy(k->nonce, nonce, sizeof(k->nonce));
        send_keepalive(w, host);
    }
    if (p->reflexive.family == STUN_NO_FAMILY)
        p->reflexive = msg->mapped;
    if (w->trouble.began_us != UINT64_MAX) {
        moved = !stun_addr_same_ip(&msg->mapped, &p->reflexive) ||
                (nat_profile_is_consistent(&p->profile) &&
                 !stun_addr_equal(&msg->mapped, &p->reflexive));
        p->reflexive = p->profile.public_addr = msg->mapped;
        if (moved || w->scene.trouble == SCENE_MOVE)
            warm_publish(w, host);
        if (moved)
            dial_elsewhere(w, host);
        return true;
    }
    if (moved && !p->surveying)
        begin_survey(w, host);
    return true;
}

bool warm_receive(struct world *w, uint32_t host, unsigned socket, const struct stun_addr *from,
                  const struct stun_message *msg)
{
    struct peer *p = &w->peer[host];
    bool ours = (socket == PUNCH_DATA_SOCKET && keepalive_answer(w, host, msg)) ||
                (p->surveying && survey_input(&p->survey, peer_now(w, host), socket, from, msg));

    if (ours)
        step_survey(w, host);
    return ours;
}

void warm_advance(struct world *w, uint32_t host)
{
    if (peer_now(w, host) >= w->peer[host].keepalive.next_us)
        send_keepalive(w, host);
    step_survey(w, host);
}

uint64_t warm_next(const struct peer *p)
{
    uint64_t next = p->keepalive.next_us;

    if (p->surveying) {
        uint64_t survey = survey_next_timeout(&p->survey);

        next = survey < next ? survey : next;
    }
    return next;
}
