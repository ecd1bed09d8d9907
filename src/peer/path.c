/* SPDX-License-Identifier: BSD-2-Clause */
/* The path that a connection has: what the application is told of it, and the size of its
 * datagrams. */
#include <string.h>

#include "peer/endpoint.h"

#define PROBE_TRIES     4
#define BARE_HEARD_US   60000u
#define BARE_UNHEARD_US 300000u
#define BARE_AGAIN_US   20000u
#define BARE_AGREE_US   2000000u /* by then it is handed over in any case */
#define PROBE_WAIT_US   150000u

/* A connectivity check as long as the largest datagram: whoever answers it has received it whole.
 */
void path_probe_size(struct eyelet_conn *conn, uint64_t now_us)
{
    static const uint8_t zeros[LINK_MAX_DATAGRAM_BYTES];
    enum { INTEGRITY_AND_FINGERPRINT_BYTES = 24 + 8, ATTRIBUTE_HEADER_BYTES = 4 };
    uint8_t packet[LINK_MAX_DATAGRAM_BYTES];
    char username[2 * DIAL_UFRAG_BYTES + 2];
    const struct dial_keys *k = &conn->keys;
    const char *mine = conn->caller ? k->caller_ufrag : k->callee_ufrag;
    const char *theirs = conn->caller ? k->callee_ufrag : k->caller_ufrag;
    const char *password = conn->caller ? k->callee_password : k->caller_password;
    if (conn->size.tries++ == PROBE_TRIES) {
        conn->size.next_us = UINT64_MAX; /* the path carries small datagrams only */
        return;
    }
    conn->size.next_us = now_us + PROBE_WAIT_US * conn->size.tries;
    size_t at = strlen(theirs);
    memcpy(username, theirs, at);
    username[at++] = ':';
    memcpy(username + at, mine, strlen(mine));
    at += strlen(mine);
    struct stun_builder b;
    stun_begin(&b, packet, sizeof packet, STUN_BINDING_REQUEST, conn->size.transaction);
    stun_add_bytes(&b, STUN_USERNAME, username, at);
    stun_add_u32(&b, STUN_PRIORITY, 1);
    stun_add_u64(&b, conn->caller ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED, 1);
    stun_add_bytes(&b, STUN_PADDING, zeros,
                   sizeof packet - b.size - ATTRIBUTE_HEADER_BYTES -
                       INTEGRITY_AND_FINGERPRINT_BYTES);
    stun_add_integrity(&b, (const uint8_t *)password, strlen(password));
    stun_add_fingerprint(&b);
    size_t size = stun_finish(&b);
    struct udp_socket *s = conn_socket(conn, conn->size.pair.socket);
    if (size > 0 && s != NULL) {
        (void)udp_send(s, &conn->size.pair.remote, 0, packet, size, size);
    }
}

static void start_size_probe(struct eyelet_conn *conn, uint64_t now_us)
{
    conn->datagram_bytes = LINK_MIN_DATAGRAM_BYTES;
    if (conn->link == NULL) {
        return;
    }
    if (conn->path_up) { /* what the last path carried, this one may swallow */
        link_set_path(conn->link, now_us, true, conn->datagram_bytes);
    }
    if (conn->was_silent) {
        conn->was_silent = false;
        conn_leap(conn, now_us);
    }
    conn->size.pair = conn->pair;
    conn->size.tries = 0;
    conn->size.next_us = now_us;
    identity_random(NULL, conn->size.transaction, sizeof conn->size.transaction);
    path_probe_size(conn, now_us);
}

bool path_size_answered(struct eyelet_conn *conn, uint64_t now_us, const uint8_t *bytes,
                        size_t size)
{
    struct stun_message msg;
    const char *password = conn->caller ? conn->keys.callee_password : conn->keys.caller_password;
    if (conn->size.next_us == UINT64_MAX || stun_parse(bytes, size, &msg) != STUN_OK ||
        msg.type != STUN_BINDING_SUCCESS ||
        memcmp(msg.transaction, conn->size.transaction, STUN_TRANSACTION_BYTES) != 0 ||
        !stun_integrity_ok(&msg, (const uint8_t *)password, strlen(password))) {
        return false;
    }
    conn->size.next_us = UINT64_MAX;
    conn->datagram_bytes = LINK_MAX_DATAGRAM_BYTES;
    if (conn->path_up) {
        link_set_path(conn->link, now_us, true, conn->datagram_bytes);
    }
    return true;
}

