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

/* Whose dial survived speaks first (the dialling side opens the stream). */
static int exchange(eyelet_conn *conn, bool first)
{
    char byte = 'x', back = 0;
    int error = first ? eyelet_send(conn, &byte, 1, 10000) : EYELET_OK;
    ssize_t got = error < 0 ? error : eyelet_recv(conn, &back, 1, 10000);
    if (got < 0)
        return (int)got;
    if (got != 1 || back != byte)
        return EYELET_ERR_PROTOCOL;
    if (!first)
        error = eyelet_send(conn, &back, 1, 10000);
    return error < 0 ? error : eyelet_finish(conn, 10000);
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
    error = exchange(conn, !eyelet_conn_is_incoming(conn));
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
