/* SPDX-License-Identifier: BSD-2-Clause */
#include "punch/diagnose.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "punch/plan.h"

static void say(char *text, size_t capacity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends. */
static void say(char *text, size_t capacity, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + used, capacity - used, format, args);
    va_end(args);
}

static bool is_unpredictable(const struct diagnose_side *side)
{
    enum plan_need need = plan_need(&side->profile);

    return need == PLAN_NEED_LUCK || need == PLAN_NEED_BLOCK;
}

static bool varies(const struct diagnose_side *side)
{
    return plan_varies(&side->profile);
}

static const char *ports_text(const struct diagnose_side *side)
{
    switch (plan_need(&side->profile)) {
    case PLAN_NEED_LUCK:
        return "allocates ports at random";
    case PLAN_NEED_BLOCK:
        return "gives each destination another port of one block, at random";
    case PLAN_NEED_SAMPLES:
        return "gives each destination another port, in steps";
    case PLAN_NEED_NOTHING:
    case PLAN_NEED_UNKNOWN:
        break;
    }
    return "keeps one port for all destinations";
}

/* ---- the reason ---- */

static void both_vary(const struct diagnose_case *c, struct diagnosis *out)
{
    char *text = out->reason;

    if (plan_need(&c->mine.profile) == plan_need(&c->theirs.profile) &&
        plan_need(&c->mine.profile) == PLAN_NEED_LUCK)
        say(text, DIAGNOSE_REASON_BYTES, "both NATs allocate ports at random");
    else
        say(text, DIAGNOSE_REASON_BYTES, "our NAT %s, and the peer's %s", ports_text(&c->mine),
            ports_text(&c->theirs));
    if (is_unpredictable(&c->mine) || is_unpredictable(&c->theirs))
        say(text, DIAGNOSE_REASON_BYTES, ": neither side can know where to send to");
    else
        say(text, DIAGNOSE_REASON_BYTES,
            ", and others there take more ports in between than could be tried");
}

static void one_varies(const struct diagnose_case *c, struct diagnosis *out)
{
    const struct diagnose_side *side = varies(&c->mine) ? &c->mine : &c->theirs;
    char *text = out->reason;

    say(text, DIAGNOSE_REASON_BYTES, "%s NAT %s", side == &c->mine ? "our" : "the peer's",
        ports_text(side));
    if (!is_unpredictable(side))
        say(text, DIAGNOSE_REASON_BYTES,
            ", and the ports that were tried were not the right ones: others there take many");
    else if (c->no_search)
        say(text, DIAGNOSE_REASON_BYTES, ", and searching for the right one is switched off here");
    else if (c->searched)
        say(text, DIAGNOSE_REASON_BYTES, ", and a search among them did not find the right one");
    else
        say(text, DIAGNOSE_REASON_BYTES,
            ", and the right one was not searched for: one search at a time, and none for an hour "
            "between networks where one has failed");
}

static void no_answer(const struct diagnose_case *c, struct diagnosis *out)
{
    char *text = out->reason;

    if (varies(&c->mine) && varies(&c->theirs)) {
        both_vary(c, out);
    } else if (c->same_public_address) {
        say(text, DIAGNOSE_REASON_BYTES,
            "both sides are behind the same NAT, which passes nothing from one to the other by its "
            "public address");
    } else if (varies(&c->mine) || varies(&c->theirs)) {
        one_varies(c, out);
    } else if (c->mine.profile.early == NAT_EARLY_POISONOUS ||
               c->theirs.profile.early == NAT_EARLY_POISONOUS) {
        say(text, DIAGNOSE_REASON_BYTES,
            "%s router takes packets that come early for its own, and then shuts out the host "
            "behind it",
            c->mine.profile.early == NAT_EARLY_POISONOUS ? "our" : "the peer's");
    } else {
        say(text, DIAGNOSE_REASON_BYTES, "%s", punch_failure_text(PUNCH_FAILURE_NO_ANSWER));
        say(text, DIAGNOSE_REASON_BYTES,
            ": a firewall on the way, or a router that bars addresses it did not expect");
    }
}

/* Nothing has failed, and nothing would help. */
static bool is_hidden(const struct diagnose_case *c, struct diagnosis *out)
{
    if (c->theirs.hidden)
        say(out->reason, DIAGNOSE_REASON_BYTES,
            "the peer shows no address: it wants to be reached by the relay alone");
    else if (c->mine.hidden)
        say(out->reason, DIAGNOSE_REASON_BYTES,
            "this side shows no address: only the relay is allowed");
    return c->theirs.hidden || c->mine.hidden;
}

static bool no_udp(const struct diagnose_case *c, struct diagnosis *out)
{
    bool mine = c->mine.no_udp || c->failure == PUNCH_FAILURE_LINK_DOWN;

    if (!mine && !c->theirs.no_udp)
        return false;
    if (mine && c->theirs.no_udp)
        say(out->reason, DIAGNOSE_REASON_BYTES,
            "no UDP comes through, neither here nor on the peer's side");
    else
        say(out->reason, DIAGNOSE_REASON_BYTES, "no UDP comes through %s",
            mine ? "the network on our side" : "the network on the peer's side");
    say(out->remedy, DIAGNOSE_REMEDY_BYTES, "allowing outgoing UDP in the firewall of %s",
        mine && c->theirs.no_udp ? "both networks"
        : mine                   ? "our network"
                                 : "the peer's network");
    say(out->remedy, DIAGNOSE_REMEDY_BYTES, " would help");
    return true;
}