static const char *local_text(enum punch_technique technique)
{
    switch (technique) {
    case PUNCH_TECHNIQUE_PRIVATE:
        return "host";
    case PUNCH_TECHNIQUE_PEER_REFLEXIVE:
        return "prflx";
    case PUNCH_TECHNIQUE_PREDICTED:
        return "predicted";
    case PUNCH_TECHNIQUE_PORT_MAPPED:
        return "portmap";
    case PUNCH_TECHNIQUE_BIRTHDAY:
        return "birthday";
    case PUNCH_TECHNIQUE_BLOCK:
        return "block";
    case PUNCH_TECHNIQUE_HAIRPIN:
        return "hairpin";
    default:
        return "srflx";
    }
}

static enum punch_technique technique_of(enum punch_kind kind)
{
    switch (kind) {
    case PUNCH_HOST:
        return PUNCH_TECHNIQUE_PRIVATE;
    case PUNCH_PEER_REFLEXIVE:
        return PUNCH_TECHNIQUE_PEER_REFLEXIVE;
    case PUNCH_PREDICTED:
        return PUNCH_TECHNIQUE_PREDICTED;
    case PUNCH_PORT_MAPPED:
        return PUNCH_TECHNIQUE_PORT_MAPPED;
    default:
        return PUNCH_TECHNIQUE_PUBLIC;
    }
}

static bool same_pair(const struct punch_pair *a, const struct punch_pair *b)
{
    return a->socket == b->socket && stun_addr_equal(&a->remote, &b->remote);
}

static void show_path(struct eyelet_conn *conn, uint64_t now_us, const struct punch_pair *pair,
                      enum punch_technique technique, uint64_t rtt_us)
{
    char text[STUN_ADDR_TEXT_BYTES];
    bool is_first_usable = conn->usable_us != 0 && same_pair(pair, &conn->usable);
    conn->technique = technique;
    conn->path.direct = true;
    conn->path.local = local_text(technique);
    conn->path.remote_bytes = udp_sockaddr(&pair->remote, &conn->path.remote);
    conn->path.rtt_us = (uint32_t)(rtt_us < UINT32_MAX ? rtt_us : UINT32_MAX);
    if (conn->carrier == CONN_DIRECT && same_pair(pair, &conn->pair)) {
        return; /* only its round trip is news, and that is asked for */
    }
    conn->carrier = CONN_DIRECT;
    conn->stranded_us = UINT64_MAX;
    conn->failure = PUNCH_FAILURE_NONE;
    conn->pair = *pair;
    conn->path.since_dial_us = (is_first_usable ? conn->usable_us : now_us) - conn->began_us;
    conn->news |= CONN_NEWS_PATH;
    endpoint_log(conn->ep, EYELET_LOG_INFO, "direct path to %s (%s) after %llu ms",
                 stun_addr_text(&pair->remote, text), punch_technique_text(technique),
                 (unsigned long long)(conn->path.since_dial_us / 1000));
    conn_tell(conn, "path", "direct to %s (%s)", stun_addr_text(&pair->remote, text),
              punch_technique_text(technique));
}

void path_proven(struct eyelet_conn *conn, uint64_t now_us, const struct punch_event *event)
{
    bool moved = !conn->has_path || !same_pair(&conn->pair, &event->pair);
    show_path(conn, now_us, &event->pair, event->technique, event->rtt_us);
    conn->has_path = true;
    conn_report(conn, wire_Outcome_OUTCOME_DIRECT);
    if (conn->bare && conn->state == CONN_PUNCHING) {
        /* The peer's own check must still find the engine at home, also the next one. */
        uint64_t wait_us = conn->usable_us != 0 ? BARE_HEARD_US : BARE_UNHEARD_US;
        conn->bare_ready_us = now_us + 2 * event->rtt_us + wait_us;
        conn->bare_agreed_by_us = now_us + BARE_AGREE_US;
    } else if (moved) {
        start_size_probe(conn, now_us);
    }
}

/* There are two sockets, and both sides must give the same one away; and whoever goes first leaves
 * the other's checks without an answer. */
void path_hand_over(struct eyelet_conn *conn, uint64_t now_us)
{
    bool punching = conn->state == CONN_PUNCHING;
    if (punching && !punch_is_agreed(conn->punch) && now_us < conn->bare_agreed_by_us) {
        conn->bare_ready_us = now_us + BARE_AGAIN_US;
        return;
    }
    conn->bare_ready_us = UINT64_MAX;
    if (punching) {
        conn->state = CONN_OPEN;
        conn->was_open = true;
        conn->news |= CONN_NEWS_CONNECTED;
    }
}

/* No check of ours is answered yet, and maybe none of the peer's was heard, but the handshake came
 * this way. */
void path_usable(struct eyelet_conn *conn, uint64_t now_us)
{
    if (conn->usable_us == 0) {
        conn->usable = conn->heard_from;
        conn->usable_us = now_us;
        conn->usable_kind =
            stun_addr_is_private(&conn->heard_from.remote) ? PUNCH_HOST : PUNCH_SERVER_REFLEXIVE;
    }
    show_path(conn, now_us, &conn->usable, technique_of(conn->usable_kind), 0);
}

