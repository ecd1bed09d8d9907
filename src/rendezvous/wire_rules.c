/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/wire_rules.h"

#include "identity/identity.h"
#include "rendezvous/wire.h"
#include "rendezvous/wire_text.h"

#define MAX_BOUNCE_A_FAMILY 4
#define MAX_PORT            65535u

/* The first rule broken, if any: lets a message's rules stand below each other as a list. */
#define RULE(test, text)                                                                           \
    do {                                                                                           \
        if (!(test)) {                                                                             \
            return text;                                                                           \
        }                                                                                          \
    } while (0)
#define RULES_OF(call)                                                                             \
    do {                                                                                           \
        const char *broken = (call);                                                               \
        if (broken != NULL) {                                                                      \
            return broken;                                                                         \
        }                                                                                          \
    } while (0)

static const char *address_rules(bool present, const wire_Address *address)
{
    RULE(present, "an address is missing");
    RULE(address->ip.size == 4 || address->ip.size == 16, "an address is not 4 or 16 bytes");
    RULE(address->port >= 1 && address->port <= MAX_PORT, "a port is not 1 to 65535");
    struct stun_addr addr = wire_to_addr(address);
    RULE(stun_addr_ip_bytes(&addr) == address->ip.size, "an address is IPv4-mapped");
    RULE(stun_addr_is_usable(&addr), "an address is not one that can be sent to");
    return NULL;
}

/* Only the address part counts, so any port will do, also none. */
static const char *host_rules(bool present, const wire_Address *address)
{
    RULE(address->port <= MAX_PORT, "a port is not 0 to 65535");
    wire_Address with_port = *address;
    with_port.port = 1;
    return address_rules(present, &with_port);
}

static const char *ports_rules(const uint32_t *ports, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        RULE(ports[i] >= 1 && ports[i] <= MAX_PORT, "a port is not 1 to 65535");
    }
    return NULL;
}

static const char *coordinates_rules(bool present, const wire_Coordinates *coordinates)
{
    size_t count = coordinates->candidates_count;
    RULE(present || count == 0, "coordinates are filled in but not marked as present");
    RULE(count <= WIRE_MAX_CANDIDATES, "there are more than 12 candidates");
    for (size_t i = 0; i < count; i++) {
        const wire_Candidate *candidate = &coordinates->candidates[i];
        RULE(candidate->kind > wire_CandidateKind_CANDIDATE_UNSPECIFIED &&
                 candidate->kind <= _wire_CandidateKind_MAX,
             "a candidate's kind is unknown");
        RULES_OF(address_rules(candidate->has_address, &candidate->address));
    }
    return NULL;
}

static const char *dial_id_rules(size_t bytes)
{
    RULE(bytes == WIRE_DIAL_ID_BYTES, "dial_id is not 16 bytes");
    return NULL;
}

static const char *text_rules(const char *text)
{
    RULE(wire_text_is_utf8(text), "text is not UTF-8");
    return NULL;
}

static const char *register_rules(const wire_Register *msg)
{
    RULES_OF(coordinates_rules(msg->has_coordinates, &msg->coordinates));
    RULE(msg->visibility <= _wire_Visibility_MAX, "visibility is unknown");
    RULE(msg->instance.size == 0 || msg->instance.size == sizeof(msg->instance.bytes),
         "instance is not 8 bytes");
    RULE(msg->allowed_count <= sizeof(msg->allowed) / sizeof(msg->allowed[0]),
         "there are more than 64 allowed IDs");
    for (size_t i = 0; i < msg->allowed_count; i++) {
        RULE(msg->allowed[i].size == sizeof(msg->allowed[i].bytes),
             "an allowed ID is not 32 bytes");
    }
    return NULL;
}

static const char *get_peer_rules(const wire_GetPeer *msg)
{
    RULES_OF(dial_id_rules(msg->dial_id.size));
    RULE(msg->peer_id.size == sizeof(msg->peer_id.bytes), "peer_id is not 32 bytes");
    RULES_OF(coordinates_rules(msg->has_coordinates, &msg->coordinates));
    RULE(msg->sealed.size >= 1 && msg->sealed.size <= WIRE_MAX_SEALED_BYTES,
         "sealed is not 1 to 1600 bytes");
    return NULL;
}

