/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim/world.h"

#define WHAT_BYTES 120

static void mix(struct world *w, uint64_t value)
{
    w->hash = (w->hash ^ value) * 0x9e3779b97f4a7c15u;
    w->hash ^= w->hash >> 29;
}

static void mix_bytes(struct world *w, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;

        memcpy(&word, at, 8);
        mix(w, word);
    }
    uint64_t rest = size;

    for (; size > 0; size--)
        rest = rest << 8 | *at++;
    mix(w, rest);
}

static const char *name_of(uint32_t who)
{
    static const char *const names[] = {"caller", "callee", "server", "attacker"};

    return names[who];
}

static void begin_line(const struct world *w, const char *who)
{
    printf("%12.3f  %-8s  ", (double)w->now_us / 1e3, who);
}

static void describe_request(const struct stun_message *msg, char text[static WHAT_BYTES])
{
    if (msg->has_sequence)
        snprintf(text, WHAT_BYTES, "keepalive");
    else if (msg->username != NULL)
        snprintf(text, WHAT_BYTES, "check%s%s", msg->has_controlling ? ", controlling" : "",
                 msg->use_candidate ? ", nominates" : "");
    else
        snprintf(text, WHAT_BYTES, "STUN request%s%s",
                 msg->change_request & STUN_CHANGE_IP ? ", change IP" : "",
                 msg->change_request & STUN_CHANGE_PORT ? ", change port" : "");
}

static const char *describe(const struct world_packet *p, char text[static WHAT_BYTES])
{
    struct stun_message msg;
    char mapped[STUN_ADDR_TEXT_BYTES], id[9] = "";

    if (peer_is_link(p->bytes, p->size)) {
        snprintf(text, WHAT_BYTES, "link packet");
    } else if (stun_parse(p->bytes, p->size, &msg) != STUN_OK) {
        snprintf(text, WHAT_BYTES, "%u bytes of rubbish", (unsigned)p->size);
    } else {
        if (msg.type == STUN_BINDING_REQUEST)
            describe_request(&msg, text);
        else if (msg.type == STUN_BINDING_SUCCESS)
            snprintf(text, WHAT_BYTES, "%s, seen as %s",
                     msg.integrity_at != 0 ? "answer to a check" : "STUN response",
                     stun_addr_text(&msg.mapped, mapped));
        else
            snprintf(text, WHAT_BYTES, "STUN error %u", (unsigned)msg.error_code);
        for (int i = 0; i < 4; i++)
            snprintf(id + 2 * i, 3, "%02x", msg.transaction[i]);
    }
    size_t at = strlen(text);

    if (id[0] != 0)
        at += (size_t)snprintf(text + at, WHAT_BYTES - at, " #%s", id);
    if (p->who == WORLD_ATTACKER)
        snprintf(text + at, WHAT_BYTES - at, " (forged: %s)",
                 attacker_kind_text((enum attacker_kind)p->kind));
    return text;
}

static void print_packet(const struct world_packet *p)
{
    char src[STUN_ADDR_TEXT_BYTES], dst[STUN_ADDR_TEXT_BYTES];

    printf("%-21s > %-21s  ", stun_addr_text(&p->head.src, src), stun_addr_text(&p->head.dst, dst));
}

void trace_begin(struct world *w)
{
    w->hash = w->scene.seed;
    if (!w->tracing)
        return;
    scene_print(&w->scene);
    printf("          ms  who       from                    to\n");
}

void trace_sent(struct world *w, const struct world_packet *p)
{
    char text[WHAT_BYTES];

    mix(w, w->now_us);
    mix_bytes(w, &p->head, sizeof(p->head));
    mix_bytes(w, p->bytes, p->size);
    if (!w->tracing)
        return;
    begin_line(w, name_of(p->who));
    print_packet(p);
    printf("%s", describe(p, text));
    if (p->head.ttl != WORLD_DEFAULT_TTL)
        printf(", opener with TTL %u", (unsigned)p->head.ttl);
    printf("\n");
}

static void print_verdict(const struct world_packet *p, bool outwards,
                          const struct nat_model_verdict *verdict)
{
    char text[STUN_ADDR_TEXT_BYTES];

    switch (verdict->action) {
    case NAT_MODEL_FORWARD:
        if (outwards)
            printf("passes out as %s", stun_addr_text(&verdict->packet.src, text));
        else
            printf("passes in to %s", stun_addr_text(&verdict->packet.dst, text));
        break;
    case NAT_MODEL_HAIRPIN:
        printf("turns back in as %s", stun_addr_text(&verdict->packet.src, text));
        printf(" to %s", stun_addr_text(&verdict->packet.dst, text));
        break;
    case NAT_MODEL_REFUSE:
        printf("refused: %s", nat_model_reason_text(verdict->reason));
        break;
    case NAT_MODEL_DROP:
        printf("dropped: %s", nat_model_reason_text(verdict->reason));
        break;
    }
    printf("%s\n", p->who == WORLD_ATTACKER ? " (forged)" : "");
}

