/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/measure.h"

#include <string.h>

#include "cli/network.h"
#include "cli/page.h"

#define LOOK_EVERY_MS      50
#define UDP_PATIENCE_US    1000000 /* after REGISTERED, which has waited for UDP, too */
#define ROUTER_PATIENCE_US 6000000

static bool is_complete(const struct measure *measure, const eyelet_nat *nat, uint64_t now_us)
{
    if (measure->registered_us == 0) {
        return false;
    }
    uint64_t waited_us = now_us - measure->registered_us;
    if (!network_has_udp(nat)) {
        return waited_us >= UDP_PATIENCE_US;
    }
    bool asks = nat->port_mapping && strcmp(nat->port_mapping, "asking") == 0;
    return nat->settled && (!asks || waited_us >= ROUTER_PATIENCE_US);
}

static void on_timer(uv_timer_t *timer)
{
    struct measure *measure = timer->data;
    uint64_t now_us = loop_now_us();
    eyelet_nat nat;
    (void)measure_result(measure->loop, &nat);
    if (measure->registered_us == 0 && measure->loop->was_registered) {
        measure->registered_us = now_us;
    }
    if (is_complete(measure, &nat, now_us) || now_us - measure->began_us >= measure->limit_us) {
        uv_timer_stop(timer);
        report_clear_line(measure->loop->report);
        measure->done(measure->context);
    } else {
        measure_show(measure->loop, "measuring this network", now_us - measure->began_us);
    }
}

void measure_start(struct measure *measure, struct loop *loop, uint32_t limit_s, measure_done *done,
                   void *context)
{
    *measure = (struct measure){
        .loop = loop,
        .began_us = loop_now_us(),
        .limit_us = (uint64_t)(limit_s > 0 ? limit_s : MEASURE_LIMIT_S) * 1000000,
        .done = done,
        .context = context,
    };
    uv_timer_init(&loop->uv, &measure->timer);
    measure->timer.data = measure;
    uv_update_time(&loop->uv);
    uv_timer_start(&measure->timer, on_timer, LOOK_EVERY_MS, LOOK_EVERY_MS);
}

void measure_show(struct loop *loop, const char *what, uint64_t elapsed_us)
{
    char text[80];
    if (loop->report->is_live) {
        int cells = snprintf(text, sizeof(text), "%s: %.1f s", what, (double)elapsed_us / 1e6);
        report_line(loop->report, cells < (int)page_columns(stderr) ? text : "");
    }
}

bool measure_result(const struct loop *loop, eyelet_nat *nat)
{
    memset(nat, 0, sizeof(*nat));
    nat->size = sizeof(*nat);
    int error = eyelet_nat_profile(loop->ep, nat);
    return error == EYELET_OK || loop->was_registered || nat->mediator_rtt_us > 0;
}
