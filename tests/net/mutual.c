/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-mutual: registers, waits for a line on stdin, then dials a peer that dials us at the same
 * moment, and passes if a byte goes there and back over the connection that survives.
 *   eyelet-mutual KEY_FILE MEDIATOR KNOWN_MEDIATORS PEER [bare]
 * With "bare" it dials for a bare socket, which meets no other dial: it gets one, and the peer's
 * link as well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int64_t ask(eyelet_conn *conn)
{
    int64_t own = eyelet_stream_open(conn);
    return own >= 0 && eyelet_stream_write(conn, own, "x", 1) == 1 ? own : EYELET_ERR_STATE;
}

/* Thrown away: that there is one is all that was to be seen. */
static bool take(eyelet_conn *bare)
{
    struct sockaddr_storage remote;
    socklen_t remote_bytes;
    int fd = eyelet_take_socket(bare, &remote, &remote_bytes);
    eyelet_conn_free(bare);
    return fd >= 0 && close(fd) == 0;
}

/* Each side opens a stream, and echoes on the other's: both programs believe to have dialled. With
 * a bare dial under way (else NULL) *conn is the link that the peer has dialled meanwhile. */
static int exchange(eyelet_endpoint *ep, eyelet_conn **conn, eyelet_conn *bare)
{
    int64_t own = *conn != NULL ? ask(*conn) : -1;
    bool echoed = false, served = false, closing = false, waits = bare != NULL;
    eyelet_event event;
    for (;;) {
        int error = eyelet_wait(ep, 15000, &event);
        if (error < 0)
            return error;
        if (event.kind == EYELET_EVENT_CLOSED && event.conn == *conn)
            return echoed && served ? EYELET_OK : EYELET_ERR_CLOSED;
        if (event.kind == EYELET_EVENT_CONNECTED && event.conn == bare) {
            if (!take(bare))
                return EYELET_ERR_STATE;
            waits = false;
        } else if (event.kind == EYELET_EVENT_CONNECTED && *conn == NULL) {
            *conn = event.conn;
            own = ask(*conn);
        }
        char byte = 0;
        if (event.kind == EYELET_EVENT_READABLE &&
            eyelet_stream_read(event.conn, event.stream, &byte, 1) == 1) {
            if (event.conn != *conn || byte != 'x')
                return EYELET_ERR_PROTOCOL;
            if (event.stream == own)
                echoed = true;
            else
                served = eyelet_stream_write(*conn, event.stream, &byte, 1) == 1;
        }
        if (echoed && served && !waits && !closing) {
            closing = true;
            eyelet_conn_close(*conn, 0, NULL);
        }
    }
}

static bool tell_role(const eyelet_endpoint *ep, const eyelet_conn *conn, const eyelet_id *peer)
{
    if (memcmp(eyelet_conn_peer(conn)->bytes, peer->bytes, sizeof(peer->bytes)) != 0) {
        fail(ep, conn, "connected to somebody else", EYELET_ERR_WRONG_PEER);
        return false;
    }
    printf("%s\n", eyelet_conn_is_incoming(conn) ? "incoming" : "outgoing");
    fflush(stdout);
    return true;
}

int main(int argc, char **argv)
{
    eyelet_id peer;
    bool wants_bare = argc == 6 && strcmp(argv[5], "bare") == 0;
    if ((argc != 5 && !wants_bare) || eyelet_id_parse(argv[4], &peer) < 0)
        return 2;
    eyelet_config config = {.size = sizeof(config),
                            .key_file = argv[1],
                            .mediator = argv[2],
                            .known_mediators = argv[3]};
    eyelet_endpoint *ep;
    eyelet_conn *conn = NULL, *bare = NULL;
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
    eyelet_dial_options options = {.size = sizeof(options), .bare_socket = true};
    error = wants_bare ? eyelet_dial(ep, &peer, &options, &bare)
                       : eyelet_connect(ep, &peer, 15000, &conn);
    if (error < 0) {
        fail(ep, conn, "cannot connect", error);
        goto out;
    }
    if (!wants_bare && !tell_role(ep, conn, &peer))
        goto out;
    getchar();
    error = exchange(ep, &conn, bare);
    if (error < 0) {
        fail(ep, conn, "cannot exchange a byte", error);
        goto out;
    }
    if (wants_bare && !tell_role(ep, conn, &peer))
        goto out;
    printf("echoed\n");
    status = 0;
out:
    eyelet_conn_free(conn);
    eyelet_close(ep);
    return status;
}
