/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two ends of a link say to each other in tests: patterns, and what came of them. */
#ifndef TESTS_UNIT_LINK_TALK_H
#define TESTS_UNIT_LINK_TALK_H

#include "link_net.h"

#define MEGABYTE 1000000U

/* One side of a transfer: writes a pattern on its stream and checks what comes on any other. */
struct talker {
    int64_t stream;
    uint64_t to_write;
    uint64_t written;
    uint64_t read;
    uint64_t key; /* of what is written */
    uint64_t peer_key;
    bool fin_seen;
    bool is_closed; /* our stream */
    bool keeps;     /* does not read */
    unsigned streams_opened;
    unsigned resets;
    uint64_t reset_code;
    unsigned messages;
    unsigned closed_streams;
};

struct talk {
    struct talker side[2];
};

#define PATTERN_BYTES 65521 /* a prime: a byte in the wrong place is a wrong byte */
#define WRITE_BYTES   16384

/* The stream's bytes from here on, at least WRITE_BYTES of them. */
static inline const uint8_t *pattern(uint64_t key, uint64_t at)
{
    static uint8_t bytes[PATTERN_BYTES + WRITE_BYTES];
    if (bytes[0] == 0) {
        uint64_t x = 88172645463325252U;
        for (size_t i = 0; i < PATTERN_BYTES; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            bytes[i] = (uint8_t)(x | (i == 0));
        }
        memcpy(bytes + PATTERN_BYTES, bytes, WRITE_BYTES);
    }
    return bytes + (key + at) % PATTERN_BYTES;
}

static inline void talker_write(struct link *link, struct talker *talker)
{
    while (talker->stream >= 0 && talker->written < talker->to_write) {
        uint64_t left = talker->to_write - talker->written;
        size_t bytes = left < WRITE_BYTES ? (size_t)left : WRITE_BYTES;
        bool last = bytes == left;
        ssize_t taken = link_stream_write(link, talker->stream,
                                          pattern(talker->key, talker->written), bytes, last);
        assert_true(taken >= 0);
        talker->written += (uint64_t)taken;
        if ((size_t)taken < bytes) {
            return;
        }
    }
}

static inline void talker_read(struct link *link, struct talker *talker, int64_t stream)
{
    const uint8_t *data;
    bool fin;
    ssize_t bytes;
    while ((bytes = link_stream_peek(link, stream, &data, &fin)) > 0) {
        size_t take = (size_t)bytes < WRITE_BYTES ? (size_t)bytes : WRITE_BYTES;
        if (memcmp(data, pattern(talker->peer_key, talker->read), take) != 0) {
            fail_msg("wrong bytes at %llu", (unsigned long long)talker->read);
        }
        talker->read += take;
        link_stream_consume(link, stream, take);
    }
    talker->fin_seen = talker->fin_seen || (bytes == 0 && fin);
}

static inline void talker_events(struct link *link, struct talker *talker)
{
    struct link_event event;
    while (link_poll_event(link, &event)) {
        switch (event.kind) {
        case LINK_EVENT_READABLE:
            if (!talker->keeps) {
                talker_read(link, talker, event.stream);
            }
            break;
        case LINK_EVENT_STREAM_OPENED:
            talker->streams_opened++;
            break;
        case LINK_EVENT_STREAM_RESET:
            talker->resets++;
            talker->reset_code = event.code;
            break;
        case LINK_EVENT_STREAM_CLOSED:
            talker->closed_streams++;
            talker->is_closed = talker->is_closed || event.stream == talker->stream;
            break;
        case LINK_EVENT_MESSAGE:
            assert_int_equal(event.bytes, event.data[0] + 1);
            talker->messages++;
            break;
        default:
            break;
        }
    }
    talker_write(link, talker);
}

static inline bool talk(struct net *net, void *context)
{
    struct talk *all = context;
    for (int i = 0; i < 2; i++) {
        talker_events(net->side[i], &all->side[i]);
        assert_int_equal(link_close_reason(net->side[i])->kind, LINK_CLOSE_NONE);
    }
    return false;
}

/* Both have read to the end of what the other writes. */
static inline bool talk_until_read(struct net *net, void *context)
{
    struct talk *all = context;
    talk(net, context);
    return all->side[0].read == all->side[1].to_write && all->side[1].read == all->side[0].to_write;
}

static inline void start(struct net *net, struct talk *all)
{
    memset(all, 0, sizeof(*all));
    all->side[0] = (struct talker){.stream = -1, .key = 1, .peer_key = 1000};
    all->side[1] = (struct talker){.stream = -1, .key = 1000, .peer_key = 1};
    net_connect(net);
    net->context = all;
    net->app = net_both_confirmed;
    assert_true(net_run(net, 10000000));
    net->app = talk;
}

static inline void begin_stream(struct net *net, struct talk *all, int from, uint64_t bytes)
{
    all->side[from].stream = link_stream_open(net->side[from]);
    assert_true(all->side[from].stream >= 0);
    all->side[from].to_write = bytes;
}

#endif
