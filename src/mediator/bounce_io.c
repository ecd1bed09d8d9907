/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/bounce_io.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mediator/burst_in.h"
#include "mediator/burst_out.h"
#include "mediator/session.h"
#include "mediator/sockets.h"

#define BOUNCE_IO_BATCHES     8   /* a turn, so that UDP cannot starve the sessions */
#define BOUNCE_IO_BUSY_US     100 /* between wake-ups: datagrams come one by one, and fast */
#define BOUNCE_IO_BUSY_WAKES  16
#define BOUNCE_IO_NAP_NS      20000
#define BOUNCE_IO_PORT_TRIES  64
#define BOUNCE_IO_FIRST_PORT  20000
#define BOUNCE_IO_PORT_RANGE  12000 /* below the ports that Linux gives out itself */
#define BOUNCE_IO_LIMIT_SLOTS 4096

struct bounce_io_socket {
    uv_poll_t poll;
    struct bounce_io *io;
    size_t index;
    int fd;
};

struct bounce_io {
    struct bounce bounce;
    struct bounce_io_owner owner;
    struct bounce_io_socket sockets[BOUNCE_MAX_SOCKETS];
    size_t open_handles;
    bool has_relayed;    /* in this turn */
    uint32_t busy_wakes; /* in a row */
    uint64_t woken_us;
    struct burst_in *in;
    struct burst_out *out;
};

_Static_assert(BOUNCE_MAX_SOCKETS <= BURST_OUT_MAX_SOCKETS &&
                   BOUNCE_MAX_ANSWER_BYTES <= BURST_OUT_MAX_ANSWER_BYTES,
               "every answer can be sent");

/* Back to where an arrival came from. */
static void bounce_io_answer(struct bounce_io *io, const struct burst_in_arrival *arrival,
                             size_t socket, uint16_t port, const uint8_t *bytes, size_t size)
{
    struct burst_out_way way = {
        .socket = socket, .to = arrival->from, .source = arrival->asked, .name = arrival->name};
    uint8_t *room = burst_out_room(io->out, size);

    way.to.port = port;
    memcpy(room, bytes, size);
    burst_out_add(io->out, &way, room, size, size);
}

static void bounce_io_stun(struct bounce_io *io, size_t socket,
                           const struct burst_in_arrival *arrival, const uint8_t *bytes,
                           size_t size, uint64_t now_us)
{
    struct bounce_question question = {
        .bytes = bytes,
        .size = size,
        .socket = socket,
        .from = arrival->from,
        .asked = arrival->asked,
    };
    struct bounce_answer answer;

    if (size <= STUN_MAX_MESSAGE_BYTES && bounce_answer(&io->bounce, &question, now_us, &answer))
        bounce_io_answer(io, arrival, answer.socket, answer.to.port, answer.bytes, answer.size);
}

/* What may pass of a run goes on its way, each datagram with the receiver's tag. */
static void bounce_io_forward(struct bounce_io *io, const struct relay_run *run,
                              const struct relay_route *route, uint8_t *bytes,
                              enum relay_verdict verdict)
{
    io->has_relayed = true;
    for (size_t at = 0; at < route->size; at += run->datagram_bytes)
        memcpy(bytes + at, route->tag, sizeof route->tag);
    if (verdict == RELAY_TO_STREAM) {
        streams_put(io->owner.streams, route->stream, bytes, route->size, run->datagram_bytes);
        return;
    }
    if (verdict == RELAY_TO_SESSION) {
        session_relay_put(route->member, bytes, route->size, run->datagram_bytes);
        return;
    }
    struct burst_out_way way = {.joins = true,
                                .socket = route->to->socket,
                                .to = route->to->addr,
                                .source = route->to->asked};
    burst_out_add(io->out, &way, bytes, route->size, run->datagram_bytes);
}

static size_t bounce_io_run(struct bounce_io *io, size_t socket,
                            const struct burst_in_arrival *arrival, size_t at, uint64_t now_us)
{
    uint8_t *bytes = arrival->bytes + at;
    struct relay_run run;
    struct relay_route route;

    relay_cut(bytes, arrival->size - at, arrival->datagram_bytes, &run);
    run.from = &arrival->from;
    enum relay_verdict verdict = relay_route(io->owner.relay, &run, now_us, &route);
    switch (verdict) {
    case RELAY_TO_ADDRESS:
    case RELAY_TO_STREAM:
    case RELAY_TO_SESSION:
        bounce_io_forward(io, &run, &route, bytes, verdict);
        break;
    case RELAY_HINT:
        if (limits_take(io->bounce.plain, &arrival->from, now_us))
            bounce_io_answer(io, arrival, socket, arrival->from.port, bytes, WIRE_RELAY_TAG_BYTES);
        break;
    case RELAY_DROP:
        break;
    }
    return run.size;
}

