/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-lab: any two programs behind any two NATs. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/laboratory.h"
#include "lab/netfilter.h"

enum { BAD_USAGE = 2, NOT_MADE = 125 };

struct arguments {
    const char *a, *b, *cgn, *server, *server_ready, *b_ready, *file, *until;
    double rtt_a, rtt_b, rtt_ab; /* negative: not given */
    bool same_lan;
    struct laboratory_options options;
};

static void usage(FILE *to)
{
    fputs("usage: eyelet-lab run [OPTION]... [-- PROGRAM_A [-- PROGRAM_B]]\n"
          "       eyelet-lab matrix [--help | OPTION...]\n"
          "       eyelet-lab kinds\n"
          "Runs programs on hosts a and b behind NATs, and on a server with two addresses.\n"
          "  --a KIND, --b KIND     what a and b stand behind; default cone\n"
          "  --same-lan             b stands beside a\n"
          "  --cgn KIND             both stand behind this, too\n"
          "  --rtt-a MS, --rtt-b MS round trip to the server; default 20\n"
          "  --rtt-ab MS            between a and b; default 40\n"
          "  --jitter MS, --loss PERCENT, --duplicate PERCENT, --reorder PERCENT\n"
          "  --hops N               routers of the Internet; default 1\n"
          "  --seed N               of everything random; default 1\n"
          "  --server COMMAND       for the shell, on the server\n"
          "  --server-ready TEXT    a and b begin when the server has said this\n"
          "  --b-ready TEXT         a begins when b has said this\n"
          "  --topology FILE        networks, hosts and programs by the lines of a file\n"
          "  --until NODE|all       ends with the programs of this host; default a\n"
          "  --timeout SECONDS      ends with status 124\n"
          "  --log DIR              output into DIR/a.out, DIR/a.err, ...\n"
          "  --pcap DIR             packets of every host and NAT into DIR\n"
          "  -v                     says what becomes of packets that do not arrive\n"
          "Programs find LAB_SERVER, LAB_SERVER2, LAB_PEER, LAB_SELF, LAB_A, LAB_B_PUBLIC, ... in\n"
          "their environment. The exit status is that of program a.\n",
          to);
}

static int list_kinds(void)
{
    for (const struct nat_config_kind *kind = nat_config_kinds(); kind->name; kind++)
        printf("%-18s %-46s %s\n", kind->name, kind->text, kind->about);
    for (const struct netfilter_kind *kind = netfilter_kinds(); kind->name; kind++)
        printf("%-18s %-46s %s\n", kind->name, "(netfilter)", kind->about);
    return 0;
}

static bool read_amount(const char *text, double limit, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && !*end && *value >= 0 && *value <= limit;
}

static bool read_option(struct arguments *a, struct topology *t, int option, const char *text)
{
    double value = 0;
    bool good = true;
    switch (option) {
    case 'a':
        a->a = text;
        break;
    case 'b':
        a->b = text;
        break;
    case 'c':
        a->cgn = text;
        break;
    case 'S':
        a->same_lan = true;
        break;
    case 's':
        a->server = text;
        break;
    case 'e':
        a->server_ready = text;
        break;
    case 'r':
        a->b_ready = text;
        break;
    case 'f':
        a->file = text;
        break;
    case 'u':
        a->until = text;
        break;
    case 'L':
        a->options.log_directory = text;
        break;
    case 'P':
        a->options.capture_directory = text;
        break;
    case 'v':
        a->options.talkative = true;
        break;
    case '1':
        good = read_amount(text, 60000, &a->rtt_a);
        break;
    case '2':
        good = read_amount(text, 60000, &a->rtt_b);
        break;
    case '3':
        good = read_amount(text, 60000, &a->rtt_ab);
        break;
    case 't':
        good = read_amount(text, 1e6, &a->options.timeout_s);
        break;
    case 'j':
        good = read_amount(text, 60000, &value);
        t->jitter_us = (uint64_t)(value * 1000);
        break;
    case 'h':
        good = read_amount(text, 60, &value);
        t->hops = (unsigned)value;
        break;
    case 'n':
        good = read_amount(text, 1e15, &value);
        t->seed = (uint64_t)value;
        break;
    default:
        good = read_amount(text, 100, &value);
        *(option == 'l' ? &t->loss : option == 'd' ? &t->duplicate : &t->reorder) = value / 100;
        break;
    }
    return good;
}

