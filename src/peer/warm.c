/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/warm.h"

#include <stdio.h>
#include <string.h>

#include "peer/endpoint.h"

/* Half of the shortest lifetime seen in home gateways (30 s after one direction), with a margin. */
#define KEEPALIVE_US       14000000u
#define KEEPALIVE_LEAST_US 4000000u
#define KEEPALIVE_MOST_US  28000000u /* a NAT may have rebooted */
#define KEEPALIVE_LOST     5         /* unanswered ones until the address counts as not attested */
#define SURVEY_US          2000000u
#define SURVEY_PATIENCE_US 250000u /* what is known by then is published; the rest follows */

static uint64_t keepalive_wait_us(unsigned tries)
{
    static const uint32_t waits[] = {20000, 60000, 140000, 300000, 600000, 1000000, 2000000};
    size_t last = sizeof waits / sizeof *waits - 1;
    return waits[tries < last ? tries : last];
}

static uint8_t *new_transaction(struct keepalive *k)
{
    uint8_t *transaction = k->transactions[k->tries % KEEPALIVE_TRIES];
    identity_random(NULL, transaction, STUN_TRANSACTION_BYTES);
    return transaction;
}

static bool is_answer(const struct keepalive *k, const struct stun_message *msg)
{
    bool found = false;
    for (size_t i = 0; i < KEEPALIVE_TRIES; i++) {
        found = found || memcmp(msg->transaction, k->transactions[i], STUN_TRANSACTION_BYTES) == 0;
    }
    return found && msg->type == STUN_BINDING_SUCCESS;
}

/* Half of what an idle mapping is known to live for. */
static uint64_t keepalive_us(const struct session *s)
{
    uint64_t half = s->profile.lifetime_s * UINT64_C(500000);
    if (half == 0) {
        return KEEPALIVE_US;
    }
    half = half < KEEPALIVE_LEAST_US ? KEEPALIVE_LEAST_US : half;
    return half < KEEPALIVE_MOST_US ? half : KEEPALIVE_MOST_US;
}

