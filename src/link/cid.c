/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "link/connection.h"

#define LONG_HEADER_BIT   0x80
#define LONG_TYPE_BITS    0x30 /* Initial: zero in version 1 */
#define QUIC_V1           1U
#define LONG_DCID_SIZE_AT 5
/* header, ID, packet number and payload (RFC 9001, section 5.4.2), authentication tag */
#define SHORT_MIN_BYTES (1 + LINK_CID_BYTES + 4 + 16)

/* Bytes 4..7 of a short header packet are bytes 3..6 of its ID, and STUN's magic cookie lies there.
 * ngtcp2 may send any first byte (RFC 9287), so only this rule tells the two apart. */
#define STUN_COOKIE_AT         3
#define STUN_COOKIE_FIRST_BYTE 0x21

static bool long_header(const uint8_t *bytes, size_t size, const uint8_t **cid, size_t *cid_bytes,
                        bool *is_initial)
{
    if (size < LONG_DCID_SIZE_AT + 1) {
        return false;
    }
    uint32_t version = (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 |
                       (uint32_t)bytes[3] << 8 | (uint32_t)bytes[4];
    size_t dcid_bytes = bytes[LONG_DCID_SIZE_AT];
    size_t scid_size_at = LONG_DCID_SIZE_AT + 1 + dcid_bytes;
    if (version != QUIC_V1 || dcid_bytes > LINK_MAX_CID_BYTES || scid_size_at >= size) {
        return false;
    }
    size_t scid_bytes = bytes[scid_size_at];
    if (scid_bytes > LINK_MAX_CID_BYTES || scid_size_at + 1 + scid_bytes > size) {
        return false;
    }
    *cid = bytes + LONG_DCID_SIZE_AT + 1;
    *cid_bytes = dcid_bytes;
    *is_initial = (bytes[0] & LONG_TYPE_BITS) == 0;
    return true;
}

void link_make_cid(struct link *link, ngtcp2_cid *cid, size_t bytes)
{
    uint8_t raw[NGTCP2_MAX_CIDLEN];
    link->random(link->random_context, raw, bytes);
    if (raw[STUN_COOKIE_AT] == STUN_COOKIE_FIRST_BYTE) {
        raw[STUN_COOKIE_AT] ^= 0x80;
    }
    ngtcp2_cid_init(cid, raw, bytes);
}

bool link_own_cid(struct link *link, const ngtcp2_cid *cid)
{
    if (link->own_cid_count == LINK_MAX_OWN_CIDS) {
        return false;
    }
    link->own_cids[link->own_cid_count++] = *cid;
    return true;
}

void link_disown_cid(struct link *link, const ngtcp2_cid *cid)
{
    for (size_t i = 0; i < link->own_cid_count; i++) {
        if (ngtcp2_cid_eq(&link->own_cids[i], cid)) {
            link->own_cids[i] = link->own_cids[--link->own_cid_count];
            return;
        }
    }
}

bool link_has_cid(const struct link *link, const uint8_t *cid, size_t cid_bytes)
{
    for (size_t i = 0; i < link->own_cid_count; i++) {
        if (link->own_cids[i].datalen == cid_bytes &&
            memcmp(link->own_cids[i].data, cid, cid_bytes) == 0) {
            return true;
        }
    }
    /* Only a server is addressed by the caller's choice, in retransmitted Initials. */
    return link->is_server && link->original_dcid.datalen == cid_bytes &&
           memcmp(link->original_dcid.data, cid, cid_bytes) == 0;
}

bool link_datagram_cid(const uint8_t *bytes, size_t size, const uint8_t **cid, size_t *cid_bytes,
                       bool *is_initial)
{
    if (size == 0) {
        return false;
    }
    if ((bytes[0] & LONG_HEADER_BIT) != 0) {
        return long_header(bytes, size, cid, cid_bytes, is_initial);
    }
    if (size < SHORT_MIN_BYTES) {
        return false;
    }
    *cid = bytes + 1;
    *cid_bytes = LINK_CID_BYTES;
    *is_initial = false;
    return true;
}
