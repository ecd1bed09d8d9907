/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mediator/config.h"
#include "mediator/server.h"

#define MAIN_EXIT_USAGE 2

static const struct option main_options[] = {
    {"config", required_argument, NULL, 'c'}, {"address", required_argument, NULL, 'a'},
    {"port", required_argument, NULL, 'p'},   {"bounce-port", required_argument, NULL, 'b'},
    {"state", required_argument, NULL, 's'},  {"log-level", required_argument, NULL, 'l'},
    {"syslog", no_argument, NULL, 'y'},       {"version", no_argument, NULL, 'v'},
    {"no-relay", no_argument, NULL, 'n'},     {"limit", required_argument, NULL, 'm'},
    {"help", no_argument, NULL, 'h'},         {0},
};

static void main_help(void)
{
    puts("usage: eyeletd [OPTION]...\n"
         "Introduces peers to each other, tells them how they look from outside, and relays where\n"
         "they cannot reach each other.\n"
         "\n"
         "  --config FILE        read settings from FILE; flags win over it\n"
         "  --address IP[=IP]    serve on this address, at most two IPv4 and two IPv6 (default: "
         "all;\n"
         "                       two are needed to learn all about a NAT); after '=' the address\n"
         "                       under which it is seen from outside, where a 1:1 NAT is in front\n"
         "  --port PORT          TCP port of the control sessions; may be given again, e.g. for "
         "443\n"
         "                       (default: 9856)\n"
         "  --bounce-port PORT   UDP port of the bounce server; it uses the next one too\n"
         "                       (default: 3478)\n"
         "  --state DIR          where the key of this mediator is kept (default: "
         "/var/lib/eyeletd)\n"
         "  --no-relay           do not carry the packets of peers that have no direct path\n"
         "  --limit NAME=VALUE   one of the limits of eyeletd(1), e.g. relay-rate=1000000; may be\n"
         "                       given again\n"
         "  --log-level LEVEL    error, warn, info or debug (default: info)\n"
         "  --syslog             log to syslog, not to stderr\n"
         "  --version            print the version\n"
         "  --help               print this");
}

static bool main_apply(struct config *config, int option, const char *value, bool first[static 2],
                       char why[static CONFIG_WHY_BYTES])
{
    switch (option) {
    case 'a':
        if (first[0])
            config->address_count = 0;
        first[0] = false;
        return config_set(config, "", "address", value, why);
    case 'p':
        if (first[1])
            config->port_count = 0;
        first[1] = false;
        return config_set(config, "", "port", value, why);
    case 'b':
        return config_set(config, "", "bounce-port", value, why);
    case 's':
        return config_set(config, "", "state", value, why);
    case 'l':
        return config_set(config, "", "log-level", value, why);
    case 'n':
        return config_set(config, "", "relay", "no", why);
    case 'm':
        return config_set_limit(config, value, why);
    case 'y':
        return config_set(config, "", "syslog", "yes", why);
    default:
        return true;
    }
}

/* Twice over the arguments: the file first, wherever it is named, then the flags that win. */
static int main_parse(int argc, char **argv, struct config *config)
{
    char why[CONFIG_WHY_BYTES];
    bool first[2] = {true, true};
    int option;

    while ((option = getopt_long(argc, argv, "", main_options, NULL)) != -1) {
        if (option == '?')
            return MAIN_EXIT_USAGE;
        if (option == 'h' || option == 'v') {
            if (option == 'h')
                main_help();
            else
                puts("eyeletd " EYELET_VERSION);
            exit(EXIT_SUCCESS);
        }
        if (option == 'c' && !config_load(config, optarg, why)) {
            fprintf(stderr, "eyeletd: %s\n", why);
            return MAIN_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "eyeletd: unexpected \"%s\" (see --help)\n", argv[optind]);
        return MAIN_EXIT_USAGE;
    }
    optind = 1;
    while ((option = getopt_long(argc, argv, "", main_options, NULL)) != -1) {
        if (!main_apply(config, option, optarg, first, why)) {
            fprintf(stderr, "eyeletd: %s\n", why);
            return MAIN_EXIT_USAGE;
        }
    }
    return 0;
}

/* Closed ones would be given to sockets, and what is logged would go to a peer. */
static bool main_hold_standard_fds(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    struct config config;

    if (!main_hold_standard_fds())
        return EXIT_FAILURE;

    config_init(&config);
    int status = main_parse(argc, argv, &config);
    if (status != 0)
        return status;
    if (sodium_init() < 0) {
        fprintf(stderr, "eyeletd: libsodium could not be initialised\n");
        return EXIT_FAILURE;
    }
    return server_run(&config);
}
