/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lab/nat_config.h"

struct text {
    char *at;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(t->at + t->used, NAT_CONFIG_TEXT_BYTES - t->used, format, arguments);
    va_end(arguments);
    if (length > 0)
        t->used += (size_t)length;
    if (t->used >= NAT_CONFIG_TEXT_BYTES)
        t->used = NAT_CONFIG_TEXT_BYTES - 1;
}

static void add_duration(struct text *t, uint64_t us)
{
    if (us % 1000000)
        add(t, "%" PRIu64 "ms", us / 1000);
    else
        add(t, "%" PRIu64 "s", us / 1000000);
}

static void add_allocation(struct text *t, const struct nat_config *c)
{
    switch (c->allocation) {
    case NAT_CONFIG_PRESERVING:
        add(t, "/preserving");
        if (c->step)
            add(t, "+%" PRId32, c->step);
        break;
    case NAT_CONFIG_OVERLOAD:
        add(t, "/overload");
        break;
    case NAT_CONFIG_SEQUENTIAL:
        add(t, "/seq%+" PRId32, c->step);
        break;
    case NAT_CONFIG_BLOCK:
        add(t, "/block%" PRIu32 "%s", c->block, c->step ? "-seq" : "");
        break;
    case NAT_CONFIG_RANDOM:
        add(t, "/random");
        break;
    }
}

static void add_options(struct text *t, const struct nat_config *c)
{
    static const char *const ipv6[] = {"none", "open", "fw"};
    if (c->pool > 1)
        add(t, ",pool=%" PRIu32 ":%s", c->pool, c->pool_arbitrary ? "arbitrary" : "paired");
    add(t, ",life=");
    add_duration(t, c->life_us);
    if (c->answered_life_us != c->life_us) {
        add(t, "/");
        add_duration(t, c->answered_life_us);
    }
    if (c->refreshed_inbound)
        add(t, ":in");
    if (c->hairpin)
        add(t, ",hairpin");
    if (c->foreign_per_s)
        add(t, ",foreign=%" PRIu32 "/s", c->foreign_per_s);
    if (c->poison)
        add(t, ",poison");
    if (c->reject)
        add(t, ",reject");
    if (c->flood)
        add(t, ",flood=%s:%" PRIu32, c->flood == NAT_CONFIG_FLOOD_DROP ? "drop" : "blacklist",
            c->flood_packets);
    if (c->sessions)
        add(t, ",sessions=%" PRIu32, c->sessions);
    if (c->port_min != 1024 || c->port_max != 65535)
        add(t, ",ports=%u-%u", (unsigned)c->port_min, (unsigned)c->port_max);
    if (c->ipv6)
        add(t, ",v6=%s", ipv6[c->ipv6]);
}

const char *nat_config_text(const struct nat_config *c, char text[static NAT_CONFIG_TEXT_BYTES])
{
    static const char *const mapping[] = {"?", "eim", "adm", "apdm", "flow", "fw"};
    static const char *const filtering[] = {"?", "eif", "adf", "apdf"};
    struct text t = {text, 0};
    text[0] = 0;
    if (c->udp_blocked) {
        add(&t, "blocked");
    } else {
        add(&t, "%s/%s", mapping[c->mapping], filtering[c->filtering]);
        if (c->mapping != NAT_CONFIG_NONE)
            add_allocation(&t, c);
    }
    add_options(&t, c);
    return text;
}
