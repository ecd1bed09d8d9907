/* SPDX-License-Identifier: BSD-2-Clause */
#include "relay_stage.h"

bool open_side(struct stage *stage, struct side *side, size_t control, uint8_t last)
{
    side->udp = client_udp(last);
    return side->udp >= 0 && client_open(&side->client, &stage->mediator.control[control], last) &&
           client_register(&side->client, ANYONE, NULL, NULL);
}

bool attest(struct stage *stage, struct side *side, size_t bounce)
{
    return client_attest(&side->client, side->udp, &stage->mediator.bounce[bounce]);
}

bool dial(struct stage *stage)
{
    const wire_PeerCoord *coord = &stage->msg.body.peer_coord;

    if (!client_dial(&stage->a.client, &stage->b.client.identity.id, 1, NULL) ||
        !client_expect(&stage->b.client, PEER_COORD, &stage->msg) || coord->relay_tag.size != TAG)
        return false;
    memcpy(stage->b.tag, coord->relay_tag.bytes, TAG);
    if (!client_expect(&stage->a.client, PEER_COORD, &stage->msg) || coord->relay_tag.size != TAG)
        return false;
    memcpy(stage->a.tag, coord->relay_tag.bytes, TAG);
    return memcmp(stage->a.tag, stage->b.tag, TAG) != 0;
}

int set_up_with(void **state, const char *limits)
{
    struct stage *stage = calloc(1, sizeof *stage);

    *state = stage;
    return !(stage != NULL && mediator_create(&stage->mediator, getenv("EYELETD"), limits) &&
             open_side(stage, &stage->a, 0, 3) && open_side(stage, &stage->b, 1, 4));
}

int set_up(void **state)
{
    return set_up_with(state, "");
}

bool has_ipv6(void)
{
    int fd = client_udp(CLIENT_IPV6);

    close(fd);
    return fd >= 0;
}

void free_side(struct side *side)
{
    client_close(&side->stream);
    client_free(&side->client);
    close(side->udp);
}

int tear_down(void **state)
{
    struct stage *stage = *state;

    free_side(&stage->a);
    free_side(&stage->b);
    int status = mediator_stop(&stage->mediator);
    mediator_destroy(&stage->mediator);
    free(stage);
    return status;
}

void say(struct stage *stage, const struct side *from, size_t bounce, uint8_t mark, size_t size)
{
    uint8_t bytes[TAG + MAX_BYTES + 1];

    memcpy(bytes, from->tag, TAG);
    memset(bytes + TAG, mark, size);
    assert_true(client_sendto(from->udp, &stage->mediator.bounce[bounce], bytes, TAG + size));
}

void assert_whole(const struct side *to, const uint8_t *bytes, size_t got, uint8_t mark,
                  size_t size)
{
    assert_int_equal(got, TAG + size);
    assert_memory_equal(bytes, to->tag, TAG);
    for (size_t i = TAG; i < got; i++)
        assert_int_equal(bytes[i], mark);
}

void hear(const struct side *to, uint8_t mark, size_t size)
{
    uint8_t bytes[2 * MAX_BYTES];
    size_t got = client_recv(to->udp, bytes, sizeof bytes, SOON_MS);

    assert_whole(to, bytes, got, mark, size);
}

void hear_nothing(const struct side *to)
{
    uint8_t bytes[2 * MAX_BYTES];

    assert_int_equal(client_recv(to->udp, bytes, sizeof bytes, NEVER_MS), 0);
}

void open_stream(struct stage *stage, struct side *side, uint8_t last)
{
    assert_true(client_open_relay(&side->client, &stage->mediator.control[0], last, &side->stream));
}