static void bounce_io_take(struct bounce_io *io, size_t socket,
                           const struct burst_in_arrival *arrival, uint64_t now_us)
{
    for (size_t at = 0; at < arrival->size;) {
        size_t left = arrival->size - at;
        if (io->owner.relay != NULL && arrival->bytes[at] == WIRE_RELAY_TAG_FIRST &&
            left > WIRE_RELAY_TAG_BYTES && arrival->datagram_bytes > WIRE_RELAY_TAG_BYTES) {
            at += bounce_io_run(io, socket, arrival, at, now_us);
            continue;
        }
        size_t size = left < arrival->datagram_bytes ? left : arrival->datagram_bytes;
        bounce_io_stun(io, socket, arrival, arrival->bytes + at, size, now_us);
        at += size;
    }
}

static size_t bounce_io_batch(struct bounce_io *io, const struct bounce_io_socket *socket,
                              uint64_t *now_us)
{
    uint16_t port = io->bounce.sockets[socket->index].bound.port;
    size_t count = burst_in_receive(io->in, socket->fd, port);
    struct burst_in_arrival arrival;

    *now_us = uv_hrtime() / 1000;
    for (size_t i = 0; i < count; i++)
        if (burst_in_arrival(io->in, i, &arrival))
            bounce_io_take(io, socket->index, &arrival, *now_us);
    burst_out_flush(io->out);
    return count;
}

/* Waking up for each relayed datagram costs more than relaying it. Where they come that fast, it
 * pays to let some gather, as network cards do; it costs them less than a tenth of a millisecond,
 * and what has gathered leaves together. */
static bool bounce_io_nap(struct bounce_io *io, size_t count)
{
    static const struct timespec nap = {.tv_nsec = BOUNCE_IO_NAP_NS};

    if (count == 0 || !io->has_relayed || io->busy_wakes < BOUNCE_IO_BUSY_WAKES)
        return false;
    nanosleep(&nap, NULL);
    return true;
}

static void bounce_io_on_readable(uv_poll_t *handle, int status, int events)
{
    struct bounce_io_socket *socket = handle->data;
    struct bounce_io *io = socket->io;
    uint64_t now_us;
    size_t count;

    (void)events;
    if (status < 0)
        return;
    io->has_relayed = false;
    for (size_t batch = 0; batch < BOUNCE_IO_BATCHES; batch++) {
        count = bounce_io_batch(io, socket, &now_us);
        if (batch == 0)
            io->busy_wakes = now_us - io->woken_us < BOUNCE_IO_BUSY_US ? io->busy_wakes + 1 : 0;
        io->woken_us = now_us;
        if (count < BURST_IN_ARRIVALS && !bounce_io_nap(io, count))
            break;
    }
    streams_flush(io->owner.streams);
}

static void bounce_io_close_sockets(struct bounce_io *io)
{
    for (size_t i = 0; i < io->bounce.socket_count; i++)
        close(io->sockets[i].fd);
    io->bounce.socket_count = 0;
}

static bool bounce_io_bind(struct bounce_io *io, const struct config_address *address,
                           uint16_t port)
{
    struct bounce_socket *made = &io->bounce.sockets[io->bounce.socket_count];

    made->bound = address->bound;
    made->outside = address->outside;
    made->bound.port = made->outside.port = port;
    int fd = sockets_bind_udp(&made->bound);
    if (fd < 0)
        return false;
    burst_out_set_socket(io->out, io->bounce.socket_count, fd);
    io->sockets[io->bounce.socket_count++].fd = fd;
    return true;
}

/* Addresses in their order, both ports of each. A family that this machine does not have is left
 * out where the operator has not asked for it. */
