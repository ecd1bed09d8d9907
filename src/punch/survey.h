/* SPDX-License-Identifier: BSD-2-Clause */
/* Asks bounce servers from given sockets and collects what they saw: STUN Binding requests with
 * punching-speed retries; servers that do not answer delay nothing. Same rules as punch.h: no
 * clock, no socket, no allocation. Feeds nat_profile_from (registration) and nat_samples (fresh
 * samples). */
#ifndef PUNCH_SURVEY_H
#define PUNCH_SURVEY_H

#include "nat/predict.h"
#include "nat/profile.h"
#include "stun/stun.h"

#define SURVEY_MAX_QUESTIONS NAT_MAX_OBSERVATIONS

struct survey_question {
    uint16_t socket;
    struct stun_addr local;
    struct stun_addr server;
};

struct survey {
    struct {
        struct survey_question q;
        uint8_t transaction[STUN_TRANSACTION_BYTES];
        struct stun_addr mapped; /* none until answered */
        uint64_t next_us, first_sent_us;
        uint8_t sent;
    } asked[SURVEY_MAX_QUESTIONS];
    size_t count;
    uint64_t give_up_us;
};

/* Requests leave in the order in which they are added: that is the order of the observations. */
void survey_init(struct survey *s, uint64_t give_up_us);
bool survey_ask(struct survey *s, uint64_t now_us, const struct survey_question *q,
                void (*random)(void *, uint8_t *, size_t), void *random_context);
/* True if the message answers one of ours (same socket, server and transaction). */
bool survey_input(struct survey *s, uint64_t now_us, unsigned socket, const struct stun_addr *from,
                  const struct stun_message *msg);
/* Next request to send now. Retries after 20, 60, 140, 300, 600, 1000 ms. */
bool survey_output(struct survey *s, uint64_t now_us, unsigned *socket, struct stun_addr *to,
                   uint8_t *buffer, size_t capacity, size_t *size);
uint64_t survey_next_timeout(const struct survey *s); /* UINT64_MAX once done */
/* All answered, or the time is over. */
bool survey_done(const struct survey *s, uint64_t now_us);
size_t survey_observations(const struct survey *s, struct nat_observation *out, size_t max);
/* The answers of one socket as samples of consecutive mappings. */
void survey_samples(const struct survey *s, uint16_t socket, struct nat_samples *out);

#endif