static void hex(const uint8_t *bytes, size_t count, char *text)
{
    for (size_t i = 0; i < count; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
}

static void send_keepalive(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    uint8_t packet[160];
    char username[2 * WIRE_SESSION_ID_BYTES + 1];
    struct stun_builder b;
    const uint8_t *transaction = new_transaction(&s->keepalive);
    s->keepalive.sequence++;
    s->keepalive.next_us = now_us + keepalive_wait_us(s->keepalive.tries++);
    hex(s->session_id, sizeof s->session_id, username);
    stun_begin(&b, packet, sizeof packet, STUN_BINDING_REQUEST, transaction);
    stun_add_bytes(&b, STUN_USERNAME, username, strlen(username));
    stun_add_u64(&b, STUN_EYELET_SEQUENCE, s->keepalive.sequence);
    stun_add_integrity_sha256(&b, s->session_key, sizeof s->session_key);
    stun_add_fingerprint(&b);
    size_t size = stun_finish(&b);
    /* A dead bounce endpoint must not cost us the mapping: each try asks the next one. */
    const struct stun_addr *to = &s->bounce[(s->keepalive.tries - 1) % s->bounce_count];
    (void)udp_send(&ep->warm[PUNCH_DATA_SOCKET], to, 0, packet, size, size);
    if (s->keepalive.tries > KEEPALIVE_LOST && s->attested) {
        s->attested = false;
        endpoint_log(ep, EYELET_LOG_WARN, "link down: no bounce server answers over UDP any more");
    }
}

static void send_bare_keepalive(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    struct keepalive *k = &s->bare_keepalive;
    uint8_t packet[64];
    struct stun_builder b;
    const struct stun_addr *to = &s->bounce[k->tries % s->bounce_count];
    const uint8_t *transaction = new_transaction(k);
    k->next_us = now_us + keepalive_wait_us(k->tries++);
    stun_begin(&b, packet, sizeof packet, STUN_BINDING_REQUEST, transaction);
    size_t size = stun_finish(&b);
    (void)udp_send(&ep->warm[SESSION_BARE], to, 0, packet, size, size);
}

static void publish_survey(struct eyelet_endpoint *ep)
{
    struct session *s = &ep->session;
    struct nat_observation seen[NAT_MAX_OBSERVATIONS];
    size_t count = survey_observations(&s->survey, seen, NAT_MAX_OBSERVATIONS);
    if (count == s->survey_published) {
        return;
    }
    s->survey_published = count;
    nat_profile_from(seen, count, &s->profile);
    for (size_t i = 0; i < count; i++) {
        if (seen[i].socket < SESSION_SOCKETS) {
            s->reflexive[seen[i].socket] = seen[i].mapped;
        }
    }
    session_publish(ep);
}

static void announce(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    char text[STUN_ADDR_TEXT_BYTES];
    s->announced = true;
    ep->news_registered = true;
    ep->news_lost = false;
    calls_announced(ep);
    if (s->survey_published == 0 && !s->attested) {
        endpoint_log(
            ep, EYELET_LOG_WARN,
            "link down: no bounce server answers over UDP; punching is tried all the same");
    }
    endpoint_log(ep, EYELET_LOG_INFO,
                 "registered after %llu ms: public address %s, mapping %s, allocation %s",
                 (unsigned long long)((now_us - s->survey_began_us) / 1000),
                 stun_addr_text(&s->reflexive[PUNCH_DATA_SOCKET], text),
                 nat_mapping_text(s->profile.mapping), nat_allocation_text(s->profile.allocation));
}

/* The first answers make a usable profile; a dead bounce server must not delay the rest. */
static void step_survey(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    uint8_t packet[64];
    unsigned socket;
    struct stun_addr to;
    size_t size;
    if (!s->surveying) {
        return;
    }
    while (survey_output(&s->survey, now_us, &socket, &to, packet, sizeof packet, &size)) {
        (void)udp_send(&ep->warm[socket], &to, 0, packet, size, size);
    }
    bool done = survey_done(&s->survey, now_us);
    bool over = now_us - s->survey_began_us >= SURVEY_US || s->bounce_count == 0;
    bool became_late = !s->survey_late && now_us - s->survey_began_us >= SURVEY_PATIENCE_US;
    s->survey_late = s->survey_late || became_late;
    if (done || s->survey_late) {
        publish_survey(ep);
    }
    if (became_late && s->survey_published == 0) {
        session_publish(ep); /* with the guess that is left without any bounce server */
    }
    if (!s->announced && (over || (s->attested && (done || s->survey_late)))) {
        announce(ep, now_us);
    }
    s->surveying = !(done && s->announced);
}

static void ask_from(struct eyelet_endpoint *ep, uint64_t now_us, unsigned socket)
{
    struct session *s = &ep->session;
    for (size_t i = 0; i < s->bounce_count; i++) {
        struct survey_question q = {.socket = (uint16_t)socket, .server = s->bounce[i]};
        if (s->host_count > 0) {
            q.local = s->hosts[0];
        }
        q.local.port = ep->warm[socket].port;
        (void)survey_ask(&s->survey, now_us, &q, identity_random, NULL);
    }
}

static void begin_survey(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    explorer_want(&s->explorer);
    survey_init(&s->survey, now_us + SURVEY_US);
    s->surveying = true;
    s->survey_began_us = now_us;
    s->survey_late = false;
    s->survey_published = 0;
    ask_from(ep, now_us, PUNCH_DATA_SOCKET);
    ask_from(ep, now_us, SESSION_BARE);
    step_survey(ep, now_us);
}

void warm_start(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    s->attested = false;
    s->keepalive.tries = s->bare_keepalive.tries = 0;
    /* Nothing was asked yet: nobody must be able to guess what would count as an answer. */
    identity_random(NULL, &s->keepalive.transactions[0][0], sizeof s->keepalive.transactions);
    identity_random(NULL, &s->bare_keepalive.transactions[0][0],
                    sizeof s->bare_keepalive.transactions);
    s->keepalive.next_us = UINT64_MAX;
    s->bare_keepalive.next_us = UINT64_MAX;
    memset(s->reflexive, 0, sizeof s->reflexive);
    memset(&s->profile, 0, sizeof s->profile);
    begin_survey(ep, now_us);
    if (s->bounce_count > 0) {
        send_keepalive(ep, now_us);
        send_bare_keepalive(ep, now_us);
    }
}

void warm_stop(struct session *s)
{
    s->surveying = false;
    explorer_stop(&s->explorer);
    s->attested = false;
    s->keepalive.next_us = UINT64_MAX;
    s->bare_keepalive.next_us = UINT64_MAX;
}

void warm_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    if (now_us >= s->keepalive.next_us) {
        send_keepalive(ep, now_us);
    }
    if (now_us >= s->bare_keepalive.next_us) {
        send_bare_keepalive(ep, now_us);
    }
    step_survey(ep, now_us);
    explorer_step(ep, now_us);
}

