/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/netfilter.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MASQUERADE(how)                                                                            \
    "table ip nat { chain post { type nat hook postrouting priority 100; oifname \"wan\" " how     \
    "; }; }\n"
/* The range applies to UDP; other protocols have the whole of it. */
#define MASQUERADE_PORTS(how)                                                                      \
    "table ip nat { chain post { type nat hook postrouting priority 100; oifname \"wan\" meta "    \
    "l4proto udp " how "; oifname \"wan\" masquerade; }; }\n"
#define INPUT(verdict)                                                                             \
    "table ip input { chain input { type filter hook input priority 0; iifname \"wan\" ct state "  \
    "established,related accept; iifname \"wan\" " verdict "; }; }\n"
#define FORWARD(family)                                                                            \
    "table " family " forward { chain forward { type filter hook forward priority 0; ct state "    \
    "established,related accept; iifname \"lan\" accept; drop; }; }\n"

static const struct netfilter_kind kinds[] = {
    {"nf-open", "", "a plain router"},
    {"nf-fw", FORWARD("ip"), "a public address behind a stateful firewall"},
    {"nf-drop", MASQUERADE("masquerade") INPUT("drop"), "masquerade, INPUT DROP"},
    {"nf-accept", MASQUERADE("masquerade"), "masquerade, INPUT ACCEPT"},
    {"nf-reject", MASQUERADE("masquerade") INPUT("reject"), "masquerade, INPUT REJECT"},
    {"nf-random", MASQUERADE("masquerade fully-random") INPUT("drop"),
     "masquerade --random-fully: a port for each remote"},
    {"nf-random-accept", MASQUERADE("masquerade fully-random"), "the same with INPUT ACCEPT"},
    {"nf-ports", MASQUERADE_PORTS("masquerade to :20480-21503") INPUT("drop"),
     "masquerade to a range of 1024 ports"},
    {"nf-ports-random", MASQUERADE_PORTS("masquerade to :20480-21503 random") INPUT("drop"),
     "the same --random: a port for each remote out of 1024"},
    {"nf-cone",
     MASQUERADE("masquerade") "table ip fullcone { chain pre { type nat hook prerouting priority "
                              "-100; iifname \"wan\" meta l4proto udp dnat to $HOST; }; }\n",
     "full cone: all UDP is forwarded to the first host"},
    {"nf-blocked",
     MASQUERADE("masquerade") INPUT("drop") "table ip block { chain forward { type filter hook "
                                            "forward priority 0; meta l4proto udp drop; }; }\n",
     "UDP does not pass"},
    {NULL, NULL, NULL},
};

/* Copies the rules with the host's address put in. */
static void expand(char *out, size_t room, const char *rules, const char *host)
{
    size_t used = 0;
    while (*rules && used + 64 < room) {
        if (strncmp(rules, "$HOST", 5) == 0) {
            used += (size_t)snprintf(out + used, room - used, "%s", host);
            rules += 5;
        } else {
            out[used++] = *rules++;
        }
    }
    out[used] = 0;
}

static bool run_nft(const char *rules)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[0], 0);
        execlp("nft", "nft", "-f", "-", (char *)NULL);
        execl("/usr/sbin/nft", "nft", "-f", "-", (char *)NULL);
        fprintf(stderr, "eyelet-lab: kinds of netfilter need the program nft (package nftables)\n");
        _exit(127);
    }
    close(ends[0]);
    bool ok = pid > 0 && write(ends[1], rules, strlen(rules)) == (ssize_t)strlen(rules);
    close(ends[1]);
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && ok;
}

const struct netfilter_kind *netfilter_kinds(void)
{
    return kinds;
}

const struct netfilter_kind *netfilter_kind_named(const char *name)
{
    for (const struct netfilter_kind *kind = kinds; kind->name; kind++)
        if (strcmp(kind->name, name) == 0)
            return kind;
    return NULL;
}

bool netfilter_apply(const struct netfilter_kind *kind, enum nat_config_ipv6 ipv6,
                     const char *first_host)
{
    char rules[2048];
    expand(rules, sizeof(rules) - 256, kind->rules, first_host);
    if (ipv6 == NAT_CONFIG_V6_FIREWALL)
        strcat(rules, FORWARD("ip6"));
    return !rules[0] || run_nft(rules);
}
