/* SPDX-License-Identifier: BSD-2-Clause */
/* The names of ngtcp2 1.x, of which 0.12 (Debian 12) still has older ones. */
#ifndef LINK_NGTCP2_VERSION_H
#define LINK_NGTCP2_VERSION_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#if NGTCP2_VERSION_NUM < 0x010000

typedef ngtcp2_connection_close_error ngtcp2_ccerr;
typedef ngtcp2_crypto_level ngtcp2_encryption_level;

#define NGTCP2_ENCRYPTION_LEVEL_1RTT  NGTCP2_CRYPTO_LEVEL_APPLICATION
#define NGTCP2_CCERR_TYPE_APPLICATION NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION

#define ngtcp2_ccerr_default               ngtcp2_connection_close_error_default
#define ngtcp2_ccerr_set_liberr            ngtcp2_connection_close_error_set_transport_error_liberr
#define ngtcp2_ccerr_set_tls_alert         ngtcp2_connection_close_error_set_transport_error_tls_alert
#define ngtcp2_ccerr_set_application_error ngtcp2_connection_close_error_set_application_error

#endif

/* What the peer closed with. */
static inline ngtcp2_ccerr shim_peer_close(ngtcp2_conn *conn)
{
#if NGTCP2_VERSION_NUM < 0x010000
    ngtcp2_ccerr error;
    ngtcp2_conn_get_connection_close_error(conn, &error);
    return error;
#else
    return *ngtcp2_conn_get_ccerr(conn);
#endif
}

static inline void shim_set_token(ngtcp2_settings *settings, const uint8_t *token, size_t bytes)
{
#if NGTCP2_VERSION_NUM < 0x010000
    settings->token.base = (uint8_t *)(uintptr_t)token; /* only read: ngtcp2 takes a copy */
    settings->token.len = bytes;
#else
    settings->token = token;
    settings->tokenlen = bytes;
#endif
}

static inline void shim_set_original_dcid(ngtcp2_transport_params *params, const ngtcp2_cid *dcid)
{
    params->original_dcid = *dcid;
#if NGTCP2_VERSION_NUM >= 0x010000
    params->original_dcid_present = 1;
#endif
}

static inline int shim_shutdown_stream(ngtcp2_conn *conn, int64_t stream, uint64_t code)
{
#if NGTCP2_VERSION_NUM < 0x010000
    return ngtcp2_conn_shutdown_stream(conn, stream, code);
#else
    return ngtcp2_conn_shutdown_stream(conn, 0, stream, code);
#endif
}

/* Counts the packets written since the last call as sent from `start` on, which is not after now.
 * 1.x makes up for late timers itself, and aborts at a time before that of another call. */
static inline void shim_pace(ngtcp2_conn *conn, ngtcp2_tstamp start, ngtcp2_tstamp now)
{
#if NGTCP2_VERSION_NUM < 0x010000
    (void)now;
    ngtcp2_conn_update_pkt_tx_time(conn, start);
#else
    (void)start;
    ngtcp2_conn_update_pkt_tx_time(conn, now);
#endif
}

struct shim_stat {
    uint64_t cwnd;
    uint64_t bytes_in_flight;
    ngtcp2_duration smoothed_rtt;
    /* When the loss timer runs out; UINT64_MAX for never. 1.x only tells the earliest of all
     * timers. */
    ngtcp2_tstamp loss_deadline;
};

static inline struct shim_stat shim_get_stat(ngtcp2_conn *conn)
{
#if NGTCP2_VERSION_NUM < 0x010000
    ngtcp2_conn_stat info;
    ngtcp2_conn_get_conn_stat(conn, &info);
    ngtcp2_tstamp deadline = info.loss_detection_timer;
#else
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(conn, &info);
    ngtcp2_tstamp deadline = info.bytes_in_flight > 0 ? ngtcp2_conn_get_expiry(conn) : UINT64_MAX;
#endif
    return (struct shim_stat){.cwnd = info.cwnd,
                              .bytes_in_flight = info.bytes_in_flight,
                              .smoothed_rtt = info.smoothed_rtt,
                              .loss_deadline = deadline};
}

#endif