/* 0: read; otherwise the exit status. */
static int read_options(struct arguments *a, struct topology *t, int argc, char **argv)
{
    static const struct option options[] = {
        {"a", 1, NULL, 'a'},        {"b", 1, NULL, 'b'},         {"cgn", 1, NULL, 'c'},
        {"same-lan", 0, NULL, 'S'}, {"server", 1, NULL, 's'},    {"server-ready", 1, NULL, 'e'},
        {"b-ready", 1, NULL, 'r'},  {"topology", 1, NULL, 'f'},  {"until", 1, NULL, 'u'},
        {"log", 1, NULL, 'L'},      {"pcap", 1, NULL, 'P'},      {"rtt-a", 1, NULL, '1'},
        {"rtt-b", 1, NULL, '2'},    {"rtt-ab", 1, NULL, '3'},    {"timeout", 1, NULL, 't'},
        {"jitter", 1, NULL, 'j'},   {"hops", 1, NULL, 'h'},      {"seed", 1, NULL, 'n'},
        {"loss", 1, NULL, 'l'},     {"duplicate", 1, NULL, 'd'}, {"reorder", 1, NULL, 'o'},
        {"help", 0, NULL, 'H'},     {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "+v", options, NULL)) != -1;) {
        if (option == 'H') {
            usage(stdout);
            exit(0);
        }
        if (option == '?')
            return BAD_USAGE;
        if (!read_option(a, t, option, optarg)) {
            fprintf(stderr, "eyelet-lab: cannot use \"%s\"\n", optarg);
            return BAD_USAGE;
        }
    }
    if (optind < argc && strcmp(argv[optind - 1], "--") != 0) {
        fprintf(stderr, "eyelet-lab: \"%s\" is no option; programs follow \"--\"\n", argv[optind]);
        return BAD_USAGE;
    }
    return 0;
}

static bool add_hosts(const struct arguments *a, struct topology *t, const char **error)
{
    unsigned server = topology_host(t, "server", TOPOLOGY_INTERNET, error), around = 0;
    if (a->cgn) {
        around = topology_network(t, "provider", a->cgn, TOPOLOGY_INTERNET, error);
        if (!around)
            return false;
    }
    unsigned nat_a = topology_network(t, "nat-a", a->a ? a->a : "cone", around, error);
    unsigned host_a = nat_a ? topology_host(t, "a", nat_a, error) : 0;
    unsigned nat_b = nat_a;
    if (host_a && !a->same_lan)
        nat_b = topology_network(t, "nat-b", a->b ? a->b : "cone", around, error);
    unsigned host_b = host_a && nat_b ? topology_host(t, "b", nat_b, error) : 0;
    if (!server || !host_b)
        return false;
    topology_rtt(t, host_a, server, a->rtt_a >= 0 ? a->rtt_a : 20);
    if (!a->cgn && !a->same_lan)
        topology_rtt(t, host_b, server, a->rtt_b >= 0 ? a->rtt_b : 20);
    if (a->rtt_ab >= 0 || !a->same_lan)
        topology_rtt(t, host_a, host_b, a->rtt_ab >= 0 ? a->rtt_ab : a->cgn ? 10 : 40);
    return true;
}

static char *read_file(const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    size_t room = 65536, size = file ? 0 : room;
    char *text = calloc(1, room);
    if (file && text)
        size = fread(text, 1, room - 1, file);
    if (file && file != stdin)
        fclose(file);
    if (size < room - 1)
        return text;
    fprintf(stderr, "eyelet-lab: %s: %s\n", path, file ? "too long" : strerror(errno));
    free(text);
    return NULL;
}

static bool read_topology(struct topology *t, const char *path, char **text)
{
    unsigned line;
    const char *error;
    *text = read_file(path);
    if (!*text)
        return false;
    if (topology_read(t, *text, &line, &error))
        return true;
    fprintf(stderr, "eyelet-lab: %s:%u: %s\n", path, line, error);
    return false;
}

static bool add_program(struct topology *t, const char *node, const char *command,
                        char *const *program_argv, const char *after, const char *text)
{
    struct topology_program program = {.command = command, .argv = program_argv};
    program.node = topology_find(t, node);
    if (program.node >= t->nodes) {
        fprintf(stderr, "eyelet-lab: there is no host %s\n", node);
        return false;
    }
    if (text) {
        program.after = topology_find(t, after);
        if (strlen(text) >= sizeof(program.text) || !*text || program.after >= t->nodes) {
            fprintf(stderr, "eyelet-lab: cannot wait for \"%s\"\n", text);
            return false;
        }
        snprintf(program.text, sizeof(program.text), "%s", text);
    }
    return topology_run(t, &program);
}

/* PROGRAM_A [-- PROGRAM_B] */
static bool add_programs(const struct arguments *a, struct topology *t, int argc, char **argv)
{
    if (a->server && !add_program(t, "server", a->server, NULL, NULL, NULL))
        return false;
    int second = 0;
    while (second < argc && strcmp(argv[second], "--") != 0)
        second++;
    bool has_b = second + 1 < argc;
    argv[second] = NULL;
    const char *ready = a->server_ready;
    if (has_b && !add_program(t, "b", NULL, argv + second + 1, "server", ready))
        return false;
    if (second == 0)
        return true;
    if (a->b_ready)
        return add_program(t, "a", NULL, argv, "b", a->b_ready);
    return add_program(t, "a", NULL, argv, "server", ready);
}

