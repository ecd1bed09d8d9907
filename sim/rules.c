/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/rules.h"

#include <string.h>

#include "sim/network.h"
#include "sim/trace.h"
#include "sim/world.h"

#define SECOND       1000000u
#define DISTURBED_US (3 * SECOND) /* a NAT that lost its state so lately excuses a pair */
#define REQUEST_TYPE 0x0001

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

/* ---- addresses ---- */

static struct rules_target *find_target(struct rules_side *side, const struct stun_addr *addr)
{
    for (uint32_t i = 0; i < side->targets; i++) {
        if (stun_addr_equal(&side->target[i].addr, addr))
            return &side->target[i];
    }
    return NULL;
}

static struct rules_target *target_at(struct rules_side *side, const struct stun_addr *addr)
{
    struct rules_target *t = find_target(side, addr);

    if (t != NULL || side->targets == RULES_TARGETS)
        return t;
    t = &side->target[side->targets++];
    memset(t, 0, sizeof(*t));
    t->addr = *addr;
    return t;
}

static bool ip_attested(const struct rules_side *side, const struct stun_addr *addr)
{
    for (uint32_t i = 0; i < side->targets; i++) {
        if (side->target[i].attested && stun_addr_same_ip(&side->target[i].addr, addr))
            return true;
    }
    return false;
}

static void count_unattested(struct world *w, uint32_t host, const struct stun_addr *to)
{
    struct rules_side *side = &w->rules.side[host];
    struct rules_target *t = target_at(side, to);
    char text[STUN_ADDR_TEXT_BYTES];
    uint32_t sum = 0;

    if (t != NULL && t->tricked && ++t->unheard > w->rules.most_tricked)
        w->rules.most_tricked = t->unheard;
    if (t != NULL && t->tricked && t->unheard > 2 * PUNCH_BUDGET_UNATTESTED)
        world_fault(w, "%s: %u packets to %s, from where a copy came", name_of(host),
                    (unsigned)t->unheard, stun_addr_text(to, text));
    if (t == NULL || t->heard || ip_attested(side, to))
        return;
    t->unheard++;
    for (uint32_t i = 0; i < side->targets; i++) {
        if (stun_addr_same_ip(&side->target[i].addr, to))
            sum += side->target[i].unheard;
    }
    if (sum > PUNCH_BUDGET_UNATTESTED)
        world_fault(w, "%s: %u packets to %s, which nobody vouches for", name_of(host),
                    (unsigned)sum, stun_addr_text(to, text));
}

static void count_plain(struct world *w, uint32_t host)
{
    struct rules_side *side = &w->rules.side[host];
    uint64_t now_us = peer_now(w, host);

    if (side->plain_from_us == UINT64_MAX)
        side->plain_from_us = now_us;
    if (side->plain >= RULES_STORM && !side->stormed &&
        now_us < side->plain_us[side->plain % RULES_STORM] + SECOND) {
        side->stormed = true;
        world_fault(w, "%s: a storm of more than %d checks in a second", name_of(host),
                    RULES_STORM);
    }
    side->plain_us[side->plain++ % RULES_STORM] = now_us;
    if (now_us < side->plain_from_us + SECOND / 10 &&
        ++side->plain_100_ms > PUNCH_BUDGET_FIRST_100_MS)
        world_fault(w, "%s: more than %d packets in the first 100 ms", name_of(host),
                    PUNCH_BUDGET_FIRST_100_MS);
    if (now_us < side->plain_from_us + SECOND && ++side->plain_second > PUNCH_BUDGET_FIRST_SECOND)
        world_fault(w, "%s: more than %d packets in the first second", name_of(host),
                    PUNCH_BUDGET_FIRST_SECOND);
}

static void count_guess(struct world *w, uint32_t host, const struct stun_addr *to)
{
    struct rules_side *side = &w->rules.side[host];
    uint64_t now_us = peer_now(w, host);
    uint64_t *slot = &side->guessed_us[side->guesses % RULES_SEARCH_A_SECOND];

    if (side->guesses >= RULES_SEARCH_A_SECOND && now_us < *slot + SECOND)
        world_fault(w, "%s: searches with more than %d packets a second", name_of(host),
                    RULES_SEARCH_A_SECOND);
    *slot = now_us;
    if (side->guesses < RULES_GUESSES)
        side->guessed[side->guesses] = *to;
    side->guesses++;
    if (side->guesses > RULES_SEARCH + RULES_PREDICTED)
        world_fault(w, "%s: searches with more than %d packets", name_of(host),
                    RULES_SEARCH + RULES_PREDICTED);
}

