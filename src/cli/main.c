/* SPDX-License-Identifier: BSD-2-Clause */
#include <signal.h>
#include <string.h>

#include "cli/verbs.h"
#include "eyelet.h"

#define COMMON (OPTIONS_TIMEOUT | OPTIONS_PATH | OPTIONS_NETWORK)

static const struct {
    const char *name;
    verb_run *run;
    uint32_t takes;
    const char *usage;
    const char *help;
} verbs[] = {
    {"id", verb_id, 0, "id", "print the ID of this peer"},
    {"listen", verb_listen, OPTIONS_ALLOW | OPTIONS_EXEC | OPTIONS_TO | COMMON,
     "listen [--allow ID|NAME|any]... [--exec COMMAND | --to HOST:PORT]",
     "pipe the first caller to stdin and stdout, or serve many"},
    {"connect", verb_connect, COMMON, "connect ID|NAME",
     "pipe stdin and stdout to a peer that listens"},
    {"send", verb_send, OPTIONS_PEER | COMMON, "send PATH... --peer ID|NAME",
     "send files and folders to a peer that receives"},
    {"recv", verb_recv, OPTIONS_PEER | OPTIONS_OUTPUT | COMMON,
     "recv --peer ID|NAME [-o FOLDER] [--overwrite]", "receive files and folders from a peer"},
    {"netcheck", verb_netcheck, COMMON, "netcheck [ID|NAME]",
     "what this network is like, or why the path to a peer is what it is"},
    {"ping", verb_ping, OPTIONS_PING | COMMON, "ping ID|NAME [-c COUNT] [-i SECONDS]",
     "measure the path to a peer, again and again"},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static void print_usage(FILE *stream)
{
    fprintf(stream, "usage: eyelet [OPTION]... VERB ...\n\n");
    for (size_t i = 0; i < VERB_COUNT; i++) {
        fprintf(stream, "  eyelet %s\n      %s\n", verbs[i].usage, verbs[i].help);
    }
    fprintf(stream,
            "\n"
            "  --mediator HOST[:PORT][#ID]  the server that introduces peers (EYELET_MEDIATOR)\n"
            "  --key FILE                   the key of this peer (EYELET_KEY)\n"
            "  --timeout SECONDS            give up when there is no connection by then\n"
            "  --direct-only                no relay: fail where there is no direct path\n"
            "  --relay-only                 the relay only: the peer learns no address of ours\n"
            "  --no-port-mapping            never ask the router for a port\n"
            "  --patience SECONDS           how long a peer may be away before it is given up\n"
            "  --json                       say everything as one JSON object a line\n"
            "  -q, --quiet                  say errors only\n"
            "  -v, --verbose                tell how it goes; twice: everything\n"
            "  -h, --help                   print this\n"
            "  --version                    print the version\n"
            "\n"
            "Settings are in $EYELET_CONFIG, or ~/.config/eyelet. More: man eyelet\n");
}

static int run_verb(const struct options *options, struct report *report)
{
    struct settings settings;
    size_t i = 0;
    while (i < VERB_COUNT && strcmp(verbs[i].name, options->verb) != 0) {
        i++;
    }
    if (i == VERB_COUNT) {
        return report_usage(report, "there is no verb \"%s\"", options->verb);
    }
    const char *misplaced = options_misplaced(options, verbs[i].takes);
    if (misplaced) {
        return report_usage(report, "%s has no %s", verbs[i].name, misplaced);
    }
    int exit_code;
    if (settings_load(&settings, options)) {
        exit_code = verbs[i].run(options, &settings, report);
    } else {
        exit_code = report_usage(report, "%s", settings.why);
    }
    settings_free(&settings);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct options options;
    struct report report;
    int exit_code = OUTCOME_DONE;
    /* both become errors of the write that causes them */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    bool ok = options_parse(&options, argc, argv);
    report_init(&report, &options);
    if (!ok) {
        exit_code = report_usage(&report, "%s", options.why);
    } else if (options.version) {
        printf("eyelet %s\n", eyelet_version());
    } else if (options.help) {
        print_usage(stdout);
    } else if (!options.verb) {
        print_usage(stderr);
        exit_code = OUTCOME_USAGE;
    } else {
        exit_code = run_verb(&options, &report);
    }
    options_free(&options);
    return exit_code;
}
