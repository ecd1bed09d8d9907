/* SPDX-License-Identifier: BSD-2-Clause */
/* Two links and the network between them, in virtual time. */
#ifndef TESTS_UNIT_LINK_NET_H
#define TESTS_UNIT_LINK_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "identity/rawkey.h"
#include "link/link.h"

#define NET_DIALLER  0
#define NET_LISTENER 1
#define NET_RTT_US   40000U
#define NET_MAX_LOG  64

struct net_packet {
    struct net_packet *next;
    uint64_t due_us;
    int to;
    size_t size;
    uint8_t bytes[LINK_MAX_DATAGRAM_BYTES];
};

struct net {
    struct link *side[2];
    struct link_config config[2];
    struct identity identity[2];
    uint64_t now_us;
    uint64_t random;
    struct net_packet *packets; /* by due time */
    /* how the network behaves */
    uint64_t delay_us;
    uint64_t jitter_us;
    unsigned loss_percent;
    unsigned duplicate_percent;
    bool cut[2]; /* what this side sends disappears */
    bool checks_ids;
    /* called whenever something may have happened; returns true to stop */
    bool (*app)(struct net *net, void *context);
    void *context;
    /* what was seen */
    uint64_t sent[2];
    uint64_t batches[2];
    struct net_packet *first_flight;
};

static inline uint64_t net_random(struct net *net)
{
    net->random ^= net->random << 13;
    net->random ^= net->random >> 7;
    net->random ^= net->random << 17;
    return net->random;
}

static inline void net_random_bytes(void *context, uint8_t *out, size_t bytes)
{
    struct net *net = context;
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(net_random(net) >> 24);
    }
}

static inline void net_deliver_later(struct net *net, int to, const uint8_t *bytes, size_t size,
                                     uint64_t due_us)
{
    struct net_packet *packet = malloc(sizeof(*packet));
    assert_non_null(packet);
    assert_in_range(size, 1, sizeof(packet->bytes));
    packet->due_us = due_us;
    packet->to = to;
    packet->size = size;
    memcpy(packet->bytes, bytes, size);
    struct net_packet **at = &net->packets;
    while (*at != NULL && (*at)->due_us <= due_us) {
        at = &(*at)->next;
    }
    packet->next = *at;
    *at = packet;
}

static inline void net_send(struct net *net, int from, const uint8_t *bytes, size_t size)
{
    net->sent[from]++;
    if (net->cut[from] || net_random(net) % 100 < net->loss_percent) {
        return;
    }
    int copies = net_random(net) % 100 < net->duplicate_percent ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        uint64_t jitter = net->jitter_us > 0 ? net_random(net) % net->jitter_us : 0;
        net_deliver_later(net, 1 - from, bytes, size, net->now_us + net->delay_us + jitter);
    }
}

static inline void net_flush(struct net *net, int from)
{
    static uint8_t buffer[LINK_MAX_BATCH_BYTES];
    size_t segment;
    size_t total;
    if (net->side[from] == NULL) {
        return;
    }
    while ((total = link_output(net->side[from], net->now_us, buffer, sizeof(buffer), &segment)) >
           0) {
        assert_in_range(segment, 1, total);
        net->batches[from]++;
        for (size_t at = 0; at < total; at += segment) {
            size_t size = total - at < segment ? total - at : segment;
            net_send(net, from, buffer + at, size);
        }
    }
}

static inline void net_input(struct net *net, int to, const uint8_t *bytes, size_t size)
{
    if (net->checks_ids) {
        const uint8_t *cid;
        size_t cid_bytes;
        bool is_initial;
        assert_true(link_datagram_cid(bytes, size, &cid, &cid_bytes, &is_initial));
        assert_true(link_has_cid(net->side[to], cid, cid_bytes));
        assert_false(size >= 8 && memcmp(bytes + 4, "\x21\x12\xa4\x42", 4) == 0);
    }
    (void)link_input(net->side[to], net->now_us, bytes, size);
}

