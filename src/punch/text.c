/* SPDX-License-Identifier: BSD-2-Clause */
#include "punch/punch.h"

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
