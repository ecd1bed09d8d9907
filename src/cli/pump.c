/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/pump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/pipefd.h"

#define BUFFER_BYTES (256 << 10)
#define ROUNDS       16   /* before others get their turn, ... */
#define SLICE_US     5000 /* ... also when the disk is slow */

struct pump {
    struct pump_config config;
    eyelet_conn *conn;
    struct pipefd *input;
    struct pipefd *output;
    bool input_over;
    bool up_done;   /* our direction is finished */
    bool down_done; /* the peer's direction has ended and everything is written */
    bool dropping;  /* the consumer left: the rest is thrown away */
    bool closed;    /* the connection is gone; what it received can still be read */
    bool cut_off;   /* it went before our direction was finished */
    bool ended;
    uint8_t *held; /* read from the input, not yet taken by the stream */
    size_t held_start;
    size_t held_end;
};

static void end(struct pump *pump, enum pump_end how, const char *text)
{
    if (pump->ended) {
        return;
    }
    pump->ended = true;
    pipefd_wait(pump->input, false);
    pipefd_wait(pump->output, false);
    pump->config.ended(pump->config.context, pump, how, text);
}

static void fail(struct pump *pump, enum pump_end how, int error)
{
    char text[120];
    snprintf(text, sizeof(text), "cannot %s: %s", how == PUMP_INPUT_FAILED ? "read" : "write",
             strerror(error));
    eyelet_stream_reset(pump->conn, pump->config.stream,
                        how == PUMP_OUTPUT_GONE ? OUTCOME_RESET_OUTPUT : OUTCOME_RESET_OTHER);
    end(pump, how, text);
}

static void end_if_complete(struct pump *pump)
{
    if (!pump->up_done || !pump->down_done) {
        return;
    }
    if (pump->cut_off) {
        end(pump, PUMP_STREAM_LOST, "the connection ended before all input was sent");
    } else {
        end(pump, PUMP_COMPLETE, "");
    }
}

/* Gives what is held to the stream. False: it takes no more now, or is gone. */
static bool push_held(struct pump *pump)
{
    size_t bytes = pump->held_end - pump->held_start;
    if (bytes == 0) {
        return true;
    }
    ssize_t taken =
        eyelet_stream_write(pump->conn, pump->config.stream, pump->held + pump->held_start, bytes);
    if (taken == EYELET_ERR_CLOSED) {
        /* the peer's reset, or the connection's end, is said by its own event */
        pipefd_wait(pump->input, false);
        return false;
    }
    if (taken < 0 && taken != EYELET_ERR_AGAIN) {
        end(pump, PUMP_STREAM_LOST, eyelet_strerror((int)taken));
        return false;
    }
    if (taken > 0) {
        pump->config.session->bytes_out += (uint64_t)taken;
        pump->held_start += (size_t)taken;
    }
    /* WRITABLE follows a write that fell short */
    pipefd_wait(pump->input, pump->held_start == pump->held_end);
    return pump->held_start == pump->held_end;
}

static void finish_up(struct pump *pump)
{
    pump->up_done = true;
    (void)eyelet_stream_finish(pump->conn, pump->config.stream);
    end_if_complete(pump);
}

static bool is_turn_over(int round, uint64_t began_us)
{
    return round >= ROUNDS || (round > 0 && loop_now_us() - began_us >= SLICE_US);
}

static void move_up(struct pump *pump)
{
    uint64_t began_us = loop_now_us();
    for (int round = 0; !pump->up_done && !pump->input_over && !pump->ended; round++) {
        if (!push_held(pump)) {
            return;
        }
        if (is_turn_over(round, began_us)) {
            pipefd_wait(pump->input, true);
            return;
        }
        ssize_t n = pipefd_read(pump->input, pump->held, BUFFER_BYTES);
        if (n == -EAGAIN) {
            pipefd_wait(pump->input, true);
            return;
        }
        if (n < 0) {
            fail(pump, PUMP_INPUT_FAILED, (int)-n);
            return;
        }
        if (n == 0) {
            pipefd_wait(pump->input, false);
            if (pump->config.input_over) {
                pump->input_over = true;
                pump->config.input_over(pump->config.context);
            } else {
                finish_up(pump);
            }
            return;
        }
        pump->held_start = 0;
        pump->held_end = (size_t)n;
    }
}

