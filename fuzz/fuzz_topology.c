/* SPDX-License-Identifier: BSD-2-Clause */
/* A file of networks and hosts by its text. */
#include <stdlib.h>
#include <string.h>

#include "lab/topology.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct topology topology;
    char *text = malloc(size + 1);
    unsigned line;
    const char *error = NULL;
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    topology_init(&topology);
    if (!topology_read(&topology, text, &line, &error)) {
        if (!error || line == 0)
            abort();
    } else if (topology_finish(&topology, &error)) {
        for (unsigned i = 1; i < topology.nodes; i++) {
            unsigned one, other;
            topology_meet(&topology, i, 1, &one, &other);
            topology_public(&topology, i);
            topology_leads_to(&topology, i, &topology.node[1].address6);
        }
    }
    free(text);
    return 0;
}
