/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer/mediator_key.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "peer/endpoint.h"

static void say(char why[static SESSION_WHY_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(char why[static SESSION_WHY_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, SESSION_WHY_BYTES, format, args);
    va_end(args);
}

static bool is_as_given(const struct locator *where, const struct identity_id *key,
                        const char *name, char why[static SESSION_WHY_BYTES])
{
    char is[IDENTITY_TEXT_BYTES], given[IDENTITY_TEXT_BYTES];
    if (identity_equal(key, &where->key)) {
        return true;
    }
    say(why,
        "the mediator %s has the key %s, not %s as given: somebody else may be answering for "
        "it",
        name, identity_text(key, is), identity_text(&where->key, given));
    return false;
}

bool mediator_key_is_right(struct eyelet_endpoint *ep, const struct identity_id *key,
                           char why[static SESSION_WHY_BYTES])
{
    const struct session *s = &ep->session;
    char name[LOCATOR_NAME_BYTES], is[IDENTITY_TEXT_BYTES], was[IDENTITY_TEXT_BYTES];
    struct identity_id expected;
    locator_name(&s->where, name);
    if (s->where.has_key) {
        return is_as_given(&s->where, key, name, why);
    }
    switch (locator_check_pin(s->known_mediators, &s->where, key, &expected)) {
    case PIN_MATCH:
        return true;
    case PIN_ADDED:
        endpoint_log(ep, EYELET_LOG_INFO, "the key of mediator %s is now pinned: %s", name,
                     identity_text(key, is));
        return true;
    case PIN_MISMATCH:
        say(why,
            "the key of mediator %s has changed from %s to %s: if its operator confirms this, "
            "remove its line from %s",
            name, identity_text(&expected, was), identity_text(key, is), s->known_mediators);
        return false;
    case PIN_BAD_FILE:
        say(why, "the line for mediator %s in %s is damaged: mend or remove it", name,
            s->known_mediators);
        return false;
    case PIN_IO_ERROR:
    default:
        say(why, "the key of mediator %s cannot be pinned in %s: %s. Give it as %s#ID instead",
            name, s->known_mediators, strerror(errno), name);
        return false;
    }
}