static void down_end(struct pump *pump)
{
    pump->down_done = true;
    pipefd_close(pump->output);
    pump->output = NULL;
    end_if_complete(pump);
}

/* False: stop for now. */
static bool write_down(struct pump *pump, const uint8_t *data, size_t bytes, size_t *written)
{
    ssize_t n = pump->dropping ? (ssize_t)bytes : pipefd_write(pump->output, data, bytes);
    *written = 0;
    if (n == -EAGAIN) {
        pipefd_wait(pump->output, true);
        return false;
    }
    if (n == -EPIPE || n == -ECONNRESET) {
        if (!pump->config.drop_when_gone) {
            fail(pump, PUMP_OUTPUT_GONE, (int)-n);
            return false;
        }
        pump->dropping = true;
        n = (ssize_t)bytes;
    }
    if (n < 0) {
        fail(pump, PUMP_OUTPUT_FAILED, (int)-n);
        return false;
    }
    *written = (size_t)n;
    return true;
}

static void move_down(struct pump *pump)
{
    uint64_t began_us = loop_now_us();
    for (int round = 0; !pump->down_done && !pump->ended; round++) {
        const uint8_t *data;
        size_t written;
        ssize_t n = eyelet_stream_peek(pump->conn, pump->config.stream, &data);
        if (n == EYELET_ERR_AGAIN) {
            pipefd_wait(pump->output, false);
            return;
        }
        if (n == 0) {
            down_end(pump);
            return;
        }
        if (n < 0) {
            if (pump->closed) {
                end(pump, PUMP_STREAM_LOST, "the connection ended in the middle of the stream");
            }
            return; /* otherwise the reset is said by its own event */
        }
        if (is_turn_over(round, began_us)) {
            pipefd_wait(pump->output, true);
            return;
        }
        bool more = write_down(pump, data, (size_t)n, &written);
        if (written > 0) {
            session_received(pump->config.session, written);
            eyelet_stream_consume(pump->conn, pump->config.stream, written);
        }
        if (!more) {
            return;
        }
    }
}

static void on_input_ready(void *context)
{
    move_up(context);
}

static void on_output_ready(void *context)
{
    move_down(context);
}

/* What has arrived can still be read; what was not sent is lost, and that must not pass unsaid. */
static void on_connection_closed(struct pump *pump)
{
    pump->closed = true;
    pump->cut_off = !pump->up_done;
    pump->up_done = true;
    pipefd_wait(pump->input, false);
    if (pump->down_done) {
        end_if_complete(pump);
    } else {
        move_down(pump);
    }
}

struct pump *pump_new(const struct pump_config *config)
{
    uv_loop_t *uv = &config->session->loop->uv;
    struct pump *pump = calloc(1, sizeof(*pump));
    if (!pump) {
        close(config->input);
        close(config->output);
        return NULL;
    }
    pump->config = *config;
    pump->conn = config->session->conn;
    pump->held = malloc(BUFFER_BYTES);
    pump->input = pump->held
                      ? pipefd_new(uv, config->input, false, config->standard, on_input_ready, pump)
                      : NULL;
    pump->output =
        pump->input ? pipefd_new(uv, config->output, true, config->standard, on_output_ready, pump)
                    : NULL;
    if (!pump->output) {
        int error = errno;
        close(config->output);
        if (!pump->input) {
            close(config->input);
        }
        pump_free(pump);
        errno = error;
        return NULL;
    }
    return pump;
}

void pump_start(struct pump *pump)
{
    move_up(pump);
    move_down(pump);
}

void pump_finish(struct pump *pump)
{
    if (!pump->up_done && !pump->ended) {
        finish_up(pump);
    }
}

void pump_free(struct pump *pump)
{
    if (!pump) {
        return;
    }
    pipefd_close(pump->input);
    pipefd_close(pump->output);
    free(pump->held);
    free(pump);
}

void pump_event(struct pump *pump, const eyelet_event *event)
{
    if (pump->ended) {
        return;
    }
    switch (event->kind) {
    case EYELET_EVENT_READABLE:
        move_down(pump);
        break;
    case EYELET_EVENT_WRITABLE:
        move_up(pump);
        break;
    case EYELET_EVENT_STREAM_RESET:
        end(pump, PUMP_STREAM_LOST, outcome_reset_text(event->code));
        break;
    case EYELET_EVENT_CLOSED:
        on_connection_closed(pump);
        break;
    default:
        break;
    }
}
