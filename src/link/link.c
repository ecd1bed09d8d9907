/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a link: made, fed with datagrams and time, freed. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "link/connection.h"

#define STREAM_WINDOW_BYTES     ((uint64_t)16 << 20)
#define CONNECTION_WINDOW_BYTES ((uint64_t)24 << 20)
#define MAX_PEER_STREAMS        128
#define MAX_MESSAGE_FRAME       65535
#define ORIGINAL_DCID_BYTES     16

/* Packets per acknowledgement. Segments come in batches that one acknowledgement answers, and at 2
 * the answers break the batches of messages up. More than the initial window of 10 would make its
 * acknowledgement wait for a timer: 5 ms in each of the first round trips of 40 ms. */
#define ACK_THRESHOLD 10

/* How close to its idle end a link may be brought by leaping over a timer. */
#define LEAP_MARGIN ((ngtcp2_duration)5 * NGTCP2_SECONDS)

#define KEEP_ALIVE_MOST ((ngtcp2_duration)20 * NGTCP2_SECONDS)

/* The one path that ngtcp2 knows (addresses of RFC 5737). Which real one it is changes under it. */
static ngtcp2_path virtual_path(void)
{
    static const struct sockaddr_in near_end = {.sin_family = AF_INET,
                                                .sin_addr.s_addr = 0x010200c0};
    static const struct sockaddr_in far_end = {.sin_family = AF_INET,
                                               .sin_addr.s_addr = 0x020200c0};
    return (ngtcp2_path){
        .local = {.addr = (ngtcp2_sockaddr *)(uintptr_t)&near_end, .addrlen = sizeof(near_end)},
        .remote = {.addr = (ngtcp2_sockaddr *)(uintptr_t)&far_end, .addrlen = sizeof(far_end)},
    };
}

/* Whoever has nothing to say must not end for that: only who is not there any more. */
static ngtcp2_duration keep_alive(const struct link *link)
{
    ngtcp2_duration third = link->idle_timeout / 3;
    return third < KEEP_ALIVE_MOST ? third : KEEP_ALIVE_MOST;
}

static ngtcp2_settings settings_of(struct link *link, const struct link_config *config)
{
    ngtcp2_settings settings;
    uint64_t rtt_us = config->initial_rtt_us != 0 ? config->initial_rtt_us : LINK_DEFAULT_RTT_US;
    ngtcp2_settings_default(&settings);
    settings.initial_ts = link->clock.origin_ns;
    settings.initial_rtt = rtt_us * 1000;
    settings.cc_algo = NGTCP2_CC_ALGO_CUBIC;
    settings.ack_thresh = ACK_THRESHOLD;
    settings.max_tx_udp_payload_size = LINK_MAX_DATAGRAM_BYTES;
    settings.no_tx_udp_payload_size_shaping = 1;
    settings.no_pmtud = 1;
    settings.handshake_timeout = link->idle_timeout;
    settings.rand_ctx.native_handle = link;
    shim_set_token(&settings, config->token, config->token_bytes);
    return settings;
}

static ngtcp2_transport_params params_of(const struct link *link)
{
    ngtcp2_transport_params params;
    ngtcp2_transport_params_default(&params);
    params.initial_max_stream_data_bidi_local = STREAM_WINDOW_BYTES;
    params.initial_max_stream_data_bidi_remote = STREAM_WINDOW_BYTES;
    params.initial_max_data = CONNECTION_WINDOW_BYTES;
    params.initial_max_streams_bidi = MAX_PEER_STREAMS;
    params.initial_max_streams_uni = 0;
    params.max_idle_timeout = link->idle_timeout;
    params.max_udp_payload_size = LINK_MAX_DATAGRAM_BYTES;
    params.max_datagram_frame_size = MAX_MESSAGE_FRAME;
    params.disable_active_migration = 1;
    return params;
}

static struct link *link_new(const struct link_config *config, bool is_server, uint64_t now_us)
{
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return NULL;
    }
    link->is_server = is_server;
    link->peer = config->peer;
    link->random = config->random;
    link->random_context = config->random_context;
    link->idle_timeout =
        (config->idle_timeout_us != 0 ? config->idle_timeout_us : LINK_DEFAULT_IDLE_US) * 1000;
    link->max_datagram = LINK_MIN_DATAGRAM_BYTES;
    clock_start(&link->clock, now_us);
    link->last_heard = link->clock.origin_ns;
    stream_table_init(&link->streams);
    ngtcp2_ccerr_default(&link->close_error);
    return link;
}

