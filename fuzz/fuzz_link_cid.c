/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams from outside: their routing, the first flight, and what links make of damaged ones.
 * The input's first byte chooses: raw bytes, raw bytes behind a right ID, or a mask over a real
 * datagram, which gets past the checks that random bytes fail. */
#include <stdlib.h>
#include <string.h>

#include "identity/rawkey.h"
#include "link/link.h"

#define RUNS_PER_PAIR 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pair {
    struct link *side[2];
    struct link_config config[2];
    uint8_t pending[LINK_MAX_DATAGRAM_BYTES]; /* a real datagram on its way to side 1 */
    size_t pending_bytes;
    uint8_t cid[2][LINK_CID_BYTES];
    uint64_t now_us;
    unsigned runs;
};

static void configure(struct pair *pair)
{
    static const uint8_t token[32] = "the same on both sides of a dial";
    struct identity who[2];
    for (int i = 0; i < 2; i++) {
        struct link_config *config = &pair->config[i];
        if (identity_generate(&who[i]) != IDENTITY_OK ||
            rawkey_credentials(&who[i], &config->credentials) != IDENTITY_OK) {
            abort();
        }
        config->token = token;
        config->token_bytes = sizeof(token);
        config->random = identity_random;
    }
    pair->config[0].peer = who[1].id;
    pair->config[1].peer = who[0].id;
}

static void remember_cid(struct pair *pair, int to, const uint8_t *bytes, size_t size)
{
    const uint8_t *cid;
    size_t cid_bytes;
    bool is_initial;
    if (link_datagram_cid(bytes, size, &cid, &cid_bytes, &is_initial) &&
        cid_bytes == LINK_CID_BYTES) {
        memcpy(pair->cid[to], cid, LINK_CID_BYTES);
    }
}

/* One datagram from each side to the other; from side 0 one stays back. */
static void exchange(struct pair *pair)
{
    uint8_t buffer[LINK_MAX_DATAGRAM_BYTES];
    size_t segment;
    size_t size;
    pair->now_us += 1000;
    size = link_output(pair->side[1], pair->now_us, buffer, sizeof(buffer), &segment);
    if (size > 0) {
        remember_cid(pair, 0, buffer, size);
        link_input(pair->side[0], pair->now_us, buffer, size);
    }
    if (pair->pending_bytes > 0) {
        remember_cid(pair, 1, pair->pending, pair->pending_bytes);
        link_input(pair->side[1], pair->now_us, pair->pending, pair->pending_bytes);
    }
    pair->pending_bytes =
        link_output(pair->side[0], pair->now_us, pair->pending, sizeof(pair->pending), &segment);
}

static void renew(struct pair *pair)
{
    size_t segment;
    link_free(pair->side[0]);
    link_free(pair->side[1]);
    pair->runs = 0;
    pair->now_us += 1000000;
    pair->side[1] = NULL;
    if (link_dial(&pair->side[0], &pair->config[0], pair->now_us) != LINK_OK) {
        abort();
    }
    link_set_path(pair->side[0], pair->now_us, true, LINK_MIN_DATAGRAM_BYTES);
    pair->pending_bytes =
        link_output(pair->side[0], pair->now_us, pair->pending, sizeof(pair->pending), &segment);
    if (link_accept(&pair->side[1], &pair->config[1], pair->pending, pair->pending_bytes,
                    pair->now_us) != LINK_OK) {
        abort();
    }
    link_set_path(pair->side[1], pair->now_us, true, LINK_MAX_DATAGRAM_BYTES);
    int64_t stream = link_stream_open(pair->side[1]);
    link_stream_write(pair->side[1], stream, (const uint8_t *)"hello", 5, false);
}

static void drain(struct link *link)
{
    struct link_event event;
    while (link_poll_event(link, &event)) {
        const uint8_t *bytes;
        bool fin;
        if (event.kind == LINK_EVENT_READABLE) {
            ssize_t size = link_stream_peek(link, event.stream, &bytes, &fin);
            link_stream_consume(link, event.stream, size > 0 ? (size_t)size : 0);
        }
    }
}

static void check_cid(const uint8_t *data, size_t size)
{
    const uint8_t *cid;
    size_t cid_bytes;
    bool is_initial;
    if (link_datagram_cid(data, size, &cid, &cid_bytes, &is_initial) &&
        (cid < data || cid_bytes > LINK_MAX_CID_BYTES || cid + cid_bytes > data + size)) {
        abort();
    }
}

static void try_accept(struct pair *pair, const uint8_t *data, size_t size)
{
    struct link *link;
    if (link_accept(&link, &pair->config[1], data, size, pair->now_us) == LINK_OK) {
        link_free(link);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pair pair;
    uint8_t bytes[LINK_MAX_DATAGRAM_BYTES];
    check_cid(data, size);
    if (pair.config[0].credentials == NULL) {
        configure(&pair);
    }
    if (pair.side[0] == NULL || ++pair.runs > RUNS_PER_PAIR ||
        link_close_reason(pair.side[0])->kind != LINK_CLOSE_NONE ||
        link_close_reason(pair.side[1])->kind != LINK_CLOSE_NONE) {
        renew(&pair);
    }
    if (size < 2 || size - 1 > sizeof(bytes)) {
        return 0;
    }
    int to = data[0] >> 7;
    size--;
    memcpy(bytes, data + 1, size);
    switch (data[0] & 3) {
    case 0:
        try_accept(&pair, bytes, size);
        break;
    case 1:
        if (size > LINK_CID_BYTES) {
            bytes[0] &= 0x7f;
            memcpy(bytes + 1, pair.cid[to], LINK_CID_BYTES);
        }
        break;
    case 2:
        to = 1;
        for (size_t i = 0; i < pair.pending_bytes; i++) {
            bytes[i] = (uint8_t)(pair.pending[i] ^ (i < size ? data[1 + i] : 0));
        }
        size = pair.pending_bytes;
        break;
    default:
        break;
    }
    link_input(pair.side[to], pair.now_us, bytes, size);
    drain(pair.side[to]);
    exchange(&pair);
    return 0;
}