static void relay_from_now_on(struct eyelet_conn *conn, uint64_t now_us)
{
    conn->has_path = false;
    conn->was_silent = true;
    conn->size.next_us = UINT64_MAX;
    conn->datagram_bytes = LINK_MIN_DATAGRAM_BYTES;
    conn_leap(conn, now_us);
}

void path_doubted(struct eyelet_conn *conn, uint64_t now_us)
{
    conn_tell(conn, "silent", "nothing is heard on the path any more");
    relay_from_now_on(conn, now_us);
    conn->usable_us = 0;
    /* If it is our own NAT that has forgotten us, the relay must learn our new address. */
    session_touch(conn->ep, now_us);
    if (relay_way(conn) != RELAY_NONE) {
        conn->carrier = CONN_NO_CARRIER; /* path_follow says by what */
    }
}

void path_lost(struct eyelet_conn *conn, uint64_t now_us)
{
    conn->bare_ready_us = UINT64_MAX;
    endpoint_log(conn->ep, EYELET_LOG_WARN, "the path was lost; punching again");
    conn_tell(conn, "lost", "the direct path was given up; punching again");
    if (conn->has_path) {
        relay_from_now_on(conn, now_us);
        session_touch(conn->ep, now_us);
    }
    if (conn->carrier == CONN_DIRECT) {
        conn->carrier = CONN_NO_CARRIER;
        conn->news |= CONN_NEWS_PATH;
    }
    conn->usable_us = 0;
    calls_resume(conn);
}

void path_failed(struct eyelet_conn *conn, const struct punch_event *event)
{
    struct diagnosis d;
    conn->failure = event->failure;
    conn->failure_error = event->error;
    conn->usable_us = 0;
    if (conn->carrier == CONN_DIRECT && !conn->has_path) {
        conn->carrier = CONN_NO_CARRIER; /* path_follow says by what */
        conn->news |= CONN_NEWS_PATH;
    }
    why_diagnose(conn, &d);
    if ((conn->relay_open || conn->relay_resuming) && conn->policy != EYELET_DIRECT_ONLY) {
        conn_tell(conn, "relay", "no direct path: %s", d.reason);
        conn_report(conn, wire_Outcome_OUTCOME_RELAYED);
        return;
    }
    bool refused = conn->relay_refusal[0] != '\0';
    bool unwanted = !refused && !conn->bare && conn->policy == EYELET_ANY_PATH;
    int error =
        refused && conn->policy != EYELET_DIRECT_ONLY ? EYELET_ERR_RELAY : EYELET_ERR_NO_PATH;
    conn_fail(conn, conn->was_open ? EYELET_ERR_TIMEOUT : error, "no direct path: %s%s%s%s%s",
              d.reason, d.remedy[0] != '\0' ? ". " : "", d.remedy,
              refused    ? ". The mediator does not relay: "
              : unwanted ? ". The peer wants no relay"
                         : "",
              conn->relay_refusal);
}

static const char *relay_text(const struct eyelet_conn *conn)
{
    return relay_way(conn) == RELAY_UDP ? "relay-udp" : "relay-tls";
}

static void show_relay(struct eyelet_conn *conn, uint64_t now_us)
{
    struct stun_addr remote = relay_address(conn);
    conn->carrier = CONN_RELAYED;
    conn->path =
        (struct eyelet_path){.local = relay_text(conn), .since_dial_us = now_us - conn->began_us};
    conn->path.remote_bytes = udp_sockaddr(&remote, &conn->path.remote);
    conn->news |= CONN_NEWS_PATH;
    conn_tell(conn, "path", "by the relay of the mediator, over %s",
              relay_way(conn) == RELAY_UDP ? "UDP" : "TLS");
}

void path_follow(struct eyelet_conn *conn, uint64_t now_us)
{
    bool relayed = relay_way(conn) != RELAY_NONE;
    if (conn->state != CONN_OPEN || conn->has_path) {
        return;
    }
    bool is_shown =
        conn->carrier == CONN_RELAYED && strcmp(conn->path.local, relay_text(conn)) == 0;
    if (relayed && conn->carrier != CONN_DIRECT && !is_shown) {
        show_relay(conn, now_us);
    } else if (!relayed && conn->carrier == CONN_RELAYED) {
        conn->carrier = CONN_NO_CARRIER;
        conn->news |= CONN_NEWS_PATH;
        conn_tell(conn, "lost", "the relay cannot be reached");
    }
    if (conn->carrier != CONN_NO_CARRIER) {
        conn->stranded_us = UINT64_MAX;
    } else if (conn->stranded_us == UINT64_MAX) {
        conn->stranded_us = now_us;
    }
}