static int start_client(struct link *link, const struct link_config *config)
{
    ngtcp2_settings settings = settings_of(link, config);
    ngtcp2_transport_params params = params_of(link);
    ngtcp2_path path = virtual_path();
    ngtcp2_cid scid;
    link_make_cid(link, &link->original_dcid, ORIGINAL_DCID_BYTES);
    link_make_cid(link, &scid, LINK_CID_BYTES);
    int rv =
        ngtcp2_conn_client_new(&link->conn, &link->original_dcid, &scid, &path, NGTCP2_PROTO_VER_V1,
                               &link_callbacks, &settings, &params, NULL, link);
    if (rv != 0) {
        link->conn = NULL;
        return LINK_ERR_MEMORY;
    }
    link_own_cid(link, &scid);
    ngtcp2_conn_set_tls_native_handle(link->conn, link->session);
    ngtcp2_conn_set_keep_alive_timeout(link->conn, keep_alive(link));
    return LINK_OK;
}

static int start_server(struct link *link, const struct link_config *config,
                        const ngtcp2_pkt_hd *initial)
{
    ngtcp2_settings settings = settings_of(link, config);
    ngtcp2_transport_params params = params_of(link);
    ngtcp2_path path = virtual_path();
    ngtcp2_cid scid;
    link->original_dcid = initial->dcid;
    link_make_cid(link, &scid, LINK_CID_BYTES);
    shim_set_original_dcid(&params, &initial->dcid);
    int rv = ngtcp2_conn_server_new(&link->conn, &initial->scid, &scid, &path, initial->version,
                                    &link_callbacks, &settings, &params, NULL, link);
    if (rv != 0) {
        link->conn = NULL;
        return LINK_ERR_MEMORY;
    }
    link_own_cid(link, &scid);
    ngtcp2_conn_set_tls_native_handle(link->conn, link->session);
    ngtcp2_conn_set_keep_alive_timeout(link->conn, keep_alive(link));
    return LINK_OK;
}

static int read_packet(struct link *link, ngtcp2_tstamp now, const uint8_t *bytes, size_t size)
{
    ngtcp2_path path = virtual_path();
    ngtcp2_pkt_info info = {0};
    return ngtcp2_conn_read_pkt(link->conn, &path, &info, bytes, size, now);
}

/* What a packet that says something new changes, and nothing else does while one is read. ngtcp2
 * drops silently what it cannot open or has seen before, and its callback for opening does not know
 * whose packet it is given. */
struct standing {
    uint64_t told;
    uint64_t cwnd_left;
    ngtcp2_tstamp expiry;
};

static struct standing standing_of(const struct link *link)
{
    return (struct standing){
        .told = link->told,
        .cwnd_left = ngtcp2_conn_get_cwnd_left(link->conn),
        .expiry = ngtcp2_conn_get_expiry(link->conn),
    };
}

static bool has_heard(const struct link *link, const struct standing *before)
{
    return link->told != before->told ||
           ngtcp2_conn_get_cwnd_left(link->conn) != before->cwnd_left ||
           ngtcp2_conn_get_expiry(link->conn) != before->expiry;
}

/* A path that comes back finds probe timers that were doubled while it was dead. They would make
 * the link wait for seconds; so time leaps to where the next one runs out. */
static ngtcp2_tstamp leap_target(const struct link *link)
{
    ngtcp2_tstamp limit = link->last_heard + link->idle_timeout;
    ngtcp2_tstamp deadline = shim_get_stat(link->conn).loss_deadline;
    if (deadline == UINT64_MAX || deadline + LEAP_MARGIN > limit) {
        return 0;
    }
    return deadline + 1;
}

/* The first flight travels without a path. What it took is the first round trip that is measured:
 * as long as the wait really was, but not longer than a path takes. */
static ngtcp2_tstamp first_path_target(const struct link *link, uint64_t now_us)
{
    uint64_t waited_us = now_us > link->clock.origin_us ? now_us - link->clock.origin_us : 0;
    uint64_t most_us = shim_get_stat(link->conn).smoothed_rtt / 1000;
    return link->clock.origin_ns + (waited_us < most_us ? waited_us : most_us) * 1000;
}

int link_dial(struct link **out, const struct link_config *config, uint64_t now_us)
{
    struct link *link = link_new(config, false, now_us);
    if (link == NULL) {
        return LINK_ERR_MEMORY;
    }
    int rv = link_tls_init(link, config->credentials);
    if (rv == LINK_OK) {
        rv = start_client(link, config);
    }
    if (rv != LINK_OK) {
        link_free(link);
        return rv;
    }
    *out = link;
    return LINK_OK;
}