static const char *dial_note_rules(const wire_DialNote *msg)
{
    RULES_OF(dial_id_rules(msg->dial_id.size));
    RULE(msg->sealed.size >= 1 && msg->sealed.size <= WIRE_MAX_NOTE_BYTES,
         "sealed is not 1 to 1024 bytes");
    return NULL;
}

static const char *complete_rules(const wire_HolepunchingComplete *msg)
{
    RULES_OF(dial_id_rules(msg->dial_id.size));
    RULE(msg->outcome > wire_Outcome_OUTCOME_UNSPECIFIED && msg->outcome <= _wire_Outcome_MAX,
         "outcome is unknown");
    return NULL;
}

static const char *registered_rules(const wire_Registered *msg)
{
    RULE(msg->session_id.size == WIRE_SESSION_ID_BYTES, "session_id is not 8 bytes");
    RULE(msg->session_key.size == WIRE_SESSION_KEY_BYTES, "session_key is not 32 bytes");
    RULE(msg->bounce_count <= sizeof(msg->bounce) / sizeof(msg->bounce[0]),
         "there are more than 8 bounce endpoints");
    size_t ipv4 = 0;
    for (size_t i = 0; i < msg->bounce_count; i++) {
        RULES_OF(address_rules(true, &msg->bounce[i]));
        ipv4 += msg->bounce[i].ip.size == 4;
    }
    RULE(ipv4 <= MAX_BOUNCE_A_FAMILY && msg->bounce_count - ipv4 <= MAX_BOUNCE_A_FAMILY,
         "there are more than 4 bounce endpoints of one family");
    return address_rules(msg->has_seen, &msg->seen);
}

static const char *relay_rules(const uint8_t *tag, size_t tag_bytes, const char *refusal)
{
    RULE(tag_bytes == 0 || (tag_bytes == WIRE_RELAY_TAG_BYTES && tag[0] == WIRE_RELAY_TAG_FIRST),
         "relay_tag is not 8 bytes that begin with 0x45");
    return text_rules(refusal);
}

static const char *peer_coord_rules(const wire_PeerCoord *msg)
{
    RULES_OF(dial_id_rules(msg->dial_id.size));
    RULE(msg->peer_id.size == sizeof(msg->peer_id.bytes), "peer_id is not 32 bytes");
    RULE(msg->sealed.size <= WIRE_MAX_SEALED_BYTES, "sealed is more than 1600 bytes");
    RULES_OF(relay_rules(msg->relay_tag.bytes, msg->relay_tag.size, msg->relay_refusal));
    return coordinates_rules(msg->has_coordinates, &msg->coordinates);
}

static const char *relayed_rules(const wire_Relayed *msg)
{
    RULE(msg->datagram.size > WIRE_RELAY_TAG_BYTES &&
             msg->datagram.size <= WIRE_RELAY_TAG_BYTES + WIRE_MAX_RELAYED_BYTES &&
             msg->datagram.bytes[0] == WIRE_RELAY_TAG_FIRST,
         "datagram is not 9 to 1260 bytes that begin with 0x45");
    return NULL;
}

static const char *member_rules(size_t dial_id_bytes, size_t peer_id_bytes)
{
    RULES_OF(dial_id_rules(dial_id_bytes));
    RULE(peer_id_bytes == IDENTITY_ID_BYTES, "peer_id is not 32 bytes");
    return NULL;
}

static const char *resumed_rules(const wire_Resumed *msg)
{
    RULES_OF(member_rules(msg->dial_id.size, msg->peer_id.size));
    RULES_OF(relay_rules(msg->relay_tag.bytes, msg->relay_tag.size, msg->relay_refusal));
    return coordinates_rules(msg->has_coordinates, &msg->coordinates);
}

static const char *error_rules(const wire_Error *msg)
{
    RULE(msg->code > wire_ErrorCode_ERROR_UNSPECIFIED && msg->code <= _wire_ErrorCode_MAX,
         "the error's code is unknown");
    RULE(msg->dial_id.size == 0 || msg->dial_id.size == WIRE_DIAL_ID_BYTES,
         "dial_id is neither empty nor 16 bytes");
    return text_rules(msg->text);
}

