/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-bench-nice: one connection of libnice in a lab, for bench/compare.
 *   eyelet-bench-nice answer SERVER SIGNAL_PORT STUN_PORT [OPTION]...
 *   eyelet-bench-nice call SERVER SIGNAL_PORT STUN_PORT WARM_MS LIMIT_MS [OPTION]...
 * Both gather first and connect to eyelet-bench-signal. When both are there the caller waits
 * WARM_MS and sends its credentials and candidates; its clock starts with that. It prints one line
 * of JSON as eyelet-lab-peer does: "result", "ms" (to the first echoed byte), ... Options:
 * "regular" nomination in place of aggressive, "tcp" candidates too, "pacing=MS". */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>
#include <nice/agent.h>

#define COMPONENT     1
#define STREAM_NAME   "application"
#define GATHER_MS     5000
#define SIGNAL_MS     20000
#define AGAIN_MS      20 /* the network may lose the byte or its echo */
#define MESSAGE_BYTES 65536

struct peer {
    NiceAgent *agent;
    GMainLoop *loop;
    guint stream;
    guint gather_timer, again_timer;
    bool calling, selected, owes_echo;
    const char *server;
    int signal_port, signal_fd;
    guint warm_ms, limit_ms;
    GString *heard; /* through the signal server, up to a line that is "." */
    bool both;
    double begun_ms, connected_ms, echo_ms; /* the last two since the first; 0: not yet */
    int status;
};

static double now_ms(void)
{
    return (double)g_get_monotonic_time() / 1e3;
}

