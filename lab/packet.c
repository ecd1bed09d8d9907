/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/packet.h"

#include <string.h>

enum { IPV4_HEADER = 20, IPV6_HEADER = 40, ICMP_HEADER = 8, PORTS = 4 };

static uint16_t u16_at(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint16_t folded(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* Puts new bytes over old ones (an even number) that a checksum covers; NULL: none does. */
static void replace(uint8_t *at, const uint8_t *with, size_t size, uint8_t *checksum)
{
    if (checksum) {
        uint32_t sum = (uint16_t)~u16_at(checksum);
        for (size_t i = 0; i < size; i += 2)
            sum += (uint32_t)(uint16_t)~u16_at(at + i) + u16_at(with + i);
        put_u16(checksum, (uint16_t)~folded(sum));
    }
    memcpy(at, with, size);
}

static bool icmp_echo(const uint8_t *icmp, bool v6)
{
    return v6 ? icmp[0] == 128 || icmp[0] == 129 : icmp[0] == 8 || icmp[0] == 0;
}

static bool icmp_error(const uint8_t *icmp, bool v6)
{
    return v6 ? icmp[0] < 128 : icmp[0] == 3 || icmp[0] == 11 || icmp[0] == 12;
}

static bool is_icmp(uint8_t protocol)
{
    return protocol == NAT_MODEL_ICMP || protocol == NAT_MODEL_ICMP6;
}

static bool has_ports(uint8_t protocol)
{
    return protocol == NAT_MODEL_UDP || protocol == NAT_MODEL_TCP;
}

/* Addresses, protocol and where the payload begins. quoted: may be cut short behind its ports. */
static bool read_header(const uint8_t *bytes, size_t size, bool quoted, bool *tail,
                        struct nat_model_packet *flow, size_t *payload)
{
    memset(flow, 0, sizeof(*flow));
    *tail = false;
    if (size >= IPV4_HEADER && bytes[0] >> 4 == 4) {
        size_t header = (size_t)(bytes[0] & 15) * 4;
        if (header < IPV4_HEADER || header > size || (!quoted && u16_at(bytes + 2) != size))
            return false;
        flow->src = stun_addr_from_ip(bytes + 12, 4, 0);
        flow->dst = stun_addr_from_ip(bytes + 16, 4, 0);
        flow->ttl = bytes[8];
        flow->protocol = bytes[9];
        *tail = (u16_at(bytes + 6) & 0x1fff) != 0;
        *payload = header;
        return true;
    }
    if (size >= IPV6_HEADER && bytes[0] >> 4 == 6) {
        flow->src = stun_addr_from_ip(bytes + 8, 16, 0);
        flow->dst = stun_addr_from_ip(bytes + 24, 16, 0);
        flow->ttl = bytes[7];
        flow->protocol = bytes[6];
        *payload = IPV6_HEADER;
        return flow->src.family == STUN_IPV6 && flow->dst.family == STUN_IPV6;
    }
    return false;
}

static bool read_ports(const uint8_t *bytes, size_t size, bool outbound,
                       struct nat_model_packet *flow, size_t payload)
{
    const uint8_t *at = bytes + payload;
    if (has_ports(flow->protocol)) {
        if (size < payload + PORTS)
            return false;
        flow->src.port = u16_at(at);
        flow->dst.port = u16_at(at + 2);
    } else if (is_icmp(flow->protocol)) {
        if (size < payload + ICMP_HEADER)
            return false;
        if (icmp_echo(at, bytes[0] >> 4 == 6)) {
            flow->protocol = NAT_MODEL_ICMP;
            *(outbound ? &flow->src.port : &flow->dst.port) = u16_at(at + 4);
        }
    }
    return true;
}

/* NULL: there is none, or it was not quoted. */
static uint8_t *checksum_of(uint8_t *bytes, size_t size, uint8_t protocol, size_t payload)
{
    size_t at = payload + (protocol == NAT_MODEL_UDP ? 6 : 16);
    if (!has_ports(protocol) || size < at + 2 ||
        (protocol == NAT_MODEL_UDP && u16_at(bytes + at) == 0))
        return NULL;
    return bytes + at;
}

/* The address at an offset of the IP header, and its port at another; checksums follow. */
static void rewrite_end(uint8_t *bytes, size_t size, const struct nat_model_packet *old,
                        size_t payload, bool source, const struct stun_addr *to, bool tail)
{
    bool v6 = bytes[0] >> 4 == 6;
    size_t ip_bytes = v6 ? 16 : 4, ip_at = v6 ? (source ? 8 : 24) : (source ? 12 : 16);
    uint8_t *sum = tail ? NULL : checksum_of(bytes, size, old->protocol, payload);
    if (sum) {
        uint8_t copy[16];
        memcpy(copy, bytes + ip_at, ip_bytes);
        replace(copy, to->ip, ip_bytes, sum);
    }
    replace(bytes + ip_at, to->ip, ip_bytes, v6 ? NULL : bytes + 10);
    if (tail)
        return;
    uint8_t port[2];
    put_u16(port, to->port);
    if (has_ports(old->protocol))
        replace(bytes + payload + (source ? 0 : 2), port, 2, sum);
    else if (is_icmp(old->protocol) && to->port && icmp_echo(bytes + payload, v6))
        replace(bytes + payload + 4, port, 2, bytes + payload + 2);
    if (sum && old->protocol == NAT_MODEL_UDP && u16_at(sum) == 0)
        put_u16(sum, 0xffff);
}

bool packet_read(const uint8_t *bytes, size_t size, bool outbound, struct packet *p)
{
    memset(p, 0, sizeof(*p));
    if (!read_header(bytes, size, false, &p->tail, &p->flow, &p->payload))
        return false;
    if (p->tail)
        return true;
    bool icmp = is_icmp(p->flow.protocol), v6 = bytes[0] >> 4 == 6;
    if (!read_ports(bytes, size, outbound, &p->flow, p->payload))
        return false;
    if (!icmp || !icmp_error(bytes + p->payload, v6))
        return true;
    p->quoted_at = p->payload + ICMP_HEADER;
    size_t payload = 0;
    bool tail;
    /* What it quotes went the other way. */
    p->error =
        read_header(bytes + p->quoted_at, size - p->quoted_at, true, &tail, &p->quoted, &payload) &&
        !tail &&
        read_ports(bytes + p->quoted_at, size - p->quoted_at, !outbound, &p->quoted, payload);
    p->quoted_payload = payload;
    return p->error;
}

void packet_rewrite(uint8_t *bytes, size_t size, const struct packet *p,
                    const struct nat_model_packet *flow)
{
    if (!stun_addr_equal(&p->flow.src, &flow->src))
        rewrite_end(bytes, size, &p->flow, p->payload, true, &flow->src, p->tail);
    if (!stun_addr_equal(&p->flow.dst, &flow->dst))
        rewrite_end(bytes, size, &p->flow, p->payload, false, &flow->dst, p->tail);
}

void packet_rewrite_error(uint8_t *bytes, size_t size, const struct packet *p,
                          const struct stun_addr *src, const struct stun_addr *dst,
                          const struct nat_model_packet *quoted)
{
    replace(bytes + 12, src->ip, 4, bytes + 10);
    replace(bytes + 16, dst->ip, 4, bytes + 10);
    uint8_t *inner = bytes + p->quoted_at;
    size_t inner_size = size - p->quoted_at;
    rewrite_end(inner, inner_size, &p->quoted, p->quoted_payload, true, &quoted->src, false);
    rewrite_end(inner, inner_size, &p->quoted, p->quoted_payload, false, &quoted->dst, false);
    uint8_t *icmp = bytes + p->payload;
    put_u16(icmp + 2, 0);
    uint32_t sum = 0;
    for (size_t i = p->payload; i < size; i++)
        sum += (uint32_t)bytes[i] << ((i - p->payload) % 2 ? 0 : 8);
    put_u16(icmp + 2, (uint16_t)~folded(sum));
}
