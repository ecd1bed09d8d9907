/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/scene.h"

#include <stdio.h>
#include <string.h>

#define MS     1000u
#define SECOND 1000000u

/* How often which NAT is met (docs/sim.md), in thousandths. */
static const struct {
    uint32_t share;
    const char *text;
} population[] = {
    {420, "eim/apdf/preserving"},
    {100, "linux-drop"},
    {120, "eim/apdf/random"},
    {40, "eim/adf/preserving"},
    {130, "eim/eif/preserving"},
    {50, "apdm/apdf/seq+1"},
    {30, "block1024"},
    {80, "random"},
    {30, "blocked"},
};

struct maker {
    struct scene *s;
    struct dice dice;
};

static uint64_t below(struct maker *m, uint64_t limit)
{
    return (dice_next(&m->dice) >> 32) * limit >> 32;
}

static bool chance(struct maker *m, uint32_t percent)
{
    return below(m, 100) < percent;
}

static const char *one_of(struct maker *m, const char *const *words, uint32_t count)
{
    return words[below(m, count)];
}

static const char *from_population(struct maker *m)
{
    uint64_t at = below(m, 1000);

    for (size_t i = 0; i < sizeof(population) / sizeof(population[0]); i++) {
        if (at < population[i].share)
            return population[i].text;
        at -= population[i].share;
    }
    return population[0].text;
}

static const char *from_kinds(struct maker *m)
{
    const struct nat_config_kind *kinds = nat_config_kinds();
    uint32_t count = 0;

    while (kinds[count].name != NULL)
        count++;
    return kinds[below(m, count)].name;
}

static const char *made_up(struct maker *m, char text[static NAT_CONFIG_TEXT_BYTES])
{
    static const char *const mapping[] = {"eim", "eim", "adm", "apdm", "flow"};
    static const char *const filtering[] = {"eif", "adf", "apdf", "apdf"};
    static const char *const allocation[] = {"preserving", "preserving+1", "overload", "seq+1",
                                             "seq+2",      "seq+7",        "seq-1",    "block64",
                                             "block1024",  "block512-seq", "random"};
    static const char *const option[] = {",hairpin",         ",poison",      ",reject",
                                         ",flood=drop:20",   ",life=30s",    ",flood=blacklist:40",
                                         ",life=10s/60s:in", ",sessions=64", ",pool=4:paired",
                                         ",pool=2:arbitrary"};
    int at = snprintf(text, NAT_CONFIG_TEXT_BYTES, "%s/%s/", one_of(m, mapping, 5),
                      one_of(m, filtering, 4));
    const char *how = one_of(m, allocation, 11);

    at += snprintf(text + at, NAT_CONFIG_TEXT_BYTES - (size_t)at, "%s", how);
    if (strncmp(how, "seq", 3) == 0 && chance(m, 30))
        at += snprintf(text + at, NAT_CONFIG_TEXT_BYTES - (size_t)at, ",foreign=%u/s",
                       (unsigned)(1 + below(m, 40)));
    for (uint64_t options = below(m, 3); options > 0; options--)
        at += snprintf(text + at, NAT_CONFIG_TEXT_BYTES - (size_t)at, "%s", one_of(m, option, 10));
    return text;
}

static void choose_stack(struct maker *m, struct nat_stack *stack)
{
    char text[NAT_CONFIG_TEXT_BYTES];
    const char *error;
    uint64_t how = below(m, 100);
    const char *choice = how < 55   ? from_population(m)
                         : how < 85 ? from_kinds(m)
                                    : made_up(m, text);

    /* Two options of a made-up text may contradict each other. */
    if (!nat_config_parse(choice, stack, &error))
        nat_config_parse("cone", stack, &error);
}

static bool translates(const struct nat_config *c)
{
    return c->mapping != NAT_CONFIG_NONE;
}

static bool is_nothing(const struct nat_config *c)
{
    return !translates(c) && c->filtering == NAT_CONFIG_EIF && !c->udp_blocked;
}

