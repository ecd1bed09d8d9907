/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/wire.h"

#include <pb_decode.h>
#include <pb_encode.h>
#include <string.h>

#include "rendezvous/wire_rules.h"
#include "rendezvous/wire_text.h"

#define MAX_STEP    65535
#define MAX_FOREIGN 1000000 /* a thousand mappings a second */
#define PORTS       65536u

static uint32_t known_or_zero(uint32_t value, uint32_t largest)
{
    return value <= largest ? value : 0;
}

static void tidy_profile(bool *present, wire_Profile *profile)
{
    *present = true;
    profile->mapping = known_or_zero(profile->mapping, NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT);
    profile->allocation = known_or_zero(profile->allocation, NAT_ALLOCATION_BLOCK);
    profile->pooling = known_or_zero(profile->pooling, NAT_POOLING_MANY);
    profile->filtering =
        known_or_zero(profile->filtering, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
    profile->early = known_or_zero(profile->early, NAT_EARLY_POISONOUS);
    profile->hairpin = known_or_zero(profile->hairpin, NAT_HAIRPIN_YES);
    profile->foreign_per_1000_s = known_or_zero(profile->foreign_per_1000_s, MAX_FOREIGN);
    profile->lifetime_s = known_or_zero(profile->lifetime_s, UINT16_MAX);
    if (profile->block_ports > PORTS || profile->block_first > PORTS - profile->block_ports) {
        profile->block_ports = profile->block_first = 0;
    }
    if (profile->step < -MAX_STEP || profile->step > MAX_STEP) {
        profile->step = 0;
    }
    if (profile->endpoints_seen > UINT8_MAX) {
        profile->endpoints_seen = UINT8_MAX;
    }
}

/* Only the mediator may vouch for an address. */
static void tidy_coordinates(bool *present, wire_Coordinates *coordinates, bool from_mediator)
{
    *present = true;
    tidy_profile(&coordinates->has_profile, &coordinates->profile);
    for (size_t i = 0; i < coordinates->candidates_count && !from_mediator; i++) {
        coordinates->candidates[i].attested = false;
    }
}

static void tidy_to_mediator(wire_ToMediator *msg)
{
    if (msg->which_body == wire_ToMediator_registration_tag) {
        wire_Register *body = &msg->body.registration;
        tidy_coordinates(&body->has_coordinates, &body->coordinates, false);
    } else if (msg->which_body == wire_ToMediator_get_peer_tag) {
        wire_GetPeer *body = &msg->body.get_peer;
        tidy_coordinates(&body->has_coordinates, &body->coordinates, false);
    } else if (msg->which_body == wire_ToMediator_holepunching_complete_tag) {
        wire_HolepunchingComplete *body = &msg->body.holepunching_complete;
        tidy_profile(&body->has_mine, &body->mine);
    }
}

static void tidy_from_mediator(wire_FromMediator *msg)
{
    if (msg->which_body == wire_FromMediator_peer_coord_tag) {
        wire_PeerCoord *body = &msg->body.peer_coord;
        tidy_coordinates(&body->has_coordinates, &body->coordinates, true);
        wire_text_clean(body->relay_refusal);
    } else if (msg->which_body == wire_FromMediator_resumed_tag) {
        wire_Resumed *body = &msg->body.resumed;
        tidy_coordinates(&body->has_coordinates, &body->coordinates, true);
        wire_text_clean(body->relay_refusal);
    } else if (msg->which_body == wire_FromMediator_error_tag) {
        wire_text_clean(msg->body.error.text);
    }
}

static void tidy_note(wire_Note *msg)
{
    bool present;
    if (msg->which_body == wire_Note_samples_tag) {
        tidy_profile(&msg->body.samples.has_profile, &msg->body.samples.profile);
    } else if (msg->which_body == wire_Note_refuse_tag) {
        wire_text_clean(msg->body.refuse.text);
    } else if (msg->which_body == wire_Note_goodbye_tag) {
        wire_text_clean(msg->body.goodbye.text);
    } else if (msg->which_body == wire_Note_candidates_tag) {
        tidy_coordinates(&present, &msg->body.candidates, false);
    }
}

static size_t encode(const pb_msgdesc_t *fields, const void *msg, uint8_t *buffer, size_t capacity)
{
    pb_ostream_t stream = pb_ostream_from_buffer(buffer, capacity);
    return pb_encode(&stream, fields, msg) ? stream.bytes_written : 0;
}

/* NULL or what is wrong with the bytes. */
static const char *decode(const pb_msgdesc_t *fields, const uint8_t *bytes, size_t size, void *out)
{
    pb_istream_t stream = pb_istream_from_buffer(bytes, size);
    return pb_decode(&stream, fields, out) ? NULL : PB_GET_ERROR(&stream);
}

static bool verdict(const char *broken, void *out, size_t out_bytes, const char **why)
{
    *why = broken != NULL ? broken : "";
    if (broken != NULL) {
        memset(out, 0, out_bytes);
    }
    return broken == NULL;
}

size_t wire_encode_to_mediator(const wire_ToMediator *msg, uint8_t *buffer, size_t capacity)
{
    if (wire_rule_to_mediator(msg) != NULL) {
        return 0;
    }
    return encode(wire_ToMediator_fields, msg, buffer, capacity);
}

size_t wire_encode_from_mediator(const wire_FromMediator *msg, uint8_t *buffer, size_t capacity)
{
    if (wire_rule_from_mediator(msg) != NULL) {
        return 0;
    }
    return encode(wire_FromMediator_fields, msg, buffer, capacity);
}

size_t wire_encode_note(const wire_Note *msg, uint8_t *buffer, size_t capacity)
{
    if (wire_rule_note(msg) != NULL) {
        return 0;
    }
    return encode(wire_Note_fields, msg, buffer, capacity);
}

bool wire_decode_to_mediator(const uint8_t *bytes, size_t size, wire_ToMediator *out,
                             const char **why)
{
    const char *broken = decode(wire_ToMediator_fields, bytes, size, out);
    if (broken == NULL) {
        broken = wire_rule_to_mediator(out);
    }
    if (broken == NULL) {
        tidy_to_mediator(out);
    }
    return verdict(broken, out, sizeof(*out), why);
}

bool wire_decode_from_mediator(const uint8_t *bytes, size_t size, wire_FromMediator *out,
                               const char **why)
{
    const char *broken = decode(wire_FromMediator_fields, bytes, size, out);
    if (broken == NULL) {
        broken = wire_rule_from_mediator(out);
    }
    if (broken == NULL) {
        tidy_from_mediator(out);
    }
    return verdict(broken, out, sizeof(*out), why);
}

bool wire_decode_note(const uint8_t *bytes, size_t size, wire_Note *out, const char **why)
{
    const char *broken = decode(wire_Note_fields, bytes, size, out);
    if (broken == NULL) {
        broken = wire_rule_note(out);
    }
    if (broken == NULL) {
        tidy_note(out);
    }
    return verdict(broken, out, sizeof(*out), why);
}

void wire_from_addr(const struct stun_addr *addr, wire_Address *out)
{
    memset(out, 0, sizeof(*out));
    out->ip.size = (pb_size_t)stun_addr_ip_bytes(addr);
    memcpy(out->ip.bytes, addr->ip, out->ip.size);
    out->port = addr->port;
}

struct stun_addr wire_to_addr(const wire_Address *addr)
{
    if (addr->port > UINT16_MAX) {
        return (struct stun_addr){0};
    }
    return stun_addr_from_ip(addr->ip.bytes, addr->ip.size, (uint16_t)addr->port);
}

void wire_from_profile(const struct nat_profile *p, wire_Profile *out)
{
    *out = (wire_Profile){
        .mapping = (uint32_t)p->mapping,
        .allocation = (uint32_t)p->allocation,
        .pooling = (uint32_t)p->pooling,
        .filtering = (uint32_t)p->filtering,
        .early = (uint32_t)p->early,
        .hairpin = (uint32_t)p->hairpin,
        .foreign_per_1000_s = p->foreign_per_1000_s,
        .block_ports = p->block_ports,
        .block_first = p->block_first,
        .lifetime_s = p->lifetime_s,
        .step = p->step,
        .endpoints_seen = p->endpoints_seen,
    };
}

void wire_to_profile(const wire_Profile *in, struct nat_profile *out)
{
    wire_Profile known = *in;
    bool present;
    tidy_profile(&present, &known);
    *out = (struct nat_profile){
        .mapping = (enum nat_mapping)known.mapping,
        .allocation = (enum nat_allocation)known.allocation,
        .pooling = (enum nat_pooling)known.pooling,
        .filtering = (enum nat_filtering)known.filtering,
        .early = (enum nat_early)known.early,
        .hairpin = (enum nat_hairpin)known.hairpin,
        .foreign_per_1000_s = known.foreign_per_1000_s,
        .block_ports = known.block_ports,
        .block_first = (uint16_t)known.block_first,
        .lifetime_s = (uint16_t)known.lifetime_s,
        .step = known.step,
        .endpoints_seen = (uint8_t)known.endpoints_seen,
    };
}
