/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams at the relay. Input: a byte that chooses the sender, two for the size of the datagrams
 * that arrive joined, then those; a datagram that begins with 0x01 to 0x06 gets the tag of that
 * number. Whatever comes, it goes to the other member of the pair that its tag names or nowhere,
 * and comes from the one whose tag it is. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/relay.h"

#define MEMBERS 3
#define TAG     WIRE_RELAY_TAG_BYTES

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct relay *relay;
    struct attested attested[MEMBERS];
    struct relay_member member[MEMBERS];
    struct relay_pair *pair[MEMBERS]; /* of member i and the next */
};

static bool make(struct world *world)
{
    struct relay_limits limits = {.rate = {1000000, 900000, 800000, 1000000},
                                  .datagram_bytes = 100,
                                  .peer_pairs = MEMBERS,
                                  .prefix_pairs = MEMBERS};
    const char *refusal;

    world->relay = relay_new(&limits);
    for (size_t i = 0; i < MEMBERS; i++) {
        struct attested_address from = {.addr = stun_addr_v4(192, 0, 2, (uint8_t)i, 1000),
                                        .socket = (uint8_t)i};
        attested_keepalive(&world->attested[i], &from, 1, true, 1000000);
        world->member[i].attested = &world->attested[i];
    }
    world->member[2].stream = (struct relay_stream *)(void *)world; /* never looked into */
    for (size_t i = 0; i < MEMBERS; i++) {
        world->pair[i] = relay_open(world->relay, &world->member[i],
                                    &world->member[(i + 1) % MEMBERS], 1000000, &refusal);
        if (world->pair[i] == NULL)
            return false;
    }
    return true;
}

static void put_tags(const struct world *world, uint8_t *bytes, size_t size, size_t datagram_bytes)
{
    for (size_t at = 0; at + TAG <= size; at += datagram_bytes)
        if (bytes[at] >= 1 && bytes[at] <= 2 * MEMBERS)
            relay_tag(world->pair[(bytes[at] - 1) / 2], (bytes[at] - 1) % 2, bytes + at);
}

/* Whose tag this is, and who is at the other end; false for a tag that nobody has. */
static bool whose(const struct world *world, const uint8_t *tag, size_t *owner, size_t *other)
{
    uint8_t known[TAG];

    for (size_t i = 0; i < 2 * MEMBERS; i++) {
        relay_tag(world->pair[i / 2], (unsigned)(i % 2), known);
        if (memcmp(known, tag, TAG) != 0)
            continue;
        *owner = (i / 2 + i % 2) % MEMBERS;
        *other = (i / 2 + 1 - i % 2) % MEMBERS;
        return true;
    }
    return false;
}

static void check(const struct world *world, const struct relay_run *run, size_t sender,
                  enum relay_verdict verdict, const struct relay_route *route)
{
    size_t owner, other;
    size_t to_owner, to_other;

    if (verdict == RELAY_DROP)
        return;
    assert(whose(world, run->bytes, &owner, &other));
    if (verdict == RELAY_HINT) {
        assert(owner != sender && run->from != NULL);
        return;
    }
    assert(owner == sender && route->size > 0 && route->size <= run->size);
    assert(run->datagram_bytes <= TAG + RELAY_MAX_DATAGRAM_BYTES);
    assert(route->size % run->datagram_bytes == 0 || route->size % run->datagram_bytes > TAG);
    assert(whose(world, route->tag, &to_owner, &to_other));
    assert(to_owner == other && to_other == owner);
    if (verdict == RELAY_TO_STREAM)
        assert(other == 2 && route->stream == world->member[2].stream);
    else if (verdict == RELAY_TO_SESSION)
        assert(other != 2 && route->member == &world->member[other]);
    else
        assert(other != 2 && route->to->socket == other);
}

static void feed(struct world *world, uint8_t *bytes, size_t size, size_t datagram_bytes,
                 uint8_t sender)
{
    struct stun_addr from = stun_addr_v4(192, 0, 2, sender & 3, 1000);

    for (size_t at = 0; at < size && size - at > TAG && datagram_bytes > TAG;) {
        struct relay_run run;
        struct relay_route route;
        relay_cut(bytes + at, size - at, datagram_bytes, &run);
        assert(run.size > 0 && run.size <= size - at);
        if (sender & 4)
            run.by = &world->member[(sender & 3) % MEMBERS];
        else
            run.from = &from;
        enum relay_verdict verdict = relay_route(world->relay, &run, 1000000, &route);
        check(world, &run, sender & 4 ? (sender & 3) % MEMBERS : sender & 3, verdict, &route);
        at += run.size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {0};

    if (size > 3 && make(&world)) {
        size_t datagram_bytes = (size_t)data[1] << 8 | data[2];
        uint8_t *bytes = malloc(size - 3);
        if (bytes != NULL && datagram_bytes > 0) {
            memcpy(bytes, data + 3, size - 3);
            put_tags(&world, bytes, size - 3, datagram_bytes);
            feed(&world, bytes, size - 3, datagram_bytes, data[0]);
        }
        free(bytes);
    }
    for (size_t i = 0; i < MEMBERS; i++)
        relay_close(world.relay, world.pair[i]);
    relay_free(world.relay);
    return 0;
}
