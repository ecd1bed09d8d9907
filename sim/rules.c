/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/rules.h"

#include <string.h>

#include "sim/budgets.h"
#include "sim/network.h"
#include "sim/trace.h"
#include "sim/world.h"

#define SECOND       1000000u
#define DISTURBED_US (3 * SECOND) /* a NAT that lost its state so lately excuses a pair */
#define REQUEST_TYPE 0x0001
#define SUCCESS_TYPE 0x0101

static const char *name_of(uint32_t host)
{
    return host == WORLD_CALLER ? "caller" : "callee";
}

static bool is_bounce(const struct world *w, const struct stun_addr *addr)
{
    for (uint32_t i = 0; i < SCENE_BOUNCE; i++) {
        if (stun_addr_equal(&w->scene.bounce[i], addr))
            return true;
    }
    return false;
}

static bool same_pair(const struct punch_pair *a, const struct punch_pair *b)
{
    return a->socket == b->socket && stun_addr_equal(&a->remote, &b->remote);
}

/* ---- requests by their transactions ---- */

static struct rules_id *find_id(struct world *w, uint32_t sender, const uint8_t *transaction,
                                bool add)
{
    struct rules_id *table = w->rules.request[sender];
    uint64_t id;
    uint32_t low;

    memcpy(&id, transaction, sizeof(id));
    memcpy(&low, transaction + sizeof(id), sizeof(low));
    id ^= (uint64_t)low << 16;
    for (uint32_t i = 0; i < RULES_IDS; i++) {
        struct rules_id *entry = &table[(i + (id >> 32)) % RULES_IDS];

        if (entry->run == w->rules.run && entry->id == id)
            return entry;
        if (entry->run == w->rules.run)
            continue;
        if (!add)
            return NULL;
        *entry = (struct rules_id){.id = id, .run = w->rules.run};
        return entry;
    }
    return NULL;
}

static const uint8_t *transaction_of(const uint8_t *bytes)
{
    return bytes + STUN_HEADER_BYTES - STUN_TRANSACTION_BYTES;
}

static uint16_t type_of(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}
/* ---- what must be true of events ---- */

static bool is_excused(const struct world *w)
{
    if (w->scene.trouble == SCENE_MOVE && w->now_us >= w->trouble.began_us &&
        w->now_us - w->trouble.began_us < DISTURBED_US)
        return true;
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) { /* it takes other sockets */
        uint64_t round_us = w->rules.side[h].round_us;

        if (round_us != 0 && w->now_us - round_us < DISTURBED_US)
            return true;
    }
    for (uint32_t i = 0; i < w->scene.nats; i++) {
        const struct world_nat *nat = &w->nat[i];

        if ((nat->disturbed_us != 0 && w->now_us - nat->disturbed_us < DISTURBED_US) ||
            (nat->model.config.flood != NAT_CONFIG_FLOOD_NONE))
            return true;
    }
    return false;
}

/* The peer may have closed its socket while its answer was under way. */
static const char *carries(struct world *w, uint32_t host, const struct punch_pair *pair,
                           uint64_t answered_us)
{
    const struct stun_addr *here = &w->peer[host].local[pair->socket];
    struct stun_addr src, dst, back_src, back_dst;
    const char *why = "";
    uint32_t to;

    if (!network_reach(w, host, here, &pair->remote, &to, &src, &dst, &why))
        return why;
    if (to == host)
        return "it comes back to its sender";
    if (!peer_had_socket(&w->peer[to], dst.port, answered_us))
        return "the peer has closed that socket";
    if (!network_reach(w, to, &dst, &src, &to, &back_src, &back_dst, &why))
        return why;
    if (to != host || !stun_addr_equal(&back_dst, here))
        return "the answer goes elsewhere";
    return stun_addr_equal(&back_src, &pair->remote) ? NULL : "the answer comes from elsewhere";
}

