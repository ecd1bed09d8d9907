/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/usage.h"

#define OPTION_CELLS 29

static const struct {
    uint32_t bit; /* of enum options_bit; 0: every verb takes it */
    const char *option;
    const char *help;
} options[] = {
    {OPTIONS_ALLOW, "--allow ID|NAME|any", "who may call, may be repeated (file authorized_peers)"},
    {OPTIONS_EXEC, "--exec COMMAND", "run it for every caller, joined to the stream"},
    {OPTIONS_TO, "--to HOST:PORT", "join every caller to this TCP port"},
    {OPTIONS_PEER, "--peer ID|NAME", "whom to send to, or to receive from"},
    {OPTIONS_OUTPUT, "-o, --output FOLDER", "where files go; else the current folder"},
    {OPTIONS_OUTPUT, "--overwrite", "replace files that exist"},
    {OPTIONS_PING, "-c, --count COUNT", "how many; else until it is interrupted"},
    {OPTIONS_PING, "-i, --interval SECONDS", "from one to the next; else 1"},
    {0, "--mediator HOST[:PORT][#ID]", "the server that introduces peers (EYELET_MEDIATOR)"},
    {0, "--key FILE", "the key of this peer (EYELET_KEY)"},
    {OPTIONS_TIMEOUT, "--timeout SECONDS", "give up when there is no connection by then"},
    {OPTIONS_PATH, "--direct-only", "no relay: fail where there is no direct path"},
    {OPTIONS_PATH, "--relay-only", "the relay only: the peer learns no address of ours"},
    {OPTIONS_NETWORK, "--no-port-mapping", "never ask the router for a port"},
    {OPTIONS_NETWORK, "--patience SECONDS", "how long a peer may be away before it is given up"},
    {0, "--json", "say everything as one JSON object a line"},
    {0, "-q, --quiet", "say errors only"},
    {0, "-v, --verbose", "tell how it goes; twice: everything"},
    {0, "-h, --help", "print this, or with a verb what it takes"},
    {0, "--version", "print the version"},
};

static void print_options(FILE *stream, uint32_t takes)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (options[i].bit == 0 || (options[i].bit & takes) != 0) {
            fprintf(stream, "  %-*s%s\n", OPTION_CELLS, options[i].option, options[i].help);
        }
    }
}

void usage_print(FILE *stream, const struct verb *verbs, size_t count)
{
    fprintf(stream, "usage: eyelet [OPTION]... VERB ...\n\n");
    for (size_t i = 0; i < count; i++) {
        fprintf(stream, "  eyelet %s\n      %s\n", verbs[i].usage, verbs[i].help);
    }
    fprintf(stream, "\n");
    print_options(stream, OPTIONS_COMMON);
    fprintf(stream, "\nSettings are in $EYELET_CONFIG, or ~/.config/eyelet. More: eyelet VERB "
                    "--help, man eyelet\n");
}

void usage_print_verb(FILE *stream, const struct verb *verb)
{
    fprintf(stream, "usage: eyelet [OPTION]... %s\n      %s\n\n", verb->usage, verb->help);
    print_options(stream, verb->takes);
}
