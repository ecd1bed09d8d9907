/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of eyelet.proto that its types alone cannot express. */
#ifndef RENDEZVOUS_WIRE_RULES_H
#define RENDEZVOUS_WIRE_RULES_H

#include "rendezvous/eyelet.pb.h"

/* NULL if the message keeps every rule; otherwise a constant sentence fragment naming the first one
 * that it breaks. */
const char *wire_rule_to_mediator(const wire_ToMediator *msg);
const char *wire_rule_from_mediator(const wire_FromMediator *msg);
const char *wire_rule_note(const wire_Note *msg);

#endif
