/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab/pcap.h"

#define MAGIC_OF_NANOSECONDS 0xa1b23c4du

enum { LINKTYPE_RAW = 101, LONGEST = 262144 };

FILE *pcap_open(const char *directory, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s.pcap", directory, name);
    FILE *file = fopen(path, "wbe");
    if (!file)
        return NULL;
    const uint32_t header[6] = {
        (uint32_t)MAGIC_OF_NANOSECONDS, 2 | 4 << 16, 0, 0, LONGEST, LINKTYPE_RAW};
    fwrite(header, sizeof(header), 1, file);
    return file;
}

void pcap_write(FILE *file, uint64_t time_ns, const uint8_t *packet, size_t size)
{
    const uint32_t header[4] = {(uint32_t)(time_ns / 1000000000u),
                                (uint32_t)(time_ns % 1000000000u), (uint32_t)size, (uint32_t)size};
    fwrite(header, sizeof(header), 1, file);
    fwrite(packet, size, 1, file);
}
