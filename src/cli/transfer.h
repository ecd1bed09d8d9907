/* SPDX-License-Identifier: BSD-2-Clause */
/* The records of a file transfer, as bytes and back; docs/transfer.md describes the protocol.
 *
 *      0        1                          5
 *     +--------+--------------------------+---------------------
 *     |  type  |  length of body, 32 bit  |  body ...              all numbers big-endian
 *     +--------+--------------------------+---------------------
 */
#ifndef CLI_TRANSFER_H
#define CLI_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/names.h"

#define TRANSFER_VERSION         1
#define TRANSFER_HEAD_BYTES      5
#define TRANSFER_HELLO_BYTES     21
#define TRANSFER_OFFER_BYTES     23 /* and the name */
#define TRANSFER_HASH_BYTES      16
#define TRANSFER_DONE_BYTES      8
#define TRANSFER_MAX_CHUNK_BYTES (1 << 20)
#define TRANSFER_MAX_TEXT_BYTES  200
#define TRANSFER_MAX_BODY_BYTES  (TRANSFER_OFFER_BYTES + NAMES_MAX_BYTES) /* of all but DATA */
#define TRANSFER_WINDOW          256 /* offers that are neither refused nor finished */

enum transfer_type {
    /* sender to receiver */
    TRANSFER_HELLO = 'H',   /* once, first */
    TRANSFER_OFFER = 'O',   /* a file or folder */
    TRANSFER_DATA = 'D',    /* the next bytes of the oldest accepted file */
    TRANSFER_END = 'E',     /* its hash: all bytes have been sent */
    TRANSFER_ABANDON = 'X', /* no more bytes of it will come; text */
    /* receiver to sender */
    TRANSFER_ANSWER = 'A',  /* to each offer, in order: OK or why not */
    TRANSFER_VERDICT = 'V', /* on each accepted file, in order: OK only once it is in its place */
    TRANSFER_DONE = 'F',    /* last: how many succeeded and how many did not */
};

/* Part of the protocol: numbers never change their meaning. */
enum transfer_code {
    TRANSFER_OK = 0,
    TRANSFER_NAME_REFUSED = 1,
    TRANSFER_EXISTS = 2,
    TRANSFER_DISK_FULL = 3,
    TRANSFER_FILE = 4, /* another error of a file or folder; the text says which */
    TRANSFER_INTEGRITY = 5,
    TRANSFER_ABANDONED = 6,
    TRANSFER_CODE_COUNT,
};

enum transfer_kind { TRANSFER_KIND_FILE = 0, TRANSFER_KIND_FOLDER = 1 };

struct transfer_head {
    uint8_t type;
    uint32_t body_bytes;
};

struct transfer_hello {
    uint32_t entries; /* offers that will come */
    uint64_t bytes;   /* of all files together */
};

struct transfer_offer {
    enum transfer_kind kind;
    uint16_t mode; /* permission bits, 0777 */
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint64_t size_bytes; /* 0 for a folder */
    const char *name;    /* not terminated; in the caller's bytes */
    size_t name_bytes;
};

struct transfer_answer {
    enum transfer_code code;
    const char *text; /* not terminated, not checked: show it with names_show */
    size_t text_bytes;
};

struct transfer_done {
    uint32_t succeeded;
    uint32_t failed;
};

/* Builders write a whole record and return its size; out must hold TRANSFER_HEAD_BYTES and the
 * body. */
size_t transfer_build_head(uint8_t *out, enum transfer_type type, size_t body_bytes);
size_t transfer_build_hello(uint8_t *out, const struct transfer_hello *hello);
size_t transfer_build_offer(uint8_t *out, const struct transfer_offer *offer);
/* ANSWER, VERDICT or ABANDON; a text that is too long is cut. */
size_t transfer_build_answer(uint8_t *out, enum transfer_type type, enum transfer_code code,
                             const char *text);
size_t transfer_build_done(uint8_t *out, const struct transfer_done *done);

/* False: not a record of that kind, or a size that cannot be. from_sender: which direction is read.
 */
bool transfer_parse_head(const uint8_t head[static TRANSFER_HEAD_BYTES], bool from_sender,
                         struct transfer_head *out);
/* Bodies, without the head. False: malformed. An offer's name is not judged here. */
bool transfer_parse_hello(const uint8_t *body, size_t bytes, struct transfer_hello *out);
bool transfer_parse_offer(const uint8_t *body, size_t bytes, struct transfer_offer *out);
bool transfer_parse_answer(const uint8_t *body, size_t bytes, struct transfer_answer *out);
bool transfer_parse_done(const uint8_t *body, size_t bytes, struct transfer_done *out);

/* "disk-full" and so on, for JSON. */
const char *transfer_code_name(enum transfer_code code);

#endif
