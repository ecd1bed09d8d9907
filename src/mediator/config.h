/* SPDX-License-Identifier: BSD-2-Clause */
/* What the operator decides: defaults, then the configuration file, then the command line. */
#ifndef MEDIATOR_CONFIG_H
#define MEDIATOR_CONFIG_H

#include <limits.h>

#include "mediator/log.h"
#include "stun/addr.h"

#define CONFIG_MAX_ADDRESSES 4 /* two a family */
#define CONFIG_MAX_PORTS     4
#define CONFIG_WHY_BYTES     256

/* Ports are 0 in both: the port comes from elsewhere. */
struct config_address {
    struct stun_addr bound;
    struct stun_addr outside; /* as clients see it; the same unless a 1:1 NAT is in front */
};

/* Rates are a second, bursts at once. "prefix" is an IPv4 address or an IPv6 /56. */
struct config_limits {
    uint32_t sessions;
    uint32_t sessions_per_prefix;
    uint32_t connection_rate, connection_burst; /* new TLS sessions of one prefix */
    uint32_t message_rate, message_burst;       /* of one session */
    uint32_t dial_rate, dial_burst;             /* of one session */
    uint32_t prefix_dial_rate, prefix_dial_burst;
    uint32_t call_rate, call_burst;               /* dials arriving at one peer */
    uint32_t prefix_call_rate, prefix_call_burst; /* of these, of one prefix */
    uint32_t dials;                               /* remembered at one time */
    uint32_t refusals;                            /* waiting at one time */
    uint32_t refusals_per_session;
    uint32_t live_dials; /* of one session */
    uint32_t dials_per_prefix;
    uint32_t note_rate, notes; /* of one dial, each way: a second, at once */
    /* Bytes a second, 0: no bound; of one dial, sent by one peer, by one prefix, and of all. */
    uint32_t relay_rate, relay_peer_rate, relay_prefix_rate, relay_total;
    uint32_t relay_datagram_bytes; /* what a datagram costs at least */
    uint32_t relay_sessions;       /* at one time, asked for by one session */
    uint32_t relay_sessions_per_prefix;
    uint32_t relay_streams, relay_streams_per_prefix; /* TLS connections for datagrams */
    uint32_t queue_bytes;
    uint32_t handshake_seconds;
    uint32_t silence_seconds;
    uint32_t bounce_rate, bounce_burst;       /* plain requests of one prefix */
    uint32_t keepalive_rate, keepalive_burst; /* keepalives of one prefix */
    uint32_t behaviour_rate, behaviour_burst; /* RFC 5780 tests of one prefix */
};

struct config {
    struct config_address address[CONFIG_MAX_ADDRESSES];
    size_t address_count; /* 0: every address of this machine */
    uint16_t port[CONFIG_MAX_PORTS];
    size_t port_count;
    uint16_t bounce_port; /* 0: any two neighbours that are free */
    char state[PATH_MAX];
    enum log_level log_level;
    bool syslog;
    bool relay;
    struct config_limits limits;
};

void config_init(struct config *config);

/* One setting by its name in the file; section is "" or "limits". Flags have the same names.
 * `address` and `port` add to what is there. On false, `why` says what is wrong. */
bool config_set(struct config *config, const char *section, const char *name, const char *value,
                char why[static CONFIG_WHY_BYTES]);

/* A limit as "NAME=VALUE". */
bool config_set_limit(struct config *config, const char *limit, char why[static CONFIG_WHY_BYTES]);

/* An INI file. On false, `why` names the line. */
bool config_load(struct config *config, const char *path, char why[static CONFIG_WHY_BYTES]);

#endif