static void give_reason(const struct diagnose_case *c, struct diagnosis *out)
{
    switch (c->failure) {
    case PUNCH_FAILURE_NONE:
        return;
    case PUNCH_FAILURE_SEND:
        say(out->reason, DIAGNOSE_REASON_BYTES, "%s", punch_failure_text(c->failure));
        if (c->error != 0)
            say(out->reason, DIAGNOSE_REASON_BYTES, ": %s", strerror(c->error));
        return;
    case PUNCH_FAILURE_NO_ANSWER:
    case PUNCH_FAILURE_UNPREDICTABLE:
        no_answer(c, out);
        break;
    case PUNCH_FAILURE_NO_CANDIDATES:
    case PUNCH_FAILURE_LINK_DOWN:
    case PUNCH_FAILURE_ONE_WAY:
    case PUNCH_FAILURE_CONSENT_LOST:
        say(out->reason, DIAGNOSE_REASON_BYTES, "%s", punch_failure_text(c->failure));
        break;
    }
    if (c->mine.ipv6 && c->theirs.ipv6 && c->failure != PUNCH_FAILURE_NO_CANDIDATES)
        say(out->reason, DIAGNOSE_REASON_BYTES, "; IPv6 does not get through either");
}

/* ---- the remedy ---- */

/* A mapping on the home router opens nothing at the provider's. */
static bool could_map(const struct diagnose_side *side)
{
    return !side->port_mapped && !side->behind_provider &&
           side->profile.mapping != NAT_MAPPING_NONE;
}

static void give_remedy(const struct diagnose_case *c, struct diagnosis *out)
{
    bool mine = could_map(&c->mine), theirs = could_map(&c->theirs);
    bool map = (mine || theirs) && !c->same_public_address;
    const char *ipv6 = c->mine.ipv6     ? "on the peer's side"
                       : c->theirs.ipv6 ? "on our side"
                                        : "on both sides";
    bool use_ipv6 = !(c->mine.ipv6 && c->theirs.ipv6);
    char *text = out->remedy;

    if (map)
        say(text, DIAGNOSE_REMEDY_BYTES, "turning on UPnP or PCP on %s",
            mine && theirs ? "either router"
            : mine         ? "our router"
                           : "the peer's router");
    if (use_ipv6)
        say(text, DIAGNOSE_REMEDY_BYTES, "%sIPv6 %s", map ? ", or " : "", ipv6);
    if (map || use_ipv6)
        say(text, DIAGNOSE_REMEDY_BYTES, "%s would make this direct", map && use_ipv6 ? "," : "");
}

const char *punch_failure_text(enum punch_failure failure)
{
    switch (failure) {
    case PUNCH_FAILURE_NONE:
        return "no failure";
    case PUNCH_FAILURE_NO_CANDIDATES:
        return "the peer gave no address that could be tried";
    case PUNCH_FAILURE_LINK_DOWN:
        return "no bounce server answered us, and neither did the peer: this network seems to let "
               "no UDP out";
    case PUNCH_FAILURE_SEND:
        return "the system refused to send every packet";
    case PUNCH_FAILURE_NO_ANSWER:
        return "every address of the peer was tried, and nothing ever came back";
    case PUNCH_FAILURE_ONE_WAY:
        return "the peer's packets arrive here, but ours do not arrive there";
    case PUNCH_FAILURE_UNPREDICTABLE:
        return "a NAT on the way gives every destination another port that cannot be predicted";
    case PUNCH_FAILURE_CONSENT_LOST:
        return "the path went silent and could not be opened again";
    }
    return "unknown failure";
}

/* Whatever the NATs are. */
const char *punch_failure_remedy(enum punch_failure failure)
{
    switch (failure) {
    case PUNCH_FAILURE_LINK_DOWN:
        return "allowing outgoing UDP in the firewall of our network would help";
    case PUNCH_FAILURE_SEND:
        return "check the network connection, the routes and the local firewall of this host";
    case PUNCH_FAILURE_ONE_WAY:
        return "check the firewalls: one of them lets UDP through in one direction only";
    case PUNCH_FAILURE_NO_ANSWER:
    case PUNCH_FAILURE_UNPREDICTABLE:
        return "turning on UPnP or PCP on either router, or IPv6 on both sides, would make this "
               "direct";
    case PUNCH_FAILURE_NONE:
    case PUNCH_FAILURE_NO_CANDIDATES:
    case PUNCH_FAILURE_CONSENT_LOST:
        break;
    }
    return "";
}

void diagnose(const struct diagnose_case *c, struct diagnosis *out)
{
    memset(out, 0, sizeof(*out));
    if (is_hidden(c, out) || c->failure == PUNCH_FAILURE_NONE)
        return;
    if (c->failure != PUNCH_FAILURE_SEND && no_udp(c, out))
        return;
    give_reason(c, out);
    if (c->failure == PUNCH_FAILURE_NO_ANSWER || c->failure == PUNCH_FAILURE_UNPREDICTABLE)
        give_remedy(c, out);
    else
        say(out->remedy, DIAGNOSE_REMEDY_BYTES, "%s", punch_failure_remedy(c->failure));
}
