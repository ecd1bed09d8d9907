/* SPDX-License-Identifier: BSD-2-Clause */
/* socket MEDIATOR [ID]: a plain UDP socket, punched through to the peer ID; without ID waits for a
 * peer. From there on it is the program's own: each says "hello" to the other. */
#include <eyelet.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* The socket, or an error. Whoever is dialled learns of the connection by its events. */
static int punch(eyelet_endpoint *ep, struct sockaddr_storage *peer, socklen_t *peer_bytes)
{
    eyelet_event event;
    int error;
    while ((error = eyelet_wait(ep, 60000, &event)) == EYELET_OK) {
        if (event.kind == EYELET_EVENT_CLOSED) {
            return event.error != EYELET_OK ? event.error : EYELET_ERR_CLOSED;
        }
        if (event.kind == EYELET_EVENT_CONNECTED && eyelet_conn_is_bare(event.conn)) {
            return eyelet_take_socket(event.conn, peer, peer_bytes);
        }
    }
    return error;
}

/* It is UDP: what is lost is said again, and what is no "hello" is a late check of the punching. */
static void talk(int fd, const struct sockaddr *peer, socklen_t peer_bytes)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char word[1500] = "";
    for (int tries = 0; tries < 100 && word[0] != 'h'; tries++) {
        (void)sendto(fd, "hello", 5, 0, peer, peer_bytes);
        if (poll(&readable, 1, 50) > 0) {
            (void)recv(fd, word, sizeof word - 1, 0);
        }
    }
    (void)sendto(fd, "hello", 5, 0, peer, peer_bytes); /* the other one hears us by now */
    printf("%.5s\n", word);
}

int main(int argc, char **argv)
{
    eyelet_config config = {.size = sizeof config, .mediator = argc > 1 ? argv[1] : ""};
    eyelet_dial_options options = {.size = sizeof options, .bare_socket = true};
    eyelet_endpoint *ep;
    eyelet_conn *conn;
    eyelet_id id;
    char text[EYELET_ID_TEXT_BYTES];
    struct sockaddr_storage peer;
    socklen_t peer_bytes;
    int result = eyelet_open(&ep, &config);
    if (result != EYELET_OK) {
        return fprintf(stderr, "socket: %s\n", eyelet_strerror(result)), 1;
    }
    if (argc > 2 && (result = eyelet_id_parse(argv[2], &id)) == EYELET_OK) {
        result = eyelet_dial(ep, &id, &options, &conn);
    } else if (argc == 2) {
        result = eyelet_listen(ep, EYELET_LISTEN_ANYONE, NULL, 0);
        fprintf(stderr, "%s\n", eyelet_id_text(eyelet_own_id(ep), text));
    }
    result = result == EYELET_OK ? punch(ep, &peer, &peer_bytes) : result;
    if (result >= 0) {
        talk(result, (struct sockaddr *)&peer, peer_bytes);
        close(result);
    } else {
        fprintf(stderr, "socket: %s. %s\n", eyelet_strerror(result), eyelet_why(ep, NULL));
    }
    eyelet_close(ep);
    return result < 0;
}