static void say(const struct peer *p, const char *text)
{
    size_t bytes = strlen(text);
    while (bytes > 0) {
        ssize_t sent = send(p->signal_fd, text, bytes, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        text += sent;
        bytes -= (size_t)sent;
    }
}

static void say_candidates(const struct peer *p)
{
    gchar *sdp = nice_agent_generate_local_sdp(p->agent);
    gchar *text = g_strconcat(sdp, "\n.\n", NULL);
    say(p, text);
    g_free(text);
    g_free(sdp);
}

static const char *candidate_kind(const NiceCandidate *candidate)
{
    switch (candidate->type) {
    case NICE_CANDIDATE_TYPE_HOST:
        return "host";
    case NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE:
        return "srflx";
    case NICE_CANDIDATE_TYPE_PEER_REFLEXIVE:
        return "prflx";
    case NICE_CANDIDATE_TYPE_RELAYED:
        return "relay";
    }
    return "";
}

static void report(struct peer *p)
{
    NiceCandidate *local = NULL, *remote = NULL;
    bool ok = p->echo_ms > 0;
    bool paired = nice_agent_get_selected_pair(p->agent, p->stream, COMPONENT, &local, &remote);
    printf("{\"result\":\"%s\",\"ms\":%.3f,\"connected_ms\":%.3f,\"echo_ms\":%.3f,"
           "\"local\":\"%s\",\"remote\":\"%s\",\"state\":\"%s\"}\n",
           ok ? "direct" : "failed", ok ? p->echo_ms : (double)p->limit_ms, p->connected_ms,
           p->echo_ms, paired ? candidate_kind(local) : "", paired ? candidate_kind(remote) : "",
           nice_component_state_to_string(
               nice_agent_get_component_state(p->agent, p->stream, COMPONENT)));
    fflush(stdout);
    p->status = ok ? 0 : 1;
    g_main_loop_quit(p->loop);
}

static gboolean on_limit(gpointer context)
{
    report(context);
    return G_SOURCE_REMOVE;
}

static gboolean send_byte(gpointer context)
{
    struct peer *p = context;
    nice_agent_send(p->agent, p->stream, COMPONENT, 1, "x");
    return G_SOURCE_CONTINUE;
}

static void echo(struct peer *p)
{
    p->owes_echo = nice_agent_send(p->agent, p->stream, COMPONENT, 1, "x") != 1;
}

static void on_data(NiceAgent *agent, guint stream, guint component, guint bytes, gchar *data,
                    gpointer context)
{
    struct peer *p = context;
    (void)agent, (void)stream, (void)component, (void)bytes, (void)data;
    if (!p->calling) {
        echo(p);
    } else if (p->echo_ms <= 0) {
        p->echo_ms = now_ms() - p->begun_ms;
        report(p);
    }
}

static void on_selected(NiceAgent *agent, guint stream, guint component, NiceCandidate *local,
                        NiceCandidate *remote, gpointer context)
{
    struct peer *p = context;
    (void)agent, (void)stream, (void)component, (void)local, (void)remote;
    if (p->owes_echo)
        echo(p);
    if (p->selected)
        return;
    p->selected = true;
    if (!p->calling)
        return;
    p->connected_ms = now_ms() - p->begun_ms;
    send_byte(p);
    p->again_timer = g_timeout_add(AGAIN_MS, send_byte, p);
}

static gboolean on_warm(gpointer context)
{
    struct peer *p = context;
    p->begun_ms = now_ms();
    g_timeout_add(p->limit_ms, on_limit, p);
    say_candidates(p);
    return G_SOURCE_REMOVE;
}

static void on_message(struct peer *p, const char *sdp)
{
    if (!p->calling)
        say_candidates(p); /* before our own checks: every millisecond counts for the caller */
    if (nice_agent_parse_remote_sdp(p->agent, sdp) <= 0)
        fprintf(stderr, "eyelet-bench-nice: no candidates in what the peer said\n");
}

static gboolean on_signal(gint fd, GIOCondition condition, gpointer context)
{
    struct peer *p = context;
    char data[4096], *end;
    ssize_t got = recv(fd, data, sizeof(data), 0);
    (void)condition;
    if (got <= 0 || p->heard->len > MESSAGE_BYTES) {
        if (!p->calling)
            g_main_loop_quit(p->loop);
        return G_SOURCE_REMOVE;
    }
    g_string_append_len(p->heard, data, got);
    if (!p->both && g_str_has_prefix(p->heard->str, "both\n")) {
        p->both = true;
        g_string_erase(p->heard, 0, 5);
        if (p->calling)
            g_timeout_add(p->warm_ms, on_warm, p);
    }
    if (p->both && (end = strstr(p->heard->str, "\n.\n"))) {
        *end = '\0';
        on_message(p, p->heard->str);
        g_string_truncate(p->heard, 0);
    }
    return G_SOURCE_CONTINUE;
}

/* The server may still be starting. */
static int connect_signal(const char *server, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;
    if (inet_pton(AF_INET, server, &to.sin_addr) != 1)
        return -1;
    for (double end = now_ms() + SIGNAL_MS; now_ms() < end; g_usleep(20000)) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            return fd;
        }
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

static void register_now(struct peer *p)
{
    g_source_remove(p->gather_timer);
    p->gather_timer = 0;
    p->signal_fd = connect_signal(p->server, p->signal_port);
    if (p->signal_fd < 0) {
        fprintf(stderr, "eyelet-bench-nice: no signal server at %s\n", p->server);
        g_main_loop_quit(p->loop);
        return;
    }
    g_unix_fd_add(p->signal_fd, G_IO_IN | G_IO_HUP, on_signal, p);
    puts("ready");
    fflush(stdout);
}

static gboolean on_gather_limit(gpointer context)
{
    register_now(context);
    return G_SOURCE_REMOVE;
}

static void on_gathered(NiceAgent *agent, guint stream, gpointer context)
{
    struct peer *p = context;
    (void)agent, (void)stream;
    if (p->gather_timer != 0)
        register_now(p);
}

static NiceAgent *make_agent(const struct peer *p, int stun_port, char **options)
{
    NiceAgentOption flags = NICE_AGENT_OPTION_NONE;
    gboolean tcp = FALSE;
    guint pacing_ms = 0;
    for (; *options; options++) {
        if (strcmp(*options, "regular") == 0)
            flags |= NICE_AGENT_OPTION_REGULAR_NOMINATION;
        else if (strcmp(*options, "tcp") == 0)
            tcp = TRUE;
        else if (g_str_has_prefix(*options, "pacing="))
            pacing_ms = (guint)atoi(*options + strlen("pacing="));
    }
    NiceAgent *agent = nice_agent_new_full(NULL, NICE_COMPATIBILITY_RFC5245, flags);
    /* There is no gateway with UPnP in the lab, and to wait for one would only delay. */
    g_object_set(agent, "controlling-mode", (gboolean)p->calling, "stun-server", p->server,
                 "stun-server-port", (guint)stun_port, "upnp", FALSE, "ice-tcp", tcp, NULL);
    if (pacing_ms > 0)
        g_object_set(agent, "stun-pacing-timer", pacing_ms, NULL);
    return agent;
}

static bool start(struct peer *p)
{
    g_signal_connect(p->agent, "candidate-gathering-done", G_CALLBACK(on_gathered), p);
    g_signal_connect(p->agent, "new-selected-pair-full", G_CALLBACK(on_selected), p);
    p->stream = nice_agent_add_stream(p->agent, 1);
    return p->stream != 0 && nice_agent_set_stream_name(p->agent, p->stream, STREAM_NAME) &&
           nice_agent_attach_recv(p->agent, p->stream, COMPONENT, NULL, on_data, p) &&
           nice_agent_gather_candidates(p->agent, p->stream);
}

int main(int argc, char **argv)
{
    bool answering = argc >= 5 && strcmp(argv[1], "answer") == 0;
    struct peer p = {.signal_fd = -1, .status = 1};
    p.calling = argc >= 7 && strcmp(argv[1], "call") == 0;
    if (!answering && !p.calling) {
        fprintf(stderr, "usage: eyelet-bench-nice answer SERVER SIGNAL_PORT STUN_PORT [OPTION]...\n"
                        "       eyelet-bench-nice call SERVER SIGNAL_PORT STUN_PORT WARM_MS "
                        "LIMIT_MS [OPTION]...\n");
        return 2;
    }
    p.server = argv[2];
    p.signal_port = atoi(argv[3]);
    p.warm_ms = p.calling ? (guint)atoi(argv[5]) : 0;
    p.limit_ms = p.calling ? (guint)atoi(argv[6]) : 0;
    p.heard = g_string_new(NULL);
    p.loop = g_main_loop_new(NULL, FALSE);
    p.agent = make_agent(&p, atoi(argv[4]), argv + (p.calling ? 7 : 5));
    p.gather_timer = g_timeout_add(GATHER_MS, on_gather_limit, &p);
    if (start(&p))
        g_main_loop_run(p.loop);
    else
        fprintf(stderr, "eyelet-bench-nice: cannot gather candidates\n");
    if (p.again_timer != 0)
        g_source_remove(p.again_timer);
    if (p.signal_fd >= 0)
        close(p.signal_fd);
    g_object_unref(p.agent);
    g_main_loop_unref(p.loop);
    g_string_free(p.heard, TRUE);
    return p.status;
}
