/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/verbs.h"
#include "eyelet.h"

int verb_id(const struct options *options, const struct settings *settings, struct report *report)
{
    eyelet_id id;
    char text[EYELET_ID_TEXT_BYTES];
    if (options->argument_count > 0) {
        return report_usage(report, "id takes no arguments");
    }
    int error = eyelet_id_of_key_file(settings->key, &id);
    if (error != EYELET_OK) {
        struct outcome outcome = outcome_of_error(error);
        char why[SETTINGS_WHY_BYTES];
        return report_error(report, &outcome, settings_open_why(settings, error, why));
    }
    eyelet_id_text(&id, text);
    if (options->json) {
        report_answer(report, "id", json_pack("{s:s}", "id", text));
    } else {
        printf("%s\n", text);
    }
    return report_answered(report);
}
