/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes -> the answers of PCP and NAT-PMP. What is taken must be what it looks like. */
#include <stdlib.h>

#include "portmap/pmp.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pmp_answer a;
    struct lease l = {0};

    if (!pmp_parse(data, size, &a))
        return 0;
    require(size >= 8 && size <= PMP_ANSWER_BYTES && data[1] >= 128);
    require(pmp_result_text(a.kind, a.result) != NULL);
    require(a.external.family != STUN_IPV4 || a.external.ip[4] == 0);
    switch (a.kind) {
    case PMP_PCP_MAP:
        require(data[0] == 2 && (a.result != 0 || (size >= 60 && a.has_nonce)));
        break;
    case PMP_NATPMP_ADDRESS:
        require(data[0] == 0 && size == 12);
        break;
    case PMP_NATPMP_MAP:
        require(data[0] == 0 && size == 16);
        break;
    case PMP_NO_PCP:
        require(a.result == 1);
        break;
    }
    lease_epoch(&l, a.epoch_s, 1);
    lease_epoch(&l, a.lifetime_s, 1 + (uint64_t)a.epoch_s * 1000000);
    lease_is_outer_address(&l, &a.external);
    return 0;
}
