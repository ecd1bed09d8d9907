/* SPDX-License-Identifier: BSD-2-Clause */
/* What this network is like. */
#include <stdio.h>
#include <string.h>

#include "cli/measure.h"
#include "cli/network.h"
#include "cli/page.h"
#include "cli/path.h"
#include "cli/verbs.h"
#include "cli/verdict.h"

#define TEXT_BYTES 400

struct check {
    struct loop loop;
    struct measure measure;
};

static void on_event(void *context, const eyelet_event *event)
{
    (void)context;
    (void)event;
}

/* As it was given, without the ID. */
static void mediator_name(const struct settings *settings, char *name, size_t capacity)
{
    snprintf(name, capacity, "%.*s", (int)strcspn(settings->mediator, "#"), settings->mediator);
}

static void print_json(const struct check *check, const eyelet_nat *nat)
{
    char name[TEXT_BYTES];
    mediator_name(check->loop.settings, name, sizeof(name));
    report_answer(check->loop.report, "netcheck",
                  json_pack("{s:{s:s,s:o,s:b},s:o,s:o,s:f}", "mediator", "name", name, "rtt_ms",
                            path_ms_json(nat->mediator_rtt_us), "relay", nat->relay, "nat",
                            network_json(nat, NETWORK_MINE), "verdict", verdict_json(nat), "ms",
                            (double)(loop_now_us() - check->loop.began_us) / 1000));
}

static void print_mediator(const struct check *check, const eyelet_nat *nat, unsigned columns)
{
    char name[TEXT_BYTES];
    char text[2 * TEXT_BYTES];
    mediator_name(check->loop.settings, name, sizeof(name));
    if (nat->mediator_rtt_us > 0) {
        snprintf(text, sizeof(text), "%s, round trip %.1f ms", name, nat->mediator_rtt_us / 1000.0);
    } else {
        snprintf(text, sizeof(text), "%s, answers", name);
    }
    page_row(stdout, columns, "Mediator", text);
    page_row(stdout, columns, "Relay",
             nat->relay ? "yes, for whoever is not reached directly"
                        : "no: this mediator has none");
}

/* Without UDP there is nothing to say about the NAT. */
static bool is_shown(const eyelet_nat *nat, enum network_field field)
{
    return network_has_udp(nat) || field == NETWORK_UDP || field == NETWORK_PORT_MAPPING;
}

static void print_nat(const eyelet_nat *nat, unsigned columns)
{
    for (int i = 0; i < NETWORK_FIELDS; i++) {
        enum network_field field = (enum network_field)i;
        char value[NETWORK_TEXT_BYTES];
        char text[TEXT_BYTES];
        if (!is_shown(nat, field) || !*network_text(nat, NETWORK_MINE, field, value)) {
            continue;
        }
        const char *meaning = network_meaning(nat, field);
        snprintf(text, sizeof(text), "%s%s%s", value, *meaning ? ": " : "", meaning);
        page_row(stdout, columns, network_label(field), text);
    }
}

static void print_verdict(const eyelet_nat *nat, unsigned columns)
{
    struct verdict verdict = verdict_of(nat);
    const char *advice[VERDICT_MAX_ADVICE];
    char text[VERDICT_TEXT_BYTES];
    size_t count = verdict_advice(nat, advice);
    printf("\n");
    page_row(stdout, columns, "Directly", verdict_text(&verdict, text));
    for (size_t i = 0; i < count; i++) {
        page_row(stdout, columns, i == 0 ? "To improve" : "", advice[i]);
    }
    if (count == 0) {
        page_row(stdout, columns, "To improve", "nothing");
    }
}

static void print_page(const struct check *check, const eyelet_nat *nat)
{
    unsigned columns = page_columns(stdout);
    print_mediator(check, nat, columns);
    print_nat(nat, columns);
    print_verdict(nat, columns);
    if (network_has_udp(nat) && !nat->settled) {
        page_row(stdout, columns, "Note",
                 "not everything was measured in time; --timeout SECONDS allows more");
    }
}

static void on_measured(void *context)
{
    struct check *check = context;
    eyelet_nat nat;
    if (!measure_result(&check->loop, &nat)) {
        struct outcome outcome = outcome_of_error(EYELET_ERR_MEDIATOR);
        char text[TEXT_BYTES];
        snprintf(text, sizeof(text), "the mediator %.200s has not answered within %u seconds",
                 check->loop.settings->mediator, (unsigned)(check->measure.limit_us / 1000000));
        loop_end(&check->loop, report_error(check->loop.report, &outcome, text));
        return;
    }
    if (check->loop.report->json) {
        print_json(check, &nat);
    } else {
        print_page(check, &nat);
    }
    loop_end(&check->loop, report_answered(check->loop.report));
}

int verb_netcheck(const struct options *options, const struct settings *settings,
                  struct report *report)
{
    struct check check;
    struct settings any = *settings;
    if (options->argument_count > 1) {
        return report_usage(report, "netcheck takes one peer, or none for this network alone");
    }
    report->events = NULL; /* one object says all */
    if (options->argument_count == 1) {
        return verb_netcheck_peer(options, settings, report);
    }
    if (options->direct_only || options->relay_only) {
        return report_usage(report, "--direct-only and --relay-only need a peer: eyelet netcheck "
                                    "ID|NAME");
    }
    any.policy = EYELET_ANY_PATH;
    int exit_code = loop_open(&check.loop, options, &any, report);
    if (exit_code != 0) {
        return exit_code;
    }
    measure_start(&check.measure, &check.loop, options->timeout_s, on_measured, &check);
    exit_code = loop_run(&check.loop, on_event, NULL, &check);
    loop_close(&check.loop);
    return exit_code;
}
