/* SPDX-License-Identifier: BSD-2-Clause */
/* What a stranger may send to a mediator's control port: bytes to the server side of a channel,
 * which must never open for them; and the same bytes as what comes out of TLS, to the frame cutter,
 * in pieces, which must cut the same frames whatever the pieces. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "identity/rawkey.h"
#include "rendezvous/channel.h"
#include "rendezvous/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void feed_server(const uint8_t *bytes, size_t size)
{
    static const uint8_t seed[IDENTITY_SEED_BYTES] = {7};
    static gnutls_certificate_credentials_t credentials;
    static gnutls_priority_t priority;
    if (credentials == NULL) {
        struct identity self;
        if (identity_from_seed(seed, &self) != IDENTITY_OK ||
            rawkey_credentials(&self, &credentials) != IDENTITY_OK ||
            channel_priority(&priority) != CHANNEL_OK) {
            abort();
        }
    }
    int fds[2];
    if (size == 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) {
        return;
    }
    struct channel_config config = {.server = true,
                                    .fd = fds[0],
                                    .credentials = credentials,
                                    .max_queue_bytes = 16384,
                                    .priority = priority};
    struct channel *server;
    if (channel_new(&server, &config) != CHANNEL_OK) {
        abort();
    }
    /* The first byte says where a pause is, with a look at what has come so far. */
    size_t pause = 1 + (size - 1) * bytes[0] / 255;
    (void)!write(fds[1], bytes + 1, pause - 1);
    channel_process(server);
    (void)!write(fds[1], bytes + pause, size - pause);
    channel_process(server);
    channel_process(server);
    const uint8_t *frame;
    size_t frame_bytes;
    if (channel_is_open(server) || channel_receive(server, &frame, &frame_bytes) > 0) {
        abort();
    }
    close(fds[1]);
    /* GnuTLS looks at one record at a time, so it may take as many calls until it sees the end. */
    size_t calls = 0;
    while (channel_process(server) == CHANNEL_OK) {
        if (++calls > size) {
            abort();
        }
    }
    channel_free(server);
}

/* How the frames end, and a sum over all of them. */
struct cut {
    int error;
    size_t frames;
    uint64_t sum;
};

static struct cut cut_frames(const uint8_t *bytes, size_t size, size_t piece)
{
    struct cut cut = {0};
    struct frame_cutter cutter = {0};
    while (size > 0 && cut.error == 0) {
        size_t room;
        uint8_t *at = frame_cutter_room(&cutter, &room);
        size_t n = room < size ? room : size;
        n = n < piece ? n : piece;
        memcpy(at, bytes, n);
        bytes += n;
        size -= n;
        int rv = frame_cutter_fill(&cutter, n);
        if (rv < 0) {
            cut.error = rv;
        } else if (rv == 1) {
            cut.frames++;
            for (size_t i = 0; i < cutter.body_bytes; i++) {
                cut.sum = cut.sum * 31 + cutter.body[i];
            }
            frame_cutter_drop(&cutter);
        }
    }
    frame_cutter_drop(&cutter);
    return cut;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    feed_server(bytes, size);
    struct cut whole = cut_frames(bytes, size, SIZE_MAX);
    for (size_t piece = 1; piece < 8; piece++) {
        struct cut pieces = cut_frames(bytes, size, piece);
        if (pieces.error != whole.error || pieces.frames != whole.frames ||
            pieces.sum != whole.sum) {
            abort();
        }
    }
    return 0;
}
