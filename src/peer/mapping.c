/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/mapping.h"

#include <string.h>

#include "peer/endpoint.h"

#define PROOF_TRIES   4
#define MOVED_US      1000000u
#define PROOF_WAIT_US 300000u

void mapping_init(struct mapping *m)
{
    *m = (struct mapping){.next_us = UINT64_MAX};
}

void mapping_start(struct eyelet_endpoint *ep)
{
    struct mapping *m = &ep->mapping;
    struct portmap_config config = {.internal_port = ep->warm[PUNCH_DATA_SOCKET].port};
    if (m->tried || ep->no_port_mapping || ep->policy == EYELET_RELAY_ONLY ||
        ep->session.profile.mapping == NAT_MAPPING_NONE) {
        return;
    }
    m->tried = true;
    m->portmap = portmap_start(&config);
    if (m->portmap != NULL) {
        (void)endpoint_watch(ep, portmap_fd(m->portmap), false, m);
    }
}

void mapping_stop(struct eyelet_endpoint *ep)
{
    struct mapping *m = &ep->mapping;
    if (m->portmap != NULL) {
        endpoint_unwatch(ep, portmap_fd(m->portmap));
        portmap_stop(m->portmap);
        m->portmap = NULL;
    }
}

void mapping_moved(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct mapping *m = &ep->mapping;
    if (m->portmap == NULL) {
        return;
    }
    portmap_moved(m->portmap, 0);
    if (m->state.status == PORTMAP_MAPPED) { /* to be proven anew, from where we are now */
        m->proven = false;
        m->tries = 0;
        identity_random(NULL, m->transaction, sizeof m->transaction);
        m->next_us = now_us + MOVED_US;
    }
}

static void publish(struct eyelet_endpoint *ep, const struct stun_addr *mapped)
{
    if (!stun_addr_equal(&ep->session.mapped, mapped)) {
        ep->session.mapped = *mapped;
        session_publish(ep);
        endpoint_wake(ep); /* living connections are told as well */
    }
}

/* The outer address of our router in its provider's network, for neighbours behind the same
 * provider's NAT. Most home routers keep the port, if none was mapped. */
static void follow_gateway(struct eyelet_endpoint *ep)
{
    struct mapping *m = &ep->mapping;
    struct stun_addr gateway = {0};
    if (m->state.status == PORTMAP_INNER) {
        gateway = m->state.mapped;
    } else if (m->state.behind_nat) {
        gateway = m->state.router;
        gateway.port = ep->warm[PUNCH_DATA_SOCKET].port;
    }
    if (!stun_addr_equal(&ep->session.gateway, &gateway)) {
        char text[STUN_ADDR_TEXT_BYTES];
        ep->session.gateway = gateway;
        if (gateway.family != STUN_NO_FAMILY) {
            endpoint_log(ep, EYELET_LOG_INFO, "the router's own outer address is %s",
                         stun_addr_text(&gateway, text));
        }
        session_publish(ep);
        endpoint_wake(ep);
    }
}

/* No packet of ours has opened the mapped port: an answer that comes in there shows that the
 * router really lets strangers in. */
static void ask_for_proof(struct eyelet_endpoint *ep, uint64_t now_us)
{
    struct mapping *m = &ep->mapping;
    const struct session *s = &ep->session;
    uint8_t packet[64];
    struct stun_builder b;
    if (m->tries == PROOF_TRIES || s->bounce_ipv4_count == 0 ||
        portmap_proof(&m->state, &s->reflexive[PUNCH_DATA_SOCKET]) != PORTMAP_BY_RESPONSE_PORT) {
        m->next_us = UINT64_MAX;
        return;
    }
    const struct stun_addr *to = &s->bounce[m->tries % s->bounce_ipv4_count];
    m->next_us = now_us + (PROOF_WAIT_US << m->tries++);
    stun_begin(&b, packet, sizeof packet, STUN_BINDING_REQUEST, m->transaction);
    const uint8_t port[4] = {(uint8_t)(m->state.mapped.port >> 8), (uint8_t)m->state.mapped.port};
    stun_add_bytes(&b, STUN_RESPONSE_PORT, port, sizeof port);
    size_t size = stun_finish(&b);
    (void)udp_send(&ep->warm[PUNCH_DATA_SOCKET], to, 0, packet, size, size);
}

void mapping_ready(struct eyelet_endpoint *ep, uint64_t now_us)
{
    static const struct stun_addr none = {0};
    struct mapping *m = &ep->mapping;
    uint32_t generation = m->state.generation;
    if (m->portmap == NULL || !portmap_poll(m->portmap, &m->state)) {
        return;
    }
    follow_gateway(ep);
    if (m->proven && (m->state.status != PORTMAP_MAPPED || m->state.generation != generation)) {
        m->proven = false;
        publish(ep, &none);
    }
    m->next_us = UINT64_MAX;
    if (!m->proven && portmap_proof(&m->state, &ep->session.reflexive[PUNCH_DATA_SOCKET]) ==
                          PORTMAP_BY_RESPONSE_PORT) {
        identity_random(NULL, m->transaction, sizeof m->transaction);
        m->tries = 0;
        ask_for_proof(ep, now_us);
    }
}

bool mapping_stun(struct eyelet_endpoint *ep, const uint8_t *bytes, size_t size)
{
    struct mapping *m = &ep->mapping;
    struct stun_message msg;
    if (m->next_us == UINT64_MAX || stun_parse(bytes, size, &msg) != STUN_OK ||
        msg.type != STUN_BINDING_SUCCESS ||
        memcmp(msg.transaction, m->transaction, STUN_TRANSACTION_BYTES) != 0) {
        return false;
    }
    m->next_us = UINT64_MAX;
    m->proven = true;
    endpoint_log(ep, EYELET_LOG_INFO, "the router has opened a port (%s)",
                 portmap_protocol_name(m->state.protocol));
    publish(ep, &m->state.mapped);
    return true;
}

void mapping_handle_timeout(struct eyelet_endpoint *ep, uint64_t now_us)
{
    if (now_us >= ep->mapping.next_us) {
        ask_for_proof(ep, now_us);
    }
}

const char *mapping_text(const struct eyelet_endpoint *ep)
{
    const struct mapping *m = &ep->mapping;
    if (m->portmap == NULL) {
        return "off";
    }
    if (m->proven) {
        return portmap_protocol_name(m->state.protocol);
    }
    return m->state.status == PORTMAP_ASKING || m->next_us != UINT64_MAX ? "asking" : "none";
}