/* As root of a user namespace of our own, outside of which this process is who it was. */
static bool become_root(unsigned uid, unsigned gid)
{
    static const char *const path[] = {"/proc/self/setgroups", "/proc/self/uid_map",
                                       "/proc/self/gid_map"};
    char text[3][32] = {"deny"};
    snprintf(text[1], sizeof(text[1]), "0 %u 1", uid);
    snprintf(text[2], sizeof(text[2]), "0 %u 1", gid);
    for (int i = 0; i < 3; i++) {
        int fd = open(path[i], O_WRONLY | O_CLOEXEC);
        bool ok = fd >= 0 && write(fd, text[i], strlen(text[i])) > 0;
        if (fd >= 0)
            close(fd);
        if (!ok) {
            fprintf(stderr, "eyelet-lab: %s: %s (run it as root)\n", path[i], strerror(errno));
            return false;
        }
    }
    return true;
}

static int first_process(const struct topology *t, const struct laboratory_options *options)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", 0, NULL) < 0) {
        fprintf(stderr, "eyelet-lab: cannot mount /proc: %s\n", strerror(errno));
        return NOT_MADE;
    }
    return laboratory_run(t, options);
}

/* Hands signals on, and takes the child's exit status. */
static int wait_for(pid_t child, const sigset_t *signals)
{
    for (;;) {
        int status, number = sigwaitinfo(signals, NULL);
        if (number > 0 && number != SIGCHLD)
            kill(child, number);
        else if (waitpid(child, &status, WNOHANG) == child)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

static int run_apart(const struct topology *t, const struct laboratory_options *options)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    /* With the first process in it ends everything in a PID namespace. In one step, so that this
     * process stays outside. */
    unsigned uid = getuid(), gid = getgid();
    long child =
        syscall(SYS_clone, (uid ? CLONE_NEWUSER : 0) | CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL,
                NULL, NULL, NULL);
    if (child == 0)
        _exit(uid && !become_root(uid, gid) ? NOT_MADE : first_process(t, options));
    if (child < 0) {
        fprintf(stderr, "eyelet-lab: cannot make namespaces: %s%s\n", strerror(errno),
                uid ? " (run it as root)" : "");
        return NOT_MADE;
    }
    return wait_for((pid_t)child, &signals);
}

static int run(int argc, char **argv)
{
    struct topology *t = calloc(1, sizeof(*t));
    struct arguments a = {.rtt_a = -1, .rtt_b = -1, .rtt_ab = -1};
    char *text = NULL;
    const char *error = "";
    if (!t)
        return NOT_MADE;
    topology_init(t);
    int status = read_options(&a, t, argc, argv);
    if (status)
        goto out;
    status = BAD_USAGE;
    if (a.file ? !read_topology(t, a.file, &text) : !add_hosts(&a, t, &error)) {
        if (!a.file)
            fprintf(stderr, "eyelet-lab: %s\n", error);
        goto out;
    }
    if (!add_programs(&a, t, argc - optind, argv + optind))
        goto out;
    if (!topology_finish(t, &error)) {
        fprintf(stderr, "eyelet-lab: %s\n", error);
        goto out;
    }
    const char *until = a.until ? a.until : "a";
    a.options.until = strcmp(until, "all") == 0 ? TOPOLOGY_INTERNET : topology_find(t, until);
    if (a.options.until >= t->nodes || t->programs == 0) {
        fprintf(stderr, "eyelet-lab: %s\n",
                t->programs ? "--until needs a host of the lab, or all" : "no program to run");
        goto out;
    }
    status = run_apart(t, &a.options);
out:
    free(text);
    free(t);
    return status;
}

/* The matrix is a program of its own beside this one, which calls this one for each cell. */
static int matrix(char **argv)
{
    char self[4000];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 32);
    if (length > 0) {
        self[length] = 0;
        strcat(dirname(self), "/eyelet-lab-matrix");
        execv(self, argv);
    }
    fprintf(stderr, "eyelet-lab: eyelet-lab-matrix: %s\n", strerror(errno));
    return NOT_MADE;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "run") == 0)
        return run(argc - 1, argv + 1);
    if (strcmp(verb, "matrix") == 0)
        return matrix(argv + 1);
    if (strcmp(verb, "kinds") == 0)
        return list_kinds();
    bool help = strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0;
    usage(help ? stdout : stderr);
    return help ? 0 : BAD_USAGE;
}
