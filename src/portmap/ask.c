/* SPDX-License-Identifier: BSD-2-Clause */
#include "portmap/ask.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "portmap/pmp.h"

enum {
    ASK_MS = 1500,
    UNASK_MS = 1000,
    FIRST_GAP_MS = 250, /* between two copies of a question; doubles (both RFCs) */
    PCP_GRACE_MS = 200, /* for the answer of PCP once that of NAT-PMP is there */
};

/* What is still open between us and the router. */
struct talk {
    struct lease *l;
    const struct patience *p;
    int fd;
    bool pcp, natpmp;       /* can still give a mapping */
    bool natpmp_map;        /* NAT-PMP is asked for the mapping, no longer for the address */
    bool answered, refused; /* something of it came; the port is closed */
    uint64_t natpmp_at_us;  /* when to ask for the mapping; 0: the address is not known */
};

/* Only what the router itself sends comes out of a connected socket, and its "port unreachable". */
static int open_talk(const struct lease *l)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    struct sockaddr_in router = {.sin_family = AF_INET, .sin_port = htons(PMP_PORT)};
    memcpy(&local.sin_addr, l->gateway.local.ip, 4);
    memcpy(&router.sin_addr, l->gateway.router.ip, 4);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&local, sizeof local) != 0 ||
                    connect(fd, (struct sockaddr *)&router, sizeof router) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void send_packet(struct talk *t, const uint8_t *packet, size_t length)
{
    if (send(t->fd, packet, length, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED) {
        t->refused = true;
    }
}

static void send_questions(struct talk *t)
{
    uint8_t packet[PMP_PACKET_BYTES];
    struct lease *l = t->l;
    if (t->pcp) {
        l->unanswered = PORTMAP_PCP;
        send_packet(t, packet, pmp_build_pcp_map(l, l->wanted_s, packet));
    }
    if (t->natpmp && t->natpmp_map) {
        l->unanswered = PORTMAP_NAT_PMP;
        send_packet(t, packet, pmp_build_natpmp_map(l, l->wanted_s, packet));
    } else if (t->natpmp && t->natpmp_at_us == 0) {
        send_packet(t, packet, pmp_build_natpmp_address(packet));
    }
}

static bool accept_mapping(struct talk *t, enum portmap_protocol protocol,
                           struct stun_addr external, const struct pmp_answer *a)
{
    struct lease *l = t->l;
    char text[LEASE_IP_TEXT_BYTES];
    const char *name = portmap_protocol_name(protocol);
    if (a->internal_port != l->internal_port || external.port == 0) {
        lease_blame(l, "%s: the answer is nonsense", name);
    } else if (!lease_is_outer_address(l, &external)) {
        lease_blame(l, "%s: the router names %s as its outer address", name,
                    lease_ip_text(&external, text));
    } else if (a->lifetime_s < LEASE_SHORTEST_S) {
        lease_blame(l, "%s: a lifetime of %u s is too short", name, a->lifetime_s);
    } else {
        lease_epoch(l, a->epoch_s, patience_now_us());
        l->protocol = protocol;
        l->unanswered = PORTMAP_NO_PROTOCOL;
        l->external = external;
        l->lifetime_s = a->lifetime_s;
        l->wanted_port = external.port; /* the same one when it is renewed */
        return true;
    }
    return false;
}

static bool take_pcp(struct talk *t, const struct pmp_answer *a)
{
    struct lease *l = t->l;
    if (!t->pcp || (a->has_nonce && memcmp(a->nonce, l->nonce, sizeof l->nonce) != 0)) {
        return false;
    }
    t->answered = true;
    t->pcp = false;
    l->spoken = PORTMAP_PCP;
    if (a->result != 0) {
        lease_blame(l, "PCP: %s", pmp_result_text(PMP_PCP_MAP, a->result));
        l->unanswered = PORTMAP_NO_PROTOCOL;
        return false;
    }
    if (!accept_mapping(t, PORTMAP_PCP, a->external, a)) {
        return false;
    }
    l->router = a->external;
    l->router.port = 0;
    return true;
}

static void take_natpmp_address(struct talk *t, const struct pmp_answer *a)
{
    struct lease *l = t->l;
    char text[LEASE_IP_TEXT_BYTES];
    if (!t->natpmp || t->natpmp_at_us != 0) {
        return;
    }
    t->answered = true;
    l->spoken = PORTMAP_NAT_PMP;
    if (a->result != 0) {
        t->natpmp = false;
        lease_blame(l, "NAT-PMP: %s", pmp_result_text(a->kind, a->result));
    } else if (!lease_is_outer_address(l, &a->external)) {
        t->natpmp = false;
        lease_blame(l, "NAT-PMP: the router names %s as its outer address",
                    lease_ip_text(&a->external, text));
    } else {
        l->router = a->external;
        t->natpmp_at_us = patience_now_us() + (t->pcp ? PCP_GRACE_MS * 1000 : 0);
    }
}

static bool take_natpmp_map(struct talk *t, const struct pmp_answer *a)
{
    struct lease *l = t->l;
    if (!t->natpmp || !t->natpmp_map || (a->result == 0 && a->internal_port != l->internal_port)) {
        return false;
    }
    t->natpmp = false;
    if (a->result != 0) {
        lease_blame(l, "NAT-PMP: %s", pmp_result_text(a->kind, a->result));
        l->unanswered = PORTMAP_NO_PROTOCOL;
        return false;
    }
    struct stun_addr external = l->router;
    external.port = a->external_port;
    return accept_mapping(t, PORTMAP_NAT_PMP, external, a);
}

/* True: a mapping. */
static bool take(struct talk *t, const uint8_t *bytes, size_t length)
{
    struct pmp_answer a;
    if (!pmp_parse(bytes, length, &a)) {
        return false;
    }
    switch (a.kind) {
    case PMP_PCP_MAP:
        return take_pcp(t, &a);
    case PMP_NATPMP_ADDRESS:
        take_natpmp_address(t, &a);
        return false;
    case PMP_NATPMP_MAP:
        return take_natpmp_map(t, &a);
    case PMP_NO_PCP:
        t->pcp = false;
        t->answered = true;
        return false;
    }
    return false;
}

/* What has arrived. True: a mapping. */
static bool receive(struct talk *t)
{
    uint8_t bytes[PMP_ANSWER_BYTES + 1];
    for (int budget = 32; budget > 0; budget--) {
        ssize_t got = recv(t->fd, bytes, sizeof bytes, 0);
        if (got < 0) {
            t->refused = t->refused || errno == ECONNREFUSED;
            return false;
        }
        if (take(t, bytes, (size_t)got)) {
            return true;
        }
    }
    return false;
}

static enum lease_result converse(struct talk *t)
{
    uint64_t send_at_us = 0;
    uint64_t gap_us = FIRST_GAP_MS * 1000;
    while ((t->pcp || t->natpmp) && (t->answered || !t->refused)) {
        uint64_t now = patience_now_us();
        if (t->natpmp && t->natpmp_at_us != 0 && !t->natpmp_map &&
            (!t->pcp || now >= t->natpmp_at_us)) {
            t->pcp = false; /* the two would not know of each other's mapping */
            t->natpmp_map = true;
            send_at_us = now;
            gap_us = FIRST_GAP_MS * 1000;
        }
        if (now >= send_at_us) {
            send_questions(t);
            send_at_us = now + gap_us;
            gap_us *= 2;
        }
        uint64_t sooner = !t->natpmp_map && t->natpmp_at_us != 0 && t->natpmp_at_us < send_at_us
                              ? t->natpmp_at_us
                              : send_at_us;
        switch (patience_wait(t->p, t->fd, POLLIN, sooner)) {
        case PATIENCE_STOPPED:
            return LEASE_STOPPED;
        case PATIENCE_READY:
            if (receive(t)) {
                return LEASE_MADE;
            }
            break;
        case PATIENCE_OVER:
            if (patience_now_us() >= t->p->deadline_us) {
                return t->answered ? LEASE_REFUSED : LEASE_SILENT;
            }
            break;
        }
    }
    return t->answered ? LEASE_REFUSED : LEASE_SILENT;
}

enum lease_result ask_map(const struct patience *p, struct lease *l, unsigned int protocols)
{
    struct patience within = patience_within(p, ASK_MS);
    struct talk t = {
        .l = l,
        .p = &within,
        .pcp = (protocols & 1U << PORTMAP_PCP) != 0,
        .natpmp = (protocols & 1U << PORTMAP_NAT_PMP) != 0,
        .fd = open_talk(l),
    };
    if (t.fd < 0) {
        return LEASE_SILENT;
    }
    enum lease_result result = converse(&t);
    close(t.fd);
    if (result != LEASE_MADE && result != LEASE_STOPPED) {
        if (l->unanswered != PORTMAP_NO_PROTOCOL && t.answered) {
            ask_unmap(p, l, l->unanswered);
        }
        if (!patience_is_stopped(p)) {
            l->unanswered = PORTMAP_NO_PROTOCOL;
        }
    }
    return result;
}

void ask_unmap(const struct patience *p, const struct lease *l, enum portmap_protocol protocol)
{
    struct patience within = patience_within(p, UNASK_MS);
    uint8_t packet[PMP_PACKET_BYTES], bytes[PMP_ANSWER_BYTES];
    size_t length = protocol == PORTMAP_PCP ? pmp_build_pcp_map(l, 0, packet)
                                            : pmp_build_natpmp_map(l, 0, packet);
    int fd = open_talk(l);
    uint64_t send_at_us = 0;
    unsigned int gap_ms = FIRST_GAP_MS / 2;
    while (fd >= 0) {
        struct pmp_answer a;
        uint64_t now = patience_now_us();
        if (now >= send_at_us) {
            if (send(fd, packet, length, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED) {
                break;
            }
            send_at_us = now + gap_ms * 1000ULL;
            gap_ms *= 2;
        }
        enum patience_end end = patience_wait(&within, fd, POLLIN, send_at_us);
        if (end == PATIENCE_STOPPED || patience_now_us() >= within.deadline_us) {
            break;
        }
        if (end == PATIENCE_OVER) {
            continue;
        }
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got < 0 && errno == ECONNREFUSED) {
            break;
        }
        if (got >= 0 && pmp_parse(bytes, (size_t)got, &a) &&
            a.kind == (protocol == PORTMAP_PCP ? PMP_PCP_MAP : PMP_NATPMP_MAP)) {
            break;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}
