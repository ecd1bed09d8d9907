/* SPDX-License-Identifier: BSD-2-Clause */
#include "nat/predict.h"

#include "nat/stride.h"

static size_t sample_count(const struct nat_samples *samples)
{
    return samples->count < NAT_MAX_SAMPLES ? samples->count : NAT_MAX_SAMPLES;
}

static bool contains(const uint16_t *ports, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++) {
        if (ports[i] == port)
            return true;
    }
    return false;
}

int32_t nat_samples_step(const struct nat_samples *samples)
{
    struct nat_stride stride = {0};

    for (size_t i = 1; i < sample_count(samples); i++)
        nat_stride_add(&stride, samples->ports[i - 1], samples->ports[i]);
    return nat_stride_step(&stride);
}

size_t nat_predict_ports(const struct nat_samples *samples, int32_t step, unsigned skip,
                         uint16_t *ports, size_t max)
{
    size_t count = sample_count(samples), written = 0;
    int64_t first = (int64_t)skip + 1;
    uint16_t newest;

    if (count == 0 || step == 0)
        return 0;
    newest = samples->ports[count - 1];
    if (max > NAT_MAX_PREDICTED)
        max = NAT_MAX_PREDICTED;
    /* One try per place: a place that may not be used isn't made up for by a less likely one. */
    for (size_t i = 0; i < max; i++) {
        uint16_t port = nat_port_advance(newest, step, first + (int64_t)i);

        if (port >= NAT_LOWEST_PORT && port != newest && !contains(ports, written, port))
            ports[written++] = port;
    }
    return written;
}
