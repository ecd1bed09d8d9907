/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers by name, and lists of them: the files known_peers ("NAME ID") and authorized_peers
 * (an ID, a known name or "any"), one a line, "#" begins a comment. */
#ifndef CLI_PEERS_H
#define CLI_PEERS_H

#include <stdbool.h>
#include <stddef.h>

#include "eyelet.h"

#define PEERS_MAX_NAME_BYTES 64
#define PEERS_WHY_BYTES      600

/* Who may call. */
struct peers {
    eyelet_id *ids;
    size_t count;
    bool anyone;
};

/* One line of known_peers. 1: an entry; 0: empty or a comment; -1: neither. */
int peers_parse_line(const char *line, char name[static PEERS_MAX_NAME_BYTES + 1], eyelet_id *id);

/* An ID, or a name from the file. False: why (PEERS_WHY_BYTES) says what to do. */
bool peers_resolve(const char *text, const char *known_peers, eyelet_id *id, char *why);

/* Adds an ID, a name or "any". Start with a zeroed struct. False: as above. */
bool peers_allow(struct peers *peers, const char *text, const char *known_peers, char *why);
/* Adds every line of authorized_peers. False, with errno ENOENT: there is no such file. */
bool peers_allow_file(struct peers *peers, const char *path, const char *known_peers, char *why);
bool peers_has(const struct peers *peers, const eyelet_id *id);
void peers_free(struct peers *peers);

#endif