int link_accept(struct link **out, const struct link_config *config, const uint8_t *flight,
                size_t flight_bytes, uint64_t now_us)
{
    ngtcp2_pkt_hd initial;
    if (ngtcp2_accept(&initial, flight, flight_bytes) != 0 ||
        initial.version != NGTCP2_PROTO_VER_V1) {
        return LINK_ERR_BAD_INITIAL;
    }
    struct link *link = link_new(config, true, now_us);
    if (link == NULL) {
        return LINK_ERR_MEMORY;
    }
    int rv = link_tls_init(link, config->credentials);
    if (rv == LINK_OK) {
        rv = start_server(link, config, &initial);
    }
    if (rv == LINK_OK) {
        int read = read_packet(link, link->clock.origin_ns, flight, flight_bytes);
        if (read == NGTCP2_ERR_CRYPTO) {
            rv = LINK_ERR_CRYPTO;
        } else if (read != 0 || !link->can_send_1rtt) {
            /* One datagram holds the whole ClientHello of those who dial us. */
            rv = LINK_ERR_BAD_INITIAL;
        }
    }
    if (rv != LINK_OK) {
        link_free(link);
        return rv;
    }
    *out = link;
    return LINK_OK;
}

void link_free(struct link *link)
{
    if (link == NULL) {
        return;
    }
    ngtcp2_conn_del(link->conn);
    if (link->session != NULL) {
        gnutls_deinit(link->session);
    }
    stream_table_clear(&link->streams);
    message_queue_clear(&link->messages_in);
    message_queue_clear(&link->messages_out);
    free(link->told_message);
    free(link);
}

int link_input(struct link *link, uint64_t now_us, const uint8_t *bytes, size_t size)
{
    if (!link->clock.runs && !link->is_server && !link->is_established) {
        /* The answer to the first flight may be here before anybody has said that there is a path.
         * A round trip of no time at all would keep the window tiny for good. */
        clock_resume(&link->clock, now_us, first_path_target(link, now_us));
        clock_stop(&link->clock, now_us);
    }
    ngtcp2_tstamp now = clock_now(&link->clock, now_us);
    if (link->is_closed) {
        /* The peer has missed our close: tell it again, ever more rarely (RFC 9000, 10.2.1). */
        uint64_t n = ++link->closed_inputs;
        if (link->close_packet_bytes > 0 && (n & (n - 1)) == 0) {
            link->must_repeat_close = true;
        }
        return LINK_ERR_CLOSED;
    }
    if (size == 0) {
        return LINK_ERR_UNHEARD;
    }
    struct standing before = standing_of(link);
    int rv = read_packet(link, now, bytes, size);
    if (rv != 0) {
        link_fail(link, rv);
        return LINK_ERR_CLOSED;
    }
    if (!has_heard(link, &before)) {
        return LINK_ERR_UNHEARD;
    }
    link->last_heard = now;
    return LINK_OK;
}

uint64_t link_next_timeout(const struct link *link)
{
    if (link->is_closed || !link->clock.runs) {
        return UINT64_MAX;
    }
    ngtcp2_tstamp expiry = ngtcp2_conn_get_expiry(link->conn);
    return expiry == UINT64_MAX ? UINT64_MAX : clock_after(&link->clock, expiry);
}

int link_handle_timeout(struct link *link, uint64_t now_us)
{
    if (link->is_closed) {
        return LINK_ERR_CLOSED;
    }
    if (!link->clock.runs) {
        return LINK_OK;
    }
    int rv = ngtcp2_conn_handle_expiry(link->conn, clock_now(&link->clock, now_us));
    if (rv != 0) {
        link_fail(link, rv);
        return LINK_ERR_CLOSED;
    }
    return LINK_OK;
}

void link_set_path(struct link *link, uint64_t now_us, bool up, size_t max_datagram_bytes)
{
    if (!up) {
        clock_stop(&link->clock, now_us);
        return;
    }
    if (max_datagram_bytes > LINK_MAX_DATAGRAM_BYTES) {
        max_datagram_bytes = LINK_MAX_DATAGRAM_BYTES;
    }
    if (max_datagram_bytes < LINK_MIN_DATAGRAM_BYTES) {
        max_datagram_bytes = LINK_MIN_DATAGRAM_BYTES;
    }
    link->max_datagram = max_datagram_bytes;
    if (!link->clock.runs) {
        clock_resume(&link->clock, now_us,
                     link->is_server || link->is_established ? leap_target(link)
                                                             : first_path_target(link, now_us));
        (void)link_handle_timeout(link, now_us);
    }
}

bool link_is_established(const struct link *link)
{
    return link->is_established;
}

bool link_is_confirmed(const struct link *link)
{
    return link->is_confirmed;
}

uint64_t link_rtt_us(const struct link *link)
{
    return shim_get_stat(link->conn).smoothed_rtt / 1000;
}
