/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/echo.h"

#include <string.h>

#define NUMBER_BYTES 4

uint32_t echo_send(struct echo *echo, uint64_t now_us)
{
    uint8_t message[ECHO_BYTES] = {0};
    uint32_t number = ++echo->sent;
    for (int i = 0; i < NUMBER_BYTES; i++) {
        message[i] = (uint8_t)(number >> (24 - 8 * i));
    }
    echo->sent_us[number % ECHO_RECENT] = now_us;
    (void)eyelet_message_send(echo->session->conn, message, sizeof(message));
    return number;
}

bool echo_receive(struct echo *echo, uint64_t now_us, const eyelet_event *event, uint32_t *number,
                  uint64_t *rtt_us)
{
    uint64_t sent_us;
    *number = 0;
    if (event->bytes != ECHO_BYTES) {
        return false;
    }
    for (int i = 0; i < NUMBER_BYTES; i++) {
        *number = *number << 8 | event->data[i];
    }
    if (!echo_is_waiting(echo, *number, &sent_us)) {
        return false;
    }
    *rtt_us = now_us - sent_us;
    echo->sent_us[*number % ECHO_RECENT] = 0;
    echo->received++;
    return true;
}

bool echo_is_waiting(const struct echo *echo, uint32_t number, uint64_t *sent_us)
{
    bool recent = number > 0 && number <= echo->sent && echo->sent - number < ECHO_RECENT;
    *sent_us = recent ? echo->sent_us[number % ECHO_RECENT] : 0;
    return *sent_us != 0;
}
