/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/programs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/space.h"

/* LAB_NAME followed by an ending. */
static void set_variable(const char *name, const char *ending, const struct stun_addr *addr)
{
    char variable[TOPOLOGY_NAME + 32], text[STUN_ADDR_TEXT_BYTES];
    if (addr->family == STUN_NO_FAMILY)
        return;
    snprintf(variable, sizeof(variable), "LAB_%s%s", name, ending);
    for (char *at = variable; *at; at++)
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    stun_addr_text(addr, text);
    char *colon = strrchr(text, ':');
    char *begin = text;
    if (colon)
        *colon = 0;
    if (*begin == '[') {
        begin++;
        begin[strlen(begin) - 1] = 0;
    }
    setenv(variable, begin, 1);
}

static void set_variables_of(const struct topology *t, unsigned host, const char *name)
{
    const struct topology_node *node = &t->node[host];
    char number[12] = "";
    for (unsigned k = 0; k < node->addresses; k++) {
        if (k > 0)
            snprintf(number, sizeof(number), "%u", k + 1);
        set_variable(name, number, &node->address[k]);
    }
    set_variable(name, "6", &node->address6);
    set_variable(name, "6_2", &node->second6);
    struct stun_addr seen = topology_public(t, host);
    set_variable(name, "_PUBLIC", &seen);
}

static void set_environment(const struct topology *t, unsigned self)
{
    for (unsigned i = 1; i < t->nodes; i++)
        if (t->node[i].host)
            set_variables_of(t, i, t->node[i].name);
    setenv("LAB_NAME", t->node[self].name, 1);
    if (t->node[self].host)
        set_variables_of(t, self, "self");
    unsigned peer = strcmp(t->node[self].name, "a") == 0   ? topology_find(t, "b")
                    : strcmp(t->node[self].name, "b") == 0 ? topology_find(t, "a")
                                                           : UINT32_MAX;
    if (peer < t->nodes)
        set_variables_of(t, peer, "peer");
}

/* A word alone is a line for the shell. */
static void execute(const struct topology_program *program)
{
    const char *line = program->command;
    if (!line && !program->argv[1])
        line = program->argv[0];
    if (line)
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    else
        execvp(program->argv[0], program->argv);
    fprintf(stderr, "eyelet-lab: cannot run %s: %s\n", line ? "sh" : program->argv[0],
            strerror(errno));
    _exit(127);
}

static bool is_waited_for(const struct topology *t, unsigned node)
{
    for (unsigned i = 0; i < t->programs; i++)
        if (t->program[i].text[0] && t->program[i].after == node)
            return true;
    return false;
}

static bool open_log(struct programs *p, unsigned i, int what)
{
    struct programs_one *one = &p->one[i];
    one->to[what] = 1 + what;
    if (!p->log_directory)
        return true;
    const struct topology *t = p->topology;
    unsigned before = 0;
    for (unsigned k = 0; k < i; k++)
        before += t->program[k].node == t->program[i].node;
    char path[512], number[12] = "";
    if (before)
        snprintf(number, sizeof(number), "%u", before + 1);
    snprintf(path, sizeof(path), "%s/%s%s.%s", p->log_directory, t->node[t->program[i].node].name,
             number, what ? "err" : "out");
    one->to[what] = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (one->to[what] < 0)
        fprintf(stderr, "eyelet-lab: %s: %s\n", path, strerror(errno));
    return one->to[what] >= 0;
}

static void become(const struct programs *p, unsigned i, int space, const int *output)
{
    const struct topology *t = p->topology;
    const struct topology_program *program = &t->program[i];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (space_enter(space) < 0)
        _exit(126);
    /* Only a can use the terminal. */
    if (strcmp(t->node[program->node].name, "a") != 0) {
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
    }
    for (int what = 0; what < 2; what++)
        if (output[what] >= 0)
            dup2(output[what], 1 + what);
    set_environment(t, program->node);
    execute(program);
}

void programs_init(struct programs *p, const struct topology *t, const char *log_directory)
{
    memset(p, 0, sizeof(*p));
    p->topology = t;
    p->log_directory = log_directory;
    for (unsigned i = 0; i < TOPOLOGY_PROGRAMS; i++)
        for (int what = 0; what < 2; what++)
            p->one[i].from[what] = p->one[i].to[what] = -1;
}

bool programs_begin(struct programs *p, unsigned i, int space)
{
    struct programs_one *one = &p->one[i];
    int output[2] = {-1, -1};
    one->begun = true;
    bool copied = p->log_directory || is_waited_for(p->topology, p->topology->program[i].node);
    for (int what = 0; copied && what < 2; what++) {
        int ends[2];
        if (!open_log(p, i, what) || pipe2(ends, O_CLOEXEC) < 0)
            return false;
        one->from[what] = ends[0];
        output[what] = ends[1];
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    fflush(NULL);
    one->pid = fork();
    if (one->pid == 0)
        become(p, i, space, output);
    for (int what = 0; what < 2; what++)
        if (output[what] >= 0)
            close(output[what]);
    if (one->pid < 0) {
        fprintf(stderr, "eyelet-lab: cannot start a program: %s\n", strerror(errno));
        one->pid = 0;
        return false;
    }
    return true;
}

bool programs_due(const struct programs *p, unsigned i)
{
    return !p->one[i].begun && (!p->topology->program[i].text[0] || p->said[i]);
}

static void note_text(struct programs *p, unsigned speaker, int what, const char *data, size_t size)
{
    const struct topology *t = p->topology;
    struct programs_one *one = &p->one[speaker];
    char joined[TOPOLOGY_TEXT + 4096];
    memcpy(joined, one->last[what], one->last_bytes[what]);
    memcpy(joined + one->last_bytes[what], data, size);
    size_t total = one->last_bytes[what] + size;
    for (unsigned i = 0; i < t->programs; i++) {
        const struct topology_program *waiting = &t->program[i];
        if (waiting->text[0] && waiting->after == t->program[speaker].node &&
            memmem(joined, total, waiting->text, strlen(waiting->text)))
            p->said[i] = true;
    }
    size_t keep = total < TOPOLOGY_TEXT ? total : TOPOLOGY_TEXT;
    memcpy(one->last[what], joined + total - keep, keep);
    one->last_bytes[what] = keep;
}

bool programs_copy(struct programs *p, unsigned i, int what)
{
    struct programs_one *one = &p->one[i];
    char data[4096];
    ssize_t got;
    while ((got = read(one->from[what], data, sizeof(data))) > 0) {
        note_text(p, i, what, data, (size_t)got);
        for (ssize_t done = 0; done < got;) {
            ssize_t wrote = write(one->to[what], data + done, (size_t)(got - done));
            if (wrote < 0 && errno != EINTR)
                break;
            done += wrote > 0 ? wrote : 0;
        }
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    close(one->from[what]);
    one->from[what] = -1;
    return false;
}

void programs_reap(struct programs *p)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (unsigned i = 0; i < TOPOLOGY_PROGRAMS; i++)
            if (p->one[i].pid == pid) {
                p->one[i].pid = 0;
                p->one[i].ended = true;
                p->one[i].status = status;
            }
}

unsigned programs_running(const struct programs *p)
{
    unsigned running = 0;
    for (unsigned i = 0; i < p->topology->programs; i++)
        running += p->one[i].pid > 0;
    return running;
}
