/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/warm.h"

#include <stdio.h>
#include <string.h>

#include "peer/endpoint.h"

/* Half of the shortest lifetime seen in home gateways (30 s after one direction), with a margin. */
#define KEEPALIVE_US       14000000u
#define KEEPALIVE_LEAST_US 4000000u
#define KEEPALIVE_MOST_US  28000000u /* a NAT may have rebooted */
#define KEEPALIVE_LOST     5         /* so many unanswered, and so long: not attested any more */
#define KEEPALIVE_LOST_US  1000000u
#define TOUCH_US           50000u
#define SURVEY_US          2000000u
#define SURVEY_PATIENCE_US 250000u /* what is known by then is published; the rest follows */

static bool is_bare(unsigned socket)
{
    return socket == SESSION_BARE || socket == SESSION_BARE_IPV6;
}

/* Not before the answer can have come: a NAT may give the next bounce endpoint another address, and
 * that one would be attested instead. */
static uint64_t keepalive_wait_us(const struct session *s, unsigned tries)
{
    static const uint32_t waits[] = {20000,   60000,   140000,  300000,  600000,  1000000, 2000000,
                                     2000000, 2000000, 2000000, 2000000, 2000000, 6000000};
    size_t last = sizeof waits / sizeof *waits - 1;
    return s->round_trip_us + waits[tries < last ? tries : last];
}

static uint8_t *new_transaction(struct keepalive *k)
{
    uint8_t *transaction = k->transactions[k->tries % KEEPALIVE_TRIES];
    identity_random(NULL, transaction, STUN_TRANSACTION_BYTES);
    return transaction;
}

