/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-calls: what the library offers and the eyelet program does not use.
 *   eyelet-calls KEY_FILE MEDIATOR KNOWN_MEDIATORS answer         answers calls until SIGTERM
 *   eyelet-calls KEY_FILE MEDIATOR KNOWN_MEDIATORS withdraw PEER  hangs up before it is answered
 *   eyelet-calls KEY_FILE MEDIATOR KNOWN_MEDIATORS socket PEER    word and echo over the bare
 * socket eyelet-calls KEY_FILE MEDIATOR KNOWN_MEDIATORS message PEER   datagram and echo over the
 * link eyelet-calls KEY_FILE MEDIATOR KNOWN_MEDIATORS refused PEER   passes if the answer is a
 * refusal The answering side echoes datagrams and bare packets, speaks first on a stream of its
 * own, and refuses a caller for whom a file named "refuse" lies in its working folder. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "eyelet.h"

#define WORD "through the hole"

static int complain(const eyelet_endpoint *ep, const eyelet_conn *conn, const char *what, int error)
{
    fprintf(stderr, "eyelet-calls: %s: %s: %s\n", what, eyelet_strerror(error),
            eyelet_why(ep, conn));
    return 1;
}

static bool is_word(const char *bytes, ssize_t size)
{
    return size == (ssize_t)strlen(WORD) && memcmp(bytes, WORD, strlen(WORD)) == 0;
}

/* Sends the word, or only answers it; late checks of the engine may still come in between. */
static bool talk_bare(int fd, const struct sockaddr_storage *peer, socklen_t peer_bytes, bool first)
{
    char bytes[1500];
    for (int tries = 0; tries < 10; tries++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (first)
            sendto(fd, WORD, strlen(WORD), 0, (const struct sockaddr *)peer, peer_bytes);
        while (poll(&p, 1, 300) > 0) {
            ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
            if (!is_word(bytes, got))
                continue;
            if (!first)
                sendto(fd, WORD, strlen(WORD), 0, (const struct sockaddr *)peer, peer_bytes);
            return true;
        }
    }
    return false;
}

static bool take_and_talk(eyelet_conn *conn, bool first)
{
    struct sockaddr_storage peer;
    socklen_t peer_bytes;
    int fd = eyelet_take_socket(conn, &peer, &peer_bytes);
    eyelet_conn_free(conn);
    if (fd < 0)
        return false;
    bool done = talk_bare(fd, &peer, peer_bytes, first);
    close(fd);
    return done;
}

static void answer_event(eyelet_event *event)
{
    switch (event->kind) {
    case EYELET_EVENT_REGISTERED:
        printf("registered\n");
        fflush(stdout);
        break;
    case EYELET_EVENT_INCOMING:
        if (access("refuse", F_OK) == 0) {
            eyelet_refuse(event->conn, "not today");
        } else if (!eyelet_conn_is_bare(event->conn)) {
            int64_t stream = eyelet_stream_open(event->conn);
            eyelet_stream_write(event->conn, stream, WORD, strlen(WORD));
            eyelet_stream_finish(event->conn, stream);
        }
        break;
    case EYELET_EVENT_CONNECTED:
        if (eyelet_conn_is_bare(event->conn))
            take_and_talk(event->conn, false);
        break;
    case EYELET_EVENT_MESSAGE: {
        char copy[1500];
        memcpy(copy, event->data, event->bytes);
        eyelet_message_send(event->conn, copy, event->bytes);
        break;
    }
    case EYELET_EVENT_CLOSED:
        eyelet_conn_free(event->conn);
        break;
    default:
        break;
    }
}

static int answer(eyelet_endpoint *ep)
{
    eyelet_event event;
    int error = eyelet_listen(ep, EYELET_LISTEN_ANYONE, NULL, 0);
    while (error == EYELET_OK && (error = eyelet_wait(ep, -1, &event)) == EYELET_OK)
        answer_event(&event);
    return complain(ep, NULL, "cannot answer", error);
}

