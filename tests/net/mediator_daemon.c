/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's side of mediator_client.h. */
#include "mediator_client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEDIATOR_PATIENCE_MS 5000
#define MEDIATOR_IPV4        "address = 127.0.0.1\naddress = 127.0.0.2\n"

static bool mediator_read_line(struct mediator *mediator, char *line, size_t capacity)
{
    struct pollfd output = {.fd = mediator->output, .events = POLLIN};
    size_t used = 0;

    while (used + 1 < capacity && poll(&output, 1, MEDIATOR_PATIENCE_MS) > 0) {
        ssize_t got = read(mediator->output, line + used, 1);
        if (got <= 0)
            return false;
        if (line[used] == '\n') {
            line[used] = '\0';
            return true;
        }
        used++;
    }
    return false;
}

/* Reads addresses up to the next word of the line. */
static size_t mediator_parse_list(const char *text, struct stun_addr *out, size_t capacity)
{
    char word[STUN_ADDR_TEXT_BYTES];
    size_t count = 0;
    int bytes;

    while (count < capacity && sscanf(text, " %55[^ ,]%n", word, &bytes) == 1 &&
           stun_addr_parse(word, &out[count])) {
        count++;
        text += bytes;
    }
    return count;
}

/* "eyeletd ready: control A:P A:P, bounce A:P A:P A:P A:P, id ID" */
static bool mediator_parse_ready(struct mediator *mediator, const char *line)
{
    static const char control[] = "eyeletd ready: control", bounce[] = ", bounce", id[] = ", id ";
    const char *bounces = strstr(line, bounce);
    const char *name = strstr(line, id);

    if (strncmp(line, control, sizeof control - 1) != 0 || bounces == NULL || name == NULL ||
        sscanf(name + sizeof id - 1, "%52s", mediator->id) != 1)
        return false;
    mediator->control_count =
        mediator_parse_list(line + sizeof control - 1, mediator->control, MEDIATOR_ADDRESSES);
    mediator->bounce_count =
        mediator_parse_list(bounces + sizeof bounce - 1, mediator->bounce, MEDIATOR_BOUNCES);
    return mediator->control_count >= 2 && mediator->bounce_count >= 4;
}

bool mediator_start(struct mediator *mediator, const char *program)
{
    char config[96], line[512];
    int output[2];

    snprintf(config, sizeof config, "%s/eyeletd.conf", mediator->folder);
    if (pipe2(output, O_CLOEXEC) < 0)
        return false;
    mediator->pid = fork();
    if (mediator->pid == 0) {
        dup2(output[1], STDOUT_FILENO);
        execl(program, program, "--config", config, (char *)NULL);
        _exit(127);
    }
    close(output[1]);
    mediator->output = output[0];
    return mediator->pid > 0 && mediator_read_line(mediator, line, sizeof line) &&
           mediator_parse_ready(mediator, line);
}

static void mediator_make_loopback(struct stun_addr *addr)
{
    uint16_t port = addr->port;

    if (addr->family == STUN_IPV4)
        *addr = stun_addr_v4(127, 0, 0, 1, port);
    else
        stun_addr_parse("[::1]:0", addr);
    addr->port = port;
}

static bool mediator_make(struct mediator *mediator, const char *program, const char *settings,
                          const char *limits)
{
    char path[96];

    *mediator = (struct mediator){.folder = "/tmp/eyeletd-test-XXXXXX", .pid = -1};
    if (program == NULL) {
        fprintf(stderr, "EYELETD must name the daemon\n");
        return false;
    }
    if (mkdtemp(mediator->folder) == NULL)
        return false;
    snprintf(path, sizeof path, "%s/eyeletd.conf", mediator->folder);
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return false;
    fprintf(file, "%sport = 0\nbounce-port = 0\nlog-level = warn\nstate = %s/state\n[limits]\n%s",
            settings, mediator->folder, limits);
    fclose(file);
    return mediator_start(mediator, program);
}

bool mediator_create(struct mediator *mediator, const char *program, const char *limits)
{
    return mediator_make(mediator, program, MEDIATOR_IPV4, limits);
}

bool mediator_create_with(struct mediator *mediator, const char *program, const char *settings)
{
    char all[256];

    snprintf(all, sizeof all, MEDIATOR_IPV4 "%s", settings);
    return mediator_make(mediator, program, all, "");
}

bool mediator_create_everywhere(struct mediator *mediator, const char *program)
{
    if (!mediator_make(mediator, program, "port = 0\n", ""))
        return false;
    for (size_t i = 0; i < mediator->control_count; i++)
        mediator_make_loopback(&mediator->control[i]);
    for (size_t i = 0; i < mediator->bounce_count; i++)
        mediator_make_loopback(&mediator->bounce[i]);
    return true;
}

int mediator_stop(struct mediator *mediator)
{
    int status = 0;

    if (mediator->pid <= 0)
        return -1;
    kill(mediator->pid, SIGTERM);
    struct pollfd process = {.fd = pidfd_open(mediator->pid, 0), .events = POLLIN};
    bool ended = poll(&process, 1, MEDIATOR_PATIENCE_MS) > 0;
    if (!ended)
        kill(mediator->pid, SIGKILL);
    waitpid(mediator->pid, &status, 0);
    close(process.fd);
    close(mediator->output);
    mediator->pid = -1;
    return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void mediator_destroy(struct mediator *mediator)
{
    static const char *const files[] = {"eyeletd.conf", "state/key"};
    char path[96];

    if (mediator->pid > 0)
        mediator_stop(mediator);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", mediator->folder, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/state", mediator->folder);
    rmdir(path);
    rmdir(mediator->folder);
}
