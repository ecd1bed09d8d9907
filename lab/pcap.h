/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets in a file for tcpdump and Wireshark. */
#ifndef LAB_PCAP_H
#define LAB_PCAP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* DIRECTORY/NAME.pcap of bare IP packets; NULL and errno. The caller closes it. */
FILE *pcap_open(const char *directory, const char *name);
/* time_ns: since 1970. */
void pcap_write(FILE *file, uint64_t time_ns, const uint8_t *packet, size_t size);

#endif
