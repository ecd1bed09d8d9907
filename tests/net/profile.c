/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-profile: registers, waits until the NAT is known, and prints what was learned as lines of
 * "name value".
 *   eyelet-profile KEY_FILE MEDIATOR KNOWN_MEDIATORS settled|complete */
#include <stdio.h>
#include <string.h>

#include "eyelet.h"

#define PATIENCE_ROUNDS 2000

static bool known(const eyelet_endpoint *ep, const char *what, eyelet_nat *nat)
{
    *nat = (eyelet_nat){.size = sizeof(*nat)};
    return eyelet_nat_profile(ep, nat) == EYELET_OK &&
           (strcmp(what, "complete") == 0 ? nat->complete : nat->settled);
}

static void print(const eyelet_nat *nat)
{
    printf("mapping %s\nfiltering %s\nallocation %s\npooling %s\nearly %s\nhairpin %s\n",
           nat->mapping, nat->filtering, nat->allocation, nat->pooling, nat->early, nat->hairpin);
    printf("step %d\nforeign %u\nblock %u\nblock_first %u\n", nat->step, nat->foreign_per_1000_s,
           nat->block_ports, nat->block_first);
    printf("lifetime %u\nopener_ttl %u\nservers %u\n", nat->lifetime_s, nat->opener_ttl,
           nat->servers);
}

static void log_line(void *context, enum eyelet_log_level level, const char *text)
{
    (void)context;
    (void)level;
    fprintf(stderr, "%s\n", text);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    eyelet_config config = {.size = sizeof(config),
                            .key_file = argv[1],
                            .mediator = argv[2],
                            .known_mediators = argv[3],
                            .log = log_line};
    eyelet_endpoint *ep;
    eyelet_event event;
    eyelet_nat nat;
    if (eyelet_open(&ep, &config) < 0)
        return 1;
    bool done = false;
    for (int i = 0; i < PATIENCE_ROUNDS && !done; i++) {
        int error = eyelet_wait(ep, 50, &event);
        if (error < 0 && error != EYELET_ERR_TIMEOUT)
            break;
        done = known(ep, argv[4], &nat);
    }
    if (done)
        print(&nat);
    eyelet_close(ep);
    return done ? 0 : 1;
}
