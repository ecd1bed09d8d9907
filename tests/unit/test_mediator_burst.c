/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams over loopback, out by burst_out.c and in by burst_in.c. */
#include "mediator/burst_in.h"
#include "mediator/burst_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mediator/sockets.h"

struct world {
    struct burst_in *in;
    struct burst_out *out;
    struct stun_addr addr[2]; /* 0 sends, 1 receives */
    int fd[2];
    uint8_t bytes[65536];
};

static int set_up(void **state)
{
    static struct world world;

    world.in = burst_in_new();
    world.out = burst_out_new();
    for (size_t i = 0; i < 2; i++) {
        world.addr[i] = stun_addr_v4(127, 0, 0, 1, 0);
        world.fd[i] = sockets_bind_udp(&world.addr[i]);
    }
    burst_out_set_socket(world.out, 0, world.fd[0]);
    for (size_t i = 0; i < sizeof world.bytes; i++)
        world.bytes[i] = (uint8_t)(i / 100);
    *state = &world;
    return world.in == NULL || world.out == NULL || world.fd[0] < 0 || world.fd[1] < 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    burst_in_free(world->in);
    burst_out_free(world->out);
    close(world->fd[0]);
    close(world->fd[1]);
    return 0;
}

static void add(struct world *world, size_t at, size_t size, size_t datagram_bytes)
{
    struct burst_out_way way = {.joins = true, .to = world->addr[1]};

    burst_out_add(world->out, &way, world->bytes + at, size, datagram_bytes);
}

/* Takes everything that has arrived: the bytes one after the other, the size of each datagram, and
 * how many arrivals that were. */
static size_t arrivals(struct world *world, uint8_t *bytes, size_t *sizes, size_t *count)
{
    struct burst_in_arrival arrival;
    size_t total = 0, got = 0, used = 0;

    burst_out_flush(world->out);
    while ((got = burst_in_receive(world->in, world->fd[1], 0)) > 0) {
        for (size_t i = 0; i < got; i++) {
            assert_true(burst_in_arrival(world->in, i, &arrival));
            assert_true(stun_addr_equal(&arrival.from, &world->addr[0]));
            memcpy(bytes + used, arrival.bytes, arrival.size);
            used += arrival.size;
            for (size_t at = 0; at < arrival.size; at += arrival.datagram_bytes) {
                size_t left = arrival.size - at;
                sizes[(*count)++] = left < arrival.datagram_bytes ? left : arrival.datagram_bytes;
            }
            total++;
        }
    }
    assert_memory_equal(bytes, world->bytes, used);
    return total;
}

static void test_equal_ones_leave_and_arrive_as_one(void **state)
{
    struct world *world = *state;
    uint8_t bytes[65536];
    size_t sizes[64], count = 0;

    add(world, 0, 1000, 100);
    add(world, 1000, 100, 100);
    add(world, 1100, 230, 100); /* ends with a shorter one */
    add(world, 1330, 30, 30);
    assert_int_equal(arrivals(world, bytes, sizes, &count), 2);
    assert_int_equal(count, 15);
    for (size_t i = 0; i < 13; i++)
        assert_int_equal(sizes[i], 100);
    assert_int_equal(sizes[13], 30);
    assert_int_equal(sizes[14], 30);
}

static void test_larger_ones_begin_anew(void **state)
{
    struct world *world = *state;
    uint8_t bytes[65536];
    size_t sizes[64], count = 0;

    add(world, 0, 100, 100);
    add(world, 100, 40, 40); /* may follow, as the last */
    add(world, 140, 100, 100);
    add(world, 240, 80, 40); /* two of another size may not */
    assert_int_equal(arrivals(world, bytes, sizes, &count), 3);
    assert_int_equal(count, 5);
    static const size_t expected[] = {100, 40, 100, 40, 40};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(sizes[i], expected[i]);
}

static void test_no_more_than_fits_one_send(void **state)
{
    struct world *world = *state;
    uint8_t bytes[65536];
    size_t sizes[256], count = 0;

    for (size_t i = 0; i < 100; i++)
        add(world, i * 10, 10, 10);
    assert_int_equal(arrivals(world, bytes, sizes, &count), 2); /* 64 and 36 */
    assert_int_equal(count, 100);
    count = 0;
    for (size_t i = 0; i < 50; i++)
        add(world, i * 1200, 1200, 1200);
    add(world, 60000, 5500, 1100);
    assert_int_equal(arrivals(world, bytes, sizes, &count), 2);
    assert_int_equal(count, 55);
}

static void test_answers_keep_their_bytes_until_they_leave(void **state)
{
    struct world *world = *state;
    struct burst_out_way way = {.to = world->addr[1]};
    uint8_t bytes[65536];
    size_t sizes[512], count = 0;

    for (size_t i = 0; i < 300; i++) {
        uint8_t *room = burst_out_room(world->out, 100);
        memcpy(room, world->bytes + i * 100, 100);
        burst_out_add(world->out, &way, room, 100, 100);
    }
    assert_int_equal(arrivals(world, bytes, sizes, &count), 300);
}

static void test_one_receiver_that_cannot_be_reached(void **state)
{
    struct world *world = *state;
    struct burst_out_way nowhere = {.joins = true, .to = stun_addr_v4(255, 255, 255, 255, 9)};
    uint8_t bytes[65536];
    size_t sizes[8], count = 0;

    burst_out_add(world->out, &nowhere, world->bytes, 100, 50);
    add(world, 0, 100, 100);
    assert_int_equal(arrivals(world, bytes, sizes, &count), 1);
}

static void test_comes_from_the_address_that_was_asked(void **state)
{
    struct world *world = *state;
    struct stun_addr any = stun_addr_v4(0, 0, 0, 0, 0), to;
    struct burst_in_arrival arrival;
    int fd = sockets_bind_udp(&any);

    burst_out_set_socket(world->out, 1, fd);
    to = stun_addr_v4(127, 0, 0, 7, any.port);
    struct burst_out_way there = {.to = to};
    burst_out_add(world->out, &there, world->bytes, 10, 10);
    burst_out_flush(world->out);
    assert_int_equal(burst_in_receive(world->in, fd, any.port), 1);
    assert_true(burst_in_arrival(world->in, 0, &arrival));
    assert_true(stun_addr_equal(&arrival.asked, &to));
    struct burst_out_way back = {
        .joins = true, .socket = 1, .to = arrival.from, .source = arrival.asked};
    burst_out_add(world->out, &back, world->bytes, 100, 50);
    burst_out_flush(world->out);
    assert_int_equal(burst_in_receive(world->in, world->fd[0], 0), 1);
    assert_true(burst_in_arrival(world->in, 0, &arrival));
    assert_true(stun_addr_equal(&arrival.from, &to));
    assert_int_equal(arrival.asked.family, STUN_NO_FAMILY);
    assert_int_equal(arrival.datagram_bytes, 50);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_equal_ones_leave_and_arrive_as_one),
        TEST(test_larger_ones_begin_anew),
        TEST(test_no_more_than_fits_one_send),
        TEST(test_answers_keep_their_bytes_until_they_leave),
        TEST(test_one_receiver_that_cannot_be_reached),
        TEST(test_comes_from_the_address_that_was_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
