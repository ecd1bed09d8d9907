/* SPDX-License-Identifier: BSD-2-Clause */
/* hello MEDIATOR [ID]: calls ID, says "world", prints the answer; without ID answers one call. */
#include <eyelet.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    eyelet_config config = {.size = sizeof config, .mediator = argc > 1 ? argv[1] : ""};
    eyelet_endpoint *ep;
    eyelet_conn *conn;
    eyelet_id peer;
    char text[EYELET_ID_TEXT_BYTES], word[64] = "world", answer[80];
    int error = eyelet_open(&ep, &config);
    if (error != EYELET_OK) {
        return fprintf(stderr, "hello: %s\n", eyelet_strerror(error)), 1;
    }
    if (argc > 2 && (error = eyelet_id_parse(argv[2], &peer)) == EYELET_OK) {
        if ((error = eyelet_connect(ep, &peer, 10000, &conn)) == EYELET_OK) {
            eyelet_send(conn, word, strlen(word), 10000);
            ssize_t got = eyelet_recv(conn, word, sizeof word, 10000);
            printf("%.*s\n", got > 0 ? (int)got : 0, word);
        }
    } else if (argc == 2 &&
               (error = eyelet_listen(ep, EYELET_LISTEN_ANYONE, NULL, 0)) == EYELET_OK) {
        fprintf(stderr, "%s\n", eyelet_id_text(eyelet_own_id(ep), text));
        if ((error = eyelet_accept(ep, 60000, &conn)) == EYELET_OK) {
            ssize_t got = eyelet_recv(conn, word, sizeof word, 10000);
            int bytes =
                snprintf(answer, sizeof answer, "hello, %.*s", got > 0 ? (int)got : 0, word);
            eyelet_send(conn, answer, (size_t)bytes, 10000);
            eyelet_finish(conn, 10000);
        }
    }
    if (error != EYELET_OK) {
        fprintf(stderr, "hello: %s. %s\n", eyelet_strerror(error), eyelet_why(ep, NULL));
    }
    eyelet_close(ep);
    return error != EYELET_OK;
}
