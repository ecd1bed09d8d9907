/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-mutual: registers, waits for a line on stdin, then dials a peer that dials us at the same
 * moment, and passes if a byte goes there and back over the connection that survives.
 *   eyelet-mutual KEY_FILE MEDIATOR KNOWN_MEDIATORS PEER */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eyelet.h"

static int fail(const eyelet_endpoint *ep, const eyelet_conn *conn, const char *what, int error)
{
    fprintf(stderr, "eyelet-mutual: %s: %s: %s\n", what, eyelet_strerror(error),
            eyelet_why(ep, conn));
    return 1;
}

static int wait_registered(eyelet_endpoint *ep)
{
    eyelet_event event;
    do {
        int error = eyelet_wait(ep, 10000, &event);
        if (error < 0)
            return error;
    } while (event.kind != EYELET_EVENT_REGISTERED);
    printf("registered\n");
    fflush(stdout);
    return EYELET_OK;
}

/* Each side opens a stream, and echoes on the other's: both programs believe to have dialled. */
static int exchange(eyelet_endpoint *ep, eyelet_conn *conn)
{
    int64_t own = eyelet_stream_open(conn);
    if (own < 0 || eyelet_stream_write(conn, own, "x", 1) != 1)
        return EYELET_ERR_STATE;
    bool echoed = false, served = false, closing = false;
    eyelet_event event;
    for (;;) {
        int error = eyelet_wait(ep, 10000, &event);
        if (error < 0)
            return error;
        if (event.kind == EYELET_EVENT_CLOSED)
            return echoed && served ? EYELET_OK : EYELET_ERR_CLOSED;
        char byte = 0;
        if (event.kind == EYELET_EVENT_READABLE &&
            eyelet_stream_read(event.conn, event.stream, &byte, 1) == 1) {
            if (event.conn != conn || byte != 'x')
                return EYELET_ERR_PROTOCOL;
            if (event.stream == own)
                echoed = true;
            else
                served = eyelet_stream_write(conn, event.stream, &byte, 1) == 1;
        }
        if (echoed && served && !closing) {
            closing = true;
            eyelet_conn_close(conn, 0, NULL);
        }
    }
}

int main(int argc, char **argv)
{
    eyelet_id peer;
    if (argc != 5 || eyelet_id_parse(argv[4], &peer) < 0)
        return 2;
    eyelet_config config = {.size = sizeof(config),
                            .key_file = argv[1],
                            .mediator = argv[2],
                            .known_mediators = argv[3]};
    eyelet_endpoint *ep;
    eyelet_conn *conn = NULL;
    int error = eyelet_open(&ep, &config);
    if (error < 0) {
        fprintf(stderr, "eyelet-mutual: %s\n", eyelet_strerror(error));
        return 1;
    }
    int status = 1;
    if ((error = eyelet_listen(ep, EYELET_LISTEN_LISTED, &peer, 1)) < 0 ||
        (error = wait_registered(ep)) < 0) {
        fail(ep, NULL, "cannot register", error);
        goto out;
    }
    getchar();
    if ((error = eyelet_connect(ep, &peer, 15000, &conn)) < 0) {
        fail(ep, conn, "cannot connect", error);
        goto out;
    }
    if (memcmp(eyelet_conn_peer(conn)->bytes, peer.bytes, sizeof(peer.bytes)) != 0) {
        fail(ep, conn, "connected to somebody else", EYELET_ERR_WRONG_PEER);
        goto out;
    }
    printf("%s\n", eyelet_conn_is_incoming(conn) ? "incoming" : "outgoing");
    fflush(stdout);
    getchar();
    error = exchange(ep, conn);
    if (error < 0) {
        fail(ep, conn, "cannot exchange a byte", error);
        goto out;
    }
    printf("echoed\n");
    status = 0;
out:
    eyelet_conn_free(conn);
    eyelet_close(ep);
    return status;
}
