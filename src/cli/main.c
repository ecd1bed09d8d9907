/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/usage.h"
#include "eyelet.h"

static const struct verb verbs[] = {
    {"id", verb_id, 0, "id", "print the ID of this peer"},
    {"listen", verb_listen, OPTIONS_ALLOW | OPTIONS_EXEC | OPTIONS_TO | OPTIONS_COMMON,
     "listen [--allow ID|NAME|any]... [--exec COMMAND | --to HOST:PORT]",
     "pipe the first caller to stdin and stdout, or serve many"},
    {"connect", verb_connect, OPTIONS_COMMON, "connect ID|NAME",
     "pipe stdin and stdout to a peer that listens"},
    {"send", verb_send, OPTIONS_PEER | OPTIONS_COMMON, "send PATH... --peer ID|NAME",
     "send files and folders to a peer that receives"},
    {"recv", verb_recv, OPTIONS_PEER | OPTIONS_OUTPUT | OPTIONS_COMMON,
     "recv --peer ID|NAME [-o FOLDER] [--overwrite]", "receive files and folders from a peer"},
    {"netcheck", verb_netcheck, OPTIONS_COMMON, "netcheck [ID|NAME]",
     "what this network is like, or why the path to a peer is what it is"},
    {"ping", verb_ping, OPTIONS_PING | OPTIONS_COMMON, "ping ID|NAME [-c COUNT] [-i SECONDS]",
     "measure the path to a peer, again and again"},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

/* A descriptor that was closed would be given to the next thing that is opened, and output would go
 * there. The wrong mode makes its use an error, as it was. */
static bool hold_standard_fds(void)
{
    static const int modes[] = {O_WRONLY, O_RDONLY, O_WRONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd) {
            return false;
        }
    }
    return true;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static int run_verb(const struct verb *verb, const struct options *options, struct report *report)
{
    struct settings settings;
    const char *misplaced = options_misplaced(options, verb->takes);
    if (misplaced) {
        return report_usage(report, "%s has no %s", verb->name, misplaced);
    }
    int exit_code;
    if (settings_load(&settings, options)) {
        exit_code = verb->run(options, &settings, report);
    } else {
        exit_code = report_usage(report, "%s", settings.why);
    }
    settings_free(&settings);
    return exit_code;
}

static int run(const struct options *options, const struct verb *verb, struct report *report)
{
    if (options->version) {
        printf("eyelet %s\n", eyelet_version());
        return report_answered(report);
    }
    if (options->verb && !verb) {
        return report_usage(report, "there is no verb \"%s\"", options->verb);
    }
    if (options->help) {
        if (verb) {
            usage_print_verb(stdout, verb);
        } else {
            usage_print(stdout, verbs, VERB_COUNT);
        }
        return report_answered(report);
    }
    if (!verb && options->json) {
        return report_usage(report, "no verb: say what to do");
    }
    if (!verb) {
        usage_print(stderr, verbs, VERB_COUNT);
        return OUTCOME_USAGE;
    }
    return run_verb(verb, options, report);
}

int main(int argc, char **argv)
{
    struct options options;
    struct report report;
    if (!hold_standard_fds()) {
        return OUTCOME_OTHER;
    }
    /* both become errors of the write that causes them */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    bool ok = options_parse(&options, argc, argv);
    report_init(&report, &options);
    const struct verb *verb = options.verb ? find_verb(options.verb) : NULL;
    report.verb = verb ? verb->name : NULL;
    int exit_code = ok ? run(&options, verb, &report) : report_usage(&report, "%s", options.why);
    options_free(&options);
    return exit_code;
}