static enum scene_class class_of(const struct nat_config *c)
{
    bool dependent = c->mapping == NAT_CONFIG_ADM || c->mapping == NAT_CONFIG_APDM ||
                     (c->mapping == NAT_CONFIG_FLOW && c->allocation != NAT_CONFIG_PRESERVING);

    if (c->udp_blocked)
        return SCENE_BLOCKED;
    if (is_nothing(c))
        return SCENE_OPEN;
    if (dependent && c->pool > 1 && c->pool_arbitrary)
        return SCENE_RANDOM;
    if (!dependent || c->allocation == NAT_CONFIG_OVERLOAD)
        return SCENE_CONE;
    if (c->allocation == NAT_CONFIG_SEQUENTIAL || c->step != 0)
        return SCENE_SEQUENTIAL;
    return c->allocation == NAT_CONFIG_BLOCK ? SCENE_BLOCK : SCENE_RANDOM;
}

/* So that the address outside of it is known with that of the gateway. */
static bool keeps_ports(const struct nat_config *c)
{
    return c->mapping != NAT_CONFIG_NONE && c->pool == 1 && class_of(c) == SCENE_CONE &&
           (c->allocation == NAT_CONFIG_PRESERVING || c->allocation == NAT_CONFIG_OVERLOAD);
}

static uint32_t add_nat(struct maker *m, const struct nat_config *config, uint32_t parent)
{
    struct scene *s = m->s;
    uint32_t i = s->nats++;
    struct scene_nat *nat = &s->nat[i];

    nat->config = *config;
    nat->parent = parent;
    if (parent == SCENE_INTERNET)
        nat->public_ip = stun_addr_v4(5, (uint8_t)(10 + i), (uint8_t)below(m, 256), 16, 0);
    else
        nat->public_ip = stun_addr_v4(100, 64, (uint8_t)(i + 1), 16, 0);
    nat->delay_us = parent == SCENE_INTERNET ? below(m, 40 * MS) + 500 : below(m, 10 * MS) + 100;
    nat->hops = (uint8_t)(parent == SCENE_INTERNET ? 0 : below(m, 3));
    return i + 1;
}

/* The address of whatever stands in a network as number n. */
static struct stun_addr address_in(const struct scene *s, uint32_t network, uint32_t n)
{
    if (network == SCENE_INTERNET)
        return stun_addr_v4(6, 7, 8, (uint8_t)(10 + n), 0);
    const struct scene_nat *nat = &s->nat[network - 1];

    if (!translates(&nat->config)) {
        if (nat->parent == SCENE_INTERNET)
            return stun_addr_v4(6, 7, (uint8_t)(20 + network), (uint8_t)(10 + n), 0);
        return stun_addr_v4(100, 64, (uint8_t)(100 + network), (uint8_t)(10 + n), 0);
    }
    struct stun_addr ip = nat->lan;

    ip.ip[3] = (uint8_t)(10 + n);
    return ip;
}

static void give_lans(struct maker *m)
{
    struct scene *s = m->s;
    /* Half of all homes use the same range. */
    static const uint8_t usual[] = {0, 1, 178, 2};

    for (uint32_t i = 0; i < s->nats; i++) {
        bool home = true;

        for (uint32_t k = 0; k < s->nats; k++)
            home = home && s->nat[k].parent != i + 1;
        if (!translates(&s->nat[i].config))
            continue;
        if (home)
            s->nat[i].lan = stun_addr_v4(192, 168, usual[below(m, 4)], 0, 0);
        else
            s->nat[i].lan = stun_addr_v4(100, 64, 0, 0, 0);
    }
}

/* Puts the layers of a stack into the parent, outermost first; returns the network inside. */
static uint32_t add_stack(struct maker *m, const struct nat_stack *stack, uint32_t parent)
{
    for (uint32_t layer = stack->layers; layer-- > 0;) {
        if (!is_nothing(&stack->layer[layer]))
            parent = add_nat(m, &stack->layer[layer], parent);
    }
    return parent;
}