static void check_proven(struct world *w, uint32_t host, const struct punch_pair *pair,
                         const struct world_packet *cause)
{
    struct rules_side *side = &w->rules.side[host];
    const char *why = carries(w, host, pair, cause == NULL ? w->now_us : cause->sent_us);
    struct rules_target *t = budgets_target(side, &pair->remote);
    char text[STUN_ADDR_TEXT_BYTES];

    if (t != NULL)
        t->answered = true;
    if (side->provens < RULES_PROVEN)
        side->proven[side->provens++] = *pair;
    if (why == NULL)
        return;
    if (is_excused(w))
        w->rules.known[RULES_KNOWN_CHANGED]++;
    else
        world_fault(w, "%s: calls socket %u to %s proven, but it does not carry: %s", name_of(host),
                    pair->socket, stun_addr_text(&pair->remote, text), why);
}

/* Whether the peer, or a copy that is as good, has made this event. */
static void check_origin(struct world *w, uint32_t host, const struct punch_event *event,
                         const struct world_packet *cause)
{
    const char *what = event->kind == PUNCH_EVENT_USABLE ? "usable" : "proven";
    const struct rules_id *original;

    if (cause == NULL) {
        world_fault(w, "%s: a pair became %s without any packet", name_of(host), what);
        return;
    }
    if (cause->who == 1 - host ||
        (cause->who == WORLD_ATTACKER && cause->kind == ATTACKER_REPLAY_SOURCE))
        return;
    original = cause->who == WORLD_ATTACKER && cause->kind == ATTACKER_REPLAY
                   ? find_id(w, 1 - host, transaction_of(cause->bytes), false)
                   : NULL;
    if (event->kind == PUNCH_EVENT_USABLE && original != NULL && !original->delivered) {
        struct rules_target *t = budgets_target(&w->rules.side[host], &event->pair.remote);

        w->rules.known[RULES_KNOWN_REPLAY]++;
        if (t != NULL)
            t->tricked = !budgets_attested(&w->rules.side[host], &event->pair.remote);
        return;
    }
    world_fault(w, "%s: a pair became %s by a packet that the peer has not sent (%s)",
                name_of(host), what,
                cause->who == WORLD_ATTACKER ? attacker_kind_text((enum attacker_kind)cause->kind)
                                             : "not the attacker's");
}

static void check_failure(struct world *w, uint32_t host, const struct punch_event *event)
{
    const char *text = punch_failure_text(event->failure);

    if (event->failure == PUNCH_FAILURE_NONE || strcmp(text, "unknown failure") == 0)
        world_fault(w, "%s: failed without a reason", name_of(host));
    else if (event->failure == PUNCH_FAILURE_SEND && event->error == 0)
        world_fault(w, "%s: failed to send without an error", name_of(host));
    else if (w->scene.host[host].kind == SCENE_BLOCKED &&
             (event->failure == PUNCH_FAILURE_UNPREDICTABLE ||
              event->failure == PUNCH_FAILURE_NO_ANSWER))
        world_fault(w, "%s: has no UDP, but says: %s", name_of(host), text);
}

static void begin_again(struct rules_side *side)
{
    side->plain_from_us = UINT64_MAX;
    side->plain_100_ms = side->plain_second = 0;
    side->guesses = 0;
    side->provens = 0;
    side->has_path = side->doubts = false;
}

static void note_heard(struct rules_side *side, const struct punch_event *event)
{
    struct rules_target *t = budgets_target(side, &event->pair.remote);

    if (t == NULL)
        return;
    t->heard = true;
    t->planned = t->planned || event->remote_kind == PUNCH_PREDICTED;
}

/* ---- what the world reports ---- */

bool rules_new(struct rules *r)
{
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        r->request[h] = calloc(RULES_IDS, sizeof(r->request[h][0]));
        if (r->request[h] == NULL)
            return false;
    }
    return true;
}

void rules_free(struct rules *r)
{
    for (uint32_t h = 0; h < SCENE_HOSTS; h++)
        free(r->request[h]);
}

void rules_begin(struct world *w)
{
    struct rules *r = &w->rules;

    r->run++;
    memset(r->known, 0, sizeof(r->known));
    r->most_tricked = 0;
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        struct rules_side *side = &r->side[h];

        side->targets = side->plain = side->sent = side->sent_before_path = 0;
        side->introduced_us = side->round_us = 0;
        side->formers = 0;
        side->stormed = false;
        begin_again(side);
    }
}