uint64_t warm_next_timeout(const struct eyelet_endpoint *ep)
{
    const struct session *s = &ep->session;
    uint64_t next = s->keepalive.next_us;
    next = s->bare_keepalive.next_us < next ? s->bare_keepalive.next_us : next;
    if (s->surveying) {
        uint64_t survey = survey_next_timeout(&s->survey);
        next = survey < next ? survey : next;
        if (!s->announced) {
            uint64_t decision =
                s->survey_began_us + (s->survey_late ? SURVEY_US : SURVEY_PATIENCE_US);
            next = decision < next ? decision : next;
        }
    }
    uint64_t explorer = explorer_next_timeout(ep);
    return explorer < next ? explorer : next;
}

static bool keepalive_answer(struct eyelet_endpoint *ep, uint64_t now_us,
                             const struct stun_message *msg)
{
    struct session *s = &ep->session;
    if (s->state != SESSION_UP || !is_answer(&s->keepalive, msg)) {
        return false;
    }
    if (!stun_integrity_sha256_ok(msg, s->session_key, sizeof s->session_key)) {
        return true;
    }
    bool moved = s->attested && !stun_addr_equal(&msg->mapped, &s->reflexive[PUNCH_DATA_SOCKET]) &&
                 nat_profile_is_consistent(&s->profile);
    s->attested = true;
    s->keepalive.tries = 0;
    s->keepalive.next_us = now_us + keepalive_us(s);
    if (s->reflexive[PUNCH_DATA_SOCKET].family == STUN_NO_FAMILY) {
        s->reflexive[PUNCH_DATA_SOCKET] = msg->mapped;
    }
    if (moved && !s->surveying) { /* the NAT was rebooted, or we are somewhere else: learn anew */
        begin_survey(ep, now_us);
    }
    step_survey(ep, now_us);
    return true;
}

static bool bare_answer(struct session *s, uint64_t now_us, const struct stun_message *msg)
{
    if (s->state != SESSION_UP || !is_answer(&s->bare_keepalive, msg)) {
        return false;
    }
    s->bare_keepalive.tries = 0;
    s->bare_keepalive.next_us = now_us + keepalive_us(s);
    s->reflexive[SESSION_BARE] = msg->mapped;
    return true;
}

bool session_stun(struct eyelet_endpoint *ep, uint64_t now_us, unsigned socket,
                  const struct stun_addr *from, const uint8_t *bytes, size_t size)
{
    struct session *s = &ep->session;
    struct stun_message msg;
    if (stun_parse(bytes, size, &msg) != STUN_OK) {
        return false;
    }
    if (socket == PUNCH_DATA_SOCKET && keepalive_answer(ep, now_us, &msg)) {
        return true;
    }
    if (socket == SESSION_BARE && bare_answer(s, now_us, &msg)) {
        return true;
    }
    if (s->surveying && survey_input(&s->survey, now_us, socket, from, &msg)) {
        step_survey(ep, now_us);
        return true;
    }
    return false;
}

void session_bare_replaced(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    memset(&s->reflexive[SESSION_BARE], 0, sizeof s->reflexive[SESSION_BARE]);
    if (s->state == SESSION_UP && s->bounce_count > 0) {
        s->bare_keepalive.tries = 0;
        send_bare_keepalive(ep, now_us);
    }
}