static void place_hosts(struct maker *m)
{
    struct scene *s = m->s;
    struct nat_stack stack[SCENE_HOSTS];
    uint64_t shape = below(m, 100);

    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        choose_stack(m, &stack[h]);
    s->shape = shape < 80 ? SCENE_APART : shape < 90 ? SCENE_SAME_LAN : SCENE_SAME_CGN;
    if (s->shape == SCENE_SAME_LAN && is_nothing(&stack[0].layer[0]))
        s->shape = SCENE_APART;
    if (s->shape == SCENE_SAME_CGN) {
        struct nat_stack outer;

        choose_stack(m, &outer);
        if (outer.layers > 1 || !translates(&outer.layer[0]))
            s->shape = SCENE_APART;
        stack[0].layers = stack[1].layers = 1;
        if (s->shape == SCENE_SAME_CGN) {
            uint32_t inside = add_stack(m, &outer, SCENE_INTERNET);

            for (uint32_t h = 0; h < SCENE_HOSTS; h++)
                s->host[h].network = add_stack(m, &stack[h], inside);
            return;
        }
    }
    s->host[0].network = add_stack(m, &stack[0], SCENE_INTERNET);
    s->host[1].network =
        s->shape == SCENE_SAME_LAN ? s->host[0].network : add_stack(m, &stack[1], SCENE_INTERNET);
}

static void equip_host(struct maker *m, uint32_t h)
{
    struct scene *s = m->s;
    struct scene_host *host = &s->host[h];
    uint32_t nat[SCENE_NATS], layers = scene_layers(s, h, nat), routers = 0;

    host->ip = address_in(s, host->network, h);
    host->delay_us = host->network == SCENE_INTERNET ? below(m, 30 * MS) + 200 : 50 + below(m, 500);
    host->kind = SCENE_OPEN;
    for (uint32_t i = 0; i < layers; i++) {
        enum scene_class kind = class_of(&s->nat[nat[i]].config);

        if (!is_nothing(&s->nat[nat[i]].config) && kind == SCENE_OPEN)
            kind = SCENE_CONE;
        host->kind = kind > host->kind ? kind : host->kind;
        routers += 1u + s->nat[nat[i]].hops;
    }
    if (layers > 0 && (layers == 1 || chance(m, 80)))
        host->opener_ttl = (uint8_t)(routers + 1);
    if (layers > 1 && keeps_ports(&s->nat[nat[0]].config) && chance(m, 50))
        host->outer = s->nat[nat[0]].public_ip;
    host->mediator_us = 500 + below(m, 80 * MS);
    host->clock_us = chance(m, 20)   ? below(m, 3)
                     : chance(m, 20) ? dice_next(&m->dice) >> 2
                                     : below(m, UINT64_C(1) << 40);
    host->late_us = chance(m, 50) ? 0 : below(m, 3 * MS);
    host->hears_every_link = chance(m, 25);
    host->learns = chance(m, 30);
}

/* After everything else, so that the seeds of yesterday are those of today. */
static void add_trouble(struct maker *m)
{
    struct scene *s = m->s;

    s->relay = chance(m, 10);
    if (!chance(m, 3))
        return;
    s->trouble = (enum scene_trouble)(1 + below(m, 3));
    s->relay = chance(m, 80);
    s->trouble_host = (uint32_t)below(m, SCENE_HOSTS);
    s->trouble_after_us = 500 * MS + below(m, (chance(m, 20) ? 60 : 4) * SECOND);
    s->trouble_long_us = s->trouble == SCENE_BLACKOUT ? 10 * SECOND : 0;
    if (s->trouble == SCENE_REBOOT && s->host[s->trouble_host].network == SCENE_INTERNET)
        s->trouble = SCENE_MOVE;
    s->talk_gap_us = (40 + below(m, 80)) * MS;
}

