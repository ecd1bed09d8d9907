/* SPDX-License-Identifier: BSD-2-Clause */
/* What ngtcp2 tells us. Nothing here calls the application: it asks with link_poll_event. */
#include "link/connection.h"

static int on_handshake_completed(ngtcp2_conn *conn, void *user_data)
{
    (void)conn;
    struct link *link = user_data;
    /* Asked again, because the verify function is not called in every kind of handshake. */
    if (!link_tls_check_peer(link)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    link->is_established = true;
    link->news |= LINK_NEWS_ESTABLISHED;
    if (link->is_server) {
        link->is_confirmed = true;
        link->news |= LINK_NEWS_CONFIRMED;
    }
    return 0;
}

static int on_handshake_confirmed(ngtcp2_conn *conn, void *user_data)
{
    (void)conn;
    struct link *link = user_data;
    if (!link->is_confirmed) {
        link->is_confirmed = true;
        link->news |= LINK_NEWS_CONFIRMED;
    }
    return 0;
}

static int on_tx_key(ngtcp2_conn *conn, ngtcp2_encryption_level level, void *user_data)
{
    (void)conn;
    struct link *link = user_data;
    if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT) {
        link->can_send_1rtt = true;
    }
    return 0;
}

static int on_stream_open(ngtcp2_conn *conn, int64_t id, void *user_data)
{
    struct link *link = user_data;
    struct stream *stream = stream_table_add(&link->streams, id);
    if (stream == NULL || ngtcp2_conn_set_stream_user_data(conn, id, stream) != 0) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    stream->is_remote = true;
    stream_tell(&link->streams, stream, STREAM_NEWS_OPENED);
    return 0;
}

static int on_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t bytes, void *user_data, void *stream_data)
{
    (void)id;
    (void)offset;
    struct link *link = user_data;
    struct stream *stream = stream_data;
    link->told++;
    if (stream == NULL || stream->is_reset) {
        ngtcp2_conn_extend_max_offset(conn, bytes);
        return 0;
    }
    if (!receive_buffer_append(&stream->receive, &link->streams.pool, data, bytes)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    if ((flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0) {
        stream->fin_received = true;
    }
    if (bytes > 0 || stream->fin_received) {
        stream_tell_readable(&link->streams, stream);
    }
    return 0;
}

static int on_acked(ngtcp2_conn *conn, int64_t id, uint64_t offset, uint64_t bytes, void *user_data,
                    void *stream_data)
{
    (void)conn;
    (void)id;
    (void)offset;
    struct link *link = user_data;
    struct stream *stream = stream_data;
    link->told++;
    if (stream != NULL) {
        send_buffer_acked(&stream->send, &link->streams.pool, (size_t)bytes);
        /* No bytes: only the end of a stream is acknowledged so. */
        if (bytes == 0 || (stream->fin_sent && !stream->fin_alone && stream->send.held == 0)) {
            stream->fin_acked = true;
        }
        stream_tell_writable(&link->streams, stream);
    }
    return 0;
}

static void abandoned_by_peer(struct link *link, struct stream *stream, uint64_t code)
{
    stream->is_reset = true;
    stream->reset_code = code;
    link_drop_received(link, stream);
    stream_tell(&link->streams, stream, STREAM_NEWS_RESET);
}

static int on_stream_reset(ngtcp2_conn *conn, int64_t id, uint64_t final_size, uint64_t code,
                           void *user_data, void *stream_data)
{
    (void)conn;
    (void)id;
    (void)final_size;
    struct link *link = user_data;
    struct stream *stream = stream_data;
    if (stream != NULL && !stream->is_reset) {
        abandoned_by_peer(link, stream, code);
        /* A stream has two directions, and a reset means both. Not from inside this callback. */
        stream->must_shut = true;
        stream_set_ready(&link->streams, stream, true);
    }
    return 0;
}

static int on_stream_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code,
                           void *user_data, void *stream_data)
{
    (void)conn;
    (void)id;
    struct link *link = user_data;
    struct stream *stream = stream_data;
    if (stream == NULL) {
        return 0;
    }
    stream->is_closed = true;
    stream->fin_acked = true;
    stream->must_shut = false;
    stream_set_ready(&link->streams, stream, false);
    send_buffer_clear(&stream->send, &link->streams.pool);
    /* ngtcp2 answers STOP_SENDING by itself, and only here tells of it. */
    if ((flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) != 0 && !stream->is_reset) {
        abandoned_by_peer(link, stream, code);
    }
    stream_tell_if_closed(&link->streams, stream);
    return 0;
}

static int on_more_stream_data(ngtcp2_conn *conn, int64_t id, uint64_t max_data, void *user_data,
                               void *stream_data)
{
    (void)conn;
    (void)id;
    (void)max_data;
    struct link *link = user_data;
    struct stream *stream = stream_data;
    if (stream != NULL && !stream->is_reset && stream->send.unsent > 0) {
        stream_set_ready(&link->streams, stream, true);
    }
    return 0;
}

static int on_more_streams(ngtcp2_conn *conn, uint64_t max_streams, void *user_data)
{
    (void)conn;
    (void)max_streams;
    struct link *link = user_data;
    if (link->wants_room) {
        link->wants_room = false;
        link->news |= LINK_NEWS_ROOM;
    }
    return 0;
}

static int on_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *data, size_t bytes,
                       void *user_data)
{
    (void)conn;
    (void)flags;
    struct link *link = user_data;
    link->told++;
    /* Unreliable: what the application is too slow for is lost. */
    (void)message_queue_append(&link->messages_in, data, bytes);
    return 0;
}

static int on_datagram_acked(ngtcp2_conn *conn, uint64_t id, void *user_data)
{
    (void)conn;
    (void)id;
    struct link *link = user_data;
    link->told++;
    return 0;
}

static void on_rand(uint8_t *out, size_t bytes, const ngtcp2_rand_ctx *context)
{
    struct link *link = context->native_handle;
    link->random(link->random_context, out, bytes);
}

static int on_path_challenge(ngtcp2_conn *conn, uint8_t *out, void *user_data)
{
    (void)conn;
    struct link *link = user_data;
    link->random(link->random_context, out, NGTCP2_PATH_CHALLENGE_DATALEN);
    return 0;
}

static int on_new_cid(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t bytes,
                      void *user_data)
{
    (void)conn;
    struct link *link = user_data;
    link_make_cid(link, cid, bytes);
    link->random(link->random_context, token, NGTCP2_STATELESS_RESET_TOKENLEN);
    return link_own_cid(link, cid) ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int on_retired_cid(ngtcp2_conn *conn, const ngtcp2_cid *cid, void *user_data)
{
    (void)conn;
    link_disown_cid(user_data, cid);
    return 0;
}

const ngtcp2_callbacks link_callbacks = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .update_key = ngtcp2_crypto_update_key_cb,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
    .handshake_completed = on_handshake_completed,
    .handshake_confirmed = on_handshake_confirmed,
    .recv_tx_key = on_tx_key,
    .stream_open = on_stream_open,
    .recv_stream_data = on_stream_data,
    .acked_stream_data_offset = on_acked,
    .stream_reset = on_stream_reset,
    .stream_close = on_stream_close,
    .extend_max_stream_data = on_more_stream_data,
    .extend_max_local_streams_bidi = on_more_streams,
    .recv_datagram = on_datagram,
    .ack_datagram = on_datagram_acked,
    .rand = on_rand,
    .get_path_challenge_data = on_path_challenge,
    .get_new_connection_id = on_new_cid,
    .remove_connection_id = on_retired_cid,
};