void rules_candidate(struct world *w, uint32_t host, const struct stun_addr *addr, bool attested)
{
    struct rules_target *t = budgets_target(&w->rules.side[host], addr);

    if (t == NULL)
        return;
    t->signalled = true;
    t->attested = t->attested || attested;
}

void rules_sent(struct world *w, uint32_t host, const struct punch_out *out, const uint8_t *bytes)
{
    struct rules_side *side = &w->rules.side[host];

    side->sent++;
    side->sent_before_path += !w->peer[host].ever;
    if (out->size < STUN_HEADER_BYTES || out->size > PUNCH_MAX_PACKET_BYTES) {
        world_fault(w, "%s: a packet of %zu bytes", name_of(host), out->size);
        return;
    }
    if (is_bounce(w, &out->pair.remote))
        return;
    if (type_of(bytes) == REQUEST_TYPE) {
        if (find_id(w, host, transaction_of(bytes), true) == NULL)
            world_fault(w, "%s: more than %d requests", name_of(host), RULES_IDS);
        budgets_request(w, host, &out->pair);
    } else if (find_id(w, 1 - host, transaction_of(bytes), false) == NULL) {
        world_fault(w, "%s: answers what the peer has not asked", name_of(host));
    }
}

void rules_sent_link(struct world *w, uint32_t host, const struct punch_pair *pair, size_t routes)
{
    struct rules_side *side = &w->rules.side[host];
    const struct rules_target *t = budgets_find(side, &pair->remote);
    char text[STUN_ADDR_TEXT_BYTES];

    if (side->has_path) {
        trouble_sent_link(w, host);
        if (routes != (side->doubts && w->scene.relay ? 2 : 1) || !same_pair(&side->path, pair))
            world_fault(w, "%s: there is a path, but link packets go to %s", name_of(host),
                        stun_addr_text(&pair->remote, text));
        return;
    }
    budgets_unattested(w, host, &pair->remote);
    if (t == NULL || !t->heard)
        budgets_plain(w, host);
}

void rules_sent_relayed(struct world *w, uint32_t host)
{
    const struct rules_side *side = &w->rules.side[host];

    if (side->has_path && !side->doubts)
        world_fault(w, "%s: there is a path, but link packets go by the relay", name_of(host));
}

void rules_introduced(struct world *w, uint32_t host)
{
    w->rules.side[host].introduced_us = peer_now(w, host);
}

void rules_again(struct world *w, uint32_t host)
{
    struct rules_side *side = &w->rules.side[host];
    struct rules_side was = *side;

    side->round_us = w->now_us;
    begin_again(side);
    /* A path that is kept, and what has been proven. */
    memcpy(side->proven, was.proven, sizeof(was.proven));
    side->provens = was.provens;
    side->has_path = was.has_path;
    side->doubts = was.doubts;
}

void rules_event(struct world *w, uint32_t host, const struct punch_event *event,
                 const struct world_packet *cause)
{
    struct rules_side *side = &w->rules.side[host];

    switch (event->kind) {
    case PUNCH_EVENT_USABLE:
        check_origin(w, host, event, cause);
        note_heard(side, event);
        break;
    case PUNCH_EVENT_PROVEN:
        check_origin(w, host, event, cause);
        check_proven(w, host, &event->pair, cause);
        break;
    case PUNCH_EVENT_DOUBT:
        if (!side->has_path || !same_pair(&side->path, &event->pair))
            world_fault(w, "%s: doubts what is no path", name_of(host));
        side->doubts = true;
        break;
    case PUNCH_EVENT_PATH:
        trouble_path(w, host, side->has_path && !same_pair(&side->path, &event->pair));
        side->doubts = false;
        if (!budgets_proven(side, &event->pair))
            world_fault(w, "%s: a path that was not proven", name_of(host));
        side->path = event->pair;
        side->has_path = true;
        break;
    case PUNCH_EVENT_PATH_LOST:
        if (!side->has_path)
            world_fault(w, "%s: loses a path that it has not got", name_of(host));
        side->former[side->formers++ % RULES_FORMER] = side->path;
        begin_again(side);
        break;
    case PUNCH_EVENT_FAILED:
        check_failure(w, host, event);
        break;
    default:
        break;
    }
}

