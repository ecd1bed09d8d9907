/* SPDX-License-Identifier: BSD-2-Clause */
#include "portmap/lease.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool lease_is_outer_address(const struct lease *l, const struct stun_addr *addr)
{
    struct stun_addr with_port = *addr;
    with_port.port = 1;
    return addr->family == STUN_IPV4 && stun_addr_is_usable(&with_port) &&
           !stun_addr_is_loopback(addr) && !stun_addr_is_link_local(addr) && addr->ip[0] != 0 &&
           addr->ip[0] < 224 && !stun_addr_same_ip(addr, &l->gateway.local) &&
           !stun_addr_same_ip(addr, &l->gateway.router);
}

const char *lease_ip_text(const struct stun_addr *addr, char text[static LEASE_IP_TEXT_BYTES])
{
    const uint8_t *ip = addr->ip;
    snprintf(text, LEASE_IP_TEXT_BYTES, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
    return text;
}

void lease_epoch(struct lease *l, uint32_t epoch_s, uint64_t now_us)
{
    l->forgot = false;
    if (l->epoch_us != 0) {
        uint64_t ours = (now_us - l->epoch_us) / 1000000;
        uint64_t theirs = epoch_s < l->epoch_s ? 0 : epoch_s - l->epoch_s;
        l->forgot = (uint64_t)epoch_s + 1 < l->epoch_s || theirs + 2 < ours - ours / 8;
    }
    l->epoch_s = epoch_s;
    l->epoch_us = now_us;
}

void lease_blame(struct lease *l, const char *format, ...)
{
    size_t used = strlen(l->why);
    if (used > 0 && used + 2 < sizeof l->why) {
        memcpy(l->why + used, "; ", 3);
        used += 2;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(l->why + used, sizeof l->why - used, format, arguments);
    va_end(arguments);
}
