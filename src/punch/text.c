/* SPDX-License-Identifier: BSD-2-Clause */
/* What the engine has to say to people. */
#include <stdio.h>

#include "punch/engine.h"

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
        return "the path went silent for 30 s and could not be opened again";
    }
    return "unknown failure";
}

const char *punch_why(const struct punch *p, enum punch_failure failure,
                      char text[static PUNCH_WHY_BYTES])
{
    char mine[PLAN_NEED_TEXT_BYTES], theirs[PLAN_NEED_TEXT_BYTES];

    if (failure == PUNCH_FAILURE_UNPREDICTABLE)
        snprintf(text, PUNCH_WHY_BYTES, "our NAT %s, the peer's %s",
                 plan_need_text(&p->profile, mine), plan_need_text(&p->their_profile, theirs));
    else
        snprintf(text, PUNCH_WHY_BYTES, "%s", punch_failure_text(failure));
    return text;
}

const char *punch_failure_remedy(enum punch_failure failure)
{
    switch (failure) {
    case PUNCH_FAILURE_LINK_DOWN:
        return "allow outgoing UDP in the firewall of this network, or use a relay";
    case PUNCH_FAILURE_SEND:
        return "check the network connection, the routes and the local firewall of this host";
    case PUNCH_FAILURE_NO_ANSWER:
        return "check that UDP is allowed at the peer's side; a port mapping on either router "
               "helps";
    case PUNCH_FAILURE_ONE_WAY:
        return "check the firewalls: one of them lets UDP through in one direction only";
    case PUNCH_FAILURE_UNPREDICTABLE:
        return "map a UDP port on either router (UPnP, NAT-PMP, PCP or by hand), or use IPv6 on "
               "both "
               "sides";
    case PUNCH_FAILURE_NONE:
    case PUNCH_FAILURE_NO_CANDIDATES:
    case PUNCH_FAILURE_CONSENT_LOST:
        break;
    }
    return "";
}

const char *punch_technique_text(enum punch_technique t)
{
    switch (t) {
    case PUNCH_TECHNIQUE_NONE:
        break;
    case PUNCH_TECHNIQUE_PRIVATE:
        return "private";
    case PUNCH_TECHNIQUE_PUBLIC:
        return "public";
    case PUNCH_TECHNIQUE_PEER_REFLEXIVE:
        return "peer-reflexive";
    case PUNCH_TECHNIQUE_PREDICTED:
        return "predicted";
    case PUNCH_TECHNIQUE_PORT_MAPPED:
        return "port-mapped";
    case PUNCH_TECHNIQUE_BIRTHDAY:
        return "birthday";
    case PUNCH_TECHNIQUE_BLOCK:
        return "port block";
    case PUNCH_TECHNIQUE_HAIRPIN:
        return "hairpin";
    }
    return "none";
}