/* Filtering and mapping are the words of the model, one off. */
static bool is_true(unsigned believed, unsigned truth)
{
    return believed == 0 || believed == truth;
}

/* A connection of the router itself takes a port only from a flow that would have kept it, and
 * there is none where every packet passes. */
static bool is_poisonous(const struct nat_config *c)
{
    return c->poison && c->mapping == NAT_CONFIG_FLOW && c->allocation == NAT_CONFIG_PRESERVING &&
           c->filtering != NAT_CONFIG_EIF;
}

void rules_profile(struct world *w, uint32_t host, const struct nat_profile *profile)
{
    uint32_t nat[SCENE_NATS], layers = scene_layers(&w->scene, host, nat);
    const struct nat_config *c;
    const char *wrong = NULL;

    /* One NAT that knows this host alone; what forgets or refuses is not seen through. */
    if (!w->scene.calm || w->scene.shape != SCENE_APART || layers != 1)
        return;
    c = &w->scene.nat[nat[0]].config;
    if (c->pool > 1 || c->mapping == NAT_CONFIG_NONE || c->sessions > 0 ||
        c->flood != NAT_CONFIG_FLOOD_NONE)
        return;
    /* Two sockets of this host share a port towards two remotes: one gets what the other asked for.
     */
    if (c->mapping == NAT_CONFIG_FLOW && c->allocation == NAT_CONFIG_BLOCK)
        return;
    if (!is_true(profile->filtering, c->filtering))
        wrong = "filtering";
    if (!is_true(profile->hairpin, c->hairpin ? NAT_HAIRPIN_YES : NAT_HAIRPIN_NO))
        wrong = "hairpin";
    if (!is_true(profile->early, is_poisonous(c) ? NAT_EARLY_POISONOUS : NAT_EARLY_HARMLESS))
        wrong = "early packets";
    if (profile->opener_ttl != 0 && profile->opener_ttl != 2)
        wrong = "opener TTL";
    if (wrong != NULL)
        world_fault(w, "%s: has learned something wrong of its NAT: %s", name_of(host), wrong);
}

void rules_received(struct world *w, uint32_t host, const struct world_packet *packet)
{
    struct rules_id *id;

    if (packet->size >= STUN_HEADER_BYTES && type_of(packet->bytes) == SUCCESS_TYPE &&
        packet->who == 1 - host && w->rules.side[host].has_path &&
        stun_addr_equal(&packet->head.src, &w->rules.side[host].path.remote) &&
        find_id(w, host, transaction_of(packet->bytes), false) != NULL)
        trouble_answered(w, host);
    if (packet->size < STUN_HEADER_BYTES || type_of(packet->bytes) != REQUEST_TYPE ||
        (packet->who == WORLD_ATTACKER && packet->kind != ATTACKER_REPLAY &&
         packet->kind != ATTACKER_REPLAY_SOURCE))
        return;
    id = find_id(w, 1 - host, transaction_of(packet->bytes), false);
    if (id != NULL)
        id->delivered = true;
}

void rules_end(struct world *w)
{
    for (uint32_t h = 0; h < SCENE_HOSTS; h++) {
        const struct peer *p = &w->peer[h];

        if (p->engine == NULL)
            world_fault(w, "%s: was never introduced", name_of(h));
        else if (punch_is_connected(p->engine) != p->connected)
            world_fault(w, "%s: its events say otherwise than its state", name_of(h));
    }
    if (w->peer[0].ever != w->peer[1].ever)
        w->rules.known[RULES_KNOWN_HALF]++;
}

bool rules_is_path(const struct world *w, uint32_t host, const struct punch_pair *pair)
{
    const struct rules_side *side = &w->rules.side[host];

    return side->has_path && same_pair(&side->path, pair);
}

const char *rules_known_text(enum rules_known known)
{
    static const char *const text[RULES_KNOWNS] = {
        "usable by a copy that overtook a lost original",
        "only one side found the path",
        "proven while a NAT lost its state",
    };

    return text[known];
}