static bool bounce_io_bind_all(struct bounce_io *io, const struct config *config, uint16_t port,
                               char why[static CONFIG_WHY_BYTES])
{
    static const struct config_address everywhere[] = {
        {.bound = {.family = STUN_IPV4}, .outside = {.family = STUN_IPV4}},
        {.bound = {.family = STUN_IPV6}, .outside = {.family = STUN_IPV6}},
    };
    bool chosen = config->address_count > 0;
    const struct config_address *address = chosen ? config->address : everywhere;
    size_t count = chosen ? config->address_count : 2;

    for (size_t i = 0; i < count; i++) {
        for (uint16_t second = 0; second < 2; second++) {
            struct stun_addr addr = address[i].bound;
            char text[STUN_ADDR_TEXT_BYTES];
            addr.port = (uint16_t)(port + second);
            if (bounce_io_bind(io, &address[i], addr.port))
                continue;
            if (!chosen && i > 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
                break;
            snprintf(why, CONFIG_WHY_BYTES, "cannot bind UDP %s: %s", stun_addr_text(&addr, text),
                     strerror(errno));
            int error = errno;
            bounce_io_close_sockets(io);
            errno = error;
            return false;
        }
    }
    return true;
}

static bool bounce_io_open_sockets(struct bounce_io *io, const struct config *config,
                                   char why[static CONFIG_WHY_BYTES])
{
    if (config->bounce_port != 0)
        return bounce_io_bind_all(io, config, config->bounce_port, why);
    for (int i = 0; i < BOUNCE_IO_PORT_TRIES; i++) {
        uint32_t port = BOUNCE_IO_FIRST_PORT + randombytes_uniform(BOUNCE_IO_PORT_RANGE / 2) * 2;
        if (bounce_io_bind_all(io, config, (uint16_t)port, why))
            return true;
        if (errno != EADDRINUSE)
            break;
    }
    return false;
}

static void bounce_io_free(struct bounce_io *io)
{
    limits_free(io->bounce.plain);
    limits_free(io->bounce.keepalive);
    limits_free(io->bounce.behaviour);
    burst_in_free(io->in);
    burst_out_free(io->out);
    free(io);
}

static void bounce_io_on_closed(uv_handle_t *handle)
{
    struct bounce_io_socket *socket = handle->data;
    struct bounce_io *io = socket->io;

    close(socket->fd);
    if (--io->open_handles == 0)
        bounce_io_free(io);
}

struct bounce_io *bounce_io_open(uv_loop_t *loop, const struct config *config,
                                 const struct bounce_io_owner *owner,
                                 char why[static CONFIG_WHY_BYTES])
{
    const struct config_limits *limits = &config->limits;
    struct bounce_io *io = calloc(1, sizeof *io);

    snprintf(why, CONFIG_WHY_BYTES, "out of memory");
    if (io == NULL)
        return NULL;
    io->owner = *owner;
    io->bounce.find = owner->find;
    io->bounce.context = owner->context;
    randombytes_buf(io->bounce.nonce_key, sizeof io->bounce.nonce_key);
    io->in = burst_in_new();
    io->out = burst_out_new();
    io->bounce.plain = limits_new(BOUNCE_IO_LIMIT_SLOTS,
                                  (struct limit_rate){limits->bounce_rate, limits->bounce_burst});
    io->bounce.keepalive =
        limits_new(BOUNCE_IO_LIMIT_SLOTS,
                   (struct limit_rate){limits->keepalive_rate, limits->keepalive_burst});
    io->bounce.behaviour =
        limits_new(BOUNCE_IO_LIMIT_SLOTS,
                   (struct limit_rate){limits->behaviour_rate, limits->behaviour_burst});
    if (io->in == NULL || io->out == NULL || io->bounce.plain == NULL ||
        io->bounce.keepalive == NULL || io->bounce.behaviour == NULL ||
        !bounce_io_open_sockets(io, config, why)) {
        bounce_io_free(io);
        return NULL;
    }
    for (size_t i = 0; i < io->bounce.socket_count; i++) {
        struct bounce_io_socket *socket = &io->sockets[i];
        socket->io = io;
        socket->index = i;
        uv_poll_init(loop, &socket->poll, socket->fd);
        socket->poll.data = socket;
        uv_poll_start(&socket->poll, UV_READABLE, bounce_io_on_readable);
        io->open_handles++;
    }
    return io;
}

void bounce_io_relay(struct bounce_io *io, const struct relay_member *by, uint8_t *bytes,
                     size_t size)
{
    struct relay_run run = {.bytes = bytes, .size = size, .datagram_bytes = size, .by = by};
    struct relay_route route;

    if (size <= WIRE_RELAY_TAG_BYTES)
        return;
    enum relay_verdict verdict = relay_route(io->owner.relay, &run, uv_hrtime() / 1000, &route);
    if (verdict != RELAY_DROP)
        bounce_io_forward(io, &run, &route, bytes, verdict);
}

void bounce_io_flush(struct bounce_io *io)
{
    burst_out_flush(io->out);
}

const struct bounce *bounce_io_bounce(const struct bounce_io *io)
{
    return &io->bounce;
}

void bounce_io_close(struct bounce_io *io)
{
    if (io == NULL)
        return;
    for (size_t i = 0; i < io->bounce.socket_count; i++)
        uv_close((uv_handle_t *)&io->sockets[i].poll, bounce_io_on_closed);
}