static void add_accidents(struct maker *m)
{
    struct scene *s = m->s;

    if (chance(m, 50)) {
        s->loss_ppm = (uint32_t)below(m, chance(m, 20) ? 300000 : 80000);
        s->duplicate_ppm = (uint32_t)below(m, 100000);
        s->reorder_ppm = (uint32_t)below(m, 200000);
        s->jitter_us = below(m, 30 * MS);
    }
    if (chance(m, 30)) {
        s->note_loss_ppm = (uint32_t)below(m, chance(m, 20) ? 1000001 : 200000);
        s->note_delay_us = below(m, chance(m, 20) ? 5 * SECOND : 400 * MS);
    }
    if (chance(m, 20))
        s->bounce_down = (uint32_t)below(m, 16);
    if (chance(m, 40))
        s->attacks = 1 + (uint32_t)below(m, 60);
    if (s->nats > 0 && chance(m, 20)) {
        s->reboot_nat = (uint32_t)below(m, s->nats);
        s->reboot_us = s->dial_us + below(m, chance(m, 50) ? 500 * MS : 12 * SECOND);
    }
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        struct scene_host *host = &s->host[h];

        if (chance(m, 20))
            host->coord_us = below(m, chance(m, 30) ? 4 * SECOND : 300 * MS);
        if (chance(m, 15))
            host->refused_ppm = (uint32_t)below(m, chance(m, 20) ? 1000001 : 300000);
        host->no_sockets = chance(m, 5);
        if (chance(m, 15)) {
            host->jump_at_us = s->dial_us + below(m, 5 * SECOND);
            host->jump_us = below(m, chance(m, 50) ? 2 * SECOND : 100 * SECOND);
        }
    }
}

static void add_lies(struct maker *m)
{
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        struct scene_host *host = &m->s->host[h];

        host->lies = chance(m, 15) ? 1 + (uint32_t)below(m, SCENE_LIES) : 0;
        for (uint32_t i = 0; i < host->lies; i++) {
            uint8_t last = (uint8_t)(1 + below(m, 3)); /* some share an address */

            host->lie[i] = chance(m, 30) ? stun_addr_v4(192, 168, 1, (uint8_t)(50 + last), 0)
                                         : stun_addr_v4(7, 7, 7, last, 0);
            host->lie[i].port = (uint16_t)(1024 + below(m, 60000));
        }
    }
}

void scene_make(struct scene *s, uint64_t seed)
{
    struct maker m = {.s = s, .dice = {seed * 0x9e3779b97f4a7c15u + 1}};

    memset(s, 0, sizeof(*s));
    s->seed = seed;
    place_hosts(&m);
    give_lans(&m);
    for (uint32_t i = 0; i < SCENE_BOUNCE; i++)
        s->bounce[i] =
            stun_addr_v4(9, 9, 9, (uint8_t)(1 + i / 2), (uint16_t)(i % 2 == 0 ? 3478 : 3479));
    s->bounce_us = 200 + below(&m, 20 * MS);
    s->core_us = below(&m, chance(&m, 20) ? 150 * MS : 30 * MS);
    s->core_hops = (uint8_t)(2 + below(&m, 12));
    s->dial_us = 400 * MS + below(&m, (chance(&m, 30) ? 60 : 5) * SECOND);
    s->reboot_nat = SCENE_NO_NAT;
    s->talk_us = chance(&m, 10) ? below(&m, 90 * SECOND) : below(&m, SECOND);
    s->talk_gap_us = (5 + below(&m, 100)) * MS * (s->talk_us > SECOND ? 20 : 1);
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        equip_host(&m, h);
    add_lies(&m);
    s->calm = chance(&m, 50);
    if (!s->calm)
        add_accidents(&m);
    add_trouble(&m);
}

bool scene_is_ordinary(const struct scene *s)
{
    for (uint32_t i = 0; i < s->nats; i++) {
        const struct nat_config *c = &s->nat[i].config;

        if (c->sessions > 0 || c->flood != NAT_CONFIG_FLOOD_NONE || c->pool > 1)
            return false;
    }
    return s->calm;
}

bool scene_has_pool(const struct scene *s)
{
    for (uint32_t i = 0; i < s->nats; i++) {
        if (s->nat[i].config.pool > 1)
            return true;
    }
    return false;
}

bool scene_has_way(const struct scene *s)
{
    uint32_t nat[SCENE_NATS], layers = scene_layers(s, 0, nat);

    if (s->shape != SCENE_SAME_CGN)
        return true;
    return s->nat[nat[layers - 1]].config.hairpin ||
           (s->host[0].outer.family != STUN_NO_FAMILY && s->host[1].outer.family != STUN_NO_FAMILY);
}