static int call_bare(eyelet_endpoint *ep, const eyelet_id *peer)
{
    eyelet_dial_options options = {.size = sizeof(options), .bare_socket = true};
    eyelet_conn *conn;
    eyelet_event event;
    int error = eyelet_dial(ep, peer, &options, &conn);
    while (error == EYELET_OK && (error = eyelet_wait(ep, 15000, &event)) == EYELET_OK) {
        if (event.kind == EYELET_EVENT_CLOSED)
            return complain(ep, conn, "bare dial", event.error);
        if (event.kind == EYELET_EVENT_CONNECTED)
            return take_and_talk(conn, true) ? 0
                                             : complain(ep, NULL, "no echo", EYELET_ERR_TIMEOUT);
    }
    return complain(ep, NULL, "bare dial", error);
}

/* The word that the other side speaks first, and our datagram with its echo. */
static int call_with_message(eyelet_endpoint *ep, const eyelet_id *peer)
{
    eyelet_conn *conn;
    eyelet_event event;
    char bytes[64];
    bool spoken = false, echoed = false;
    int error = eyelet_dial(ep, peer, NULL, &conn);
    while (error == EYELET_OK && !(spoken && echoed)) {
        error = eyelet_wait(ep, 15000, &event);
        if (error != EYELET_OK)
            break;
        if (event.kind == EYELET_EVENT_CONNECTED) {
            static const char too_large[2000];
            if (eyelet_message_send(conn, too_large, sizeof(too_large)) != EYELET_ERR_TOO_LARGE)
                return complain(ep, conn, "2000 bytes were taken as a datagram", EYELET_ERR_STATE);
            error = eyelet_message_send(conn, WORD, strlen(WORD));
        } else if (event.kind == EYELET_EVENT_READABLE) {
            spoken = is_word(bytes, eyelet_stream_read(conn, event.stream, bytes, sizeof(bytes)));
        } else if (event.kind == EYELET_EVENT_MESSAGE) {
            echoed = is_word((const char *)event.data, (ssize_t)event.bytes);
        } else if (event.kind == EYELET_EVENT_CLOSED) {
            return complain(ep, conn, "closed", event.error);
        }
    }
    return error == EYELET_OK ? 0 : complain(ep, conn, "no echo", error);
}

static int call_refused(eyelet_endpoint *ep, const eyelet_id *peer)
{
    eyelet_conn *conn;
    int error = eyelet_connect(ep, peer, 15000, &conn);
    if (error != EYELET_ERR_REFUSED || strstr(eyelet_why(ep, NULL), "not today") == NULL)
        return complain(ep, NULL, "expected a refusal", error);
    return 0;
}

/* Then stays, until it is told on its standard input that this has been looked at. */
static int withdraw(eyelet_endpoint *ep, const eyelet_id *peer)
{
    eyelet_conn *conn = NULL;
    eyelet_event event;
    int error;
    while ((error = eyelet_wait(ep, 15000, &event)) == EYELET_OK) {
        if (event.kind == EYELET_EVENT_REGISTERED) {
            error = eyelet_dial(ep, peer, NULL, &conn);
            if (error != EYELET_OK)
                break;
            eyelet_conn_close(conn, 0, "");
        } else if (event.kind == EYELET_EVENT_CLOSED) {
            printf("withdrawn\n");
            fflush(stdout);
            getchar();
            return 0;
        }
    }
    return complain(ep, conn, "cannot withdraw", error);
}

int main(int argc, char **argv)
{
    eyelet_id peer;
    if (argc < 5 || (argc == 6 && eyelet_id_parse(argv[5], &peer) < 0))
        return 2;
    eyelet_config config = {.size = sizeof(config),
                            .key_file = argv[1],
                            .mediator = argv[2],
                            .known_mediators = argv[3]};
    eyelet_endpoint *ep;
    int error = eyelet_open(&ep, &config);
    if (error != EYELET_OK)
        return complain(NULL, NULL, "cannot open", error);
    int status = 2;
    if (strcmp(argv[4], "answer") == 0)
        status = answer(ep);
    else if (argc == 6 && strcmp(argv[4], "socket") == 0)
        status = call_bare(ep, &peer);
    else if (argc == 6 && strcmp(argv[4], "message") == 0)
        status = call_with_message(ep, &peer);
    else if (argc == 6 && strcmp(argv[4], "refused") == 0)
        status = call_refused(ep, &peer);
    else if (argc == 6 && strcmp(argv[4], "withdraw") == 0)
        status = withdraw(ep, &peer);
    eyelet_close(ep);
    return status;
}
