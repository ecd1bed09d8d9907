/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-crooked: offers a file under any name at all, and sends its bytes whatever the answer is.
 *   eyelet-crooked KEY_FILE MEDIATOR KNOWN_MEDIATORS PEER NAME
 * Prints the code of the answer to the offer. */
#include <stdio.h>
#include <string.h>

#include "cli/transfer.h"
#include "eyelet.h"

#define CONTENT       "crooked"
#define CONTENT_BYTES (sizeof(CONTENT) - 1)

static size_t build(uint8_t *out, const char *name)
{
    struct transfer_hello hello = {.entries = 1, .bytes = CONTENT_BYTES};
    struct transfer_offer offer = {.kind = TRANSFER_KIND_FILE,
                                   .mode = 0755,
                                   .size_bytes = CONTENT_BYTES,
                                   .name = name,
                                   .name_bytes = strlen(name)};
    size_t bytes = transfer_build_hello(out, &hello);
    return bytes + transfer_build_offer(out + bytes, &offer);
}

static int offer(eyelet_conn *conn, const char *name)
{
    uint8_t records[TRANSFER_HEAD_BYTES * 3 + TRANSFER_HELLO_BYTES + TRANSFER_MAX_BODY_BYTES];
    size_t bytes = build(records, name);
    int error = eyelet_send(conn, records, bytes, 10000);
    uint8_t answer[TRANSFER_HEAD_BYTES + 1];
    for (size_t have = 0; error >= 0 && have < sizeof(answer);) {
        ssize_t got = eyelet_recv(conn, answer + have, sizeof(answer) - have, 10000);
        if (got <= 0)
            return got < 0 ? (int)got : EYELET_ERR_CLOSED;
        have += (size_t)got;
    }
    if (error < 0)
        return error;
    printf("%u\n", answer[TRANSFER_HEAD_BYTES]);
    bytes = transfer_build_head(records, TRANSFER_DATA, CONTENT_BYTES);
    memcpy(records + bytes, CONTENT, CONTENT_BYTES);
    bytes += CONTENT_BYTES;
    bytes += transfer_build_head(records + bytes, TRANSFER_END, TRANSFER_HASH_BYTES);
    memset(records + bytes, 0, TRANSFER_HASH_BYTES);
    eyelet_send(conn, records, bytes + TRANSFER_HASH_BYTES, 10000);
    eyelet_finish(conn, 3000);
    return EYELET_OK;
}

int main(int argc, char **argv)
{
    eyelet_id peer;
    if (argc != 6 || strlen(argv[5]) > NAMES_MAX_BYTES || eyelet_id_parse(argv[4], &peer) < 0)
        return 2;
    eyelet_config config = {.size = sizeof(config),
                            .key_file = argv[1],
                            .mediator = argv[2],
                            .known_mediators = argv[3]};
    eyelet_endpoint *ep;
    eyelet_conn *conn = NULL;
    int error = eyelet_open(&ep, &config);
    if (error >= 0) {
        error = eyelet_connect(ep, &peer, 15000, &conn);
        if (error >= 0)
            error = offer(conn, argv[5]);
        if (error < 0)
            fprintf(stderr, "eyelet-crooked: %s: %s\n", eyelet_strerror(error),
                    eyelet_why(ep, conn));
        eyelet_conn_free(conn);
        eyelet_close(ep);
    }
    return error < 0;
}