static void take_nonce(struct keepalive *k, const uint8_t *nonce, size_t bytes)
{
    memcpy(k->nonce, nonce, bytes);
    k->nonce_bytes = bytes;
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
static uint64_t keepalive_us(const struct session *s, unsigned socket)
{
    uint64_t half = s->profile.lifetime_s * UINT64_C(500000);
    if (half == 0 || session_is_ipv6(socket)) { /* the lifetime is that of the IPv4 NAT */
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

/* The bounce endpoints that a socket can speak to. */
static const struct stun_addr *bounce_of(const struct session *s, unsigned socket, size_t *count)
{
    bool ipv6 = session_is_ipv6(socket);
    *count = ipv6 ? s->bounce_count - s->bounce_ipv4_count : s->bounce_ipv4_count;
    return &s->bounce[ipv6 ? s->bounce_ipv4_count : 0];
}

static size_t bounce_index(const struct session *s, unsigned socket, const struct stun_addr *which)
{
    size_t count, i = 0;
    const struct stun_addr *bounce = bounce_of(s, socket, &count);
    while (i < count && !stun_addr_equal(&bounce[i], which)) {
        i++;
    }
    return i;
}

static bool any_attested(const struct session *s)
{
    return s->attested[STUN_IPV4] || s->attested[STUN_IPV6];
}

static size_t write_keepalive(struct session *s, unsigned socket, uint8_t packet[static 160])
{
    char username[2 * WIRE_SESSION_ID_BYTES + 1];
    struct keepalive *k = &s->keepalives[socket];
    struct stun_builder b;
    stun_begin(&b, packet, 160, STUN_BINDING_REQUEST, new_transaction(k));
    if (!is_bare(socket)) {
        hex(s->session_id, sizeof s->session_id, username);
        stun_add_bytes(&b, STUN_USERNAME, username, strlen(username));
        if (k->nonce_bytes > 0) {
            stun_add_bytes(&b, STUN_NONCE, k->nonce, k->nonce_bytes);
        }
        stun_add_u64(&b, STUN_EYELET_SEQUENCE, ++s->sequence);
        stun_add_integrity_sha256(&b, s->session_key, sizeof s->session_key);
        stun_add_fingerprint(&b);
    }
    return stun_finish(&b);
}

static void lose(struct eyelet_endpoint *ep, enum stun_family family)
{
    struct session *s = &ep->session;
    s->attested[family] = false;
    if (!any_attested(s)) {
        endpoint_log(ep, EYELET_LOG_WARN, "link down: no bounce server answers over UDP any more");
    }
}

/* False: there is no way to the bounce servers. */
static bool send_keepalive(struct eyelet_endpoint *ep, uint64_t now_us, unsigned socket)
{
    struct session *s = &ep->session;
    struct keepalive *k = &s->keepalives[socket];
    struct udp_socket *udp = &ep->warm[socket];
    uint8_t packet[160];
    size_t count;
    const struct stun_addr *bounce = bounce_of(s, socket, &count);
    if (count == 0 || udp->fd < 0) {
        k->next_us = UINT64_MAX;
        return false;
    }
    /* A dead bounce endpoint must not cost us the mapping: each try asks the next one. */
    const struct stun_addr *to = &bounce[(k->first + k->tries) % count];
    size_t size = write_keepalive(s, socket, packet);
    bool sent = udp_send(udp, to, 0, packet, size, size) == 0;
    k->began_us = k->tries == 0 ? now_us : k->began_us;
    k->next_us = now_us + keepalive_wait_us(s, k->tries++);
    bool lost = k->tries > KEEPALIVE_LOST && now_us - k->began_us >= KEEPALIVE_LOST_US;
    if (!sent && lost) {
        k->next_us = now_us + KEEPALIVE_US; /* a way that appears is told by netwatch */
    }
    if (!is_bare(socket) && lost && s->attested[udp->family]) {
        lose(ep, (enum stun_family)udp->family);
    }
    return sent;
}

static void send_keepalives(struct eyelet_endpoint *ep, uint64_t now_us)
{
    ep->session.touched_us = now_us;
    (void)send_keepalive(ep, now_us, PUNCH_DATA_SOCKET);
    (void)send_keepalive(ep, now_us, SESSION_IPV6);
}

static void send_bare_keepalives(struct eyelet_endpoint *ep, uint64_t now_us)
{
    (void)send_keepalive(ep, now_us, SESSION_BARE);
    (void)send_keepalive(ep, now_us, SESSION_BARE_IPV6);
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
            s->stale[seen[i].socket] = false;
        }
    }
    session_publish(ep);
}

static void announce(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    char text[STUN_ADDR_TEXT_BYTES], text6[STUN_ADDR_TEXT_BYTES];
    s->announced = true;
    ep->news_registered = true;
    ep->news_lost = false;
    ep->lost_error = EYELET_OK;
    calls_announced(ep);
    if (s->survey_published == 0 && !any_attested(s)) {
        endpoint_log(
            ep, EYELET_LOG_WARN,
            "link down: no bounce server answers over UDP; punching is tried all the same");
    }
    endpoint_log(ep, EYELET_LOG_INFO,
                 "registered after %llu ms: public address %s, by IPv6 %s, mapping %s, "
                 "allocation %s",
                 (unsigned long long)((now_us - s->survey_began_us) / 1000),
                 stun_addr_text(&s->reflexive[PUNCH_DATA_SOCKET], text),
                 stun_addr_text(&s->reflexive[SESSION_IPV6], text6),
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
    bool over = now_us - s->survey_began_us >= SURVEY_US || s->bounce_count == 0 ||
                relay_is_open(ep); /* calls can be made and taken without UDP */
    bool attested = any_attested(s);
    bool became_late = !s->survey_late && now_us - s->survey_began_us >= SURVEY_PATIENCE_US;
    s->survey_late = s->survey_late || became_late;
    if (done || s->survey_late) {
        publish_survey(ep);
    }
    if (became_late && s->survey_published == 0) {
        session_publish(ep); /* with the guess that is left without any bounce server */
    }
    if (!s->announced && (over || (attested && (done || s->survey_late)))) {
        announce(ep, now_us);
    }
    s->surveying = !(done && s->announced);
}

static void ask_from(struct eyelet_endpoint *ep, uint64_t now_us, unsigned socket)
{
    struct session *s = &ep->session;
    for (size_t i = 0; i < s->bounce_ipv4_count; i++) {
        struct survey_question q = {.socket = (uint16_t)socket,
                                    .server = s->bounce[i],
                                    .local = session_own_address(ep, STUN_IPV4)};
        q.local.port = ep->warm[socket].port;
        (void)survey_ask(&s->survey, now_us, &q, identity_random, NULL);
    }
}

/* Without any way to the bounce servers by IPv4 there is no NAT to learn about. */
static bool has_ipv4(const struct session *s)
{
    return s->bounce_ipv4_count > 0 && interfaces_source_to(&s->bounce[0]).family != STUN_NO_FAMILY;
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
    if (has_ipv4(s)) {
        ask_from(ep, now_us, PUNCH_DATA_SOCKET);
        ask_from(ep, now_us, SESSION_BARE);
    }
    step_survey(ep, now_us);
}

void warm_start(struct eyelet_endpoint *ep, uint64_t now_us, const uint8_t *nonce,
                size_t nonce_bytes)
{
    struct session *s = &ep->session;
    warm_stop(s);
    for (unsigned i = 0; i < SESSION_SOCKETS; i++) {
        struct keepalive *k = &s->keepalives[i];
        *k = (struct keepalive){0};
        /* Nothing was asked yet: nobody must be able to guess what would count as an answer. */
        identity_random(NULL, &k->transactions[0][0], sizeof k->transactions);
        if (ep->warm[i].family == s->seen.family) {
            take_nonce(k, nonce, nonce_bytes);
        }
    }
    memset(s->stale, true, sizeof s->stale);
    memset(&s->profile, 0, sizeof s->profile);
    begin_survey(ep, now_us);
    send_keepalives(ep, now_us);
    send_bare_keepalives(ep, now_us);
}

void warm_stop(struct session *s)
{
    s->surveying = false;
    explorer_stop(&s->explorer);
    memset(s->attested, 0, sizeof s->attested);
    memset(s->bounce_answered, 0, sizeof s->bounce_answered);
    for (unsigned i = 0; i < SESSION_SOCKETS; i++) {
        s->keepalives[i].next_us = UINT64_MAX;
    }
}

void warm_moved(struct eyelet_endpoint *ep, uint64_t now_us,
                const bool other_source[static SESSION_FAMILIES])
{
    struct session *s = &ep->session;
    for (unsigned i = 0; i < SESSION_SOCKETS; i++) {
        s->keepalives[i].tries = 0;
        if (other_source[ep->warm[i].family]) {
            s->stale[i] = true;
        }
    }
    if (other_source[STUN_IPV4]) {
        memset(&s->profile, 0, sizeof s->profile);
        memset(&s->mapped, 0, sizeof s->mapped);
        memset(&s->gateway, 0, sizeof s->gateway);
    }
    interfaces_look(&s->hosts);
    send_keepalives(ep, now_us);
    send_bare_keepalives(ep, now_us);
    if (other_source[STUN_IPV4] || !other_source[STUN_IPV6]) {
        begin_survey(ep, now_us);
    }
}

void warm_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us)
{
    for (unsigned i = 0; i < SESSION_SOCKETS; i++) {
        if (now_us >= ep->session.keepalives[i].next_us) {
            (void)send_keepalive(ep, now_us, i);
        }
    }
    step_survey(ep, now_us);
    explorer_step(ep, now_us);
}

uint64_t warm_next_timeout(const struct eyelet_endpoint *ep)
{
    const struct session *s = &ep->session;
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < SESSION_SOCKETS; i++) {
        next = s->keepalives[i].next_us < next ? s->keepalives[i].next_us : next;
    }
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

/* The address of the data socket has changed where it should not: the NAT was rebooted, or we are
 * somewhere else. */
static bool has_moved(const struct session *s, unsigned socket, const struct stun_addr *mapped)
{
    const struct stun_addr *before = &s->reflexive[socket];
    return before->family != STUN_NO_FAMILY && !s->stale[socket] &&
           !stun_addr_equal(mapped, before) &&
           (socket == SESSION_IPV6 || nat_profile_is_consistent(&s->profile));
}

bool session_is_bounce(const struct session *s, const struct stun_addr *from)
{
    for (size_t i = 0; i < s->bounce_count; i++) {
        if (stun_addr_equal(&s->bounce[i], from)) {
            return true;
        }
    }
    return false;
}

static void follow_answer(struct eyelet_endpoint *ep, uint64_t now_us, unsigned socket,
                          const struct stun_addr *mapped)
{
    struct session *s = &ep->session;
    bool moved = has_moved(s, socket, mapped);
    bool is_new = moved || s->stale[socket] || s->reflexive[socket].family == STUN_NO_FAMILY;
    if (is_new) {
        s->reflexive[socket] = *mapped;
        s->stale[socket] = false;
    }
    if (moved && socket == PUNCH_DATA_SOCKET && !s->surveying) { /* learn anew */
        begin_survey(ep, now_us);
    }
    step_survey(ep, now_us);
    /* What the survey finds out is published with its end. */
    if (moved || (is_new && (s->announced || s->survey_published > 0))) {
        session_publish(ep);
    }
    if (moved) {
        session_check(ep, now_us); /* a NAT that was rebooted has forgotten that connection, too */
        conns_moved(ep, now_us);
    }
}

/* False: the keepalive did what it was for. Otherwise the mediator wants to see that we receive
 * here, and is shown at once. A challenge in answer to what has just echoed one is met at the pace
 * of what is unanswered, since a mediator could ask for ever. */
static bool echo_nonce(struct eyelet_endpoint *ep, uint64_t now_us, unsigned socket,
                       const struct stun_message *msg)
{
    struct keepalive *k = &ep->session.keepalives[socket];
    size_t bytes;
    const uint8_t *nonce = stun_find(msg, STUN_NONCE, &bytes);
    if (nonce == NULL || bytes == 0 || bytes > sizeof k->nonce) {
        return false;
    }
    bool is_known = bytes == k->nonce_bytes && memcmp(nonce, k->nonce, bytes) == 0;
    take_nonce(k, nonce, bytes);
    if (!is_known && !k->challenged) { /* else a late answer to what went before the echo */
        k->challenged = true;
        k->tries = 0;
        (void)send_keepalive(ep, now_us, socket);
    }
    return true;
}

static bool keepalive_answer(struct eyelet_endpoint *ep, uint64_t now_us, unsigned socket,
                             const struct stun_addr *from, const struct stun_message *msg)
{
    struct session *s = &ep->session;
    struct keepalive *k = &s->keepalives[socket];
    unsigned family = ep->warm[socket].family;
    if (s->state != SESSION_UP || !is_answer(k, msg)) {
        return false;
    }
    if (!stun_integrity_sha256_ok(msg, s->session_key, sizeof s->session_key) ||
        !session_is_bounce(s, from) || msg->mapped.family != family) {
        return true;
    }
    s->attested[family] = true;
    s->bounce_answered[family] = *from;
    k->first = bounce_index(s, socket, from);
    if (!echo_nonce(ep, now_us, socket, msg)) {
        k->challenged = false;
        k->tries = 0;
        k->next_us = now_us + keepalive_us(s, socket);
    }
    follow_answer(ep, now_us, socket, &msg->mapped);
    return true;
}

static bool bare_answer(struct session *s, uint64_t now_us, unsigned socket,
                        const struct stun_message *msg)
{
    struct keepalive *k = &s->keepalives[socket];
    if (s->state != SESSION_UP || !is_answer(k, msg)) {
        return false;
    }
    k->tries = 0;
    k->next_us = now_us + keepalive_us(s, socket);
    s->reflexive[socket] = msg->mapped;
    s->stale[socket] = false;
    return true;
}

bool session_is_ipv6(unsigned socket)
{
    return socket == SESSION_IPV6 || socket == SESSION_BARE_IPV6;
}

bool session_stun(struct eyelet_endpoint *ep, uint64_t now_us, unsigned socket,
                  const struct stun_addr *from, const uint8_t *bytes, size_t size)
{
    struct session *s = &ep->session;
    struct stun_message msg;
    if (stun_parse(bytes, size, &msg) != STUN_OK) {
        return false;
    }
    if (is_bare(socket) ? bare_answer(s, now_us, socket, &msg)
                        : keepalive_answer(ep, now_us, socket, from, &msg)) {
        return true;
    }
    if (s->surveying && survey_input(&s->survey, now_us, socket, from, &msg)) {
        step_survey(ep, now_us);
        return true;
    }
    return false;
}

bool session_is_attested(const struct eyelet_endpoint *ep, enum stun_family family)
{
    return ep->session.attested[family];
}

void session_touch(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct session *s = &ep->session;
    if (s->state == SESSION_UP && now_us - s->touched_us >= TOUCH_US) {
        send_keepalives(ep, now_us);
    }
}

void session_bare_replaced(struct eyelet_endpoint *ep, uint64_t now_us, unsigned socket)
{
    struct session *s = &ep->session;
    memset(&s->reflexive[socket], 0, sizeof s->reflexive[socket]);
    if (s->state == SESSION_UP) {
        s->keepalives[socket].tries = 0;
        (void)send_keepalive(ep, now_us, socket);
    }
}
