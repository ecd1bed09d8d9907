/* SPDX-License-Identifier: BSD-2-Clause */
/* What the application can ask about what stands between us and the Internet. */
#include <string.h>

#include "peer/endpoint.h"

static bool is_shared_space(const struct stun_addr *addr) /* RFC 6598 */
{
    return addr->family == STUN_IPV4 && addr->ip[0] == 100 && (addr->ip[1] & 0xc0) == 0x40;
}

/* Above the first router is another NAT: its outer address is not the one that the world sees, or
 * it is one that only providers give out. Where the router does not say, the distance of the
 * outermost NAT tells: one that stands at the first hop lets packets out with a TTL of two. */
bool nat_is_behind_provider(const struct eyelet_endpoint *ep)
{
    const struct session *s = &ep->session;
    const struct stun_addr *seen = &s->reflexive[PUNCH_DATA_SOCKET];
    const struct stun_addr *router = &s->gateway;
    if (router->family == STUN_NO_FAMILY) {
        router = &ep->mapping.state.router;
    }
    if (seen->family == STUN_NO_FAMILY || s->profile.mapping == NAT_MAPPING_NONE) {
        return false;
    }
    if (is_shared_space(&s->hosts.source[STUN_IPV4]) || is_shared_space(router)) {
        return true;
    }
    return router->family != STUN_NO_FAMILY ? !stun_addr_same_ip(router, seen)
                                            : s->profile.opener_ttl > 2;
}

static socklen_t fill_address(const struct eyelet_endpoint *ep, unsigned socket,
                              struct sockaddr_storage *out)
{
    const struct session *s = &ep->session;
    return s->reflexive[socket].family != STUN_NO_FAMILY && !s->stale[socket]
               ? udp_sockaddr(&s->reflexive[socket], out)
               : 0;
}

int eyelet_nat_profile(const eyelet_endpoint *ep, eyelet_nat *nat)
{
    if (ep == NULL || nat == NULL || nat->size < sizeof nat->size || nat->size > sizeof *nat) {
        return EYELET_ERR_ARGUMENT;
    }
    const struct session *s = &ep->session;
    eyelet_nat out = {.size = nat->size};
    why_nat(&s->profile, &out);
    out.settled = s->state == SESSION_UP && s->explorer.running && s->profile.endpoints_seen > 0 &&
                  explore_is_settled(&s->explorer.machine);
    out.complete = out.settled && s->explorer.machine.phase == EXPLORE_DONE;
    out.public_address_bytes = fill_address(ep, PUNCH_DATA_SOCKET, &out.public_address);
    out.udp = session_is_attested(ep, STUN_IPV4) || session_is_attested(ep, STUN_IPV6);
    out.behind_provider = nat_is_behind_provider(ep);
    out.public_ipv6_bytes = fill_address(ep, SESSION_IPV6, &out.public_ipv6);
    out.port_mapping = mapping_text(ep);
    if (s->mapped.family != STUN_NO_FAMILY) {
        out.mapped_address_bytes = udp_sockaddr(&s->mapped, &out.mapped_address);
    }
    if (s->state == SESSION_UP) {
        out.mediator_rtt_us = s->round_trip_us < UINT32_MAX ? (uint32_t)s->round_trip_us : 0;
        out.relay = s->relay_offered;
    }
    memcpy(nat, &out, nat->size);
    return s->announced ? EYELET_OK : EYELET_ERR_AGAIN;
}
