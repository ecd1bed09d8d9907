/* SPDX-License-Identifier: BSD-2-Clause */
/* How a link ends. */
#include <string.h>

#include "link/connection.h"

#define TLS_ALERT_CODES 0x100 /* QUIC error codes 0x100 + alert (RFC 9001, section 4.8) */
#define TLS_ALERT_MASK  0xff

static void closed(struct link *link, enum link_close_kind kind, uint64_t code, const void *text,
                   size_t text_bytes)
{
    link->is_closed = true;
    link->news |= LINK_NEWS_CLOSED;
    link->reason.kind = kind;
    link->reason.code = code;
    if (text_bytes >= sizeof(link->reason.text)) {
        text_bytes = sizeof(link->reason.text) - 1;
    }
    /* The peer's words may end up on a terminal. */
    for (size_t i = 0; i < text_bytes; i++) {
        char c = ((const char *)text)[i];
        link->reason.text[i] = c >= ' ' && c <= '~' ? c : '?';
    }
    link->reason.text[text_bytes] = '\0';
}

static void closed_str(struct link *link, enum link_close_kind kind, uint64_t code,
                       const char *text)
{
    closed(link, kind, code, text, strlen(text));
}

static void failed_in_tls(struct link *link, uint8_t alert)
{
    const char *name = gnutls_alert_get_name((gnutls_alert_description_t)alert);
    ngtcp2_ccerr_set_tls_alert(&link->close_error, alert, NULL, 0);
    closed_str(link, LINK_CLOSE_TLS, TLS_ALERT_CODES | alert,
               name != NULL ? name : "TLS handshake failed");
}

void link_fail(struct link *link, int ngtcp2_error)
{
    if (link->is_closed) {
        return;
    }
    if (ngtcp2_error == NGTCP2_ERR_DRAINING) {
        link_peer_closed(link);
        return;
    }
    if (ngtcp2_error == NGTCP2_ERR_IDLE_CLOSE || ngtcp2_error == NGTCP2_ERR_HANDSHAKE_TIMEOUT) {
        closed_str(link, LINK_CLOSE_IDLE, 0, "nothing heard from the peer");
        return;
    }
    link->must_write_close = ngtcp2_error != NGTCP2_ERR_DROP_CONN;
    if (link->is_wrong_peer) {
        uint8_t alert = GNUTLS_A_BAD_CERTIFICATE;
        ngtcp2_ccerr_set_tls_alert(&link->close_error, alert, NULL, 0);
        closed_str(link, LINK_CLOSE_WRONG_PEER, TLS_ALERT_CODES | alert,
                   "the peer holds another key than the one expected");
    } else if (ngtcp2_error == NGTCP2_ERR_CRYPTO) {
        failed_in_tls(link, ngtcp2_conn_get_tls_alert(link->conn));
    } else {
        ngtcp2_ccerr_set_liberr(&link->close_error, ngtcp2_error, NULL, 0);
        closed_str(link, LINK_CLOSE_PROTOCOL, link->close_error.error_code,
                   ngtcp2_strerror(ngtcp2_error));
    }
}

void link_peer_closed(struct link *link)
{
    if (link->is_closed) {
        return;
    }
    ngtcp2_ccerr error = shim_peer_close(link->conn);
    if (error.type == NGTCP2_CCERR_TYPE_APPLICATION) {
        closed(link, LINK_CLOSE_PEER, error.error_code, error.reason, error.reasonlen);
    } else if ((error.error_code & ~(uint64_t)TLS_ALERT_MASK) == TLS_ALERT_CODES) {
        failed_in_tls(link, (uint8_t)(error.error_code & TLS_ALERT_MASK));
    } else {
        closed(link, LINK_CLOSE_PROTOCOL, error.error_code, error.reason, error.reasonlen);
    }
}

size_t link_write_close(struct link *link, ngtcp2_tstamp now, uint8_t *buffer, size_t capacity)
{
    if (!link->clock.runs) {
        return 0;
    }
    if (link->must_write_close) {
        link->must_write_close = false;
        size_t room = link->max_datagram < capacity ? link->max_datagram : capacity;
        ngtcp2_ssize size = ngtcp2_conn_write_connection_close(
            link->conn, NULL, NULL, link->close_packet, room, &link->close_error, now);
        link->close_packet_bytes = size > 0 ? (size_t)size : 0;
        link->must_repeat_close = size > 0;
    }
    if (!link->must_repeat_close || link->close_packet_bytes > capacity) {
        return 0;
    }
    link->must_repeat_close = false;
    memcpy(buffer, link->close_packet, link->close_packet_bytes);
    return link->close_packet_bytes;
}

void link_close(struct link *link, uint64_t code, const char *text)
{
    if (link->is_closed) {
        return;
    }
    const char *words = text != NULL ? text : "";
    closed_str(link, LINK_CLOSE_LOCAL, code, words);
    /* The reason must outlive this call, so ngtcp2 is given our copy. */
    ngtcp2_ccerr_set_application_error(&link->close_error, code, (uint8_t *)link->reason.text,
                                       strlen(link->reason.text));
    link->must_write_close = true;
}

const struct link_close_reason *link_close_reason(const struct link *link)
{
    return &link->reason;
}