static const char *samples_rules(const wire_Samples *msg)
{
    RULES_OF(address_rules(msg->has_public_address, &msg->public_address));
    RULE(msg->ports_count <= NAT_MAX_SAMPLES, "there are more than 8 samples");
    return ports_rules(msg->ports, msg->ports_count);
}

static const char *punch_plan_rules(const wire_PunchPlan *msg)
{
    RULES_OF(host_rules(msg->has_target, &msg->target));
    RULE(msg->ports_count <= NAT_MAX_PREDICTED, "there are more than 64 ports");
    RULE(msg->sockets <= WIRE_MAX_SEARCH && msg->probes <= WIRE_MAX_SEARCH,
         "a search is larger than 545");
    RULE(msg->probes == 0 || (msg->range_first >= 1024 && msg->range_ports <= 65536 &&
                              msg->range_first + msg->range_ports <= 65536),
         "the range is not one of ports");
    return ports_rules(msg->ports, msg->ports_count);
}

static const char *refuse_rules(const wire_Refuse *msg)
{
    RULE(msg->reason > wire_RefuseReason_REFUSE_UNSPECIFIED &&
             msg->reason <= _wire_RefuseReason_MAX,
         "the reason is unknown");
    return text_rules(msg->text);
}

const char *wire_rule_to_mediator(const wire_ToMediator *msg)
{
    switch (msg->which_body) {
    case wire_ToMediator_registration_tag:
        return register_rules(&msg->body.registration);
    case wire_ToMediator_get_peer_tag:
        return get_peer_rules(&msg->body.get_peer);
    case wire_ToMediator_dial_accept_tag:
        return dial_id_rules(msg->body.dial_accept.dial_id.size);
    case wire_ToMediator_dial_note_tag:
        return dial_note_rules(&msg->body.dial_note);
    case wire_ToMediator_holepunching_complete_tag:
        return complete_rules(&msg->body.holepunching_complete);
    case wire_ToMediator_dial_end_tag:
        return dial_id_rules(msg->body.dial_end.dial_id.size);
    case wire_ToMediator_resume_tag:
        return member_rules(msg->body.resume.dial_id.size, msg->body.resume.peer_id.size);
    case wire_ToMediator_relayed_tag:
        return relayed_rules(&msg->body.relayed);
    case wire_ToMediator_ping_tag:
        return NULL;
    default:
        return "the message has no known body";
    }
}

const char *wire_rule_from_mediator(const wire_FromMediator *msg)
{
    switch (msg->which_body) {
    case wire_FromMediator_registered_tag:
        return registered_rules(&msg->body.registered);
    case wire_FromMediator_peer_coord_tag:
        return peer_coord_rules(&msg->body.peer_coord);
    case wire_FromMediator_dial_note_tag:
        return dial_note_rules(&msg->body.dial_note);
    case wire_FromMediator_error_tag:
        return error_rules(&msg->body.error);
    case wire_FromMediator_resumed_tag:
        return resumed_rules(&msg->body.resumed);
    case wire_FromMediator_relayed_tag:
        return relayed_rules(&msg->body.relayed);
    case wire_FromMediator_pong_tag:
        return NULL;
    default:
        return "the message has no known body";
    }
}

const char *wire_rule_note(const wire_Note *msg)
{
    switch (msg->which_body) {
    case wire_Note_samples_tag:
        return samples_rules(&msg->body.samples);
    case wire_Note_punch_plan_tag:
        return punch_plan_rules(&msg->body.punch_plan);
    case wire_Note_refuse_tag:
        return refuse_rules(&msg->body.refuse);
    case wire_Note_send_first_tag:
        RULE(msg->body.send_first, "send_first is not true");
        return NULL;
    case wire_Note_punch_again_tag:
        RULE(msg->body.punch_again, "punch_again is not true");
        return NULL;
    case wire_Note_goodbye_tag:
        return text_rules(msg->body.goodbye.text);
    case wire_Note_candidates_tag:
        return coordinates_rules(true, &msg->body.candidates);
    default:
        return "the message has no known body";
    }
}