static bool was_guessed(const struct rules_side *side, const struct stun_addr *addr)
{
    uint32_t count = side->guesses < RULES_GUESSES ? side->guesses : RULES_GUESSES;

    for (uint32_t i = 0; i < count; i++) {
        if (stun_addr_equal(&side->guessed[i], addr))
            return true;
    }
    return false;
}

static bool is_proven(const struct rules_side *side, const struct punch_pair *pair)
{
    for (uint32_t i = 0; i < side->provens; i++) {
        if (same_pair(&side->proven[i], pair))
            return true;
    }
    return false;
}

static void count_request(struct world *w, uint32_t host, const struct punch_pair *pair)
{
    struct rules_side *side = &w->rules.side[host];
    const struct rules_target *t = find_target(side, &pair->remote);

    count_unattested(w, host, &pair->remote);
    if (is_proven(side, pair))
        return;
    if (t != NULL && t->heard && (t->planned || was_guessed(side, &pair->remote)))
        return;
    if (pair->socket == PUNCH_DATA_SOCKET && t != NULL && (t->signalled || t->heard))
        count_plain(w, host);
    else if (pair->socket >= PUNCH_SEARCH_SOCKET || t == NULL || (!t->signalled && !t->heard))
        count_guess(w, host, &pair->remote);
}

/* ---- what must be true of events ---- */

static bool is_excused(const struct world *w)
{
    for (uint32_t i = 0; i < w->scene.nats; i++) {
        const struct world_nat *nat = &w->nat[i];

        if ((nat->disturbed_us != 0 && w->now_us - nat->disturbed_us < DISTURBED_US) ||
            (nat->model.config.flood != NAT_CONFIG_FLOOD_NONE))
            return true;
    }
    return false;
}

static const char *carries(struct world *w, uint32_t host, const struct punch_pair *pair)
{
    const struct stun_addr *here = &w->peer[host].local[pair->socket];
    struct stun_addr src, dst, back_src, back_dst;
    const char *why = "";
    uint32_t to;

    if (!network_reach(w, host, here, &pair->remote, &to, &src, &dst, &why))
        return why;
    if (to == host)
        return "it comes back to its sender";
    if (w->peer[to].socket_at[dst.port] == 0)
        return "the peer has closed that socket";
    if (!network_reach(w, to, &dst, &src, &to, &back_src, &back_dst, &why))
        return why;
    if (to != host || !stun_addr_equal(&back_dst, here))
        return "the answer goes elsewhere";
    return stun_addr_equal(&back_src, &pair->remote) ? NULL : "the answer comes from elsewhere";
}

static void check_proven(struct world *w, uint32_t host, const struct punch_pair *pair)
{
    struct rules_side *side = &w->rules.side[host];
    const char *why = carries(w, host, pair);
    char text[STUN_ADDR_TEXT_BYTES];

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
        struct rules_target *t = target_at(&w->rules.side[host], &event->pair.remote);

        w->rules.known[RULES_KNOWN_REPLAY]++;
        if (t != NULL)
            t->tricked = !ip_attested(&w->rules.side[host], &event->pair.remote);
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
    side->has_path = false;
}

static void note_heard(struct rules_side *side, const struct punch_event *event)
{
    struct rules_target *t = target_at(side, &event->pair.remote);

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
        side->stormed = false;
        begin_again(side);
    }
}

void rules_candidate(struct world *w, uint32_t host, const struct stun_addr *addr, bool attested)
{
    struct rules_target *t = target_at(&w->rules.side[host], addr);

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
        count_request(w, host, &out->pair);
    } else if (find_id(w, 1 - host, transaction_of(bytes), false) == NULL) {
        world_fault(w, "%s: answers what the peer has not asked", name_of(host));
    }
}

void rules_sent_link(struct world *w, uint32_t host, const struct punch_pair *pair, size_t routes)
{
    struct rules_side *side = &w->rules.side[host];
    const struct rules_target *t = find_target(side, &pair->remote);
    char text[STUN_ADDR_TEXT_BYTES];

    if (side->has_path) {
        if (routes != 1 || !same_pair(&side->path, pair))
            world_fault(w, "%s: there is a path, but link packets go to %s", name_of(host),
                        stun_addr_text(&pair->remote, text));
        return;
    }
    count_unattested(w, host, &pair->remote);
    if (t == NULL || !t->heard)
        count_plain(w, host);
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
        check_proven(w, host, &event->pair);
        break;
    case PUNCH_EVENT_PATH:
        if (!is_proven(side, &event->pair))
            world_fault(w, "%s: a path that was not proven", name_of(host));
        side->path = event->pair;
        side->has_path = true;
        break;
    case PUNCH_EVENT_PATH_LOST:
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