/* One step to whatever comes next, or to the end. False: nothing comes before it. */
static inline bool net_step_until(struct net *net, uint64_t end_us)
{
    net_flush(net, NET_DIALLER);
    net_flush(net, NET_LISTENER);
    uint64_t next = net->packets != NULL ? net->packets->due_us : UINT64_MAX;
    for (int i = 0; i < 2; i++) {
        uint64_t timeout = net->side[i] != NULL ? link_next_timeout(net->side[i]) : UINT64_MAX;
        next = timeout < next ? timeout : next;
    }
    if (next > end_us) {
        net->now_us = end_us != UINT64_MAX ? end_us : net->now_us;
        return false;
    }
    if (next > net->now_us) {
        net->now_us = next;
    }
    while (net->packets != NULL && net->packets->due_us <= net->now_us) {
        struct net_packet *packet = net->packets;
        net->packets = packet->next;
        if (net->side[packet->to] != NULL) {
            net_input(net, packet->to, packet->bytes, packet->size);
        }
        free(packet);
    }
    for (int i = 0; i < 2; i++) {
        if (net->side[i] != NULL && link_next_timeout(net->side[i]) <= net->now_us) {
            (void)link_handle_timeout(net->side[i], net->now_us);
        }
    }
    return true;
}

static inline bool net_step(struct net *net)
{
    return net_step_until(net, UINT64_MAX);
}

/* Until the application says stop, or the time has come. True: stopped by the application. */
static inline bool net_run(struct net *net, uint64_t for_us)
{
    uint64_t end = net->now_us + for_us;
    for (;;) {
        if (net->app != NULL && net->app(net, net->context)) {
            return true;
        }
        if (!net_step_until(net, end)) {
            return net->app != NULL && net->app(net, net->context);
        }
    }
}

static inline void net_init(struct net *net)
{
    memset(net, 0, sizeof(*net));
    net->random = 0x9e3779b97f4a7c15U;
    net->now_us = 1000000;
    net->delay_us = NET_RTT_US / 2;
    net->checks_ids = true;
    static const uint8_t token[32] = "the same on both sides of a dial";
    for (int i = 0; i < 2; i++) {
        assert_int_equal(identity_generate(&net->identity[i]), IDENTITY_OK);
    }
    for (int i = 0; i < 2; i++) {
        struct link_config *config = &net->config[i];
        assert_int_equal(rawkey_credentials(&net->identity[i], &config->credentials), IDENTITY_OK);
        config->peer = net->identity[1 - i].id;
        config->initial_rtt_us = NET_RTT_US;
        config->token = token;
        config->token_bytes = sizeof(token);
        config->random = net_random_bytes;
        config->random_context = net;
    }
}

/* Makes the dialler, and gives its first flight, which does not travel by itself. */
static inline size_t net_dial(struct net *net, uint8_t flight[static LINK_MAX_DATAGRAM_BYTES])
{
    size_t segment;
    assert_int_equal(link_dial(&net->side[0], &net->config[0], net->now_us), LINK_OK);
    link_set_path(net->side[0], net->now_us, true, LINK_MIN_DATAGRAM_BYTES);
    size_t size = link_output(net->side[0], net->now_us, flight, LINK_MAX_DATAGRAM_BYTES, &segment);
    assert_int_equal(size, segment);
    return size;
}

/* Both links, with the first flight delivered after one delay. */
static inline void net_connect(struct net *net)
{
    uint8_t flight[LINK_MAX_DATAGRAM_BYTES];
    size_t size = net_dial(net, flight);
    net->now_us += net->delay_us;
    assert_int_equal(link_accept(&net->side[1], &net->config[1], flight, size, net->now_us),
                     LINK_OK);
    link_set_path(net->side[1], net->now_us, true, LINK_MAX_DATAGRAM_BYTES);
    link_set_path(net->side[0], net->now_us, true, LINK_MAX_DATAGRAM_BYTES);
}

static inline void net_free(struct net *net)
{
    for (int i = 0; i < 2; i++) {
        link_free(net->side[i]);
        gnutls_certificate_free_credentials(net->config[i].credentials);
    }
    while (net->packets != NULL) {
        struct net_packet *next = net->packets->next;
        free(net->packets);
        net->packets = next;
    }
}

static inline bool net_both_confirmed(struct net *net, void *context)
{
    (void)context;
    return link_is_confirmed(net->side[0]) && link_is_confirmed(net->side[1]);
}

/* Throws all events away but the one asked for. False: it did not come. */
static inline bool net_find_event(struct link *link, enum link_event_kind kind,
                                  struct link_event *event)
{
    while (link_poll_event(link, event)) {
        if (event->kind == kind) {
            return true;
        }
    }
    return false;
}

#endif
