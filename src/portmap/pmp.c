/* SPDX-License-Identifier: BSD-2-Clause */
#include "portmap/pmp.h"

#include <string.h>

enum {
    NATPMP_VERSION = 0,
    PCP_VERSION = 2,
    ANSWER = 128,
    NATPMP_OP_ADDRESS = 0,
    NATPMP_OP_MAP_UDP = 1,
    PCP_OP_MAP = 1,
    PCP_HEADER_BYTES = 24,
    PCP_MAP_BYTES = 60,
    PROTOCOL_UDP = 17,
    UNSUPPORTED_VERSION = 1, /* in both protocols */
};

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static void put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, (uint16_t)(value >> 16));
    put_u16(at + 2, (uint16_t)value);
}

static uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)get_u16(at) << 16 | get_u16(at + 2);
}

static void put_mapped(uint8_t *at, const struct stun_addr *addr)
{
    memcpy(at, mapped_prefix, sizeof mapped_prefix);
    memcpy(at + sizeof mapped_prefix, addr->ip, 4); /* zeros if there is none: "any" */
}

static bool parse_natpmp(const uint8_t *bytes, size_t length, struct pmp_answer *out)
{
    out->result = get_u16(bytes + 2);
    out->epoch_s = get_u32(bytes + 4);
    if (bytes[1] == ANSWER + NATPMP_OP_ADDRESS && length == 12) {
        out->kind = PMP_NATPMP_ADDRESS;
        out->external = stun_addr_from_ip(bytes + 8, 4, 0);
        return true;
    }
    if (bytes[1] == ANSWER + NATPMP_OP_MAP_UDP && length == 16) {
        out->kind = PMP_NATPMP_MAP;
        out->internal_port = get_u16(bytes + 8);
        out->external_port = get_u16(bytes + 10);
        out->lifetime_s = get_u32(bytes + 12);
        return true;
    }
    /* RFC 6887, appendix A: so says a router that only knows NAT-PMP. */
    out->kind = PMP_NO_PCP;
    return out->result == UNSUPPORTED_VERSION;
}

static bool parse_pcp(const uint8_t *bytes, size_t length, struct pmp_answer *out)
{
    if (length < PCP_HEADER_BYTES || length > PMP_ANSWER_BYTES || length % 4 != 0) {
        return false;
    }
    out->result = bytes[3];
    out->lifetime_s = get_u32(bytes + 4);
    out->epoch_s = get_u32(bytes + 8);
    if (out->result == UNSUPPORTED_VERSION) {
        out->kind = PMP_NO_PCP;
        return true;
    }
    out->kind = PMP_PCP_MAP;
    if (bytes[1] != ANSWER + PCP_OP_MAP) {
        return false;
    }
    if (length < PCP_MAP_BYTES) {
        return out->result != 0;
    }
    out->has_nonce = true;
    memcpy(out->nonce, bytes + 24, sizeof out->nonce);
    out->internal_port = get_u16(bytes + 40);
    out->external = stun_addr_from_ip(bytes + 44, 16, get_u16(bytes + 42));
    return bytes[36] == PROTOCOL_UDP;
}

size_t pmp_build_pcp_map(const struct lease *l, uint32_t lifetime_s,
                         uint8_t out[static PMP_PACKET_BYTES])
{
    memset(out, 0, PCP_MAP_BYTES);
    out[0] = PCP_VERSION;
    out[1] = PCP_OP_MAP;
    put_u32(out + 4, lifetime_s);
    put_mapped(out + 8, &l->gateway.local);
    memcpy(out + 24, l->nonce, sizeof l->nonce);
    out[36] = PROTOCOL_UDP;
    put_u16(out + 40, l->internal_port);
    put_u16(out + 42, l->wanted_port);
    put_mapped(out + 44, l->protocol == PORTMAP_PCP ? &l->external : &(struct stun_addr){0});
    return PCP_MAP_BYTES;
}

size_t pmp_build_natpmp_map(const struct lease *l, uint32_t lifetime_s,
                            uint8_t out[static PMP_PACKET_BYTES])
{
    memset(out, 0, 12);
    out[0] = NATPMP_VERSION;
    out[1] = NATPMP_OP_MAP_UDP;
    put_u16(out + 4, l->internal_port);
    put_u16(out + 6, lifetime_s == 0 ? 0 : l->wanted_port); /* RFC 6886, 3.4 */
    put_u32(out + 8, lifetime_s);
    return 12;
}

size_t pmp_build_natpmp_address(uint8_t out[static PMP_PACKET_BYTES])
{
    out[0] = NATPMP_VERSION;
    out[1] = NATPMP_OP_ADDRESS;
    return 2;
}

bool pmp_parse(const uint8_t *bytes, size_t length, struct pmp_answer *out)
{
    *out = (struct pmp_answer){0};
    if (length < 8 || bytes[1] < ANSWER) {
        return false;
    }
    if (bytes[0] == NATPMP_VERSION) {
        return parse_natpmp(bytes, length, out);
    }
    return bytes[0] == PCP_VERSION && parse_pcp(bytes, length, out);
}

const char *pmp_result_text(enum pmp_kind kind, uint16_t result)
{
    static const char *const pcp[] = {
        "success",
        "unsupported version",
        "not authorized",
        "malformed request",
        "unsupported operation",
        "unsupported option",
        "malformed option",
        "the router has no public address",
        "no resources",
        "unsupported protocol",
        "quota exceeded",
        "it cannot give this address or port",
        "another NAT is between us and it",
        "too many remote peers",
    };
    static const char *const natpmp[] = {
        "success",          "unsupported version",
        "not authorized",   "the router has no public address",
        "out of resources", "unsupported operation",
    };
    const char *const *texts = kind == PMP_PCP_MAP ? pcp : natpmp;
    size_t count = kind == PMP_PCP_MAP ? sizeof pcp / sizeof *pcp : sizeof natpmp / sizeof *natpmp;
    return result < count ? texts[result] : "unknown error";
}