void trace_nat(struct world *w, const struct world_packet *p, uint32_t nat, bool outwards,
               const struct nat_model_verdict *verdict)
{
    char name[16];

    mix(w, w->now_us + (uint64_t)verdict->reason * 8 + (uint64_t)verdict->action);
    mix(w, (uint64_t)verdict->packet.src.port << 16 | verdict->packet.dst.port);
    if (!w->tracing)
        return;
    snprintf(name, sizeof(name), "NAT %u", (unsigned)nat);
    begin_line(w, name);
    print_packet(p);
    print_verdict(p, outwards, verdict);
}

void trace_lost(struct world *w, const struct world_packet *p, const char *why)
{
    mix(w, w->now_us);
    if (!w->tracing)
        return;
    begin_line(w, "way");
    print_packet(p);
    printf("%s\n", why);
}

void trace_received(struct world *w, uint32_t host, const struct world_packet *p, const char *what)
{
    char text[WHAT_BYTES];

    mix(w, w->now_us + host);
    if (!w->tracing)
        return;
    begin_line(w, name_of(host));
    print_packet(p);
    printf("%s%s\n", what, describe(p, text));
}

static void print_note(const struct punch_note *note)
{
    char text[STUN_ADDR_TEXT_BYTES];

    switch (note->kind) {
    case PUNCH_NOTE_SAMPLES:
        printf("samples of %s:", stun_addr_text(&note->samples.public_addr, text));
        for (uint8_t i = 0; i < note->samples.count && i < NAT_MAX_SAMPLES; i++)
            printf(" %u", (unsigned)note->samples.ports[i]);
        break;
    case PUNCH_NOTE_PLAN:
        printf("plan: %s, %zu ports of %s from %u on", punch_technique_text(note->plan.technique),
               note->plan.port_count, stun_addr_text(&note->plan.target, text),
               (unsigned)note->plan.ports[0]);
        break;
    case PUNCH_NOTE_SEND_FIRST:
        printf("send first");
        break;
    case PUNCH_NOTE_AGAIN:
        printf("again");
        break;
    default:
        printf("number %d", (int)note->kind);
        break;
    }
}

void trace_event(struct world *w, uint32_t host, const struct punch_event *event)
{
    static const char *const names[] = {
        [PUNCH_EVENT_USABLE] = "usable",
        [PUNCH_EVENT_PROVEN] = "proven",
        [PUNCH_EVENT_PATH] = "path",
        [PUNCH_EVENT_WANT_SOCKET] = "wants socket",
        [PUNCH_EVENT_NOTE] = "note to the peer:",
        [PUNCH_EVENT_PATH_LOST] = "path lost",
        [PUNCH_EVENT_FAILED] = "failed",
        [PUNCH_EVENT_DROP_SOCKET] = "drops socket",
        [PUNCH_EVENT_DOUBT] = "doubts the path",
    };
    char text[STUN_ADDR_TEXT_BYTES];

    mix(w, w->now_us + host * 64 + (uint64_t)event->kind);
    mix(w, (uint64_t)event->pair.socket << 16 | event->pair.remote.port);
    if (!w->tracing)
        return;
    begin_line(w, name_of(host));
    if ((size_t)event->kind < sizeof(names) / sizeof(names[0]) && names[event->kind] != NULL)
        printf("* %s ", names[event->kind]);
    else
        printf("* event %d ", (int)event->kind);
    switch (event->kind) {
    case PUNCH_EVENT_WANT_SOCKET:
    case PUNCH_EVENT_DROP_SOCKET:
        printf("%u", event->socket);
        if (event->socket_count > 1)
            printf(" to %u", event->socket + event->socket_count - 1);
        break;
    case PUNCH_EVENT_NOTE:
        print_note(&event->note);
        break;
    case PUNCH_EVENT_FAILED:
        printf("(%s)", punch_failure_text(event->failure));
        break;
    default:
        printf("from socket %u to %s, %s, round trip %.1f ms", event->pair.socket,
               stun_addr_text(&event->pair.remote, text), punch_technique_text(event->technique),
               (double)event->rtt_us / 1e3);
        break;
    }
    printf("\n");
}

void trace_say(struct world *w, const char *who, const char *format, ...)
{
    va_list args;

    mix(w, w->now_us);
    if (!w->tracing)
        return;
    begin_line(w, who);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}
