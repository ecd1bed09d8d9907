/* SPDX-License-Identifier: BSD-2-Clause */
#include "nat/profile.h"

const char *nat_mapping_text(enum nat_mapping m)
{
    switch (m) {
    case NAT_MAPPING_NONE:
        return "none";
    case NAT_MAPPING_ENDPOINT_INDEPENDENT:
        return "endpoint-independent";
    case NAT_MAPPING_ADDRESS_DEPENDENT:
        return "address-dependent";
    case NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT:
        return "address-and-port-dependent";
    case NAT_MAPPING_UNKNOWN:
        break;
    }
    return "unknown";
}

const char *nat_allocation_text(enum nat_allocation a)
{
    switch (a) {
    case NAT_ALLOCATION_PRESERVING:
        return "preserving";
    case NAT_ALLOCATION_SEQUENTIAL:
        return "sequential";
    case NAT_ALLOCATION_OTHER:
        return "other";
    case NAT_ALLOCATION_BLOCK:
        return "port block";
    case NAT_ALLOCATION_UNKNOWN:
        break;
    }
    return "unknown";
}

const char *nat_filtering_text(enum nat_filtering f)
{
    switch (f) {
    case NAT_FILTERING_ENDPOINT_INDEPENDENT:
        return "endpoint-independent";
    case NAT_FILTERING_ADDRESS_DEPENDENT:
        return "address-dependent";
    case NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT:
        return "address-and-port-dependent";
    case NAT_FILTERING_UNKNOWN:
        break;
    }
    return "unknown";
}

const char *nat_pooling_text(enum nat_pooling p)
{
    switch (p) {
    case NAT_POOLING_ONE:
        return "one address";
    case NAT_POOLING_MANY:
        return "several addresses";
    case NAT_POOLING_UNKNOWN:
        break;
    }
    return "unknown";
}

const char *nat_early_text(enum nat_early e)
{
    switch (e) {
    case NAT_EARLY_HARMLESS:
        return "harmless";
    case NAT_EARLY_POISONOUS:
        return "poisonous";
    case NAT_EARLY_UNKNOWN:
        break;
    }
    return "unknown";
}

const char *nat_hairpin_text(enum nat_hairpin h)
{
    switch (h) {
    case NAT_HAIRPIN_NO:
        return "no";
    case NAT_HAIRPIN_YES:
        return "yes";
    case NAT_HAIRPIN_UNKNOWN:
        break;
    }
    return "unknown";
}
