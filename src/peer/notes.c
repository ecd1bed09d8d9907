/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine's notes <-> the wire. */
#include <string.h>

#include "peer/endpoint.h"

static void samples_to_wire(const struct punch_note *note, wire_Samples *out)
{
    out->has_public_address = true;
    wire_from_addr(&note->samples.public_addr, &out->public_address);
    out->ports_count = note->samples.count;
    for (size_t i = 0; i < note->samples.count; i++) {
        out->ports[i] = note->samples.ports[i];
    }
    out->has_profile = true;
    wire_from_profile(&note->profile, &out->profile);
    out->age_us = note->age_us < UINT32_MAX ? (uint32_t)note->age_us : UINT32_MAX;
}

static void plan_to_wire(const struct punch_note *note, wire_PunchPlan *out)
{
    out->technique = note->plan.technique;
    out->has_target = note->plan.target.family != STUN_NO_FAMILY;
    wire_from_addr(&note->plan.target, &out->target);
    out->ports_count = (pb_size_t)note->plan.port_count;
    for (size_t i = 0; i < note->plan.port_count; i++) {
        out->ports[i] = note->plan.ports[i];
    }
    out->start_after_us = (uint32_t)note->plan.start_after_us;
    out->fresh_socket = note->plan.fresh_socket;
    out->loud = note->plan.loud;
    out->sockets = note->plan.sockets;
    out->probes = note->plan.probes;
    out->range_first = note->plan.range_first;
    out->range_ports = note->plan.range_ports;
}

bool notes_to_wire(const struct punch_note *note, wire_Note *out)
{
    memset(out, 0, sizeof *out);
    switch (note->kind) {
    case PUNCH_NOTE_SAMPLES:
        out->which_body = wire_Note_samples_tag;
        samples_to_wire(note, &out->body.samples);
        return true;
    case PUNCH_NOTE_PLAN:
        out->which_body = wire_Note_punch_plan_tag;
        plan_to_wire(note, &out->body.punch_plan);
        return true;
    case PUNCH_NOTE_SEND_FIRST:
        out->which_body = wire_Note_send_first_tag;
        out->body.send_first = true;
        return true;
    case PUNCH_NOTE_AGAIN:
        out->which_body = wire_Note_punch_again_tag;
        out->body.punch_again = true;
        return true;
    }
    return false;
}

bool notes_from_wire(const wire_Note *note, struct punch_note *out)
{
    memset(out, 0, sizeof *out);
    switch (note->which_body) {
    case wire_Note_samples_tag: {
        const wire_Samples *in = &note->body.samples;
        out->kind = PUNCH_NOTE_SAMPLES;
        out->samples.public_addr = wire_to_addr(&in->public_address);
        for (pb_size_t i = 0; i < in->ports_count && i < NAT_MAX_SAMPLES; i++) {
            out->samples.ports[out->samples.count++] = (uint16_t)in->ports[i];
        }
        wire_to_profile(&in->profile, &out->profile);
        out->age_us = in->age_us;
        return true;
    }
    case wire_Note_punch_plan_tag: {
        const wire_PunchPlan *in = &note->body.punch_plan;
        out->kind = PUNCH_NOTE_PLAN;
        out->plan.technique = (enum punch_technique)in->technique;
        out->plan.target = wire_to_addr(&in->target);
        for (pb_size_t i = 0; i < in->ports_count && i < NAT_MAX_PREDICTED; i++) {
            out->plan.ports[out->plan.port_count++] = (uint16_t)in->ports[i];
        }
        out->plan.start_after_us = in->start_after_us;
        out->plan.fresh_socket = in->fresh_socket;
        out->plan.loud = in->loud;
        out->plan.sockets = (uint16_t)in->sockets;
        out->plan.probes = (uint16_t)in->probes;
        out->plan.range_first = (uint16_t)in->range_first;
        out->plan.range_ports = in->range_ports;
        return true;
    }
    case wire_Note_send_first_tag:
        out->kind = PUNCH_NOTE_SEND_FIRST;
        return true;
    case wire_Note_punch_again_tag:
        out->kind = PUNCH_NOTE_AGAIN;
        return true;
    default:
        return false;
    }
}