const char *scene_class_text(enum scene_class kind)
{
    static const char *const text[SCENE_CLASSES] = {"open",  "cone",   "sequential",
                                                    "block", "random", "blocked"};

    return text[kind];
}

const char *scene_trouble_text(enum scene_trouble trouble)
{
    static const char *const text[SCENE_TROUBLES] = {"nothing", "a NAT reboots", "a host moves",
                                                     "a blackout of 10 s"};

    return text[trouble];
}

const char *scene_shape_text(enum scene_shape shape)
{
    static const char *const text[] = {"apart", "same LAN", "same CGN"};

    return text[shape];
}

uint32_t scene_layers(const struct scene *s, uint32_t host, uint32_t nat[static SCENE_NATS])
{
    uint32_t count = 0;

    for (uint32_t at = s->host[host].network; at != SCENE_INTERNET; at = s->nat[at - 1].parent)
        nat[count++] = at - 1;
    return count;
}

static void print_host(const struct scene *s, uint32_t h)
{
    const struct scene_host *host = &s->host[h];
    char text[NAT_CONFIG_TEXT_BYTES], ip[STUN_ADDR_TEXT_BYTES];
    uint32_t nat[SCENE_NATS], layers = scene_layers(s, h, nat);

    printf("%s %s (%s)", h == 0 ? "caller" : "callee", stun_addr_text(&host->ip, ip),
           scene_class_text(host->kind));
    for (uint32_t i = 0; i < layers; i++)
        printf(", behind NAT %u at %s: %s", (unsigned)nat[i],
               stun_addr_text(&s->nat[nat[i]].public_ip, ip),
               nat_config_text(&s->nat[nat[i]].config, text));
    printf("\n  mediator %.1f ms away, opener TTL %u, timers %.1f ms late",
           (double)host->mediator_us / 1e3, (unsigned)host->opener_ttl,
           (double)host->late_us / 1e3);
    if (host->coord_us > 0)
        printf(", coordinates %.1f ms late", (double)host->coord_us / 1e3);
    if (host->refused_ppm > 0)
        printf(", refuses %.1f%% of all sends", host->refused_ppm / 1e4);
    if (host->learns)
        printf(", explores its NAT");
    if (host->no_sockets)
        printf(", opens no other socket");
    if (host->lies > 0)
        printf(", publishes %u addresses of strangers", (unsigned)host->lies);
    if (host->jump_us > 0)
        printf(", its clock leaps by %.3f s at %.3f s", (double)host->jump_us / 1e6,
               (double)host->jump_at_us / 1e6);
    printf("\n");
}

void scene_print(const struct scene *s)
{
    printf("seed %llu: %s, core %.1f ms and %u routers, bounce servers %.1f ms\n",
           (unsigned long long)s->seed, scene_shape_text(s->shape), (double)s->core_us / 1e3,
           (unsigned)s->core_hops, (double)s->bounce_us / 1e3);
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        print_host(s, h);
    if (s->trouble != SCENE_NO_TROUBLE)
        printf("then %s (the %s's), %.1f s after both are connected\n",
               scene_trouble_text(s->trouble), s->trouble_host == 0 ? "caller" : "callee",
               (double)s->trouble_after_us / 1e6);
    if (s->relay)
        printf("the mediator relays\n");
    if (s->calm) {
        printf("nothing goes wrong on the way\n");
        return;
    }
    printf("loss %.1f%%, duplicates %.1f%%, reordered %.1f%%, jitter %.1f ms; notes: loss %.1f%%, "
           "up to %.0f ms late; %u attacks; bounce servers down: %x",
           s->loss_ppm / 1e4, s->duplicate_ppm / 1e4, s->reorder_ppm / 1e4,
           (double)s->jitter_us / 1e3, s->note_loss_ppm / 1e4, (double)s->note_delay_us / 1e3,
           (unsigned)s->attacks, (unsigned)s->bounce_down);
    if (s->reboot_nat != SCENE_NO_NAT)
        printf("; NAT %u is rebooted at %.3f s", (unsigned)s->reboot_nat,
               (double)s->reboot_us / 1e6);
    printf("\n");
}
